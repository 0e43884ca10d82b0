"""What happens to a strategy that is slow or does not come back, and to a stop that finds the loop inside one.

A synchronous core cannot be torn out of a plugin's call. So one whose calls do come back is quarantined by a recorded command; one
that does not ends the process, by the watchdog's thread, which needs nothing of the thread that hangs.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.app.bootstrap import Assembly
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.process.quarantine import Blocked, leave_name
from dudzian_daemon.app.process.signals import StopSignals
from dudzian_daemon.config.runtime import WatchdogLimits
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.watchdog import Call, Limits, Stall, Watchdog
from dudzian_daemon.sinks.console import ConsoleView
from dudzian_daemon.trading.strategy_host import QUARANTINED, StrategyHost

#: Why a strategy whose calls take too much time together is quarantined, as the record has it.
OVER_BUDGET: Final = "budget"
#: Once a stop was asked for, a call may take this long, and plugins may keep the loop from hearing of it for this long.
STOP_SECONDS: Final = 5.0
#: The same from the second signal on.
SECOND_STOP_SECONDS: Final = 0.5
#: What the last words of a process may take; a disk or a terminal that hangs too does not keep it.
LAST_WORDS_SECONDS: Final = 3.0
_EXIT: Final = 1


class StrategyGuard:
    """The watchdog over the plugins' calls, and the service that has who is over budget quarantined by `command`, which steps one in.

    Make it in the loop's thread. `command` makes its id of an origin; `end_process` is told of a hang, in the watchdog's thread.
    """

    name = "strategy_guard"

    def __init__(
        self,
        strategies: StrategyHost,
        command: Callable[[str, str, dict[str, str]], Awaitable[object]],
        limits: WatchdogLimits,
        clock: Clock,
        signals: StopSignals,
        end_process: Callable[[Stall], object],
    ) -> None:
        self._strategies = strategies
        self._command = command
        self._own = limits
        self._signals = signals
        self._loop = asyncio.get_running_loop()
        self._unheard = 0
        self._over: deque[str] = deque()
        self._wanted = anyio.Event()
        self._log = logs.logger("watchdog")
        #: Enter it in the thread that steps the core.
        self.watchdog = Watchdog(
            clock, partial(running, strategies), self._limits, on_late=self._name, on_budget=self._quarantine, on_limit=end_process
        )

    async def run(self) -> None:
        """Step a quarantine into the session for every strategy that is over its budget, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            while self._over:
                strategy = self._over.popleft()
                if self._strategies.inactive.get(strategy) != QUARANTINED:
                    arguments = {"strategy": strategy, "reason": OVER_BUDGET}
                    await self._command("budget", "quarantine", arguments)

    # -- in the watchdog's thread ----------------------------------------------------------------------------------

    def _limits(self) -> Limits:
        """The configured ones, until a stop is asked for. A call that kept the loop from hearing of it is no call that began after it."""
        own, arrived, unanswered = self._own, self._signals.arrived(), self._signals.unanswered
        waits = [own.limit_seconds] if self._unheard else []
        if unanswered:
            waits.append(STOP_SECONDS if arrived == 1 else SECOND_STOP_SECONDS)
        stopping = arrived and not unanswered
        return Limits(
            warn_seconds=own.warn_seconds,
            limit_seconds=min(own.limit_seconds, STOP_SECONDS) if stopping else own.limit_seconds,
            budget_seconds=own.budget_seconds,
            answer_seconds=min(waits, default=None),
        )

    def _name(self, stall: Stall) -> None:
        self._log.warning("strategy_blocks", action="wait", unit=stall.name, seconds=round(stall.seconds, 1), stack=stall.stack)

    def _quarantine(self, stall: Stall) -> None:
        self._log.warning(
            "strategy_over_budget",
            action="quarantine",
            unit=stall.name,
            seconds=round(stall.seconds, 1),
            budget_seconds=self._own.budget_seconds,
            stack=stall.stack,
        )
        self._unheard += 1
        self._loop.call_soon_threadsafe(self._hear, stall.owner)

    def _hear(self, strategy: str) -> None:
        """In the loop's thread."""
        self._unheard -= 1
        self._over.append(strategy)
        self._wanted.set()


class LastWords:
    """Ends a process whose core hangs in a strategy, from another thread; `views` hold the terminal."""

    def __init__(
        self,
        strategies: StrategyHost,
        journal: SessionJournal,
        data_folder: Path,
        clock: Clock,
        signals: StopSignals,
        views: Sequence[ConsoleView] = (),
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._strategies = strategies
        self._journal = journal
        self._data_folder = data_folder
        self._clock = clock
        self._signals = signals
        self._views = views
        self._end = end
        self._log = logs.logger("watchdog")

    def end_process(self, stall: Stall) -> None:
        """Leave the name for the restart, save what is appended, give the terminal back, say so, and end the process at once."""
        fuse = threading.Timer(LAST_WORDS_SECONDS, self._end, (_EXIT,))
        fuse.daemon = True
        fuse.start()
        seconds = round(stall.seconds, 1)
        self._log.error("strategy_blocked", action="end_process", unit=stall.name, seconds=seconds, stack=stall.stack)
        named = bool(stall.owner) and self._leave_name(stall)
        saved = self._save()
        for view in self._views:
            view.halt()
        sys.stderr.write("".join(f"dudzian: {line}\n" for line in self._lines(stall, named=named, saved=saved)))
        sys.stderr.flush()
        logs.close()
        fuse.cancel()
        self._end(_EXIT)

    def _leave_name(self, stall: Stall) -> bool:
        blocked = Blocked(strategy=stall.owner, unit=stall.name, seconds=stall.seconds, stack=stall.stack, at=self._clock.wall_ns())
        try:
            leave_name(self._data_folder, blocked)
        except (DudzianError, OSError) as error:
            self._log.error("quarantine_not_written", reason=str(error))
            return False
        return True

    def _save(self) -> bool:
        """Make durable what was appended. Only while the core's thread is in one and the same call: it touches no journal there."""
        call = running(self._strategies)
        try:
            return self._journal.commit_last(lambda: call is not None and call == running(self._strategies))
        except DudzianError as error:
            self._log.error("last_commit_failed", reason=str(error))
            return False

    def _lines(self, stall: Stall, *, named: bool, saved: bool) -> list[str]:
        journal, asked = self._journal, self._signals.first()
        stop = f", and {asked} waits for it" if asked else ""
        what = f"strategy {stall.name} has not come back for {stall.seconds:.1f} s"
        if not stall.owner:
            what = f"calls of strategies, now {stall.name}, have kept the process for {stall.seconds:.1f} s"
        kept = f"cycles up to {journal.sequence} are durable" if saved else "the last cycles may be lost"
        then = f"quarantines {stall.owner} on the record and " if named else ""
        return [
            f"{what}{stop}; the process ends: {kept}, session {journal.log_id} stays open",
            f"the next start {then}goes on with the session",
        ]


def guard_of(prepared: Prepared, assembly: Assembly, clock: Clock, signals: StopSignals) -> StrategyGuard:
    """The guard of a run."""
    strategies, views = assembly.core.strategies, [sink for sink in assembly.sinks if isinstance(sink, ConsoleView)]
    last = LastWords(strategies, assembly.journal, prepared.data_folder, clock, signals, views)
    limits = prepared.config.runtime.watchdog
    return StrategyGuard(strategies, assembly.session.own_command, limits, clock, signals, last.end_process)


def running(strategies: StrategyHost) -> Call | None:
    """The call of a strategy's code that the core is in, for any thread."""
    unit = strategies.running
    return None if unit is None else Call(strategies.calls, unit.name, unit.schedule.strategy)
