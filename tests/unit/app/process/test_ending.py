"""Who asked for the stop decides what becomes of positions and session; a fault decides the exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.process.ending import SessionEnd, stages, verdict
from dudzian_daemon.app.process.signals import StopRequest
from dudzian_daemon.domain import errors
from dudzian_daemon.domain.errors import ConfigError, ReadOnlyDisk, StorageError, StorageFull
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.service import UnitRegistry
from dudzian_daemon.kernel.supervisor import Action, StageReport, StopReport, Supervisor
from dudzian_daemon.services.session import Ending
from dudzian_daemon.testing.clock import ManualClock


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    logs.configure("CRITICAL")
    yield
    logs.close()


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return prepare(RunOptions(data_dir=tmp_path), {})


def session_end(prepared: Prepared, close_positions: str = "operator") -> tuple[Supervisor, SessionEnd]:
    shutdown = replace(prepared.config.shutdown, close_positions=close_positions)
    ready = replace(prepared, loaded=replace(prepared.loaded, config=replace(prepared.config, shutdown=shutdown)))
    supervisor = Supervisor(clock=ManualClock(), units=UnitRegistry(), verdict=verdict, stages=stages(ready))
    return supervisor, SessionEnd(ready, supervisor, ManualClock())


def report(**late: tuple[str, ...]) -> StopReport:
    return StopReport(reason="SIGTERM", forced=False, stages=(StageReport(name="journal", seconds=0.0, **late),))


@pytest.mark.parametrize(
    ("wanted", "operator", "keep", "ending"),
    [
        ("operator", True, False, Ending("closed", "operator", close_positions=True)),
        ("operator", True, True, Ending("stopped", "operator", close_positions=False)),
        ("operator", False, False, Ending("stopped", "service", close_positions=False)),
        ("always", True, False, Ending("closed", "operator", close_positions=True)),
        ("always", True, True, Ending("stopped", "operator", close_positions=False)),
        ("always", False, False, Ending("stopped", "service", close_positions=True)),
        ("never", True, False, Ending("closed", "operator", close_positions=False)),
        ("never", False, False, Ending("stopped", "service", close_positions=False)),
    ],
)
async def test_the_ending_by_who_asked(prepared: Prepared, wanted: str, operator: bool, keep: bool, ending: Ending) -> None:
    _, end = session_end(prepared, wanted)
    end.ask("told to", by_operator=operator, keep_positions=keep)
    assert end.ending(data_ended=False) == ending
    assert end.ending(data_ended=True) == Ending("closed", "end_of_data", close_positions=False)


async def test_who_asks_first_decides_and_the_second_signal_hurries(prepared: Prepared) -> None:
    supervisor, end = session_end(prepared)
    end.on_signal(StopRequest("SIGTERM"))
    assert (supervisor.reason, end.ending(data_ended=False).kind) == ("SIGTERM", "stopped")
    end.ask("stop command", by_operator=True)
    assert (supervisor.reason, end.ending(data_ended=False).kind) == ("SIGTERM", "stopped")
    assert not (await supervisor_report(supervisor)).forced


async def test_a_second_signal_forces(prepared: Prepared) -> None:
    supervisor, end = session_end(prepared)
    end.on_signal(StopRequest("SIGINT"))
    end.on_signal(StopRequest("SIGINT"))
    assert (await supervisor_report(supervisor)).forced
    assert end.ending(data_ended=False).kind == "closed"


async def supervisor_report(supervisor: Supervisor) -> StopReport:
    async with supervisor:
        return await supervisor.stop()


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        (None, 0, None),
        (StorageError("log x: sync failed"), 1, "log x: sync failed"),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [StorageError("log x: sync failed")])]), 1, "log x: sync failed"),
        (ConfigError("no candles"), 2, "no candles"),
        (KeyError("tick"), 1, "the session broke: KeyError: 'tick'"),
    ],
)
async def test_a_fault_is_one_line_and_its_exit_code(prepared: Prepared, fault: Exception | None, code: int, line: str | None) -> None:
    supervisor, end = session_end(prepared)
    supervisor.fault = fault
    assert (end.exit_code(report()), end.fault(report())) == (code, line)
    assert end.ending(data_ended=True).reason == ("end_of_data" if fault is None else "fault")


async def test_a_journal_that_was_not_finished_is_a_failure(prepared: Prepared) -> None:
    _, end = session_end(prepared)
    late = report(overran=("finish_journal",), stuck=("finish_journal",))
    assert end.exit_code(late) == 1
    assert end.fault(late) == "the end of the session could not be made durable in time (finish_journal)"


def test_what_a_fault_asks_for() -> None:
    asked = {name: verdict(kind("x")) for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    stopping = {name for name, action in asked.items() if action is Action.STOP_DAEMON}
    assert stopping == {"IntegrityError", "StorageError", StorageFull.__name__, ReadOnlyDisk.__name__}
    assert {name for name, action in asked.items() if action is Action.STOP_SERVICE} == {
        "Permanent",
        "AuthFailed",
        "Offline",
        "PluginError",
    }
