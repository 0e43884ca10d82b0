"""SIGINT and SIGTERM to a real daemon in every phase of its life: it always ends in order, and its journal is whole."""

from __future__ import annotations

import signal
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.daemon_process import (
    FIRST_FILL,
    HELD,
    HOLDING,
    LAST_LINE,
    Child,
    Ended,
    cycles,
    daemon,
    journal_lines,
    processes_on,
    report,
    short_config,
    verdicts,
    write_config,
)

assert sys.platform != "win32", "FIFOs and signals as POSIX has them"

pytestmark = pytest.mark.integration

STARTS = ("run.import", "run.config", "run.key", "run.lock", "run.logs", "run.port", "run.assemble")
#: Where a session is at work: while it reads candles, and while its third commit is written, synced, released.
WORK = ("feed.warm_up", "journal.write@3", "journal.fsync@3", "journal.release@3")
STAGES = ("feed", "close_positions", "journal", "sinks", "report", "adapters")
#: Of the short demo: most of an hour.
SLOW = ("--speed", 1_000)

both = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


def holding(home: Path) -> Child:
    """A daemon that soon buys and then holds for longer than any test takes."""
    return daemon(home, "--config", write_config(home, windows=HELD), *HOLDING)


def stopped_in(child: Child, point: str, number: signal.Signals) -> Ended:
    """What is left of a child that gets the signal where it pauses."""
    name, _, visit = point.partition("@")
    for _ in range(int(visit or 1)):
        child.wait_for_point(name)
    child.send(number)
    child.wait_for_point("stop.asked")
    child.go_on()  # a thread other than the main one hears no signal
    return child.end()


def assert_ended_in_order(ended: Ended, home: Path) -> None:
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    assert "Traceback" not in ended.err
    assert [line for line in ended.err.splitlines() if "made the signing key" not in line] == []
    assert processes_on(home) == []


@both
@pytest.mark.parametrize("point", STARTS)
def test_a_stop_during_the_start_leaves_no_session(tmp_path: Path, point: str, number: signal.Signals) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), faults=f"{point}=pause") as child:
        ended = stopped_in(child, point, number)
    assert_ended_in_order(ended, tmp_path)
    assert list(tmp_path.glob("data/data/journal/*/*")) == []


@both
@pytest.mark.parametrize("point", WORK)
def test_a_stop_at_work_loses_nothing(tmp_path: Path, point: str, number: signal.Signals) -> None:
    name, _, visit = point.partition("@")
    faults = f"{name}=pause@{visit or 1}"
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max", faults=faults) as child:
        ended = stopped_in(child, point, number)
    assert_ended_in_order(ended, tmp_path)
    session, decisions = verdicts(tmp_path)
    assert (session.integrity, decisions.integrity) == ("intact", "intact")
    assert session.completeness == ("closed" if number is signal.SIGINT else "stopped")
    assert session.content == report(tmp_path / "data")["content_chain"]


@both
@pytest.mark.parametrize("stage", STAGES)
def test_a_second_signal_skips_to_the_durable_end(tmp_path: Path, stage: str, number: signal.Signals) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), *SLOW, faults=f"stop.{stage}=pause") as child:
        child.wait_for_line("session running")
        child.send(number)
        ended = stopped_in(child, f"stop.{stage}", number)
    assert_ended_in_order(ended, tmp_path)
    session, decisions = verdicts(tmp_path)
    assert (session.integrity, decisions.integrity) == ("intact", "intact")
    assert session.completeness == ("closed" if number is signal.SIGINT else "stopped")


def test_a_second_signal_does_not_wait_for_a_sink_that_hangs(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max", faults="decision_log.fsync=pause@2") as child:
        child.wait_for_point("decision_log.fsync")
        child.wait_for_point("decision_log.fsync")
        child.send(signal.SIGINT)
        child.wait_for_point("stop.sinks")
        child.send(signal.SIGINT)
        ended = child.end()
    assert_ended_in_order(ended, tmp_path)
    assert "stop stage sinks did not finish: decision_log" in ended.out
    (session, *_) = verdicts(tmp_path)
    assert (session.integrity, session.completeness) == ("intact", "closed")


def test_sigint_closes_the_positions_on_the_last_prices(tmp_path: Path) -> None:
    with holding(tmp_path) as child:
        child.wait_for_line(FIRST_FILL)
        child.send(signal.SIGINT)
        ended = child.end()
    assert_ended_in_order(ended, tmp_path)
    *_, stop, closing = cycles(lines := journal_lines(tmp_path / "data"))
    assert stop["inputs"][-1][0] == "command"
    (fill,) = closing["fills"]
    assert (fill["side"], fill["fill_source"], fill["filled_at"]) == ("sell", "last_price", stop["instant"] + 1)
    assert [Decimal(change["quantity"]) for change in closing["positions"]] == [0]
    assert (lines[-1]["d"]["kind"], lines[-1]["d"]["reason"]) == ("closed", "operator")
    final = report(tmp_path / "data")
    assert (final["ended"], final["open_positions"], final["fills"], len(final["round_trips"])) == ("operator", [], 2, 1)
    assert "stay open" not in ended.out


def test_sigterm_keeps_the_book_and_the_next_start_goes_on_with_it(tmp_path: Path) -> None:
    with holding(tmp_path) as child:
        child.wait_for_line(FIRST_FILL)
        child.send(signal.SIGTERM)
        ended = child.end()
    assert_ended_in_order(ended, tmp_path)
    lines = journal_lines(tmp_path / "data")
    assert cycles(lines)[-1]["inputs"][-1][0] == "command"
    assert (lines[-1]["d"]["kind"], lines[-1]["d"]["reason"]) == ("stopped", "service")
    (held,) = report(tmp_path / "data")["open_positions"]
    assert held["instrument"] == "binance:BTC/USDT"
    assert f"positions stay open, on the record: {held['quantity'].rstrip('0')} binance:BTC/USDT" in ended.out

    with daemon(tmp_path, "--config", tmp_path / "config" / "core.yaml", "--speed", "max") as child:
        again = child.end()
    assert (again.code, again.last_line, again.err) == (0, LAST_LINE, "")
    lines = journal_lines(tmp_path / "data")
    assert [cycle["sequence"] for cycle in cycles(lines)] == list(range(1, len(cycles(lines)) + 1))
    assert lines[-1]["d"]["kind"] == "closed"
    assert report(tmp_path / "data")["open_positions"] == []
    assert sorted(verdict.completeness for verdict in verdicts(tmp_path)) == ["closed", "stopped"]


def test_a_burst_of_signals_is_no_traceback(tmp_path: Path) -> None:
    with holding(tmp_path) as child:
        child.wait_for_line(FIRST_FILL)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            child.send(number)
        ended = child.end()
    assert_ended_in_order(ended, tmp_path)
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}


def test_sighup_is_answered_and_changes_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), *SLOW) as child:
        child.wait_for_line("session running")
        child.send(signal.SIGHUP)
        assert child.err.wait_for("SIGHUP").endswith("restart to apply changes\n")
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, LAST_LINE)


def test_a_hanging_disk_does_not_keep_the_process(tmp_path: Path) -> None:
    budgets = ("{feed: 1, cycle: 2, close_positions: 2,", "{feed: 0.1, cycle: 0.1, close_positions: 0.1,")
    config = short_config(tmp_path, budgets=budgets)
    with daemon(tmp_path, "--config", config, "--speed", "max", faults="journal.fsync=pause@3") as child:
        for _ in range(3):
            child.wait_for_point("journal.fsync")
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, ended.last_line) == (1, LAST_LINE)
    assert "stop stage journal did not finish: finish_journal, session" in ended.out
    assert ended.err.splitlines()[-1] == ("dudzian: the end of the session could not be made durable in time (finish_journal, session)")
    assert verdicts(tmp_path)[0].integrity == "intact"
