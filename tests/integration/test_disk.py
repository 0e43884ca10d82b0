"""A disk that is full or broken under a running daemon: it waits or ends, says so in a line, and what it wrote stays true."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.integration.daemon_process import LAST_LINE, Ended, daemon, dudzian, journal_lines, report, short_config, verdicts

pytestmark = pytest.mark.integration


def run_short(home: Path, *arguments: object, faults: str = "") -> Ended:
    with daemon(home, "--config", short_config(home), "--speed", "max", *arguments, faults=faults) as child:
        return child.end()


@pytest.fixture
def undisturbed(tmp_path: Path) -> str:
    """The content chain of a run to which nothing happened."""
    assert run_short(tmp_path / "undisturbed").code == 0
    return str(report(tmp_path / "undisturbed" / "data")["content_chain"])


def test_a_full_disk_freezes_the_session_until_there_is_space(tmp_path: Path, undisturbed: str) -> None:
    home = tmp_path / "full"
    ended = run_short(home, faults="journal.write=enospc@3")
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    states = [line for line in ended.out.splitlines() if line.startswith("session ")]
    assert states[2].startswith("session frozen: no space left for ")
    assert states[3] == "session running: the disk takes lines again"
    session, decisions = verdicts(home)
    assert (session.integrity, session.completeness, session.content) == ("intact", "closed", undisturbed)
    assert decisions.integrity == "intact"


def test_a_disk_that_turns_read_only_freezes_the_session_until_it_is_writable(tmp_path: Path, undisturbed: str) -> None:
    """What a kernel does to a file system that it found damaged, and what an operator puts right without a restart."""
    points = ("journal.write=erofs@3", "journal.write=erofs@4", "decision_log.write=erofs@2", "status.write=erofs@2")
    home = tmp_path / "read_only"
    ended = run_short(home, faults=";".join(points))
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    frozen, running = [line for line in ended.out.splitlines() if line.startswith("session ")][2:4]
    assert frozen.startswith("session frozen: the disk of ") and "(Read-only file system" in frozen
    assert running == "session running: the disk takes lines again"
    session, decisions = verdicts(home)
    assert (session.integrity, session.completeness, session.content, decisions.integrity) == ("intact", "closed", undisturbed, "intact")


def test_a_full_disk_under_the_decision_log_holds_nothing_back(tmp_path: Path, undisturbed: str) -> None:
    home = tmp_path / "full"
    ended = run_short(home, faults="decision_log.write=enospc@2")
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    assert "frozen" not in ended.out
    (session, decisions), (_, complete) = verdicts(home), verdicts(tmp_path / "undisturbed")
    assert session.content == undisturbed
    assert (decisions.integrity, decisions.kinds) == ("intact", complete.kinds)


def test_a_broken_disk_under_the_decision_log_ends_that_service_only(tmp_path: Path, undisturbed: str) -> None:
    home = tmp_path / "broken"
    ended = run_short(home, faults="decision_log.fsync=eio@2")
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    session, decisions = verdicts(home)
    assert (session.completeness, session.content, decisions.integrity) == ("closed", undisturbed, "intact")


def test_a_status_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    home = tmp_path / "full"
    with daemon(home, "--config", short_config(home), faults="status.write=enospc@2") as child:
        for _ in range(3):
            child.wait_for_point("status.write")
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, ended.last_line, "did not finish" in ended.out) == (0, LAST_LINE, False), ended.out + ended.err
    assert verdicts(home)[0].integrity == "intact"


@pytest.mark.parametrize("point", ["journal.fsync", "journal.write"])
def test_a_broken_disk_ends_the_process(tmp_path: Path, point: str) -> None:
    ended = run_short(tmp_path, faults=f"{point}=eio@3")
    assert (ended.code, ended.last_line) == (1, LAST_LINE), ended.err
    _notice, line = ended.err.splitlines()
    assert line.startswith("dudzian: log ") and "failed (Input/output error" in line
    assert "did not finish" not in ended.out
    (session, *_) = verdicts(tmp_path)
    assert (session.integrity, session.completeness) in (("intact", "open"), ("intact", "torn"))
    assert journal_lines(tmp_path / "data")[-1]["d"]["kind"] in ("cycle", "quiet")


def test_what_a_killed_daemon_did_not_finish_goes_at_the_next_start(tmp_path: Path) -> None:
    config, data = short_config(tmp_path), tmp_path / "data"
    said = ("run", "--data-dir", data, "--config", config, "--no-ui", "--speed", "max")
    assert dudzian(tmp_path, *said, faults="status.rename=exit@1").code == 137
    assert [path for path in data.glob("run/.status.json.*.tmp")]
    assert dudzian(tmp_path, *said).code == 0
    assert list(data.glob("run/**/.*.tmp")) == []
