"""Every run leaves the package of the day it has come to: the bytes of a later `daily-report`, and a stop never fails for it."""

from __future__ import annotations

import os
import signal
from datetime import UTC, date
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from msgspec.structs import replace

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.adapters.journal_reader import entries, sessions
from dudzian_daemon.app.backtest.journal import recording
from dudzian_daemon.app.backtest.run import BacktestOptions, arrange
from dudzian_daemon.app.daily_report.day import Day, day_of
from dudzian_daemon.app.daily_report.keeping import KeptDay
from dudzian_daemon.app.daily_report.package import daily_package, package_files, read_day
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.process.day_package import PERIOD_SECONDS, DayPackage, still_wanted
from dudzian_daemon.config.load import load
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.windows import read_window, window_ticks
from tests.integration.daemon_process import LAST_LINE, NO_PACKAGE, SHORT_WINDOWS, Child, Ended, daemon, dudzian, report, short_config

pytestmark = pytest.mark.integration

SMALL_SEGMENTS = "  journal: {segment_lines: 40}\n  metrics_service: {"
REPORTS = Path("data") / "data" / "reports" / "daily"
#: It fills at one o'clock: a stop that follows has most of the day before the midnight that would belong to the next one.
ONE_DAY = SHORT_WINDOWS.replace("2024-02-01, end: 2024-03-01", "2024-02-08, end: 2024-02-09")


def packages(home: Path) -> dict[str, bytes]:
    """By day; nothing else may lie there."""
    found = {path.relative_to(home / REPORTS): path.read_bytes() for path in (home / REPORTS).rglob("*") if path.is_file()}
    assert {path.name for path in found} <= {"demo.zip"}
    return {path.parent.name: data for path, data in found.items()}


def assert_ended(ended: Ended) -> None:
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert "Traceback" not in ended.err


def assert_the_same_by_hand(home: Path, *arguments: object) -> None:
    (day,) = left = packages(home)
    (home / REPORTS / day / "demo.zip").unlink()
    places = ("--data-dir", home / "data", "--config", home / "config" / "core.yaml")
    made = dudzian(home, "daily-report", "demo", "--no-pdf", *places, *arguments)
    assert made.code == 0, made
    assert packages(home) == left


def test_the_end_of_the_data_leaves_the_bytes_of_a_later_report(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max") as child:
        ended = child.end()
    assert_ended(ended)
    assert ended.out.splitlines()[-2].split() == ["package", str(tmp_path / REPORTS / "2024-02-29" / "demo.zip")]
    assert_the_same_by_hand(tmp_path)
    assert_the_same_by_hand(tmp_path, "--date", "2024-02-29")


def test_a_stop_leaves_the_day_of_its_last_cycle_with_the_closing_fills(tmp_path: Path) -> None:
    config_path = short_config(tmp_path, day=(SHORT_WINDOWS, ONE_DAY))
    with daemon(tmp_path, "--config", config_path, "--speed", 1_200) as child:
        child.wait_for_line("fill ")
        child.send(signal.SIGINT)
        assert_ended(child.end())
    ((day, _),) = packages(tmp_path).items()
    assert day == day_of(report(tmp_path / "data")["last_instant"]).isoformat() == "2024-02-08"
    config = load(config_path, env={}).config
    made = daily_package(config, tmp_path / "data", "demo").day.summary
    assert (made.fills > 0, made.open_positions, made.closings > 0) == (True, [], True)
    assert_the_same_by_hand(tmp_path)


def test_a_restricted_run_leaves_one_too(tmp_path: Path) -> None:
    arguments = ("run-daily-trend", "-e", "demo", "--date-window", "2024-02-01:2024-02-02", "--run-once", "--speed", "max", "--no-ui")
    controller = ("interval: 1d}", "interval: 1h}")
    path = short_config(tmp_path, controller=controller)
    with Child(tmp_path, *arguments, "--data-dir", tmp_path / "data", "--config", path) as child:
        assert_ended(child.end())
    assert list(packages(tmp_path)) == ["2024-02-01"]
    assert_the_same_by_hand(tmp_path)


def test_what_keeps_it_from_being_made_is_one_line_and_no_failure(tmp_path: Path) -> None:
    blocked = tmp_path / REPORTS
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the folder should be")
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max") as child:
        ended = child.end()
    assert_ended(ended)
    (line,) = [line for line in ended.out.splitlines() if "no package of the day" in line]
    assert str(blocked) in line and line.endswith("make it with: dudzian daily-report demo --no-pdf")
    assert '"event":"day_package_failed"' in (tmp_path / "data" / "logs" / "runtime" / "demo.log").read_text()
    assert blocked.is_file()
    assert report(tmp_path / "data")["fills"] > 0


def test_a_configuration_may_want_none_and_one_that_takes_too_long_is_given_up_with_nothing_written(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path, package=NO_PACKAGE), "--speed", "max") as child:
        ended = child.end()
    assert_ended(ended)
    assert "package" not in ended.out
    prepared = prepare(RunOptions(config=tmp_path / "config" / "core.yaml", data_dir=tmp_path / "data"), os.environ)
    package = Endless(prepared, ManualClock())
    assert list(package.lines()) == []
    anyio.run(over_budget, package)
    (line,) = package.lines()
    assert "it did not come to its end" in line
    read: list[None] = []

    def until_the_third() -> None:
        read.append(None)
        if len(read) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        daily_package(prepared.config, prepared.data_folder, "demo", still_wanted=until_the_third)
    assert not (tmp_path / REPORTS).exists()


def test_a_day_that_is_read_along_is_the_day_that_is_read_at_once_wherever_it_was_looked_at(tmp_path: Path) -> None:
    """Through segments, days without cycles, and a journal that grows by parts of a line."""
    config = short_config(tmp_path, package=NO_PACKAGE, segments=("  metrics_service: {", SMALL_SEGMENTS))
    with daemon(tmp_path, "--config", config, "--speed", "max", "--no-ui") as child:
        assert_ended(child.end())
    (session,) = sessions(tmp_path / "data", "demo")
    assert len(session.segments) > 3
    grown = tmp_path / "grown"
    kept = KeptDay(grown, environment="demo", artifact="demo", log_id=session.log_id, timezone="UTC")
    grown.mkdir()
    for path in session.segments:
        content = path.read_bytes()
        for end in (len(content) // 3, len(content) // 3 + 7, len(content)):
            (grown / path.name).write_bytes(content[:end])
            kept.catch_up(lambda: None)
        assert_equal_packages(at_once(grown, session.log_id), read_day(replace(session, folder=grown), "demo", "demo", latest_day(grown)))
    (last,) = kept.days()
    assert_equal_packages(last, read_day(session, "demo", "demo", date(2024, 2, 29)))


def at_once(folder: Path, log_id: str) -> Day:
    """By a fold that rolls from day to day over all there is."""
    whole = KeptDay(folder, environment="demo", artifact="demo", log_id=log_id, timezone="UTC")
    whole.catch_up(lambda: None)
    (day,) = whole.days()
    return day


def latest_day(folder: Path) -> date:
    """As `daily-report` chooses it."""
    last = [cycle.record.instant for path in segments(folder) for entry in entries(path) for cycle in entry.cycles()][-1]
    return day_of(last - SECOND_NS)


def assert_equal_packages(one: Day, other: Day) -> None:
    assert package_files(one, UTC) == package_files(other, UTC)


def test_a_stop_reads_no_more_than_what_came_since_it_was_read_along(tmp_path: Path) -> None:
    config = short_config(tmp_path, package=NO_PACKAGE, segments=("  metrics_service: {", SMALL_SEGMENTS))
    with daemon(tmp_path, "--config", config, "--speed", "max", "--no-ui") as child:
        assert_ended(child.end())
    (session,) = sessions(tmp_path / "data", "demo")
    *passed, last = session.segments
    content = last.read_bytes()
    last.write_bytes(b"")
    clock = ManualClock()
    package = DayPackage(prepare(RunOptions(config=config, data_dir=tmp_path / "data"), os.environ), clock)
    package.follow(session.log_id)

    async def stop_after_a_while() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(package.run)
            await clock.advance(PERIOD_SECONDS)
            tasks.cancel_scope.cancel()
        for path in passed:
            path.write_bytes(b"nobody reads this again\n")
        last.write_bytes(content)
        await package.write(session.log_id)

    anyio.run(stop_after_a_while)
    assert list(packages(tmp_path)) == ["2024-02-29"]


def stopped_after(home: Path, seconds: int) -> tuple[Prepared, str, list[CycleRecord]]:
    """Two days of an hourly session that buys on the second, stopped so long after the midnight at which they end; the stop's cycles."""
    days = BacktestOptions(data_dir=home / "data", strategies=("core_daily_trend",), first=date(2024, 2, 7), last=date(2024, 2, 8))
    arranged = arrange(days, {})
    driver = Driver(arranged.core)
    (played,) = arranged.windows
    with recording(arranged.prepared, {}, ManualClock()) as journal, exact_money():
        for tick in window_ticks(played, read_window(arranged.store, played), None, digest_rows):
            journal.store_rows(tick)
            for record in driver.advance(tick):
                journal.append(record)
        now = played.end + seconds * SECOND_NS
        command = {"reason": "operator", "close_positions": "yes"}
        stop = [*driver.command("operator-1", "stop", command, now=now), *driver.snapshot()]
        for record in stop:
            journal.append(record)
    return arranged.prepared, journal.text.log_id, stop


@pytest.mark.parametrize("seconds", [0, 600], ids=["at midnight", "in the night after the last input"])
def test_a_stop_after_midnight_leaves_the_day_it_has_come_to_and_the_one_of_its_closing_fills(tmp_path: Path, seconds: int) -> None:
    prepared, log_id, stop = stopped_after(tmp_path, seconds)
    fills = sum(len(record.fills) for record in stop)
    assert fills > 0 and {day_of(record.instant) for record in stop} == {date(2024, 2, 9)}
    package = DayPackage(prepared, ManualClock())
    anyio.run(package.write, log_id)
    folder = prepared.data_folder / "data" / "reports" / "daily"
    paths = [folder / day / f"{prepared.artifact}.zip" for day in ("2024-02-08", "2024-02-09")]
    assert list(package.lines()) == [f"package       {path}" for path in paths]
    left = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    before, after = (
        daily_package(prepared.config, prepared.data_folder, prepared.environment, date.fromisoformat(path.parent.name)).day.summary
        for path in paths
    )
    assert [path.read_bytes() for path in paths] == left
    assert len(before.open_positions) > 0
    assert (after.fills, after.open_positions) == (fills, [])


class Endless(DayPackage):
    """One whose journal has no end."""

    begun: anyio.Event

    def _make(self, log_id: str) -> None:
        anyio.from_thread.run_sync(self.begun.set)
        while True:
            still_wanted()


async def over_budget(package: Endless) -> None:
    """Its making, in a stage whose time is over while the thread reads."""
    package.begun = anyio.Event()
    async with anyio.create_task_group() as stage:
        stage.start_soon(package.write, "")
        await package.begun.wait()
        stage.cancel_scope.cancel()
