"""Reading: forwards, from the end, while it is written, and finding sessions."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dudzian_daemon.adapters.journal_reader import Follower, Session, cycles_between, entries, latest_cycles, sessions
from dudzian_daemon.domain.errors import IntegrityError
from tests.unit.adapters.journal_samples import quiet_cycle, small_session, write_session


def only_session(root: Path) -> Session:
    (session,) = sessions(root, "demo")
    return session


def test_entries_give_back_what_was_appended(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session())
    read = list(entries(path))
    assert [entry.kind for entry in read] == ["genesis", "run", "quiet", "cycle", "quiet", "cycle", "closed"]
    cycles = [cycle for entry in read for cycle in entry.cycles()]
    assert [cycle.record.sequence for cycle in cycles] == [1, 2, 3, 4, 5, 6, 7]
    assert {cycle.wall["started_at"] for cycle in cycles} == {0.5}
    assert [cycle.line for cycle in cycles] == [3, 3, 3, 4, 5, 5, 6]
    assert cycles[3].line_hash == read[4].seal.prev


def test_a_torn_tail_is_left_out_and_a_broken_line_named(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session())
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"d":')
    assert len(list(entries(path))) == 7
    path.write_bytes(whole + b'{"d":\n')
    with pytest.raises(IntegrityError, match=r"line 8: expected an entry"):
        list(entries(path))


def test_packed_files_read_the_same(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session())
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [entry.line_hash for entry in entries(packed)] == [entry.line_hash for entry in entries(path)]
    path.unlink()
    assert [cycle.record.sequence for cycle in latest_cycles(only_session(tmp_path).folder, 3)] == [5, 6, 7]
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(IntegrityError, match="damaged gzip"):
        list(entries(packed))


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [7]), (2, [6, 7]), (5, [3, 4, 5, 6, 7]), (99, [1, 2, 3, 4, 5, 6, 7])])
def test_the_latest_cycles_come_from_the_end(tmp_path: Path, count: int, expected: list[int]) -> None:
    path = write_session(tmp_path, small_session())
    session = only_session(tmp_path)
    assert [cycle.record.sequence for cycle in latest_cycles(session.folder, count)] == expected
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"not read\n" + b"".join(lines[2:]))
    assert [cycle.record.sequence for cycle in latest_cycles(session.folder, min(count, 4))] == expected[-4:]


def test_quiet_cycles_can_be_left_out(tmp_path: Path) -> None:
    folder = write_session(tmp_path, small_session()).parent
    assert [cycle.record.sequence for cycle in latest_cycles(folder, 1, quiet=False)] == [7]
    assert [cycle.record.sequence for cycle in latest_cycles(folder, 9, quiet=False)] == [4, 7]


@pytest.mark.parametrize(("first", "last", "expected"), [(1, 7, [1, 2, 3, 4, 5, 6, 7]), (2, 5, [2, 3, 4, 5]), (7, 9, [7]), (6, 5, [])])
def test_cycles_between_two_sequences(tmp_path: Path, first: int, last: int, expected: list[int]) -> None:
    folder = write_session(tmp_path, small_session()).parent
    assert [cycle.record.sequence for cycle in cycles_between(folder, first, last)] == expected


def test_the_latest_cycles_reach_over_segments(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    path.with_name("2024-01-02-000002.jsonl").write_bytes(b"".join(lines[4:]))
    assert [cycle.record.sequence for cycle in latest_cycles(only_session(tmp_path).folder, 5)] == [3, 4, 5, 6, 7]


def test_sessions_come_newest_first_with_their_state(tmp_path: Path) -> None:
    assert sessions(tmp_path, "demo") == []
    made = [write_session(tmp_path, small_session(), end=end) for end in ("closed", "stopped", None, None)]
    with made[3].open("ab") as file:
        file.write(b"{")
    broken = made[0].parent.with_name("f" * 32)
    (broken / "objects").mkdir(parents=True)
    unborn = broken.with_name("e" * 32)
    unborn.mkdir()
    (unborn / "2024-01-01-000001.jsonl").write_bytes(b'{"d":{"kind":"gen')
    (tmp_path / "data/journal/demo/notes").mkdir()
    found = {session.log_id: session.state for session in sessions(tmp_path, "demo")}
    assert [found[path.parent.name] for path in made] == ["closed", "stopped", "open", "torn"]
    assert found["f" * 32] == "unreadable"
    assert unborn.name not in found, "killed before its first line was whole"
    assert len(found) == 5
    born = [session.born for session in sessions(tmp_path, "demo")]
    assert born == sorted(born, reverse=True)


def test_a_session_is_judged_by_its_ends_only(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"rubbish\n" * 3 + lines[-1])
    assert (only_session(tmp_path).state, only_session(tmp_path).lines) == ("closed", 7)


def test_a_follower_gets_each_entry_once_and_whole(tmp_path: Path) -> None:
    path = write_session(tmp_path, [quiet_cycle(1)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    follower = Follower(path)
    assert [entry.kind for entry in follower.poll()] == ["genesis"]
    assert follower.poll() == []
    path.write_bytes(b"".join(lines[:2]) + lines[2][:50])
    assert [entry.kind for entry in follower.poll()] == ["run"]
    path.write_bytes(b"".join(lines))
    assert [entry.kind for entry in follower.poll()] == ["cycle", "closed"]
