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


class Taken(msgspec.Struct, frozen=True, gc=False):
    """We took `quantity` of the liquidity for orders of `side` at `price`."""

    side: Side
    price: Decimal
    quantity: Decimal
    instant: int


class OwnConsumption:
    """What was taken at price levels, by instrument; forgotten after the longest memory (ns) that anybody has."""

    def __init__(self, memory_ns: int) -> None:
        self.longest_ns = memory_ns
        self.taken: dict[str, list[Taken]] = {}

    def remember(self, instrument: str, taken: Taken) -> None:
        """A fill took this."""
        if self.longest_ns:
            self.taken.setdefault(instrument, []).append(taken)

    def left(self, instrument: str, side: Side, levels: list[Level], instant: int, memory_ns: int) -> list[Level]:
        """`levels` less what is still missing of them at `instant`, if what was taken comes back over `memory_ns`."""
        if instrument not in self.taken:
            return levels
        self._forget(instrument, instant)
        missing = {level.price: ZERO for level in levels}
        for taken in self.taken.get(instrument, ()):
            if taken.side is side and taken.price in missing:
                missing[taken.price] += _missing(taken, instant, memory_ns)
        return [_less(level, missing[level.price]) for level in levels]

    def _forget(self, instrument: str, instant: int) -> None:
        kept = self.taken[instrument]
        if instant - kept[0].instant < self.longest_ns:  # they are in order of time
            return
        kept = [taken for taken in kept if instant - taken.instant < self.longest_ns]
        if kept:
            self.taken[instrument] = kept
        else:
            del self.taken[instrument]


def _missing(taken: Taken, instant: int, memory_ns: int) -> Decimal:
    left = memory_ns - max(instant - taken.instant, 0)
    return ZERO if left <= 0 else taken.quantity * -(-left * PARTS // memory_ns) * PART


def _less(level: Level, missing: Decimal) -> Level:
    return level if level.quantity is None or not missing else Level(level.price, max(level.quantity - missing, ZERO))
