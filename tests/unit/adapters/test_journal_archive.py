"""Packed segments: which are packed, that they read, verify and recover as before, and what a disk that refuses leaves."""

from __future__ import annotations

import errno
import gzip
import stat
from datetime import date
from pathlib import Path

import anyio
import pytest

from dudzian_daemon.adapters import journal_archive
from dudzian_daemon.adapters.checkpoints import Checkpoints
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_archive import archive, archive_segments, pack
from dudzian_daemon.adapters.journal_reader import Session, cycles_between, latest_cycles, sessions
from dudzian_daemon.adapters.journal_recovery import SessionLog
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import ConfigError, IntegrityError, StorageError
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.content import ContentChain
from tests.unit.adapters.journal_samples import KEY
from tests.unit.trading.desk import desk, flat_hours

FIRST = date(2024, 1, 1)
LATER = date(2024, 2, 15)


def session(root: Path, *, end: str | None = None, hours: int = 9) -> Session:
    """A session of the real core on three days of the wall clock, a segment each; left open, or ended so."""
    played, clock = desk(), ManualClock()
    journal = SessionJournal.create(root, "demo", KEY, clock=clock)
    taking = Checkpoints(played.driver, journal)
    for number, candle in enumerate(flat_hours(hours)):
        if number and number % (hours // 3) == 0:
            clock.jump_wall(DAY_NS / SECOND_NS)
        for record in played.feed([candle]):
            journal.append(record, wall={})
        if taking.due:
            taking.take_now(taking.due)
    journal.flush_quiet()
    journal.commit_now()
    if end is not None:
        anyio.run(journal.close, end, {"reason": "test"})
    journal.abandon()
    return sessions(root, "demo")[0]


def names(session: Session) -> list[str]:
    return [path.name for path in session.segments]


def verdict(session: Session) -> tuple[str, str, int]:
    (source,) = find_logs(session.folder)
    report = verify_log(source, Terms(key=lambda _: KEY))
    return report.integrity, report.content, report.cycles


def test_old_segments_are_packed_but_for_the_one_that_is_written(tmp_path: Path) -> None:
    found = session(tmp_path)
    before, whole = verdict(found), cycles_between(found.folder, 1, 99)
    would = list(archive(tmp_path, LATER, 30, dry_run=True))
    assert [(each.segment, each.packed_bytes) for each in would] == [(f"2024-01-0{day}-00000{day}.jsonl", None) for day in (1, 2)]
    assert names(found) == [f"2024-01-0{day}-00000{day}.jsonl" for day in (1, 2, 3)]
    packed = list(archive(tmp_path, LATER, 30))
    assert [each.bytes > (each.packed_bytes or 0) > 0 for each in packed] == [True, True]
    assert names(found) == ["2024-01-01-000001.jsonl.gz", "2024-01-02-000002.jsonl.gz", "2024-01-03-000003.jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.segments} == {0o600}
    assert verdict(found) == before
    assert cycles_between(found.folder, 1, 99) == whole
    assert latest_cycles(found.folder, 99) == whole
    assert list(archive(tmp_path, LATER, 30)) == []


def test_what_a_killed_archive_left_goes_with_the_next_one(tmp_path: Path) -> None:
    found = session(tmp_path)
    half = found.segments[0].with_name(f".{found.segments[0].name}.gz.x1.tmp")
    half.write_bytes(b"half of it")
    assert len(list(archive(tmp_path, LATER, 30))) == 2
    assert not half.exists()


def test_a_session_goes_on_while_an_archive_is_at_work_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the archive has not finished yet is no leftover, at none of its steps; what a killed one left goes."""
    found = session(tmp_path)
    before = verdict(found)
    killed = found.folder / ".2024-01-02-000002.jsonl.gz.x1.tmp"

    def go_on(_point: str) -> None:
        killed.write_bytes(b"half of it")
        SessionJournal.resume(found.segments[-1], KEY, ContentChain(), clock=ManualClock()).abandon()
        assert not killed.exists()

    with monkeypatch.context() as patch:
        patch.setattr(journal_archive, "fault_point", go_on)
        assert len(list(archive_segments(found, LATER))) == 2
    assert verdict(found) == before
    assert not list(found.folder.glob(".*"))


@pytest.mark.parametrize("point", ["archive.write", "archive.fsync", "archive.rename", "archive.unlink"])
def test_two_archives_at_once_pack_each_segment_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    found = session(tmp_path)
    before = verdict(found)
    quicker: list[str] = []

    def another(name: str) -> None:
        if name == point and not quicker:
            quicker.append(point)
            quicker.extend(each.segment for each in archive_segments(found, LATER))

    with monkeypatch.context() as patch:
        patch.setattr(journal_archive, "fault_point", another)
        slower = [each.segment for each in archive_segments(found, LATER)]
    assert (len(quicker), slower) == (3, [])
    assert verdict(found) == before
    assert not list(found.folder.glob(".*"))


def test_only_segments_that_are_old_enough(tmp_path: Path) -> None:
    found = session(tmp_path, end="closed")
    assert [each.segment[:10] for each in archive_segments(found, date(2024, 1, 3))] == ["2024-01-01", "2024-01-02"]
    assert [each.segment[:10] for each in archive_segments(found, LATER)] == ["2024-01-03"]
    (again,) = sessions(tmp_path, "demo")
    assert (again.state, again.lines) == ("closed", found.lines)
    assert verdict(again)[0] == "intact"


def test_equal_segments_give_equal_files(tmp_path: Path) -> None:
    packed = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"2024-01-01-{name}.jsonl"
        path.write_bytes(b'{"d":{}}\n' * 1000)
        packed.append(pack(path).read_bytes())
        assert not path.exists()
    assert packed[0] == packed[1]


@pytest.mark.parametrize("point", ["archive.write", "archive.fsync", "archive.rename", "archive.unlink"])
def test_a_disk_that_refuses_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    def refuse(name: str) -> None:
        if name == point:
            raise OSError(errno.EIO, "Input/output error")

    found = session(tmp_path)
    before = verdict(found)
    with monkeypatch.context() as patch:
        patch.setattr(journal_archive, "fault_point", refuse)
        with pytest.raises(StorageError):
            list(archive_segments(found, LATER))
    assert verdict(found) == before
    assert not list(found.folder.glob(".*"))
    assert len(names(found)) == 3
    assert len(list(archive_segments(found, LATER))) == 2
    assert verdict(found) == before


def test_a_session_goes_on_from_a_checkpoint_that_is_packed(tmp_path: Path) -> None:
    found = session(tmp_path)
    newest = [(each.line, each.sequence) for each in SessionLog(found, KEY).checkpoints()]
    assert [line for line, _ in newest] == [newest[0][0], newest[1][0], 0]
    list(archive_segments(found, LATER))
    log = SessionLog(found, KEY)
    checkpoints = list(log.checkpoints())
    assert [(each.line, each.sequence) for each in checkpoints] == newest
    lines = [entry.seal.line for entry in log.entries_after(checkpoints[1])]
    assert lines == list(range(checkpoints[1].line + 1, found.lines + 1))
    assert [entry.seal.line for entry in log.entries_after(checkpoints[2])] == list(range(1, found.lines + 1))


def test_a_damaged_pack_is_named(tmp_path: Path) -> None:
    found = session(tmp_path)
    list(archive_segments(found, LATER))
    path = found.segments[1]
    path.write_bytes(path.read_bytes()[:-9])
    assert verdict(found)[0] == "tampered"
    log = SessionLog(found, KEY)
    with pytest.raises(IntegrityError, match="damaged gzip"):
        list(log.checkpoints())


def test_a_last_file_that_somebody_packed_is_not_gone_on_with(tmp_path: Path) -> None:
    found = session(tmp_path)
    pack(found.segments[-1])
    with pytest.raises(IntegrityError, match="expected its last file as plain lines, found it packed; unpack it: gzip -d"):
        SessionLog(found, KEY)


def test_what_is_no_whole_file_is_not_packed(tmp_path: Path) -> None:
    torn, link = tmp_path / "2024-01-01-000001.jsonl", tmp_path / "2024-01-01-000002.jsonl"
    torn.write_bytes(b'{"d":{}}\n{"d"')
    with pytest.raises(IntegrityError, match="found 4 bytes after the last one"):
        pack(torn)
    link.symlink_to(torn)
    with pytest.raises(ConfigError, match="found a symlink"):
        pack(link)
    assert torn.read_bytes() == b'{"d":{}}\n{"d"'


def test_a_plain_segment_goes_before_its_pack(tmp_path: Path) -> None:
    found = session(tmp_path)
    before = verdict(found)
    path = found.segments[0]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(b"what a crash left\n"))
    assert verdict(found) == before
    assert FIRST.isoformat() in names(found)[0]


def test_a_segment_that_is_packed_between_being_found_and_being_read_is_read_packed(tmp_path: Path) -> None:
    found = session(tmp_path, end="closed")
    (source,) = find_logs(found.folder)
    before = verdict(found)
    assert [each.packed_bytes is not None for each in archive_segments(found, LATER)] == [True] * 3
    assert not any(path.exists() for path in source.files)
    report = verify_log(source, Terms(key=lambda _: KEY))
    assert (report.integrity, report.content, report.cycles) == before
