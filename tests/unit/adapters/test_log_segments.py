"""Segments of a projection: one chain over files that are put aside and archived, also while somebody reads them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import Integrity, LogReport
from dudzian_daemon.adapters.log_segments import ARCHIVE, beginning, done_segments, files_here, whole_log
from dudzian_daemon.adapters.log_sources import Source, find_logs
from dudzian_daemon.adapters.segmented_log import SegmentedLog
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS
from tests.unit.adapters.journal_samples import KEY

BEGUN = 20_000 * DAY_NS
NEW_KEY = SigningKey(id="risk-2", secret=bytes(32), source="test", other={KEY.id: KEY}.get)


class Bench:
    """A data folder with a log that gets a segment a day."""

    def __init__(self, root: Path, days: int) -> None:
        self.root = root
        self.path = root / "logs" / "demo.jsonl"
        self.path.parent.mkdir(parents=True)
        self.now = BEGUN
        log = ChainedLog.create(self.path, "a" * 32, KEY)
        log.append(encode(genesis("demo", "test", signed=True, projection=True)), encode({"at": self.now}))
        log.commit_now()
        self.segmented = SegmentedLog(log, most_lines=1_000)
        for _ in range(days):
            self.write()
            self.now += DAY_NS

    def write(self, lines: int = 3) -> None:
        self.segmented.go_on(self.now)
        for number in range(lines):
            self.segmented.log.append(encode({"kind": "told", "number": number}), b"{}")
        self.segmented.log.commit_now()

    def archive(self, segment: Path) -> Path:
        folder = self.root / ARCHIVE
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{segment.name}.gz"
        target.write_bytes(gzip.compress(segment.read_bytes()))
        segment.unlink()
        return target

    def judge(self, source: Source | None = None) -> LogReport:
        (found,) = [source] if source is not None else find_logs(self.path)
        return verify_log(found, Terms(key={KEY.id: KEY, NEW_KEY.id: NEW_KEY}.get))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, days=4)


def test_a_day_is_a_segment_and_says_its_number(bench: Bench) -> None:
    assert [path.name for path in files_here(bench.path)] == [
        *(f"demo-2024-10-0{day}-00000{number}.jsonl" for number, day in ((1, 4), (2, 5), (3, 6))),
        "demo.jsonl",
    ]
    begun = [beginning(path) for path in files_here(bench.path)]
    assert [(each.number, each.at, each.line) for each in begun if each] == [(n + 1, BEGUN + n * DAY_NS, 4 * n + 1) for n in range(4)]
    assert (bench.judge().integrity, bench.judge().entries) == (Integrity.INTACT, 16)


def test_a_full_segment_is_put_aside_on_the_same_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, days=0)
    bench.segmented = SegmentedLog(bench.segmented.log, most_lines=5)
    for _ in range(4):
        bench.write()
    assert len(done_segments(bench.path)) == 1
    assert bench.judge().integrity is Integrity.INTACT


def test_what_is_put_aside_or_archived_while_somebody_reads_is_read_where_it_lies(bench: Bench) -> None:
    (source,) = find_logs(bench.path)
    bench.write()
    assert (bench.judge(source).integrity, bench.judge(source).entries) == (Integrity.INTACT, 16), "as far as it was found"
    (source,) = find_logs(bench.path)
    bench.archive(done_segments(bench.path)[0])
    assert (bench.judge(source).integrity, bench.judge(source).entries) == (Integrity.INTACT, 20)


def test_between_the_two_renames_the_log_is_what_was_put_aside_and_a_start_goes_on_from_there(bench: Bench) -> None:
    bench.segmented.log.release()
    last = bench.path.rename(bench.path.with_name("demo-2024-10-07-000004.jsonl"))
    (found,) = find_logs(last)
    assert (bench.judge(found).integrity, bench.judge(found).entries) == (Integrity.INTACT, 16)
    bench.segmented = SegmentedLog(ChainedLog.resume(last, KEY), most_lines=1_000)
    bench.now -= DAY_NS
    bench.write()
    assert [each and each.number for each in map(beginning, files_here(bench.path))] == [1, 2, 3, 4, 5]
    assert (bench.judge().integrity, bench.judge().entries) == (Integrity.INTACT, 20)


def test_an_archived_copy_beside_the_original_counts_once_and_another_content_is_told(bench: Bench) -> None:
    segment = done_segments(bench.path)[0]
    kept = shutil.copy(segment, bench.root / "kept")
    archived = bench.archive(segment)
    shutil.copy(kept, segment)
    assert bench.judge().integrity is Integrity.INTACT
    archived.write_bytes(gzip.compress(gzip.decompress(archived.read_bytes())[:-10]))
    assert bench.judge().integrity is Integrity.TAMPERED


def test_another_log_s_segments_in_the_archive_are_not_its_own(bench: Bench) -> None:
    other = Bench(bench.root / "other", days=2)
    stranger = other.path.read_bytes().replace(b"a" * 32, b"b" * 32)
    folder = bench.root / ARCHIVE
    folder.mkdir(parents=True)
    (folder / "demo-2024-01-01-000001.jsonl.gz").write_bytes(gzip.compress(stranger))
    assert whole_log(bench.path) == files_here(bench.path)
    assert bench.judge().integrity is Integrity.INTACT


def test_a_new_key_comes_before_the_segment_s_entry_and_one_that_the_archive_has_seen_leave_never_comes_back(bench: Bench) -> None:
    bench.segmented.log.release()
    bench.segmented = SegmentedLog(ChainedLog.resume(bench.path, NEW_KEY), most_lines=1_000)
    bench.write()
    assert [each and each.number for each in map(beginning, files_here(bench.path))] == [1, 2, 3, 4, 5]
    assert (bench.judge().integrity, bench.judge().key_ids) == (Integrity.INTACT, [KEY.id, NEW_KEY.id])
    bench.now += DAY_NS
    bench.write()
    for segment in done_segments(bench.path):
        bench.archive(segment)
    bench.segmented.log.release()
    assert (bench.judge().integrity, bench.judge().key_ids) == (Integrity.INTACT, [KEY.id, NEW_KEY.id])
    old = SigningKey(id=KEY.id, secret=KEY.secret, source="test", other={NEW_KEY.id: NEW_KEY}.get)
    with pytest.raises(ConfigError, match="that it has not left"):
        ChainedLog.resume(bench.path, old)
