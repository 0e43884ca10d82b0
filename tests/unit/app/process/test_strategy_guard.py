"""What a stop signal makes of a strategy that hangs: the limits, the last words, and what is saved by another thread than the loop's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_reader import Session, sessions
from dudzian_daemon.app.process.quarantine import Blocked, read_quarantine
from dudzian_daemon.app.process.signals import StopSignals
from dudzian_daemon.app.process.strategy_guard import LastWords, StrategyGuard
from dudzian_daemon.config.runtime import WatchdogLimits
from dudzian_daemon.kernel import logs
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.trading.desk import BTC, desk

assert sys.platform != "win32", "a process cannot send itself these signals there"

UNIT = f"told[{BTC.key}]"


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    logs.configure("CRITICAL")
    yield
    logs.close()


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    installed = StopSignals()
    installed.install()
    yield installed
    installed.restore()


class Daemon:
    """A core, a session's journal with one line that waits, and a strategy's call that begins when the test says so."""

    def __init__(self, data_folder: Path) -> None:
        self.folder = data_folder
        self.clock = ManualClock()
        self.strategies = desk().core.strategies
        self.journal = SessionJournal.create(data_folder, "test", None, clock=self.clock)
        self.journal.append_entry("run", {}, {})
        self.ended: list[int] = []
        self.commands: list[tuple[str, str, dict[str, str]]] = []

    def guard(self, signals: StopSignals) -> StrategyGuard:
        last = LastWords(self.strategies, self.journal, self.folder, self.clock, signals, end=self.ended.append)
        return StrategyGuard(self.strategies, self._command, WatchdogLimits(), self.clock, signals, last.end_process)

    def call(self) -> None:
        """The core is in a call of a strategy's code from now on."""
        (unit,) = self.strategies.units["told"]
        self.strategies.calls, self.strategies.running = self.strategies.calls + 1, unit

    async def look(self, guard: StrategyGuard, seconds: float) -> None:
        for _ in range(round(seconds / 0.2)):
            await self.clock.advance(0.2)
            if not self.ended:  # which a process does once
                await anyio.to_thread.run_sync(guard.watchdog.look)

    async def left(self) -> tuple[tuple[Blocked, ...], Session]:
        """The strategies the next start has to quarantine, and what the disk says of the one session."""
        file = await anyio.to_thread.run_sync(read_quarantine, self.folder)
        (session,) = await anyio.to_thread.run_sync(sessions, self.folder, "test")
        return file.blocked, session

    async def _command(self, command_id: str, name: str, arguments: dict[str, str]) -> None:
        self.commands.append((command_id, name, arguments))


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path)


async def test_without_a_signal_a_call_has_its_thirty_seconds(daemon: Daemon, signals: StopSignals) -> None:
    guard = daemon.guard(signals)
    daemon.call()
    await daemon.look(guard, 29.8)
    assert daemon.ended == []
    await daemon.look(guard, 1.0)
    assert daemon.ended == [1]


async def test_after_a_signal_that_the_loop_cannot_hear_it_has_five(
    daemon: Daemon, signals: StopSignals, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = daemon.guard(signals)
    daemon.call()
    await daemon.look(guard, 10.0)
    os.kill(os.getpid(), signal.SIGINT)
    await daemon.look(guard, 4.6)
    assert daemon.ended == []
    await daemon.look(guard, 1.0)
    assert daemon.ended == [1]
    ((left,), session) = await daemon.left()
    assert (left.strategy, left.unit) == ("told", UNIT)
    assert (session.state, session.lines) == ("open", 2)  # the line that waited is there
    assert capsys.readouterr().err.splitlines() == [
        f"dudzian: strategy {UNIT} has not come back for 5.0 s, and SIGINT waits for it; the process ends: cycles up to 0 are durable, "
        f"session {daemon.journal.log_id} stays open",
        "dudzian: the next start quarantines told on the record and goes on with the session",
    ]


async def test_a_second_one_ends_it_at_once(daemon: Daemon, signals: StopSignals) -> None:
    guard = daemon.guard(signals)
    daemon.call()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    await daemon.look(guard, 0.4)
    assert daemon.ended == []  # a loop that is only busy answers within this
    await daemon.look(guard, 0.4)
    assert daemon.ended == [1]


async def test_a_loop_that_heard_the_signal_stops_in_its_own_time_but_no_call_is_longer_than_five_seconds(
    daemon: Daemon, signals: StopSignals
) -> None:
    guard = daemon.guard(signals)
    os.kill(os.getpid(), signal.SIGTERM)
    signals.answer()
    for _ in range(20):
        daemon.call()
        await daemon.look(guard, 4.0)
    assert daemon.ended == []
    daemon.call()
    await daemon.look(guard, 5.4)
    assert daemon.ended == [1]


async def test_many_quick_calls_end_the_process_too_but_nobody_is_quarantined(
    daemon: Daemon, signals: StopSignals, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = daemon.guard(signals)
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(26):
        daemon.call()
        await daemon.look(guard, 0.2)
    assert daemon.ended == [1]
    (named, _) = await daemon.left()
    assert named == ()
    said, then = capsys.readouterr().err.splitlines()
    assert said.startswith(f"dudzian: calls of strategies, now {UNIT}, have kept the process for 5.")
    assert then == "dudzian: the next start goes on with the session"


async def test_a_call_that_comes_back_at_the_last_moment_gets_nothing_written(
    daemon: Daemon, signals: StopSignals, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, strategies = daemon.journal, daemon.strategies
    guard = daemon.guard(signals)
    daemon.call()
    sealing = journal.flush_quiet

    def back_while_sealing() -> None:
        sealing()
        strategies.calls += 1

    journal.flush_quiet = back_while_sealing  # type: ignore[method-assign]  # the moment cannot be met otherwise
    await daemon.look(guard, 31.0)
    assert "the last cycles may be lost" in capsys.readouterr().err
    (_, session) = await daemon.left()
    assert session.lines == 1


async def test_who_is_over_budget_is_quarantined_once_its_call_is_back(daemon: Daemon, signals: StopSignals) -> None:
    guard = daemon.guard(signals)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guard.run)
        for _ in range(5):
            daemon.call()
            await daemon.look(guard, 4.0)
        assert daemon.commands == []  # 19 s of its 20 in a minute were seen to go by
        daemon.call()
        await daemon.look(guard, 4.0)
        assert daemon.commands == [("budget", "quarantine", {"strategy": "told", "reason": "budget"})]
        daemon.strategies.set_inactive("told", "quarantined", "budget")
        for _ in range(12):
            daemon.call()
            await daemon.look(guard, 4.0)
        assert len(daemon.commands) == 1
        tasks.cancel_scope.cancel()
    assert daemon.ended == []


async def test_a_loop_that_cannot_hear_of_a_budget_either_has_thirty_seconds_more(daemon: Daemon, signals: StopSignals) -> None:
    async def made() -> StrategyGuard:
        return daemon.guard(signals)

    loop = asyncio.new_event_loop()  # which does not run: it hears nothing
    guard = await anyio.to_thread.run_sync(loop.run_until_complete, made())
    for seconds, ended in ((50, []), (15, [1])):
        for _ in range(seconds):
            daemon.call()
            await daemon.look(guard, 1.0)
        assert daemon.ended == ended
    loop.close()
    ((left,), _) = await daemon.left()
    assert left.strategy == "told"
