"""A session that stays open for months: what its logs held a month ago goes into the archive, and is proven as one chain with the rest."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from dudzian_daemon.adapters.log_report import Integrity
from dudzian_daemon.adapters.log_segments import ARCHIVE, files_here
from tests.integration import later_daemon
from tests.integration.daemon_process import BUDGETS, LONG_BUDGETS, Child, dudzian, short_config, verdicts

PROGRAM: Final = (later_daemon.__file__,)
STANDALONE: Final = (str(Path(__file__).parents[2] / "docs" / "reference" / "verify_standalone.py"),)
#: Market seconds per second, so that the decision log is where the session is.
PACE: Final = 1_000_000
#: Lines of a segment, so that each of them is soon full.
LINES: Final = 20


def later(home: Path, days: int, *arguments: object, faults: str = "") -> Child:
    return Child(home, days, *arguments, faults=faults, program=PROGRAM)


def said(home: Path, *, segment_lines: int = 50_000, **changes: tuple[str, str]) -> tuple[object, ...]:
    path = home / "config" / "core.yaml"
    if not path.exists():
        journal = ("  metrics_service: {", f"  journal: {{segment_lines: {segment_lines}}}\n  metrics_service: {{")
        short_config(home, journal=journal, **changes)
    return ("run", "--data-dir", home / "data", "--config", path, "--no-ui", "--speed", "max")


def log(home: Path) -> Path:
    return home / "data" / "logs" / "decision_journal" / "demo.jsonl"


def verify(home: Path, path: Path) -> tuple[int, dict[str, Any]]:
    """What `dudzian verify-decision-log` says of a log; the standalone verifier must say the same."""
    ended = dudzian(home, "verify-decision-log", path, "--hmac-key-file", next(home.rglob("*.key")), "--json")
    with Child(home, path, "--key-file", next(home.rglob("*.key")), program=STANDALONE) as child:
        assert child.end().code == ended.code, ended
    (report,) = json.loads(ended.out)["logs"]
    return ended.code, report


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["s"]["line"] for file in files_here(path) for line in file.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the session that nobody touches, with a log of one file."""
    home = tmp_path_factory.mktemp("whole")
    assert dudzian(home, *said(home)).code == 0
    return home


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the same session with a log of many segments."""
    home = tmp_path_factory.mktemp("many")
    assert dudzian(home, *said(home, segment_lines=LINES)).code == 0
    return home


def test_a_month_later_the_old_parts_are_archived_while_the_session_goes_on(tmp_path: Path) -> None:
    run = (*said(tmp_path, segment_lines=LINES)[:-1], PACE)
    assert dudzian(tmp_path, *run, faults="decision_log.segment.renamed=kill@4").code != 0
    done_then, data = [path.name for path in files_here(log(tmp_path))[:-1]], tmp_path / "data"
    assert done_then
    with later(tmp_path, 31, *run, faults="journal.write=pause@8") as child:
        child.wait_for_point("decision_log.segment.renamed")
        with later(tmp_path, 31, "retention", "run", "--json", "--data-dir", data, "--config", run[4]) as retention:
            done = json.loads(retention.end().out)
        code, report = verify(tmp_path, log(tmp_path))
        assert (code, report["integrity"]) == (0, "intact")
        child.go_on()
        assert child.end().code == 0
    archived = sorted((data / ARCHIVE).iterdir())
    assert {f"{name}.gz" for name in done_then} <= {path.name for path in archived}
    actions = {kind: {each["action"] for each in done["items"] if each["kind"] == kind} for kind in ("decision_log", "session")}
    assert actions == {"decision_log": {"archived"}, "session": {"packed"}}
    seen = report["entries"]
    code, report = verify(tmp_path, log(tmp_path))
    assert (code, report["integrity"], report["completeness"], report["entries"] > seen) == (0, "intact", "stopped", True)
    code, report = verify(tmp_path, archived[0])
    assert (code, report["integrity"]) == (0, "intact"), "what is in the archive is proven there too"
    ended = dudzian(tmp_path, "verify-decision-log", data / "data" / "journal")
    assert ended.code == 0, ended
    assert json.loads(dudzian(tmp_path, "replay", "--data-dir", data, "--verify", "--json").out)["verdict"] == "equal"
    archived[0].unlink()
    code, report = verify(tmp_path, log(tmp_path))
    assert (code, report["integrity"], report["finding"]["found"]) == (1, "tampered", "segment 2")
    assert "segment 1" in report["finding"]["expected"] and str(ARCHIVE) in report["finding"]["expected"]


@pytest.mark.parametrize("harm", ["remove", "swap", "rename", "edit", "cut a part's end", "double", "from another log"])
def test_harm_to_one_of_its_segments_is_found(tmp_path: Path, many: Path, harm: str) -> None:
    home = shutil.copytree(many, tmp_path / "home", ignore=shutil.ignore_patterns("trace-*"))
    one, two = files_here(log(home))[1:3]
    if harm == "remove":
        one.unlink()
    elif harm == "swap":
        one.rename(home / "aside")
        two.rename(one)
        (home / "aside").rename(two)
    elif harm == "rename":
        one.rename(one.with_name("other.jsonl"))
    elif harm == "edit":
        one.write_bytes(one.read_bytes().replace(b'"allowed":true', b'"allowed":null', 1))
    elif harm == "cut a part's end":
        one.write_bytes(b"".join(one.read_bytes().splitlines(keepends=True)[:-1]))
    elif harm == "double":
        shutil.copy(one, one.with_name(one.name.replace("000002", "000009")))
    else:
        later_log = log(home).read_bytes()
        one.write_bytes(later_log)
    assert verify(home, log(home))[0] == 1


@pytest.mark.parametrize("point", ["aside", "write", "rename", "renamed"])
def test_a_kill_where_a_segment_begins_costs_nothing(tmp_path: Path, many: Path, point: str) -> None:
    run = (*said(tmp_path, segment_lines=LINES)[:-1], PACE)
    assert dudzian(tmp_path, *run, faults=f"decision_log.segment.{point}=kill@2").code != 0
    assert verify(tmp_path, files_here(log(tmp_path))[-1])[0] == 0
    ended = dudzian(tmp_path, *run)
    assert ended.code == 0, ended
    assert verify(tmp_path, log(tmp_path))[0] == 0
    assert told(tmp_path) == told(many)


def test_what_a_full_disk_kept_from_being_told_is_told_by_the_next_start_of_another_session(tmp_path: Path, many: Path) -> None:
    impatient = (BUDGETS, LONG_BUDGETS.replace("sinks: 60", "sinks: 1"))
    run, segment = said(tmp_path, segment_lines=LINES, budgets=impatient), "decision_log.segment"
    faults = f"{segment}.aside=enospc@1;{segment}.write=enospc@1;{segment}.renamed=enospc@1"
    faults += "".join(f";{segment}.aside=erofs@{visit}" for visit in range(3, 100))
    faults += "".join(f";ledger.write=enospc@{visit}" for visit in range(5, 100))
    ended = dudzian(tmp_path, *run, faults=faults)
    assert ended.code == 0, ended
    assert verify(tmp_path, log(tmp_path))[0] == 0
    assert len(booked(tmp_path)) < len(booked(many))
    assert len(told(tmp_path)) < len(told(many)), "the stop does not wait as long as the disk does"
    assert dudzian(tmp_path, *run).code == 0
    assert verify(tmp_path, log(tmp_path))[0] == 0
    assert told(tmp_path) == told(many) * 2
    assert booked(tmp_path) == sorted(booked(many) * 2)
    assert {each.integrity for each in verdicts(tmp_path)} == {Integrity.INTACT}
    assert dudzian(tmp_path, "verify-decision-log", tmp_path / "data" / "data" / "ledger").code == 0


def booked(home: Path) -> list[str]:
    """What the ledger's files tell, in any order."""
    lines = [json.loads(line)["d"] for file in (home / "data/data/ledger/demo").iterdir() for line in file.read_bytes().splitlines()]
    return sorted(json.dumps({**d, "session": "", "line_hash": ""}) for d in lines if "line_hash" in d and "session" in d)


def test_segments_are_one_log_that_says_what_one_file_says(many: Path, whole: Path) -> None:
    path = log(many)
    assert len(files_here(path)) > 3
    assert numbers(path) == list(range(1, numbers(path)[-1] + 1))
    assert verify(many, path)[0] == 0
    assert verify(many, files_here(path)[0])[1]["entries"] == numbers(path)[-1], "each of its files stands for the log"
    assert told(many) == told(whole)


def told(home: Path) -> list[Any]:
    """What the decision log tells, over all of its segments."""
    lines = [json.loads(line)["d"] for file in files_here(log(home)) for line in file.read_bytes().splitlines()]
    return [{**d, "session": "", "line_hash": ""} for d in lines if "line_hash" in d]


DECISION: Final = (
    *("risk_profile", "symbol", "side", "quantity", "requested", "price", "counted_at", "notional", "allowed", "code", "rule", "limit"),
    *("value", "headroom", "reason", "timestamp", "strategy", "schedule", "signal_id", "group_id", "confidence", "environment"),
)


def test_every_risk_decision_of_the_demo_has_all_of_its_members_and_its_size_in_money(tmp_path: Path) -> None:
    assert dudzian(tmp_path, "run", "--data-dir", tmp_path / "data", "--metrics-port", 0, "--no-ui", "--speed", "max").code == 0
    lines = [json.loads(line) for file in files_here(log(tmp_path)) for line in file.read_bytes().splitlines()]
    decisions = [line for line in lines if line["d"]["kind"] in ("risk_check_passed", "risk_adjusted", "risk_rejected")]
    assert {line["d"]["allowed"] for line in decisions} == {True, False}
    for line in decisions:
        decision = line["d"]
        assert set(DECISION) <= decision.keys() and line["s"]["mac"]
        quantity = decision["quantity"] if decision["allowed"] else decision["requested"]
        assert decision["side"] in ("buy", "sell") and Decimal(decision["counted_at"]) > 0
        assert Decimal(decision["notional"]) == Decimal(quantity) * Decimal(decision["counted_at"]), decision
