"""What the journal promises the session: order, durability before release, and a disk that refuses."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from dudzian_daemon.adapters import files, log_file
from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import QUIET_GROUP, segments
from dudzian_daemon.adapters.journal_reader import entries, latest_cycles, read_object
from dudzian_daemon.adapters.log_sources import Source, find_logs
from dudzian_daemon.adapters.private_files import private_folder
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import ConfigError, IntegrityError, StorageError, StorageFull
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS, Quote
from dudzian_daemon.domain.ports import Journal
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.content import INLINE_INPUTS, ContentChain
from tests.unit.adapters.journal_samples import BTC, HOUR, KEY, OTHER_KEY, fill_cycle, quiet_cycle, small_session, write_session

TERMS = Terms(key=lambda _: KEY)
FAULTY_CHILD = """
import sys
from functools import partial
from pathlib import Path
import anyio
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.domain.errors import StorageError, StorageFull
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.adapters.journal_samples import KEY, fill_cycle

async def tries(journal):
    for sequence in (1, 2, 3):
        journal.append(fill_cycle(sequence), wall={})
        try:
            released = await journal.commit()
            print("released", [each.record.sequence for each in released], flush=True)
        except StorageFull:
            print("full", journal.pending, journal.path.stat().st_size, flush=True)
        except StorageError as error:
            print("failed", error, flush=True)

journal = SessionJournal.create(Path(sys.argv[1]), "demo", KEY, clock=ManualClock())
print("created", journal.path.stat().st_size, flush=True)
anyio.run(tries, journal)
"""


@pytest.fixture
def journal(tmp_path: Path) -> SessionJournal:
    return SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())


def child(folder: Path, script: str = FAULTY_CHILD, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-c", script, str(folder)], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def verdict(path: Path) -> tuple[str, str, int]:
    report = verify_log(Source(label="log", files=(path,)), TERMS)
    return report.integrity, report.completeness, report.cycles


def test_it_fits_the_port(journal: SessionJournal) -> None:
    port: Journal = journal
    assert port.log_id == journal.folder.name


def test_a_new_session_is_private_and_verifies_at_once(journal: SessionJournal, tmp_path: Path) -> None:
    assert journal.path.relative_to(tmp_path).parts == ("data", "journal", "demo", journal.log_id, "2024-01-01-000001.jsonl")
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    assert verdict(journal.path) == ("intact", "open", 0)


async def test_cycles_are_released_in_order_with_their_line(journal: SessionJournal) -> None:
    records = small_session()
    for record in records:
        journal.append(record, wall={"pid": 1})
    journal.flush_quiet()
    released = await journal.commit()
    assert [each.record for each in released] == records
    assert [each.line for each in released] == [2, 2, 2, 3, 4, 4, 5]
    by_line = {entry.seal.line: entry.line_hash for entry in await anyio.to_thread.run_sync(lambda: list(entries(journal.path)))}
    assert all(each.line_hash == by_line[each.line] for each in released)
    assert journal.pending == 0
    assert list(await journal.commit()) == []


async def test_quiet_cycles_wait_for_each_other_until_the_group_is_full(journal: SessionJournal) -> None:
    for sequence in range(1, QUIET_GROUP):
        journal.append(quiet_cycle(sequence), wall={})
    assert (journal.pending, journal.waiting) == (0, QUIET_GROUP - 1)
    assert list(await journal.commit()) == []
    journal.append(quiet_cycle(QUIET_GROUP), wall={})
    assert (journal.pending, journal.waiting) == (1, 0)
    assert len(await journal.commit()) == QUIET_GROUP


async def test_another_entry_sends_the_waiting_cycles_ahead(journal: SessionJournal) -> None:
    journal.append(quiet_cycle(1), wall={})
    journal.append_entry("run", {"config": {}}, {})
    journal.append(quiet_cycle(2), wall={})
    released = await journal.close("stopped", {"reason": "operator"})
    assert [(each.record.sequence, each.line) for each in released] == [(1, 2), (2, 4)]
    kinds = await anyio.to_thread.run_sync(lambda: [entry.kind for entry in entries(journal.path)])
    assert kinds == ["genesis", "cycle", "run", "cycle", "stopped"]


async def test_nothing_is_released_before_its_sync(journal: SessionJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(log_file, "fault_point", seen.append)
    journal.append(fill_cycle(1), wall={})
    assert seen == []
    released = await journal.commit()
    assert seen == ["journal.write", "journal.fsync", "journal.release"]
    assert len(released) == 1


def crowded_cycle(sequence: int) -> CycleRecord:
    """More inputs than a line takes."""
    quotes = tuple(Quote(sequence * HOUR + number, BTC, 100.0, 101.0, 1.0, 1.0) for number in range(INLINE_INPUTS + 1))
    return msgspec.structs.replace(fill_cycle(sequence), inputs=quotes)


async def test_a_frame_of_the_tape_is_durable_before_the_line_that_names_it(
    journal: SessionJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for module in (log_file, files):
        monkeypatch.setattr(module, "fault_point", seen.append)
    journal.append(fill_cycle(1), wall={})
    journal.append(crowded_cycle(2), wall={})
    assert seen == []
    await journal.commit()
    tape = ["tape.write", "tape.fsync", "tape.rename", "tape.renamed"]
    assert seen == [*tape, "journal.write", "journal.fsync", "journal.release"]
    last = (await anyio.to_thread.run_sync(latest_cycles, journal.folder, 1))[0]
    assert last.record.inputs == crowded_cycle(2).inputs
    (frame,) = await anyio.to_thread.run_sync(lambda: list((journal.folder / "tape").iterdir()))
    modes = await anyio.to_thread.run_sync(lambda: [stat.S_IMODE(path.stat().st_mode) for path in (frame, frame.parent)])
    assert modes == [0o600, 0o700]


@pytest.mark.parametrize("point", ["tape.write", "tape.fsync", "tape.rename", "tape.renamed"])
async def test_a_disk_that_refuses_a_frame_refuses_its_line(journal: SessionJournal, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    def refuse(name: str, number: int = errno.ENOSPC) -> None:
        if name == point:
            raise OSError(number, os.strerror(number))

    journal.append(crowded_cycle(1), wall={})
    for number in (errno.ENOSPC, errno.EROFS, errno.EMFILE):
        with monkeypatch.context() as patch:
            patch.setattr(files, "fault_point", partial(refuse, number=number))
            with pytest.raises(StorageFull):
                await journal.commit()
        assert journal.pending == 1
    assert [each.record.sequence for each in await journal.commit()] == [1]
    journal.append(crowded_cycle(2), wall={})
    monkeypatch.setattr(files, "fault_point", partial(refuse, number=errno.EIO))
    for _ in range(2):
        with pytest.raises(StorageError, match="what its next line names cannot be written"):
            await journal.commit()
    assert await anyio.to_thread.run_sync(verdict, journal.path) == ("intact", "open", 1)


async def test_a_segment_begins_with_the_checkpoint_that_finds_it_full(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = await anyio.to_thread.run_sync(lambda: SessionJournal.create(tmp_path, "demo", KEY, clock=clock, segment_lines=4))
    for sequence in range(1, 4):
        journal.append(fill_cycle(sequence), wall={})
    full = [journal.segment_full]
    journal.append(quiet_cycle(4), wall={})  # what waits belongs into the old one
    journal.append_checkpoint(b"{}", "segment")
    full.append(journal.segment_full)
    journal.append(fill_cycle(5), wall={})
    assert [each.line for each in await journal.commit()] == [2, 3, 4, 5, 7]
    clock.jump_wall(DAY_NS / SECOND_NS)
    assert [*full, journal.segment_full] == [True, False, True]
    journal.append_checkpoint(b"{}", "due")
    await journal.close("stopped", {})
    found = await anyio.to_thread.run_sync(segments, journal.folder)
    assert [path.name for path in found] == [f"2024-01-0{day}-00000{number}.jsonl" for number, day in ((1, 1), (2, 1), (3, 2))]
    kinds = await anyio.to_thread.run_sync(lambda: [[entry.kind for entry in entries(path)] for path in found])
    assert kinds == [["genesis", "cycle", "cycle", "cycle", "cycle"], ["checkpoint", "cycle"], ["checkpoint", "stopped"]]
    assert await anyio.to_thread.run_sync(lambda: {stat.S_IMODE(path.stat().st_mode) for path in found}) == {0o600}
    resumed = await anyio.to_thread.run_sync(
        lambda: SessionJournal.resume(found[-1], KEY, ContentChain(sequence=5), clock=clock, segment_lines=4)
    )
    full = [resumed.segment_full]
    clock.jump_wall(DAY_NS / SECOND_NS)
    assert [*full, resumed.segment_full] == [False, True]
    resumed.begin_segment()
    resumed.append_entry("run", {}, {})
    await resumed.close("closed", {})
    assert resumed.path.name == "2024-01-03-000004.jsonl"


async def test_a_file_in_the_place_of_the_next_segment_is_never_written_over(tmp_path: Path) -> None:
    journal = await anyio.to_thread.run_sync(lambda: SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock(), segment_lines=1))
    precious = journal.folder / "2024-01-01-000002.jsonl"
    await anyio.to_thread.run_sync(precious.write_bytes, b"precious")
    journal.begin_segment()
    journal.append(fill_cycle(1), wall={})
    with pytest.raises(StorageError, match="where it goes on, found a file"):
        await journal.commit()
    assert await anyio.to_thread.run_sync(precious.read_bytes) == b"precious"


async def test_commits_do_not_overlap_and_each_takes_all_that_waits(journal: SessionJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(log_file, "fault_point", seen.append)
    sequences: list[list[int]] = []

    async def commit() -> None:
        sequences.append([each.record.sequence for each in await journal.commit()])

    async with anyio.create_task_group() as group:
        for sequence in range(1, 6):
            journal.append(fill_cycle(sequence), wall={})
            group.start_soon(commit)
    assert sorted(number for batch in sequences for number in batch) == [1, 2, 3, 4, 5]
    assert seen == ["journal.write", "journal.fsync", "journal.release"] * (len(seen) // 3)
    assert len(seen) // 3 <= 2


async def test_a_cycle_out_of_turn_is_refused_and_leaves_no_trace(journal: SessionJournal) -> None:
    journal.append(fill_cycle(1), wall={})
    with pytest.raises(IntegrityError, match="expected cycle 2, found cycle 3"):
        journal.append(fill_cycle(3), wall={})
    journal.append(fill_cycle(2), wall={})
    await journal.close("closed", {})
    assert await anyio.to_thread.run_sync(verdict, journal.path) == ("intact", "closed", 2)


@pytest.mark.parametrize(("kind", "d"), [("cycle", {}), ("quiet", {}), ("run", {"kind": "cycle"})])
def test_only_append_writes_cycles(journal: SessionJournal, kind: str, d: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected an entry that is no cycle"):
        journal.append_entry(kind, d, {})


async def test_a_full_disk_keeps_the_lines_for_the_next_try(journal: SessionJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    before = journal.path.stat
    size = (await anyio.to_thread.run_sync(before)).st_size
    journal.append(fill_cycle(1), wall={})
    real, calls = os.write, []

    def half_then_full(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_then_full)
        with pytest.raises(StorageFull, match="no space left"):
            await journal.commit()
    assert len(calls) == 2
    assert (await anyio.to_thread.run_sync(before)).st_size == size
    assert journal.pending == 1
    journal.append(fill_cycle(2), wall={})
    assert [each.record.sequence for each in await journal.commit()] == [1, 2]
    assert await anyio.to_thread.run_sync(verdict, journal.path) == ("intact", "open", 2)


async def test_a_close_on_a_full_disk_may_be_tried_again(journal: SessionJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_name: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal.append(quiet_cycle(1), wall={})
    with monkeypatch.context() as patch:
        patch.setattr(log_file, "fault_point", full)
        with pytest.raises(StorageFull):
            await journal.close("closed", {})
    assert [each.record.sequence for each in await journal.close("closed", {})] == [1]
    assert await anyio.to_thread.run_sync(verdict, journal.path) == ("intact", "closed", 1)


def test_fault_points_full_disk_in_a_child(tmp_path: Path) -> None:
    done = child(tmp_path, DUDZIAN_FAULTS="journal.write=enospc@3")
    created, first, full, third = done.stdout.splitlines()
    assert first == "released [1]"
    assert full.startswith("full 1 ")
    assert int(full.split()[-1]) > int(created.split()[-1])
    assert third == "released [2, 3]"
    (log,) = tmp_path.glob("data/journal/demo/*/*.jsonl")
    assert verdict(log) == ("intact", "open", 3)


@pytest.mark.parametrize("point", ["journal.write", "journal.fsync"])
def test_fault_points_an_io_error_is_final(tmp_path: Path, point: str) -> None:
    done = child(tmp_path, DUDZIAN_FAULTS=f"{point}=eio@3")
    lines = done.stdout.splitlines()
    assert lines[1] == "released [1]"
    assert [line.startswith("failed log ") for line in lines[2:]] == [True, True]
    (log,) = tmp_path.glob("data/journal/demo/*/*.jsonl")
    assert verdict(log)[:2] == ("intact", "open")


@pytest.mark.parametrize("point", ["journal.write", "journal.fsync", "journal.release"])
def test_fault_points_what_was_released_survives_a_kill(tmp_path: Path, point: str) -> None:
    done = child(tmp_path, DUDZIAN_FAULTS=f"{point}=kill@3")
    assert done.returncode != 0
    assert done.stdout.splitlines()[1:] == ["released [1]"]
    (log,) = tmp_path.glob("data/journal/demo/*/*.jsonl")
    integrity, completeness, cycles = verdict(log)
    assert (integrity, completeness) == ("intact", "open")
    assert cycles == (1 if point == "journal.write" else 2)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit on Windows")
def test_a_file_size_limit_leaves_no_half_line(tmp_path: Path) -> None:
    limited = FAULTY_CHILD.replace("anyio.run(", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500)); anyio.run(")
    lines = child(tmp_path, limited).stdout.splitlines()
    assert lines[1] == "released [1]"
    assert [line.split()[:2] for line in lines[2:]] == [["full", "1"], ["full", "2"]]
    (log,) = tmp_path.glob("data/journal/demo/*/*.jsonl")
    assert log.read_bytes().endswith(b"\n")
    assert verdict(log) == ("intact", "open", 1)


async def test_verifying_while_it_is_written_raises_no_false_alarm(journal: SessionJournal) -> None:
    (source,) = await anyio.to_thread.run_sync(find_logs, journal.folder)
    done = anyio.Event()
    terms = Terms(key=lambda _: KEY, pause=lambda: None)

    async def write() -> None:
        for sequence in range(1, 400):
            journal.append(fill_cycle(sequence), wall={})
            if sequence % 16 == 0:
                await journal.commit()
        done.set()

    verdicts = set()
    async with anyio.create_task_group() as group:
        group.start_soon(write)
        while not done.is_set():
            report = await anyio.to_thread.run_sync(verify_log, source, terms)
            verdicts.add(report.integrity)
    assert verdicts == {"intact"}


@pytest.mark.parametrize("harm", ["delete", "replace", "truncate", "append"])
async def test_a_file_that_is_no_longer_ours_is_noticed(journal: SessionJournal, harm: str) -> None:
    def spoil() -> None:
        content = journal.path.read_bytes()
        if harm in ("delete", "replace"):
            journal.path.rename(journal.path.with_suffix(".moved"))
        if harm == "replace":
            journal.path.write_bytes(content)
        if harm == "truncate":
            os.truncate(journal.path, 10)
        if harm == "append":
            journal.path.write_bytes(content + b"{}\n")

    await anyio.to_thread.run_sync(spoil)
    journal.append(fill_cycle(1), wall={})
    for _ in range(2):
        with pytest.raises(StorageError, match="found"):
            await journal.commit()
    assert journal.pending == 1


@pytest.mark.parametrize("part", ["data", "data/journal", "data/journal/demo"])
def test_a_symlink_on_the_way_is_refused(tmp_path: Path, part: str) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    victim.mkdir()
    (root / part).parent.mkdir(parents=True)
    (root / part).symlink_to(victim)
    with pytest.raises(ConfigError, match="found a symlink"):
        SessionJournal.create(root, "demo", KEY, clock=ManualClock())
    assert list(victim.iterdir()) == []


def test_a_genesis_that_finds_no_space_leaves_no_session(tmp_path: Path) -> None:
    done = child(tmp_path, DUDZIAN_FAULTS="journal.write=enospc")
    assert "StorageFull" in done.stderr
    assert list(tmp_path.glob("data/journal/demo/*")) == []


def test_objects_are_stored_once_under_their_digest(journal: SessionJournal) -> None:
    digest = journal.put_object(b"rows")
    path = journal.folder / "objects" / digest
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert journal.put_object(b"rows") == digest
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_object(journal.folder, digest) == b"rows"
    path.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="found other content"):
        read_object(journal.folder, digest)
    journal.put_object(b"rows")
    assert read_object(journal.folder, digest) == b"rows"


def test_a_log_goes_on_after_its_last_line(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session(), end=None)
    with path.open("ab") as file:
        file.write(b'{"d":{"kind":"cyc')
    log = ChainedLog.resume(path, KEY)
    log.append(b'{"kind":"stopped"}', b"{}", json.loads(path.read_bytes().splitlines()[-1])["s"]["content"])
    log.commit_now()
    log.release()
    assert verdict(path) == ("intact", "stopped", 7)


def test_a_log_whose_last_line_is_not_ours_is_not_continued(tmp_path: Path) -> None:
    path = write_session(tmp_path, small_session())
    for key in (OTHER_KEY, None):
        with pytest.raises(IntegrityError, match="expected a last line"):
            ChainedLog.resume(path, key)
    path.write_bytes(b"")
    with pytest.raises(IntegrityError, match="expected at least one whole line"):
        ChainedLog.resume(path, KEY)


def test_a_projection_is_a_log_of_its_own(tmp_path: Path) -> None:
    folder = private_folder(tmp_path, Path("logs/decision_journal"))
    log = ChainedLog.create(folder / "demo.jsonl", new_log_id(), KEY, faults="projection")
    log.append(b'{"kind":"genesis","format":1,"artifact":"demo","created_by":"0","signed":true,"projection":true}', b"{}")
    log.append(b'{"kind":"risk_rejected","sequence":4,"line_hash":"ab"}', b"{}")
    assert log.pending == 2
    log.commit_now()
    report = verify_log(Source(label="log", files=(log.path,)), TERMS)
    assert (report.integrity, report.projection, report.entries, report.cycles) == ("intact", True, 2, 0)


def test_a_released_file_takes_no_more_lines(tmp_path: Path) -> None:
    log = ChainedLog.create(tmp_path / "log.jsonl", new_log_id(), KEY)
    log.release()
    log.release()
    log.append(b"{}", b"{}")
    with pytest.raises(StorageError, match="is closed"):
        log.commit_now()


def test_the_last_commit_takes_the_quiet_cycles_too_and_nothing_comes_after_it(journal: SessionJournal) -> None:
    for sequence in range(1, 4):
        journal.append(quiet_cycle(sequence), wall={})
    assert journal.commit_last(lambda: True)
    assert verdict(journal.path) == ("intact", "open", 3)
    journal.append(fill_cycle(4), wall={})
    with pytest.raises(StorageError, match="is closed"):
        journal.commit_last(lambda: True)
    assert verdict(journal.path) == ("intact", "open", 3)


async def test_the_last_commit_writes_nothing_when_the_other_thread_moved(journal: SessionJournal) -> None:
    journal.append(fill_cycle(1), wall={})
    assert not await anyio.to_thread.run_sync(journal.commit_last, lambda: False)
    with pytest.raises(StorageError, match="is closed"):
        await journal.commit()
    assert await anyio.to_thread.run_sync(verdict, journal.path) == ("intact", "open", 0)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"precious")
    with pytest.raises(ConfigError):
        ChainedLog.create(path, new_log_id(), KEY)
    assert path.read_bytes() == b"precious"
