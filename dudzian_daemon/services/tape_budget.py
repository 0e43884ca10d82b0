"""What quotes and books may put on record in a day of the market; beyond it only the latest of each instrument goes to the core.

It stands before the core, so what is let through is what is recorded, and a replay needs to know nothing of it. The change of policy is
on record too, since a session that saw fewer quotes may decide otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from dudzian_daemon.domain.market import DAY_NS, SECOND_NS, Book, Elapsed, Phase, Quote, Tick, WindowEnd
from dudzian_daemon.domain.ports import Journal
from dudzian_daemon.kernel import logs
from dudzian_daemon.trading.driver import Driver

#: Beyond the budget what is held goes to the core so often (ns of event time), and before every input of another kind.
HELD_NS: Final = 10 * SECOND_NS
ALL: Final = "all"
LATEST: Final = "latest_per_instrument"

_encode: Final = msgspec.json.Encoder().encode


class TapePolicy(msgspec.Struct, frozen=True):
    """Member `d` of an entry `tape`, kind apart: from `instant` (ns) on `policy` holds; `bytes` came on record that day (since 1970)."""

    instant: int
    policy: str
    day: int
    bytes: int


class TapeBudget:
    """Lets ticks through, all of them or conflated. The count is of canonical bytes before packing, by the day of event time.

    `rests` says whether an order of an instrument does: its prices always pass. `last` is the (instant, phase) of what was stepped last.
    """

    def __init__(
        self, most_bytes: int, rests: Callable[[str], bool], last: Callable[[], tuple[int, Phase]], tell: Callable[[TapePolicy], object]
    ) -> None:
        self._most_bytes = most_bytes
        self._rests = rests
        self._last = last
        self._tell = tell
        self._day = 0
        self._bytes = 0
        self._policy = ALL
        self._held: dict[tuple[type, str], Quote | Book] = {}
        self._passed = 0

    def offer(self, item: Tick | Elapsed | WindowEnd) -> list[Tick | Elapsed | WindowEnd]:
        """What goes to the core now, in order: nothing, the item, or what was held and the item."""
        if isinstance(item, Elapsed | WindowEnd):
            return [*self._released(), item]
        if (day := item.instant // DAY_NS) != self._day:
            self._day, self._bytes = day, 0
            self._enter(ALL, item.instant)
        prices = [each for each in item.inputs if isinstance(each, Quote | Book)]
        if item.phase is not Phase.QUOTE or len(prices) < len(item.inputs):
            return [*self._released(), item]
        if self._policy == LATEST and item.instant - self._passed < HELD_NS and not any(self._rests(each.instrument) for each in prices):
            self._held.update({(type(each), each.instrument): each for each in prices})
            return []
        for each in prices:
            self._held.pop((type(each), each.instrument), None)
        released = self._released()
        self._count(item)
        return [*released, item]

    def _count(self, tick: Tick) -> None:
        self._passed = tick.instant
        self._bytes += len(_encode(tick.inputs))
        if self._bytes > self._most_bytes:
            self._enter(LATEST, tick.instant)

    def _released(self) -> list[Tick]:
        """What was held, at its own time; what a command has overtaken meanwhile is left out, since time does not go back."""
        held, self._held = sorted(self._held.values(), key=attrgetter("instant")), {}
        last, grouped = self._last(), groupby(held, attrgetter("instant"))
        ticks = [Tick(instant, Phase.QUOTE, tuple(items)) for instant, items in grouped if (instant, Phase.QUOTE) > last]
        for tick in ticks:
            self._count(tick)
        return ticks

    def _enter(self, policy: str, instant: int) -> None:
        if policy != self._policy:
            self._policy = policy
            self._tell(TapePolicy(instant, policy, self._day, self._bytes))


def tape_budget(driver: Driver, journal: Journal, most_bytes: int) -> TapeBudget:
    """The budget of what quotes and books put on record; a change of policy is an entry of the journal, and a line of the log."""

    def rests(instrument: str) -> bool:
        return driver.core.execution.has_open_orders_in(instrument)

    def tell(policy: TapePolicy) -> None:
        facts = msgspec.structs.asdict(policy)
        journal.append_entry("tape", facts, {})
        logs.logger("session").warning("tape_budget", action="conflate" if policy.policy == LATEST else "record_all", **facts)

    return TapeBudget(most_bytes, rests, lambda: driver.last, tell)
