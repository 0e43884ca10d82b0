"""One daemon per data folder, whoever comes first, and whatever becomes of the lock file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.daemon_process import LAST_LINE, daemon, dudzian, journal_bytes, journal_lines, short_config, verdicts
from tests.integration.racing import Races, race

pytestmark = pytest.mark.integration

RACES = 20


@pytest.mark.timeout(600)  # forty starts
def test_of_two_starts_exactly_one_runs(tmp_path: Path) -> None:
    races, config = Races(), short_config(tmp_path)
    for number in range(RACES):
        race(tmp_path, config, number, races)
    assert (races.won, races.wrong) == (RACES, [])
    with daemon(tmp_path, "--config", config, "--no-ui", "--speed", "max") as child:
        assert child.end().last_line == LAST_LINE
    ran = [line["w"]["pid"] for line in journal_lines(tmp_path / "data") if line["d"]["kind"] == "run"]
    assert ran == [*races.winners, child.pid], "the losers wrote nothing"
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}


@pytest.mark.parametrize("removed", [False, True])
def test_a_second_start_changes_nothing_even_when_the_lock_file_was_removed(tmp_path: Path, removed: bool) -> None:
    config = short_config(tmp_path)
    with daemon(tmp_path, "--config", config, "--no-ui", "--speed", 100, faults="journal.release=trace") as child:
        for _ in range(2):
            child.wait_for_point("journal.release")
        lock = tmp_path / "data" / "run" / "daemon.lock"
        if removed:
            lock.unlink()
        journal = journal_bytes(tmp_path / "data")
        second = dudzian(tmp_path, "run", "--data-dir", tmp_path / "data", "--config", config, "--metrics-port", 0, "--no-ui")
        assert journal_bytes(tmp_path / "data").startswith(journal)
        ran = [line["w"]["pid"] for line in journal_lines(tmp_path / "data") if line["d"]["kind"] == "run"]
        assert ran == [child.pid]
        status = dudzian(tmp_path, "status", "--data-dir", tmp_path / "data")
    assert (second.code, len(second.err.splitlines())) == (2, 1), second
    assert "its lock file was removed" in second.err if removed else f"(pid {child.pid})" in second.err
    assert status.code == (1 if removed else 0)


def test_the_lock_of_one_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    config = short_config(tmp_path)
    with daemon(tmp_path, "--config", config, faults="run.assemble=kill") as child:
        assert child.end().code != 0
    lock = tmp_path / "data" / "run" / "daemon.lock"
    assert lock.read_text() == f"{child.pid}\n"
    with daemon(tmp_path, "--config", config, "--no-ui", "--speed", "max") as child:
        assert child.end().last_line == LAST_LINE
