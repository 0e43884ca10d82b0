"""Memory of what we took out of the market: data goes on showing it, so it is subtracted from what is shown.

A quantity taken at a price comes back over `memory_ns` in four equal parts, as if others had refilled the level. Parts, so
that an order that waits is not filled by a grain with every quote.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.fills import Level
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Side

PARTS: Final = 4
PART: Final = Decimal("0.25")


class Taken(msgspec.Struct, frozen=True):
    """We took `quantity` of the liquidity for orders of `side` at `price`."""

    side: Side
    price: Decimal
    quantity: Decimal
    instant: int


class OwnConsumption:
    """What was taken at price levels, by instrument; forgotten once it has come back."""

    def __init__(self, memory_ns: int) -> None:
        self._memory_ns = memory_ns
        self.taken: dict[str, list[Taken]] = {}

    def remember(self, instrument: str, taken: Taken) -> None:
        """A fill took this."""
        if self._memory_ns:
            self.taken.setdefault(instrument, []).append(taken)

    def left(self, instrument: str, side: Side, levels: list[Level], instant: int) -> list[Level]:
        """`levels` less what is still missing of them at `instant`."""
        if instrument not in self.taken:
            return levels
        self._forget(instrument, instant)
        missing = {level.price: ZERO for level in levels}
        for taken in self.taken.get(instrument, ()):
            if taken.side is side and taken.price in missing:
                missing[taken.price] += self._missing(taken, instant)
        return [_less(level, missing[level.price]) for level in levels]

    def _missing(self, taken: Taken, instant: int) -> Decimal:
        left = self._memory_ns - max(instant - taken.instant, 0)
        return taken.quantity * -(-left * PARTS // self._memory_ns) * PART

    def _forget(self, instrument: str, instant: int) -> None:
        kept = self.taken[instrument]
        if instant - kept[0].instant < self._memory_ns:  # they are in order of time
            return
        kept = [taken for taken in kept if instant - taken.instant < self._memory_ns]
        if kept:
            self.taken[instrument] = kept
        else:
            del self.taken[instrument]


def _less(level: Level, missing: Decimal) -> Level:
    return level if level.quantity is None or not missing else Level(level.price, max(level.quantity - missing, ZERO))
