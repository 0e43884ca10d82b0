"""300 flipped bits in month files and manifest: nothing wrong is ever read, what was not touched reads equal, the rest can be had again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.candle_files import path_of
from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.manifest import FILE_NAME, SEEDED, load_manifest
from dudzian_daemon.adapters.manifest_rebuild import rebuild_manifest
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import Candle, Series
from tests.unit.app.coverage.real_store import at, bars

SERIES = [Series(f"binance:{base}/USDT", granularity) for base in ("BTC", "ETH") for granularity in ("1d", "1h")]
START, END = at("2024-01-01T00:00:00"), at("2024-03-01T00:00:00")
ALWAYS = (at("2023-12-01T00:00:00"), END)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Series, list[Candle]]]:
    store = ParquetCandleStore(tmp_path_factory.mktemp("truth") / "ohlcv")
    for series in SERIES:
        store.write(series, bars(series, START, END), source="binance")
    return store.root, {series: store.read(series, *ALWAYS) for series in SERIES}


@pytest.fixture
def store(tmp_path: Path, truth: tuple[Path, dict[Series, list[Candle]]]) -> ParquetCandleStore:
    shutil.copytree(truth[0], tmp_path / "ohlcv")
    return ParquetCandleStore(tmp_path / "ohlcv")


def flip(path: Path, draw: random.Random) -> bytes:
    """Flip one bit of the file; what it held."""
    content = path.read_bytes()
    bit = draw.randrange(len(content) * 8)
    path.write_bytes(content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :])
    return content


def test_150_flips_in_month_files(store: ParquetCandleStore, truth: tuple[Path, dict[Series, list[Candle]]]) -> None:
    draw, named = random.Random(20240611), 0
    paths = [path_of(store.root, (series, 2024, month)) for series in SERIES for month in (1, 2)]
    for _ in range(150):
        path = draw.choice(paths)
        content = flip(path, draw)
        damaged = next(series for series in SERIES if path in {path_of(store.root, (series, 2024, month)) for month in (1, 2)})
        with pytest.raises(IntegrityError) as told:
            store.read(damaged, *ALWAYS)
        assert str(path) in str(told.value)
        named += "row group 0" in str(told.value)
        assert "row group" in str(told.value) or "footer" in str(told.value)
        untouched = draw.choice([series for series in SERIES if series != damaged])
        assert store.read(untouched, *ALWAYS) == truth[1][untouched]
        path.write_bytes(content)
    assert named > 40  # small files are half footer; a flip in a page names its row group


def test_150_flips_in_the_manifest(store: ParquetCandleStore, truth: tuple[Path, dict[Series, list[Candle]]]) -> None:
    draw, path, noticed = random.Random(611), store.root / FILE_NAME, 0
    for _ in range(150):
        content = flip(path, draw)
        try:
            found = ParquetCandleStore(store.root).read(draw.choice(SERIES), *ALWAYS)
        except IntegrityError as error:
            noticed += 1
            assert str(path) in str(error)
        else:
            # a flip where SQLite keeps nothing of ours: what is read is still true
            assert found in truth[1].values()
        path.write_bytes(content)
    assert noticed > 10


def test_the_bad_part_is_moved_away_and_can_be_filled_again(
    store: ParquetCandleStore, truth: tuple[Path, dict[Series, list[Candle]]]
) -> None:
    draw, series = random.Random(7), SERIES[1]
    bad = path_of(store.root, (series, 2024, 2))
    good = flip(bad, draw)
    (moved,) = store.quarantine_damaged(series)
    assert not bad.exists()
    assert moved.name.startswith("data.")
    left = store.read(series, *ALWAYS)
    assert left == [
        row for row in truth[1][series] if not at("2024-02-01T00:00:00") <= row.end - series.step_ns < at("2024-03-01T00:00:00")
    ]
    assert store.quarantine_damaged(series) == []
    store.write(series, truth[1][series], source="binance")
    assert store.read(series, *ALWAYS) == truth[1][series]
    assert bad.read_bytes() == good


def test_a_file_that_is_gone_is_forgotten_and_one_that_nobody_knows_moved_away(store: ParquetCandleStore) -> None:
    series, other = SERIES[0], SERIES[2]
    path_of(store.root, (series, 2024, 1)).unlink()
    stranger = path_of(store.root, (series, 2023, 12))
    stranger.parent.mkdir(parents=True)
    shutil.copy(path_of(store.root, (other, 2024, 1)), stranger)
    (moved,) = store.quarantine_damaged(series)
    assert (moved.is_file(), stranger.exists()) == (True, False)
    assert store.read(series, *ALWAYS)[0].end - series.step_ns == at("2024-02-01T00:00:00")


def test_a_damaged_manifest_is_made_anew_from_files_that_prove_themselves(
    store: ParquetCandleStore, truth: tuple[Path, dict[Series, list[Candle]]]
) -> None:
    assert rebuild_manifest(store.root, source="binance") is None
    path, series = store.root / FILE_NAME, SERIES[0]
    path.write_bytes(b"rubbish" * 999)
    bad = path_of(store.root, (series, 2024, 2))
    content = bad.read_bytes()
    bad.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-arroW"))
    rebuilt = rebuild_manifest(store.root, source="binance")
    assert rebuilt is not None
    assert (rebuilt.files, len(rebuilt.moved), bad.exists()) == (7, 2, False)
    again = ParquetCandleStore(store.root)
    assert all(again.read(each, *ALWAYS) == truth[1][each] for each in SERIES[1:])
    assert again.read(series, *ALWAYS) == [row for row in truth[1][series] if row.end <= at("2024-02-01T00:00:00")]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table, pa: table.set_column(5, "volume", pa.nulls(len(table), pa.float64())), id="volumes that are not there"),
        pytest.param(lambda table, _: table.drop_columns(["volume"]), id="no volumes"),
        pytest.param(lambda table, pa: table.set_column(5, "volume", table["volume"].cast(pa.float32())), id="shorter numbers"),
        pytest.param(lambda table, _: table.slice(0, 0), id="no rows"),
        pytest.param(lambda table, _: table.take(list(reversed(range(len(table))))), id="newest first"),
    ],
)
def test_a_month_in_another_form_proves_nothing(store: ParquetCandleStore, change: Callable[[Any, Any], Any]) -> None:
    import pyarrow as pa  # type: ignore[import-untyped] # pyarrow ships no annotations
    import pyarrow.parquet as pq  # type: ignore[import-untyped] # pyarrow ships no annotations

    path = path_of(store.root, (SERIES[0], 2024, 1))
    pq.write_table(change(pq.ParquetFile(path).read(), pa), path)
    (store.root / FILE_NAME).write_bytes(b"rubbish" * 999)
    rebuilt = rebuild_manifest(store.root, source="binance")
    assert rebuilt is not None
    assert (rebuilt.files, path.exists()) == (7, False)


def test_made_up_candles_do_not_become_real_ones(tmp_path: Path) -> None:
    store = ParquetCandleStore(tmp_path)
    store.write(SERIES[0], bars(SERIES[0], START, END), source=SEEDED)
    path = tmp_path / FILE_NAME
    flip_until_noticed(path)
    with pytest.raises(ConfigError, match="made-up candles"):
        rebuild_manifest(tmp_path, source="binance")
    assert path.exists()


def flip_until_noticed(path: Path) -> None:
    draw, content = random.Random(3), path.read_bytes()
    while True:
        flip(path, draw)
        try:
            load_manifest(path.parent)
        except IntegrityError:
            return
        path.write_bytes(content)
