"""Live candles in the store: durable one by one, read with the month files, compacted at the day's end, never lost or doubled."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, StoredRange
from dudzian_daemon.adapters.manifest import SEEDED
from dudzian_daemon.domain.errors import ConfigError, IntegrityError, Permanent
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series
from tests.unit.app.coverage.real_store import at, bar, bars

HOURS = Series("binance:BTC/USDT", "1h")
ALWAYS = (at("2017-01-01T00:00:00"), at("2025-01-01T00:00:00"))
MIDNIGHT = at("2024-03-05T00:00:00")


@pytest.fixture
def store(tmp_path: Path) -> ParquetCandleStore:
    return ParquetCandleStore(tmp_path / "ohlcv")


def append(store: ParquetCandleStore, rows: list[Candle]) -> list[bool]:
    return [store.append_live(HOURS, row, source="binance") for row in rows]


def day_files(store: ParquetCandleStore) -> list[Path]:
    return sorted(store.root.glob("_live/*/*/*/*.jsonl"))


def test_what_was_appended_is_read_at_once_by_everyone(store: ParquetCandleStore) -> None:
    rows = bars(HOURS, MIDNIGHT, MIDNIGHT + 5 * HOUR_NS)
    assert append(store, rows) == [True] * 5
    assert append(store, [rows[2], bar(HOURS, MIDNIGHT, 7.0)]) == [False, False]
    other = ParquetCandleStore(store.root)
    assert other.read(HOURS, *ALWAYS) == rows
    assert other.read(HOURS, MIDNIGHT + HOUR_NS, MIDNIGHT + 3 * HOUR_NS) == rows[1:3]
    assert other.series() == [HOURS]
    assert [path.relative_to(store.root).as_posix() for path in day_files(store)] == ["_live/binance/BTC_USDT/1h/2024-03-05.jsonl"]


def test_month_files_and_day_files_are_one_series(store: ParquetCandleStore) -> None:
    rows = bars(HOURS, MIDNIGHT - 4 * HOUR_NS, MIDNIGHT + 6 * HOUR_NS)
    store.write(HOURS, rows[:6], source="binance")
    append(store, rows[4:8])
    append(store, rows[9:])
    assert store.read(HOURS, *ALWAYS) == [*rows[:8], rows[9]]
    assert store.ranges(HOURS) == [
        StoredRange(MIDNIGHT - 4 * HOUR_NS, MIDNIGHT + 4 * HOUR_NS, 8),
        StoredRange(MIDNIGHT + 5 * HOUR_NS, MIDNIGHT + 6 * HOUR_NS, 1),
    ]


def test_a_day_is_compacted_when_it_is_over_and_nothing_changes_for_readers(store: ParquetCandleStore) -> None:
    rows = bars(HOURS, MIDNIGHT - 3 * HOUR_NS, MIDNIGHT + 3 * HOUR_NS)
    append(store, rows)
    assert len(day_files(store)) == 2
    report = store.compact_live(HOURS, MIDNIGHT + 3 * HOUR_NS)
    assert (report.added, report.months) == (3, 1)
    assert [path.stem for path in day_files(store)] == ["2024-03-05"]
    assert store.read(HOURS, *ALWAYS) == rows
    store.compact_live(HOURS, MIDNIGHT + DAY_NS)
    assert day_files(store) == []
    assert ParquetCandleStore(store.root).read(HOURS, *ALWAYS) == rows
    assert store.sources == {"binance"}


def test_the_month_that_a_day_joins_does_not_become_objects(store: ParquetCandleStore) -> None:
    minutes = Series("binance:BTC/USDT", "1m")
    last_day = at("2024-01-31T00:00:00")
    store.write(minutes, bars(minutes, at("2024-01-01T00:00:00"), last_day), source="binance")
    for row in bars(minutes, last_day, last_day + 3 * HOUR_NS):
        store.append_live(minutes, row, source="binance")
    tracemalloc.start()
    try:
        store.compact_live(minutes, last_day + DAY_NS)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6e6  # the month's numbers are 2 MB, the same as dictionaries of floats were 21 MB
    assert store.files(minutes)[0].rows == 30 * 1440 + 180


def test_a_kill_between_writing_and_removing_changes_nothing(store: ParquetCandleStore) -> None:
    rows = bars(HOURS, MIDNIGHT, MIDNIGHT + 4 * HOUR_NS)
    append(store, rows)
    (path,) = day_files(store)
    content = path.read_bytes()
    store.compact_live(HOURS, MIDNIGHT + DAY_NS)
    path.write_bytes(content)
    assert store.read(HOURS, *ALWAYS) == rows
    report = store.compact_live(HOURS, MIDNIGHT + DAY_NS)
    assert (report.added, report.revised, day_files(store), store.revisions(HOURS)) == (0, 0, [], [])


def test_of_two_values_the_month_files_stays_and_the_other_is_kept(store: ParquetCandleStore) -> None:
    append(store, [bar(HOURS, MIDNIGHT, 100.0), bar(HOURS, MIDNIGHT + HOUR_NS, 101.0)])
    final = bar(HOURS, MIDNIGHT, 100.5)
    store.write(HOURS, [final], source="binance")
    assert store.read(HOURS, *ALWAYS)[0] == final
    store.compact_live(HOURS, MIDNIGHT + DAY_NS)
    assert store.read(HOURS, *ALWAYS) == [final, bar(HOURS, MIDNIGHT + HOUR_NS, 101.0)]
    (kept,) = store.revisions(HOURS)
    assert (kept.open_ms, kept.values[0], kept.replaced_by[0]) == (MIDNIGHT // 10**6, 100.0, 100.5)


def test_every_revision_is_a_version(store: ParquetCandleStore) -> None:
    for price in (100.0, 101.0, 101.0, 102.0):
        store.write(HOURS, [bar(HOURS, MIDNIGHT, price)], source="binance")
    assert [(each.values[0], each.replaced_by[0]) for each in store.revisions(HOURS)] == [(100.0, 101.0), (101.0, 102.0)]
    assert store.read(HOURS, *ALWAYS) == [bar(HOURS, MIDNIGHT, 102.0)]


def test_a_torn_line_is_cut_off_and_the_candle_can_come_again(store: ParquetCandleStore) -> None:
    rows = bars(HOURS, MIDNIGHT, MIDNIGHT + 3 * HOUR_NS)
    append(store, rows)
    (path,) = day_files(store)
    path.write_bytes(path.read_bytes()[:-9])
    assert store.read(HOURS, *ALWAYS) == rows[:2]
    assert append(store, [rows[2]]) == [True]
    assert store.read(HOURS, *ALWAYS) == rows


def _flipped(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


def _without_second_line(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([lines[0], *lines[2:]])


@pytest.mark.parametrize("damage", [_flipped, _without_second_line])
def test_any_other_damage_names_file_and_line_and_can_be_moved_away(store: ParquetCandleStore, damage: Callable[[bytes], bytes]) -> None:
    append(store, bars(HOURS, MIDNIGHT, MIDNIGHT + 4 * HOUR_NS))
    (path,) = day_files(store)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(IntegrityError, match=r"2024-03-05\.jsonl is not what was written: line [12]"):
        store.read(HOURS, *ALWAYS)
    (moved,) = store.quarantine_damaged(HOURS)
    assert moved.is_file()
    assert store.read(HOURS, *ALWAYS) == []


def test_what_cannot_be_true_or_does_not_belong_is_refused(store: ParquetCandleStore, tmp_path: Path) -> None:
    with pytest.raises(Permanent):
        store.append_live(HOURS, bar(HOURS, MIDNIGHT, -1.0), source="binance")
    with pytest.raises(Permanent):
        store.append_live(HOURS, bar(Series("binance:ETH/USDT", "1h"), MIDNIGHT), source="binance")
    append(store, bars(HOURS, MIDNIGHT, MIDNIGHT + HOUR_NS))
    with pytest.raises(ConfigError, match="never share a store"):
        store.write(HOURS, bars(HOURS, MIDNIGHT, MIDNIGHT + HOUR_NS), source=SEEDED)
    seeded = ParquetCandleStore(tmp_path / "seeded")
    seeded.write(HOURS, bars(HOURS, MIDNIGHT, MIDNIGHT + HOUR_NS), source=SEEDED)
    with pytest.raises(ConfigError, match="never share a store"):
        seeded.append_live(HOURS, bar(HOURS, MIDNIGHT), source="binance")
