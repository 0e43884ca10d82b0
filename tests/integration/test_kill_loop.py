"""`kill -9` at random moments, some of them during the start: nothing that anybody saw is lost, nothing happens twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event
from typing import Any, Final

import psutil

from dudzian_daemon.adapters.log_report import Completeness, Integrity
from tests.integration.daemon_process import DEMO_WINDOWS, Child, daemon, journal_lines, report, verdicts, write_config
from tests.integration.daemon_process import cycles as cycles_of

KILLS: Final = 30
#: One in ten lives ends while it begins.
DURING_START: Final = 10
#: A life is killed within so many seconds, of its start or of its first line.
LONGEST_LIFE_S: Final = 1.6
#: Market seconds per second: thirty lives get through some of the demo's hours, in which most cycles are of some event.
SPEED: Final = 600_000


def kill_at_random(child: Child, random: Random, *, during_start: bool) -> None:
    if not during_start:
        child.wait_for_line("session")
    Event().wait(random.uniform(0.0, LONGEST_LIFE_S))
    psutil.Process(child.pid).kill()


def seen(data: Path) -> dict[int, tuple[int, str]]:
    """What an outside reader of the status file has seen last: instant and equity of a cycle."""
    path = data / "run" / "status.json"
    status: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"sequence": 0}
    return {status["sequence"]: (status["instant"], status["equity"])} if status["sequence"] else {}


def lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)


def projected(data: Path) -> dict[str, list[Any]]:
    """What the projections say, without what names the log and the clock; and the journal lines they were made from."""
    told: dict[str, list[Any]] = {}
    for path in (*data.glob("logs/decision_journal/*.jsonl"), *data.glob("data/ledger/*/*.jsonl")):
        members = [line["d"] for line in lines(path)]
        told[path.name] = [{**d, "session": "", "line_hash": ""} for d in members if "session" in d]
    runs = list(lines(data / "audit" / "metrics" / "telemetry.jsonl"))
    told["telemetry"] = [(run["run_id"], run["sequence"], run["signals"], run["peak_portfolio_weight"]) for run in runs]
    return told


def named_lines(data: Path) -> set[str]:
    """Raw hashes of the journal lines that the projections name."""
    found = (*data.glob("logs/decision_journal/*.jsonl"), *data.glob("data/ledger/*/*.jsonl"))
    return {line["d"]["line_hash"] for path in found for line in lines(path) if "session" in line["d"]}


def test_a_session_killed_thirty_times_is_the_one_that_nobody_killed(tmp_path: Path) -> None:
    config = ("--config", write_config(tmp_path, windows=(DEMO_WINDOWS, DEMO_WINDOWS.strip("\n").splitlines()[-1])))
    with daemon(tmp_path / "whole", "--no-ui", *config, "--speed", "max") as child:
        assert child.end().code == 0
    random, acknowledged, home = Random(5), dict[int, tuple[int, str]](), tmp_path / "killed"
    data = home / "data"
    named: set[str] = set()
    for number in range(KILLS):
        with daemon(home, "--no-ui", *config, "--speed", SPEED) as child:
            kill_at_random(child, random, during_start=number % DURING_START == 0)
            ended = child.end()
        assert ended.code != 0, ended
        assert "Traceback" not in ended.err
        acknowledged |= seen(data)
        named |= named_lines(data)
    with daemon(home, "--no-ui", *config, "--speed", "max") as child:
        ended = child.end()
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    assert len(acknowledged) > KILLS // 3, "the lives were long enough to be seen"

    whole = tmp_path / "whole" / "data"
    assert report(data)["content_chain"] == report(whole)["content_chain"]
    cycles = {cycle["sequence"]: cycle for cycle in cycles_of(journal_lines(data))}
    assert list(cycles) == list(range(1, len(cycles) + 1))
    assert {sequence: (cycles[sequence]["instant"], cycles[sequence]["equity"]) for sequence in acknowledged} == acknowledged
    assert named <= named_lines(data)
    assert projected(data) == projected(whole)
    assert [verdict.integrity for verdict in verdicts(home)] == [Integrity.INTACT] * 2
    assert verdicts(home)[0].completeness is Completeness.CLOSED
