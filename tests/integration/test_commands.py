"""Commands beside a running daemon: what they show, what they stop, and that there is one daemon per data folder."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.integration.daemon_process import (
    FIRST_FILL,
    HELD,
    HOLDING,
    LAST_LINE,
    PATIENCE_S,
    Child,
    cycles,
    daemon,
    dudzian,
    journal_lines,
    processes_on,
    report,
    short_config,
    tree,
    verdicts,
    write_config,
)

pytestmark = pytest.mark.integration


def holding(home: Path, faults: str = "") -> Child:
    """A daemon that soon buys and then holds for longer than any test takes."""
    return daemon(home, "--config", write_config(home, windows=HELD), *HOLDING, faults=faults)


def test_status_and_cycles_beside_a_running_daemon(tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data")
    with holding(tmp_path, faults="status.renamed=trace") as child:
        child.wait_for_line(FIRST_FILL)
        child.points.skip()
        for _ in range(2):  # the second of them was begun since
            child.wait_for_point("status.renamed")
        text, document = dudzian(tmp_path, "status", *where), dudzian(tmp_path, "status", "--json", *where)
        shown = dudzian(tmp_path, "cycles", "-n", 3, "--json", *where, "--config", tmp_path / "config" / "core.yaml")
        child.send(signal.SIGTERM)
        assert child.end().code == 0
    assert (text.code, document.code, shown.code) == (0, 0, 0)
    lines = text.out.splitlines()
    assert lines[0] == f"daemon       running (pid {child.pid}), data folder {tmp_path / 'data'}"
    assert "ready        yes" in lines
    assert any(line.startswith("position     binance:BTC/USDT 0.0") for line in lines)
    assert any(line.startswith("units        ") and line.endswith(" running") for line in lines)
    status = json.loads(document.out)
    assert (status["running"], status["ready"], status["state"], status["pid"]) == (True, True, "running", child.pid)
    known = {cycle["sequence"]: cycle for cycle in cycles(journal_lines(tmp_path / "data"))}
    seen = json.loads(shown.out)
    assert [entry["cycle"]["sequence"] for entry in seen] == list(range(seen[0]["cycle"]["sequence"], seen[0]["cycle"]["sequence"] + 3))
    assert [entry["cycle"] for entry in seen] == [known[entry["cycle"]["sequence"]] for entry in seen]

    after = dudzian(tmp_path, "status", *where)
    assert (after.code, after.out.splitlines()[0]) == (1, f"daemon       not running; last snapshot, data folder {tmp_path / 'data'}")


def test_status_of_a_daemon_that_is_starting(tmp_path: Path) -> None:
    with daemon(tmp_path, faults="run.assemble=pause") as child:
        child.wait_for_point("run.assemble")
        shown = dudzian(tmp_path, "status", "--data-dir", tmp_path / "data")
        child.send(signal.SIGTERM)
        child.go_on()
        assert child.end().code == 0
    assert shown.code == 1
    assert shown.err.startswith(f"dudzian: the daemon (pid {child.pid}) on {tmp_path / 'data'} is starting")


@pytest.mark.parametrize(("option", "kind", "held"), [((), "closed", 0), (("--keep-positions",), "stopped", 1)])
def test_stop_ends_the_daemon(tmp_path: Path, option: tuple[str, ...], kind: str, held: int) -> None:
    with holding(tmp_path) as child:
        child.wait_for_line(FIRST_FILL)
        stopped = dudzian(tmp_path, "stop", "--json", *option, "--data-dir", tmp_path / "data")
        ended = child.end()
    assert (ended.code, ended.last_line, processes_on(tmp_path)) == (0, LAST_LINE, [])
    answer = json.loads(stopped.out)
    assert (stopped.code, answer["pid"], answer["ended"], answer["reply"]["accepted"]) == (0, child.pid, True, True)
    lines = journal_lines(tmp_path / "data")
    assert (lines[-1]["d"]["kind"], lines[-1]["d"]["reason"]) == (kind, "operator")
    by_sequence = {cycle["sequence"]: cycle for cycle in cycles(lines)}
    assert by_sequence[answer["reply"]["sequence"]]["sequence"] in (lines[-1]["d"]["sequence"], lines[-1]["d"]["sequence"] - 1)
    assert len(report(tmp_path / "data")["open_positions"]) == held


def test_stop_reaches_a_daemon_that_is_just_starting(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), faults="run.assemble=pause") as child:
        child.wait_for_point("run.assemble")
        with Child(tmp_path, "stop", "--data-dir", tmp_path / "data", faults="files.renamed=trace") as stop:
            stop.wait_for_point("files.renamed")  # the command lies in the inbox
            child.go_on()
            assert child.end().last_line == LAST_LINE
            assert stop.end().code == 0
    assert verdicts(tmp_path)[0].completeness == "closed"


def test_a_stop_of_yesterday_is_not_obeyed(tmp_path: Path) -> None:
    inbox = tmp_path / "data" / "run" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "old.json").write_text('{"name": "stop"}')
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max") as child:
        assert child.end().code == 0
    assert json.loads((inbox / "replies" / "old.json").read_text())["accepted"] is False
    assert report(tmp_path / "data")["ended"] == "end_of_data"


def test_an_operators_stop_after_a_service_managers_changes_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), faults="stop.close_positions=pause") as child:
        child.wait_for_line("session running")
        child.send(signal.SIGTERM)
        child.wait_for_point("stop.close_positions")
        with Child(tmp_path, "stop", "--data-dir", tmp_path / "data", faults="files.renamed=trace") as stop:
            stop.wait_for_point("files.renamed")
            child.go_on()
            assert child.end().code == 0
            assert stop.end().code == 0
    assert verdicts(tmp_path)[0].completeness == "stopped"


def test_a_second_daemon_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    quiet = short_config(tmp_path, log=("logging: {level: INFO}", "logging: {level: ERROR}"))
    with daemon(tmp_path, "--config", quiet, faults="feed.warm_up=pause") as child:
        child.wait_for_point("feed.warm_up")
        before = tree(tmp_path / "data")
        second = dudzian(tmp_path, "run", "--data-dir", tmp_path / "data", "--metrics-port", 0)
        assert tree(tmp_path / "data") == before
        child.send(signal.SIGTERM)
        child.go_on()
        assert child.end().code == 0
    assert (second.code, second.out) == (2, "")
    assert second.err == (
        f"dudzian: a daemon (pid {child.pid}) runs on {tmp_path / 'data'}; "
        f"stop it with: dudzian stop --data-dir {tmp_path / 'data'}; or choose another --data-dir\n"
    )


@pytest.mark.parametrize("race", range(10))
def test_of_two_that_start_at_once_exactly_one_runs(tmp_path: Path, race: int) -> None:
    """Both are held just before the lock and let go together; the one that runs has most of an hour left when the other is gone."""
    arguments = ("--config", short_config(tmp_path), "--speed", 1_000)
    with daemon(tmp_path, *arguments, faults="run.lock=pause") as one, daemon(tmp_path, *arguments, faults="run.lock=pause") as other:
        ends: SimpleQueue[Child] = SimpleQueue()
        for child in (one, other):
            child.wait_for_point("run.lock")
            child.when_ended = ends.put
        for child in (one, other):
            child.go_on()
        loser = ends.get(timeout=PATIENCE_S)
        winner = other if loser is one else one
        winner.wait_for_line("session running")
        winner.send(signal.SIGTERM)
        (refused, ended) = (loser.end(), winner.end())
    assert (ended.code, ended.last_line, refused.code, refused.out) == (0, LAST_LINE, 2, "")
    assert f"dudzian: a daemon (pid {winner.pid}) runs on " in refused.err
    assert verdicts(tmp_path)[0].integrity == "intact"
