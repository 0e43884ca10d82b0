"""Steps the core through a stream of ticks: timers fall due between them, stops are followed by a snapshot of last prices.

The one loop body of backtest, daemon and replay; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from dudzian_daemon.domain.market import Command, Phase, Tick, Timer
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.step import Core


class Driver:
    """Owns the order of inputs: every tick is strictly after the one before."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.last: tuple[int, Phase] = (0, Phase.COMMAND)
        self._deadline: int | None = None

    def advance(self, tick: Tick) -> Iterator[CycleRecord]:
        """Step through the timers due before `tick`, then `tick`; yields the cycles that came of it."""
        while self._deadline is not None and (instant := self._timer_instant(self._deadline), Phase.TIMER) < (tick.instant, tick.phase):
            yield from self._step(Tick(instant, Phase.TIMER, (Timer(instant, self._deadline),)))
        yield from self._step(tick)

    def command(self, command_id: str, name: str, arguments: dict[str, str], *, now: int = 0) -> Iterator[CycleRecord]:
        """Step a command in: never held back, stamped now or just after what was released last."""
        instant = max(now, self.last[0] + 1)
        yield from self.advance(Tick(instant, Phase.COMMAND, (Command(instant, command_id, name, arguments),)))

    def snapshot(self) -> Iterator[CycleRecord]:
        """Fill what a stop has ordered on the last prices, one instant later."""
        tick = self.core.snapshot(self.last[0] + 1)
        if tick is not None:
            yield from self._step(tick)

    def _timer_instant(self, due: int) -> int:
        """When a timer can be delivered: at its deadline, or just after what was released last."""
        instant, phase = self.last
        return due if (due, Phase.TIMER) > (instant, phase) else instant + 1

    def _step(self, tick: Tick) -> Iterator[CycleRecord]:
        self.last = (tick.instant, tick.phase)
        result = self.core.step(tick)
        self._deadline = result.next_deadline
        if result.record is not None:
            yield result.record
