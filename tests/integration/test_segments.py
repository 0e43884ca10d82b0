"""A journal of many segments: killed where a new one begins and anywhere else, it is the one of the session that nobody killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from dudzian_daemon.adapters.head_file import FILE_NAME
from dudzian_daemon.adapters.heads import read_heads
from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.adapters.log_report import Completeness, Integrity
from tests.integration.daemon_process import LAST_LINE, Ended, cycles, dudzian, report, short_config, verdicts
from tests.integration.killing import projected

#: Lines of a segment.
LINES: Final = 20
POINTS: Final = ("write", "rename", "renamed")


def config(home: Path) -> Path:
    """The short session, with tiny segments."""
    return short_config(home, journal=("  metrics_service: {", f"  journal: {{segment_lines: {LINES}}}\n  metrics_service: {{"))


def run(home: Path, *arguments: object, faults: str = "") -> Ended:
    path = home / "config" / "core.yaml"
    if not path.exists():
        config(home)
    return dudzian(home, "run", "--data-dir", home / "data", "--config", path, "--no-ui", "--speed", "max", *arguments, faults=faults)


def folder(home: Path) -> Path:
    """The one session's folder."""
    (found,) = home.glob("data/data/journal/*/*")
    return found


def lines(home: Path) -> list[list[dict[str, Any]]]:
    """Lines of each segment."""
    return [[json.loads(line) for line in path.read_bytes().splitlines()] for path in segments(folder(home))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the session that nobody touches."""
    home = tmp_path_factory.mktemp("whole")
    assert run(home).code == 0
    return home


@pytest.fixture(scope="module")
def content(whole: Path) -> str:
    """Its content chain."""
    chain: str = report(whole / "data")["content_chain"]
    return chain


def assert_whole(home: Path, content: str) -> None:
    found = lines(home)
    assert len(found) > 3
    assert [line["s"]["line"] for segment in found for line in segment] == list(range(1, sum(map(len, found)) + 1))
    assert {segment[0]["d"]["kind"] for segment in found[1:]} == {"checkpoint"}
    assert [path.name[11:17] for path in segments(folder(home))] == [f"{number:06d}" for number in range(1, len(found) + 1)]
    assert report(home / "data")["content_chain"] == content
    told = cycles([line for segment in found for line in segment])
    assert [cycle["sequence"] for cycle in told] == list(range(1, len(told) + 1))
    session, decisions = verdicts(home)
    assert (session.integrity, session.completeness, decisions.integrity) == (Integrity.INTACT, Completeness.CLOSED, Integrity.INTACT)
    assert not list(folder(home).rglob(".*"))


def test_a_session_of_many_segments_is_one_log(whole: Path, content: str) -> None:
    assert_whole(whole, content)
    heads = read_heads(folder(whole) / FILE_NAME)
    by_number = {line["s"]["line"]: line["s"] for segment in lines(whole) for line in segment}
    assert {head.head.line: head.head.content for head in heads} == {head.head.line: by_number[head.head.line]["content"] for head in heads}
    assert heads[-1].head.line == max(by_number)


def test_one_that_is_gone_or_elsewhere_is_missed(whole: Path, tmp_path: Path) -> None:
    for number, harm in enumerate(("remove", "swap", "cut")):
        home = shutil.copytree(whole, tmp_path / harm, ignore=shutil.ignore_patterns("trace-*"))
        files = segments(folder(home))
        if harm == "remove":
            files[1].unlink()
        elif harm == "swap":
            files[1].rename(home / "aside")
            files[2].rename(files[1])
            (home / "aside").rename(files[2])
        else:
            files[-1].unlink()
        session = verdicts(home)[0]
        wanted = (Integrity.TAMPERED, Integrity.TAMPERED, Integrity.INTACT)[number]
        assert session.integrity is wanted
        assert (session.lacking is not None) == (harm == "cut"), "that the tail is gone shows by the heads beside it"
        newest = read_heads(folder(home) / FILE_NAME)[-1].head
        assert (session.entries < newest.line) == (harm == "cut" or session.integrity is Integrity.TAMPERED)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_where_a_segment_begins_costs_nothing(tmp_path: Path, content: str, point: str) -> None:
    assert run(tmp_path, faults=f"journal.segment.{point}=kill@2").code != 0
    ended = run(tmp_path)
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert_whole(tmp_path, content)


def test_a_session_of_many_segments_that_was_killed_thrice_replays_equal(tmp_path: Path, whole: Path, content: str) -> None:
    for fault in ("journal.fsync=kill@2", "journal.segment.renamed=kill@1", "journal.write=kill@3"):
        assert run(tmp_path, faults=fault).code != 0
    assert run(tmp_path).code == 0
    assert_whole(tmp_path, content)
    assert projected(tmp_path / "data") == projected(whole / "data")
    replayed = dudzian(tmp_path, "replay", folder(tmp_path), "--verify", "--json")
    assert (replayed.code, json.loads(replayed.out)["verdict"]) == (0, "equal"), replayed


def test_a_full_disk_where_a_segment_begins_is_waited_for(tmp_path: Path, content: str) -> None:
    ended = run(tmp_path, faults="journal.segment.write=enospc@2;journal.segment.renamed=enospc@2;journal.segment.fsync=erofs@3")
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert '"state":"frozen"' in ended.err
    assert_whole(tmp_path, content)


def test_a_broken_disk_where_a_segment_begins_ends_the_process_and_the_next_goes_on(tmp_path: Path, content: str) -> None:
    ended = run(tmp_path, faults="journal.segment.fsync=eio@2")
    assert (ended.code, ended.last_line) == (1, LAST_LINE), ended
    assert "cannot go on in a new file" in ended.err
    assert verdicts(tmp_path)[0].integrity is Integrity.INTACT
    assert run(tmp_path).code == 0
    assert_whole(tmp_path, content)
