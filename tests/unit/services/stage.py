"""A session on stage: the real core, driver, pace and bus, a journal in memory, a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import anyio

from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import HOUR_NS, Candle, Tick, WindowEnd
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.pace import Pace
from dudzian_daemon.services.session import Ending, Session
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.market import START_NS
from dudzian_daemon.trading.windows import Window, WindowRows, window_ticks
from tests.unit.services.memory_journal import MemoryJournal
from tests.unit.trading.desk import BTC_1H, desk, enter, flat_hours, hour, leave

#: An hour of the market in a second.
HOUR_A_SECOND = 3600.0
END_OF_DATA = Ending("closed", "end_of_data", close_positions=False)
OPERATOR = Ending("closed", "operator", close_positions=True)
SERVICE = Ending("stopped", "service", close_positions=False)


class Heard:
    """A message of the bus, and how far the journal was when it came."""

    def __init__(self, topic: str, message: Any, durable_sequence: int) -> None:
        self.topic = topic
        self.message = message
        self.durable_sequence = durable_sequence


class Reel:
    """A feed that has all it will say; `broken_after` items it raises."""

    def __init__(self, items: Sequence[Tick | WindowEnd], broken_after: int | None = None) -> None:
        self._items = items
        self._broken_after = broken_after

    async def items(self) -> AsyncIterator[Tick | WindowEnd]:
        for number, item in enumerate(self._items):
            if number == self._broken_after:
                msg = "the reel tears"
                raise LookupError(msg)
            yield item


class Stage:
    """One session over `hours` flat candles, entering and leaving as the script says, at `speed` (None: as fast as it goes)."""

    def __init__(
        self,
        hours: int,
        script: Mapping[int, Sequence[Signal]] | None = None,
        *,
        speed: float | None = None,
        delay_s: float = 0.0,
        broken_after: int | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.journal = MemoryJournal(self.clock, delay_s=delay_s)
        self.bus = Bus()
        self.heard: list[Heard] = []
        self.bus.subscribe("*", self._hear, name="audience")
        self._waits: dict[str, anyio.Event] = {}
        self.desk = desk(script)
        feed = Reel([*_ticks(hours), WindowEnd(1, last=True)], broken_after)
        self.stored: list[Tick] = []
        #: Seconds that each commit took.
        self.commits: list[float] = []
        self.session = Session(
            self.desk.driver,
            feed,
            Pace(self.clock, speed),
            self.journal,
            self.bus,
            self.clock,
            store_rows=self.stored.append,
            observe_commit=self.commits.append,
        )

    @property
    def cycles(self) -> list[events.ControllerCycle]:
        """The public events so far."""
        return [each.message for each in self.heard if each.topic == events.CONTROLLER_CYCLE]

    @property
    def states(self) -> list[str]:
        """States the session went through."""
        return [each.message.state for each in self.heard if each.topic == events.SESSION_STATE]

    async def until(self, state: str) -> None:
        """Wait until the session says it is in `state`: what it does in threads moves no clock."""
        if state not in self.states:
            await self._waits.setdefault(state, anyio.Event()).wait()

    async def play(self) -> None:
        """From the first input to the last entry; for a session that waits for no clock."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.session.run)
            await self.until("data_ended")
            await self.session.finish(END_OF_DATA)

    def _hear(self, topic: str, message: Any) -> None:
        self.heard.append(Heard(topic, message, self.journal.durable_sequence))
        if topic == events.SESSION_STATE and message.state in self._waits:
            self._waits.pop(message.state).set()


def busy(hours: int) -> dict[int, list[Signal]]:
    """A script that leaves no hour quiet: in and out again."""
    return {hour(number): [enter() if number % 2 else leave()] for number in range(1, hours + 1)}


def _ticks(hours: int) -> list[Tick]:
    history: list[Candle] = flat_hours(1, start=START_NS - HOUR_NS)
    window = Window(START_NS, hour(hours), {BTC_1H: 1})
    found = WindowRows({BTC_1H: flat_hours(hours)}, {BTC_1H: history})
    return list(window_ticks(window, found, None, lambda rows: f"{len(rows)} rows"))
