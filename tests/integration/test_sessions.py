"""`dudzian session`: what lies in a data folder is listed, and one that shall not go on is closed on the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon_process import (
    LAST_LINE,
    LASTING,
    Ended,
    cycles,
    daemon,
    dudzian,
    journal_file,
    journal_lines,
    short_config,
    verdicts,
)

pytestmark = pytest.mark.integration


def session(home: Path, *arguments: object) -> Ended:
    return dudzian(home, "session", *arguments, "--data-dir", home / "data", "--config", home / "config" / "core.yaml")


def listed(home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(session(home, "list", "--json").out)["sessions"]
    return found


def crashed(home: Path) -> Path:
    """A short session that was killed while it held something; its journal."""
    with daemon(home, "--config", short_config(home), "--speed", "max", faults="journal.fsync=kill@4") as child:
        assert child.end().code != 0
    return journal_file(home / "data")


def held(lines: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Quantity by strategy and instrument, folded from all cycles."""
    changes = [change for cycle in cycles(lines) for change in cycle["positions"]]
    books = {(change["strategy"], change["instrument"]): change["quantity"] for change in changes}
    return {key: quantity for key, quantity in books.items() if float(quantity)}


def test_nothing_to_list_and_nothing_to_close(tmp_path: Path) -> None:
    short_config(tmp_path)
    assert session(tmp_path, "list").out == f"no session below {tmp_path / 'data'} yet; start one with: dudzian run\n"
    ended = session(tmp_path, "close")
    assert (ended.code, ended.out, ended.err) == (1, "demo: no session that is not closed\n", "")
    assert not (tmp_path / "data").exists()


def test_a_session_that_nobody_runs_is_closed_once_with_what_it_holds(tmp_path: Path) -> None:
    path = crashed(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"d":{"kind"')
    before = path.read_bytes()
    rehearsed = json.loads(session(tmp_path, "close", "--dry-run", "--json").out)
    assert path.read_bytes() == before
    ended = session(tmp_path, "close", "--json")
    assert ended.code == 0, ended
    document = json.loads(ended.out)
    assert document == rehearsed | {"closed": True}
    lines = journal_lines(tmp_path / "data")
    assert {(each["strategy"], each["instrument"]): each["quantity"] for each in document["positions"]} == held(lines)
    last = lines[-1]["d"]
    assert last == {"kind": "closed", "reason": "operator", "sequence": cycles(lines)[-1]["sequence"], "torn_bytes": 12}
    assert [line["state"] for line in listed(tmp_path)] == ["closed"]
    assert verdicts(tmp_path)[0].integrity == "intact"

    assert session(tmp_path, "close").code == 1
    with daemon(tmp_path, "--config", tmp_path / "config" / "core.yaml", "--speed", "max") as child:
        again = child.end()
    assert (again.code, again.last_line, "goes on" in again.out) == (0, LAST_LINE, False)
    assert [line["state"] for line in listed(tmp_path)] == ["closed", "closed"]


def test_a_damaged_session_is_not_written_on(tmp_path: Path) -> None:
    path = crashed(tmp_path)
    spoiled = path.read_bytes().replace(b'"kind":"cycle","sequence":2', b'"kind":"cycle","sequence":3')
    path.write_bytes(spoiled)
    ended = session(tmp_path, "close")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "cannot be closed" in ended.err and "verify-decision-log" in ended.err
    assert path.read_bytes() == spoiled


def test_a_running_session_is_closed_with_its_positions_through_the_inbox(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path, lasting=LASTING), "--speed", 100_000) as child:
        child.wait_for_line("fill ")
        assert [line["state"] for line in listed(tmp_path)] == ["running"]
        foreign = session(tmp_path, "close", "-e", "binance_paper")
        assert (foreign.code, foreign.out) == (1, "paper_binance: no session that is not closed\n")
        ended = session(tmp_path, "close")
        assert ended.code == 0, ended
        assert child.end().code == 0
    lines = journal_lines(tmp_path / "data")
    assert (lines[-1]["d"]["kind"], held(lines)) == ("closed", {})
    assert [line["state"] for line in listed(tmp_path)] == ["closed"]
