"""Steps the core through a stream of ticks: timers fall due between them, stops are followed by a snapshot of last prices.

The one loop body of backtest, daemon and replay; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dudzian_daemon.domain.fills import LAST_PRICE
from dudzian_daemon.domain.market import Command, Phase, Quote, Tick, Timer
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.state import FeedPosition, SessionState
from dudzian_daemon.trading.step import Core

#: Phases of ticks that no feed releases, and of quotes, which are a feed's or the snapshot after a stop.
_MAY_BE_OURS: Final = frozenset({Phase.COMMAND, Phase.TIMER, Phase.QUOTE})


class Driver:
    """Owns the order of inputs: every tick is strictly after the one before."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.last: tuple[int, Phase] = (0, Phase.COMMAND)
        #: How far the feed has come, so that a resumed one can leave out what was released.
        self.feed = FeedPosition()
        self._deadline: int | None = None

    @property
    def deadline(self) -> int | None:
        """When the core wants a timer (ns) at the latest."""
        return self._deadline

    def export(self) -> SessionState:
        """Everything that what comes may depend on, between two ticks. Raises `TypeError` where a plugin's `State` is no data."""
        instant, phase = self.last
        return SessionState(last=(instant, int(phase)), deadline=self._deadline, feed=self.feed, core=self.core.export())

    def restore(self, state: SessionState) -> None:
        """Be as the driver of an equal spec was that said so. Raises `msgspec.DecodeError` where a plugin cannot read its `State`."""
        self.core.restore(state.core)
        self.last = (state.last[0], Phase(state.last[1]))
        self.feed, self._deadline = state.feed, state.deadline

    def advance(self, tick: Tick) -> Iterator[CycleRecord]:
        """Step through the timers due before `tick`, then `tick`; yields the cycles that came of it."""
        if self._deadline is not None and self._deadline <= tick.instant:
            yield from self.timers_before(tick.instant, tick.phase)
        record = self.step(tick)
        if record is not None:
            yield record

    def timers_before(self, instant: int, phase: Phase) -> Iterator[CycleRecord]:
        """Step through the timers due before (`instant`, `phase`)."""
        while self._deadline is not None and (due := self._timer_instant(self._deadline), Phase.TIMER) < (instant, phase):
            record = self.step(Tick(due, Phase.TIMER, (Timer(due, self._deadline),)))
            if record is not None:
                yield record

    def command(self, command_id: str, name: str, arguments: dict[str, str], *, now: int = 0) -> Iterator[CycleRecord]:
        """Step a command in: never held back, stamped now or just after what was released last."""
        instant = max(now, self.last[0] + 1)
        yield from self.advance(Tick(instant, Phase.COMMAND, (Command(instant, command_id, name, arguments),)))

    def snapshot(self) -> Iterator[CycleRecord]:
        """Fill what a stop has ordered on the last prices, one instant later."""
        tick = self.core.snapshot(self.last[0] + 1)
        record = None if tick is None else self.step(tick)
        if record is not None:
            yield record

    def step(self, tick: Tick) -> CycleRecord | None:
        """Step this tick alone, as it was recorded: the timers before it come as ticks of their own."""
        self.last = (tick.instant, tick.phase)
        self.feed = moved(self.feed, tick)
        result = self.core.step(tick)
        self._deadline = result.next_deadline
        return result.record

    def _timer_instant(self, due: int) -> int:
        """When a timer can be delivered: at its deadline, or just after what was released last."""
        instant, phase = self.last
        return due if (due, Phase.TIMER) > (instant, phase) else instant + 1


def moved(feed: FeedPosition, tick: Tick) -> FeedPosition:
    """Where the feed is after this tick: timers, commands and snapshots are none of its own, but one command ends its window."""
    if tick.phase not in _MAY_BE_OURS:
        return FeedPosition(feed.windows, (tick.instant, tick.phase))
    for item in tick.inputs:
        if isinstance(item, Command) and item.name == "end_of_data":
            return FeedPosition(int(item.arguments["window"]), closing=True)
    quoted = tick.phase is Phase.QUOTE and not any(isinstance(item, Quote) and item.source == LAST_PRICE for item in tick.inputs)
    return FeedPosition(feed.windows, (tick.instant, tick.phase) if quoted else feed.last)
