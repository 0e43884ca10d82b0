"""The candle store: what is read is what was written, or an error that names the file; and what a kill leaves behind."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.adapters import manifest as manifest_module
from dudzian_daemon.adapters.candle_files import granularity_named, path_of
from dudzian_daemon.adapters.candle_store import (
    ParquetCandleStore,
    StoredRange,
    WriteReport,
    digest_rows,
    sample_root,
)
from dudzian_daemon.adapters.files import sha256_file
from dudzian_daemon.adapters.manifest import SEEDED, load_manifest, writing
from dudzian_daemon.domain.errors import ConfigError, IntegrityError, Permanent, Retryable
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, MINUTE_NS, Candle, Series

DAILY = Series("binance:BTC/USDT", "1d")
HOURLY = Series("binance:BTC/USDT", "1h")
ALWAYS = (1_500_000_000 * 10**9, 1_800_000_000 * 10**9)  # 2017-07 to 2027-01


def at(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 10**9


def bar(series: Series, opened: int, price: float = 100.0) -> Candle:
    end = opened + series.step_ns
    return Candle(end, series.instrument, series.granularity, end, price, price + 1.5, price - 0.25, price + 1 / 3, 12.5)


def bars(series: Series, start: int, count: int, price: float = 100.0) -> list[Candle]:
    return [bar(series, start + number * series.step_ns, price + number) for number in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> ParquetCandleStore:
    return ParquetCandleStore(tmp_path / "ohlcv")


def january(store: ParquetCandleStore, series: Series = DAILY) -> Path:
    return path_of(store.root, (series, 2024, 1))


# --- what is read is what was written


@st.composite
def batches(draw: st.DrawFn) -> list[list[Candle]]:
    """Overlapping batches of daily candles over four months, values free but true."""
    price = st.floats(min_value=1e-8, max_value=1e9, allow_subnormal=False)
    days = st.integers(min_value=0, max_value=120)

    def candle(day: int, values: list[float], volume: float) -> Candle:
        opened, close, *_rest = values
        end = at(2023, 11) + (day + 1) * DAY_NS
        return Candle(end, DAILY.instrument, "1d", end, opened, max(values), min(values), close, volume)

    candles = st.builds(candle, days, st.lists(price, min_size=4, max_size=4), st.floats(min_value=0, max_value=1e12))
    return draw(st.lists(st.lists(candles, max_size=25), min_size=1, max_size=5))


@settings(max_examples=20)
@given(batches(), st.data())
def test_any_split_and_overlap_reads_back_as_the_last_value_of_each_bar(written: list[list[Candle]], data: st.DataObject) -> None:
    model: dict[int, Candle] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetCandleStore(Path(folder, "ohlcv"))
        for rows in written:
            before, new = dict(model), {candle.end: candle for candle in rows}
            model |= new
            report = store.write(DAILY, rows, source="test")
            added, revised = len(model) - len(before), sum(before.get(end, candle) != candle for end, candle in new.items())
            assert (report.added, report.revised, report.unchanged) == (added, revised, len(new) - added - revised)
        expected = [model[end] for end in sorted(model)]
        assert ParquetCandleStore(Path(folder, "ohlcv")).read(DAILY, *ALWAYS) == expected
        assert sum(found.rows for found in store.ranges(DAILY)) == len(expected)
        at_once = ParquetCandleStore(Path(folder, "at once"))
        at_once.write(DAILY, expected, source="test")
        assert at_once.files(DAILY) == store.files(DAILY)  # their digests are in it: equal bars, equal bytes
        start = at(2023, 11) + data.draw(st.integers(-HOUR_NS, 130 * DAY_NS))
        end = start + data.draw(st.integers(0, 60 * DAY_NS))
        assert store.read(DAILY, start, end) == [candle for candle in expected if start <= candle.end - DAY_NS and candle.end <= end]


def test_the_layout_is_computed_from_the_series_and_reads_as_a_hive_dataset(store: ParquetCandleStore) -> None:
    import pyarrow as pa  # type: ignore[import-untyped] # pyarrow ships no annotations
    import pyarrow.dataset as pds  # type: ignore[import-untyped] # pyarrow ships no annotations

    store.write(DAILY, bars(DAILY, at(2024, 1, 30), 4), source="test")
    files = sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*.parquet"))
    assert files == [f"binance/BTC_USDT/1d/year=2024/month={month:02d}/data.parquet" for month in (1, 2)]
    partitioning = pds.partitioning(pa.schema([("year", pa.int32()), ("month", pa.int32())]), flavor="hive")
    table = pds.dataset(store.root / "binance/BTC_USDT/1d", partitioning=partitioning).to_table()
    assert table.column_names == ["open_time", "open", "high", "low", "close", "volume", "year", "month"]
    assert [str(kind) for kind in table.schema.types[:6]] == ["int64", *["double"] * 5]
    assert sorted(zip(table["open_time"].to_pylist(), table["month"].to_pylist(), strict=True)) == [
        (at(2024, 1, 30) // 10**6, 1),
        (at(2024, 1, 31) // 10**6, 1),
        (at(2024, 2, 1) // 10**6, 2),
        (at(2024, 2, 2) // 10**6, 2),
    ]


def test_a_bar_lies_in_a_window_with_its_whole_length(store: ParquetCandleStore) -> None:
    rows = bars(HOURLY, at(2024, 1, 31, 22), 4)
    store.write(HOURLY, rows, source="test")
    start, end = rows[0].end - HOUR_NS, rows[-1].end
    assert store.read(HOURLY, start, end) == rows
    assert store.read(HOURLY, start + 1, end) == rows[1:]
    assert store.read(HOURLY, start, end - 1) == rows[:-1]
    assert store.read(HOURLY, end, start) == store.read(HOURLY, start, start + HOUR_NS - 1) == []


def test_all_of_time_is_a_window_too(store: ParquetCandleStore) -> None:
    first, last = bar(DAILY, 0), bar(DAILY, (2**63 - 1) // DAY_NS * DAY_NS - DAY_NS)
    store.write(DAILY, [last, first], source="test")
    assert store.read(DAILY, -(10**30), 10**30) == [first, last]


def test_only_stored_bars_come_back_and_nothing_is_dropped_by_later_writes(store: ParquetCandleStore) -> None:
    old, new = bars(DAILY, at(2019, 6), 3), bars(DAILY, at(2024, 1, 5), 2)
    store.write(DAILY, new, source="test")
    store.write(DAILY, old, source="test")
    assert store.read(DAILY, *ALWAYS) == old + new
    assert store.read(DAILY, at(2020, 1), at(2023, 1)) == []
    assert store.read(Series("binance:ETH/USDT", "1d"), *ALWAYS) == []


def test_series_and_ranges_come_from_the_manifest(store: ParquetCandleStore) -> None:
    assert (store.series(), store.ranges(DAILY)) == ([], [])
    store.write(HOURLY, bars(HOURLY, at(2024, 1), 5), source="test")
    store.write(DAILY, [*bars(DAILY, at(2023, 12, 30), 4), *bars(DAILY, at(2024, 1, 10), 1), *bars(DAILY, at(2024, 3), 1)], source="test")
    assert store.series() == [DAILY, HOURLY]
    assert store.ranges(DAILY) == [StoredRange(at(2023, 12, 30), at(2024, 1, 11), 5), StoredRange(at(2024, 3), at(2024, 3, 2), 1)]


def test_writing_the_same_again_touches_no_file(store: ParquetCandleStore) -> None:
    rows = bars(DAILY, at(2024, 1), 40)
    assert store.write(DAILY, rows, source="test") == WriteReport(added=40, months=2)
    before = {path: (path.stat().st_mtime_ns, sha256_file(path)) for path in store.root.rglob("*") if path.is_file()}
    assert store.write(DAILY, rows[10:20], source="test") == WriteReport(unchanged=10)
    assert {path: (path.stat().st_mtime_ns, sha256_file(path)) for path in store.root.rglob("*") if path.is_file()} == before


def test_of_two_candles_for_one_bar_in_a_batch_the_last_wins(store: ParquetCandleStore) -> None:
    first, second = bar(DAILY, at(2024, 1), 5.0), bar(DAILY, at(2024, 1), 6.0)
    assert store.write(DAILY, [first, second], source="test") == WriteReport(added=1, months=1)
    assert store.write(DAILY, [first], source="test") == WriteReport(revised=1, months=1)
    assert store.read(DAILY, *ALWAYS) == [first]


def test_stragglers_are_stored_as_the_bars_they_are(store: ParquetCandleStore) -> None:
    whole = bar(DAILY, at(2024, 1))
    late = msgspec.structs.replace(whole, instant=whole.end + 5 * MINUTE_NS, held_ns=7)
    store.write(DAILY, [late], source="test")
    assert store.read(DAILY, *ALWAYS) == [whole]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_files_and_folders_are_not_for_everyone(store: ParquetCandleStore) -> None:
    before = os.umask(0)
    try:
        store.write(DAILY, bars(DAILY, at(2024, 1), 1), source="test")
    finally:
        os.umask(before)
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in [store.root, *store.root.rglob("*")]}
    assert modes == {True: 0o750, False: 0o640}


def test_warm_up_rows_have_a_digest_of_their_content() -> None:
    rows = bars(DAILY, at(2024, 1), 3)
    assert digest_rows(rows) == digest_rows(tuple(rows)) != digest_rows(rows[:2])
    assert digest_rows([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


# --- what is refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"open": float("nan")}, "finite prices"),
        ({"high": float("inf")}, "finite prices"),
        ({"low": 0.0}, "finite prices above 0"),
        ({"low": -1.0}, "finite prices above 0"),
        ({"high": 100.0}, "enclose"),
        ({"low": 101.1}, "enclose"),
        ({"volume": -1.0}, "volume"),
        ({"volume": float("nan")}, "volume"),
        ({"end": at(2024, 1, 3) + 1}, "grid"),
        ({"end": 0}, "grid"),
        ({"end": -DAY_NS}, "grid"),
        ({"granularity": "1h"}, "belongs to"),
        ({"instrument": "binance:ETH/USDT"}, "belongs to"),
    ],
)
def test_a_candle_that_cannot_be_true_keeps_its_whole_batch_out(
    store: ParquetCandleStore, change: dict[str, float | int | str], words: str
) -> None:
    good, bad = bars(DAILY, at(2024, 1), 2)
    with pytest.raises(Permanent, match=words):
        store.write(DAILY, [good, msgspec.structs.replace(bad, **change)], source="test")
    assert not store.root.exists()


@pytest.mark.parametrize(
    "series",
    [
        Series("binance:../USDT", "1d"),
        Series("../x:BTC/USDT", "1d"),
        Series("binance:BTC/USDT\0", "1d"),
        Series("binance:BTC/USDT\n", "1d"),
        Series("binance:\u0412TC/USDT", "1d"),
        Series("binance:" + "B" * 300 + "/USDT", "1d"),
        Series("binance:BTC/USDT", "1w"),
        Series("binance:BTC/USDT", "../1d"),
    ],
)
def test_names_that_are_no_plain_words_never_become_a_path(store: ParquetCandleStore, series: Series) -> None:
    for call in (lambda: store.read(series, *ALWAYS), lambda: store.write(series, [], source="test")):
        with pytest.raises(ConfigError, match="expected a series"):
            call()


@pytest.mark.parametrize(("first", "second"), [(SEEDED, "exchange"), ("exchange", SEEDED)])
def test_seeded_and_real_candles_never_share_a_store(store: ParquetCandleStore, first: str, second: str) -> None:
    rows = bars(DAILY, at(2024, 1), 3)
    store.write(DAILY, rows, source=first)
    for call in (lambda: store.write(HOURLY, bars(HOURLY, at(2024, 1), 1), source=second), lambda: store.require_room_for(second)):
        with pytest.raises(ConfigError, match="never share a store"):
            call()
    assert store.series() == [DAILY]


def test_a_read_only_store_takes_nothing_and_must_be_there(store: ParquetCandleStore) -> None:
    guarded = ParquetCandleStore(store.root, read_only=True)
    with pytest.raises(ConfigError, match="expected a candle store"):
        guarded.series()
    store.write(DAILY, bars(DAILY, at(2024, 1), 2), source="test")
    with pytest.raises(ConfigError, match="read-only"):
        guarded.write(DAILY, bars(DAILY, at(2024, 1), 3), source="test")
    assert guarded.read(DAILY, *ALWAYS) == bars(DAILY, at(2024, 1), 2)


def test_both_spellings_of_an_interval_are_one() -> None:
    assert [granularity_named(text) for text in ("1d", "D1", " d1", "1H", "H4", "m15")] == ["1d", "1d", "1d", "1h", "4h", "15m"]
    for text in ("", "1w", "d", "1", "60m", "1d1"):
        with pytest.raises(ConfigError, match="expected an interval out of 30s, 1m"):
            granularity_named(text)


# --- what is damaged


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_flipped_bit_is_ever_read_as_data(store: ParquetCandleStore) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1, 20), 20), source="test")
    store.write(HOURLY, bars(HOURLY, at(2024, 1), 30), source="test")
    files = {path: path.read_bytes() for path in sorted(store.root.rglob("*")) if path.is_file()}
    window = at(2023, 12), at(2024, 4)
    truth = {series: (store.read(series, *window), store.ranges(series)) for series in store.series()}
    draw = random.Random(20240101)
    for number in range(100):
        path = draw.choice(list(files)) if number % 2 else store.root / manifest_module.FILE_NAME
        path.write_bytes(flipped(files[path], draw.randrange(len(files[path]) * 8)))
        try:
            fresh = ParquetCandleStore(store.root)
            assert {series: (fresh.read(series, *window), fresh.ranges(series)) for series in fresh.series()} == truth
            assert path.suffix == ".sqlite"
        except IntegrityError as error:
            assert str(path) in str(error)
        path.write_bytes(files[path])


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: bytes(len(content))])
def test_verifying_finds_what_reading_would_and_only_where_it_would_read(
    store: ParquetCandleStore, damage: Callable[[bytes], bytes]
) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 60), source="test")
    path = january(store)
    store.verify(DAILY, *ALWAYS)
    path.write_bytes(damage(path.read_bytes()))
    for look in (store.verify, store.read):
        with pytest.raises(IntegrityError) as caught:
            look(DAILY, at(2024, 1, 31), at(2024, 2, 3))
        assert str(path) in str(caught.value)
    store.verify(DAILY, at(2024, 2), at(2024, 3))
    path.unlink()
    with pytest.raises(IntegrityError, match="the file is gone"):
        store.verify(DAILY, *ALWAYS)


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: content + b"\0"])
def test_a_file_of_another_length_is_damaged(store: ParquetCandleStore, damage: Callable[[bytes], bytes]) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 5), source="test")
    january(store).write_bytes(damage(january(store).read_bytes()))
    with pytest.raises(IntegrityError, match=r"data\.parquet is not what was written: .*fill 20[0-9-]+ again"):
        store.read(DAILY, *ALWAYS)


def test_two_files_that_changed_places_are_both_damaged(store: ParquetCandleStore) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 60), source="test")
    february = path_of(store.root, (DAILY, 2024, 2))
    january(store).rename(store.root / "aside")
    february.rename(january(store))
    (store.root / "aside").rename(february)
    for month in (1, 2):
        with pytest.raises(IntegrityError, match=f"month=0{month}"):
            store.read(DAILY, at(2024, month), at(2024, month, 20))


def test_page_checksums_are_written_and_verified_even_where_the_digest_agrees(store: ParquetCandleStore) -> None:
    import pyarrow.parquet as pq  # type: ignore[import-untyped] # pyarrow ships no annotations

    store.write(DAILY, bars(DAILY, at(2024, 1), 31), source="test")
    column = pq.ParquetFile(january(store)).metadata.row_group(0).column(1)
    last_byte_of_its_page = column.data_page_offset + column.total_compressed_size - 1
    january(store).write_bytes(flipped(january(store).read_bytes(), 8 * last_byte_of_its_page))
    with writing(store.root) as writer:
        (file,) = writer.manifest.current.values()
        writer.commit([msgspec.structs.replace(file, sha256=sha256_file(january(store)))])
    with pytest.raises(IntegrityError, match=r"data\.parquet .*row group 0 cannot be read \(.*CRC"):
        store.read(DAILY, *ALWAYS)


def test_a_missing_file_is_named_with_what_to_do(store: ParquetCandleStore) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 40), source=SEEDED)
    january(store).unlink()
    with pytest.raises(
        IntegrityError, match=r"month=01.*expected 31 candles.*the file is gone; fill 2024-01 again with `dudzian seed-paper-cache`"
    ):
        store.read(DAILY, *ALWAYS)
    assert len(store.read(DAILY, at(2024, 2), at(2024, 3))) == 9


def test_a_file_the_manifest_does_not_know_is_an_error_and_is_never_overwritten(store: ParquetCandleStore) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 60), source="test")
    stranger = path_of(store.root, (DAILY, 2024, 4))
    stranger.parent.mkdir(parents=True)
    shutil.copy(january(store), stranger)
    with pytest.raises(IntegrityError, match=r"month=04.*does not know this file"):
        store.read(DAILY, *ALWAYS)
    with pytest.raises(IntegrityError, match="move it away"):
        store.write(DAILY, bars(DAILY, at(2024, 4), 30), source="test")
    assert len(store.read(DAILY, at(2024, 1), at(2024, 4))) == 60


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks need a privilege there")
def test_a_symlink_in_the_place_of_a_file_is_refused(store: ParquetCandleStore) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 5), source="test")
    january(store).rename(store.root / "moved")
    january(store).symlink_to(store.root / "moved")
    for call in (lambda: store.read(DAILY, *ALWAYS), lambda: store.write(DAILY, bars(DAILY, at(2024, 1), 6), source="test")):
        with pytest.raises(ConfigError, match="found a symlink"):
            call()


def test_a_damaged_month_is_replaced_only_by_candles_that_cover_all_it_held(store: ParquetCandleStore) -> None:
    rows = bars(DAILY, at(2024, 1), 20)
    store.write(DAILY, rows, source="test")
    january(store).write_bytes(b"rubbish")
    for part in (rows[:19], rows[1:], [*rows[:5], *bars(DAILY, at(2024, 1, 21), 11)]):
        with pytest.raises(IntegrityError):
            store.write(DAILY, part, source="test")
    assert store.write(DAILY, bars(DAILY, at(2024, 1), 31), source="test").added == 31
    assert store.read(DAILY, *ALWAYS) == bars(DAILY, at(2024, 1), 31)


# --- who else is at work


def test_a_reader_sees_what_another_writer_wrote_in_the_meantime(store: ParquetCandleStore) -> None:
    reader = ParquetCandleStore(store.root)
    for count in (3, 5, 40):
        store.write(DAILY, bars(DAILY, at(2024, 1), count), source="test")
        assert reader.read(DAILY, *ALWAYS) == bars(DAILY, at(2024, 1), count)


def test_two_writers_at_once_lose_nothing(store: ParquetCandleStore) -> None:
    rows = bars(DAILY, at(2024, 1), 31)
    failures: list[BaseException] = []

    def write(part: list[Candle]) -> None:
        try:
            for candle in part:
                ParquetCandleStore(store.root).write(DAILY, [candle], source="test")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=write, args=(rows[start::3],)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.read(DAILY, *ALWAYS) == rows


def test_a_writer_that_takes_too_long_is_named_and_can_be_waited_for(store: ParquetCandleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(DAILY, bars(DAILY, at(2024, 1), 2), source="test")
    monkeypatch.setattr(manifest_module, "PATIENCE_S", 0.01)
    with writing(store.root):
        for call in (ParquetCandleStore(store.root).series, lambda: store.write(DAILY, bars(DAILY, at(2024, 1), 3), source="test")):
            with pytest.raises(Retryable, match="held by another writer"):
                call()
    assert store.write(DAILY, bars(DAILY, at(2024, 1), 3), source="test").added == 1


# --- what a kill leaves behind

CHILD = """
import sys
from pathlib import Path
import msgspec
from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.domain.market import Candle, Series
rows = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Candle])
ParquetCandleStore(Path(sys.argv[1])).write(Series(rows[0].instrument, rows[0].granularity), rows, source="test")
"""


def write_in_child(root: Path, rows: list[Candle], **variables: str) -> int:
    command = [sys.executable, "-c", CHILD, str(root)]
    return subprocess.run(command, input=msgspec.json.encode(rows), env={**os.environ, **variables}, check=False).returncode


def test_a_kill_at_any_point_leaves_the_old_or_the_new_month_and_the_next_write_finishes(tmp_path: Path) -> None:
    old, new = bars(DAILY, at(2024, 1), 20), bars(DAILY, at(2024, 1), 40, price=500.0)
    prepared, trace = tmp_path / "prepared", tmp_path / "trace"
    ParquetCandleStore(prepared).write(DAILY, old, source="test")
    whole = shutil.copytree(prepared, tmp_path / "whole")
    assert write_in_child(whole, new, DUDZIAN_FAULTS_TRACE=str(trace)) == 0
    visits = trace.read_text().split()
    points = [(name, visits[: place + 1].count(name)) for place, name in enumerate(visits)]
    assert len(points) == 10
    for name, visit in points:
        root = shutil.copytree(prepared, tmp_path / f"{name}{visit}")
        assert write_in_child(root, new, DUDZIAN_FAULTS=f"{name}=exit@{visit}") == 137
        store = ParquetCandleStore(root)
        found = {month: store.read(DAILY, at(2024, month), at(2024, month + 1)) for month in (1, 2)}
        assert found[1] in (old, new[:31])
        assert found[2] in ([], new[31:])
        claimed = sum(file.rows for file in load_manifest(root).current.values())
        assert claimed <= len(found[1]) + len(found[2])
        store.write(DAILY, new, source="test")
        assert store.read(DAILY, *ALWAYS) == new
        assert load_manifest(root).intended == {}
        assert [path for path in root.rglob("*") if path.name.endswith((".tmp", "-journal"))] == []


# --- the shipped sample


@pytest.fixture
def sample() -> Iterator[ParquetCandleStore]:
    before = {path: path.stat().st_mtime_ns for path in sample_root().rglob("*")}
    yield ParquetCandleStore(sample_root(), read_only=True)
    assert {path: path.stat().st_mtime_ns for path in sample_root().rglob("*")} == before


def test_the_sample_holds_what_its_provenance_says(sample: ParquetCandleStore) -> None:
    hours, days = (at(2024, 7) - at(2024, 1)) // HOUR_NS, (at(2024, 7) - at(2024, 1)) // DAY_NS
    assert (hours, days) == (4368, 182)
    found = {
        series: [sum(stored.rows for stored in sample.ranges(series)), len(sample.read(series, *ALWAYS))] for series in sample.series()
    }
    assert found == {
        Series(f"binance:{base}/USDT", granularity): [count, count]
        for base in ("BTC", "ETH", "LTC", "MATIC", "SOL", "XRP")
        for granularity, count in (("1d", days + 1143 * (base == "BTC")), ("1h", hours))
    }
    assert sample.ranges(DAILY) == [StoredRange(at(2018, 1), at(2021, 2, 17), 1143), StoredRange(at(2024, 1), at(2024, 7), 182)]
    provenance = (sample_root().parent / "PROVENANCE.md").read_text(encoding="utf-8")
    sources = {file.source for file in load_manifest(sample_root(), immutable=True).current.values()}
    for source in sources:
        repository, _, commit = source.partition("@")
        assert re.search(rf"{re.escape(repository)} {commit}[0-9a-f]+ \|", provenance)
    assert "historical exchange data" in provenance


def test_the_sample_stays_small() -> None:
    assert sum(path.stat().st_size for path in sample_root().parent.rglob("*") if path.is_file()) <= 3_000_000
