"""W6: 90 days of one symbol, and everything, from our candle store and from pyarrow.dataset on the same files.

    python benchmarks/store.py [--symbols 8] [--candles 70128] [--runs 21] [--folder DIR]

Prints one JSON document: median CPU milliseconds, and our share of pyarrow.dataset's. Ours checks digest and page
checksums and ends in `Candle` objects; the dataset checks nothing and ends in a table, and for `*_candles_*` in the same
objects. A folder that holds the store already is used as it is. Goals: `range_ratio` <= 0.25, `all_candles_ratio` <= 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from dudzian_daemon.adapters.candle_files import candles_between, folder_of
from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series

SYMBOLS = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "LTC", "MATIC")
START = 1_388_534_400 * 10**9  # 2014-01-01
RANGE_START = START + 63 * DAY_NS
RANGE_END = RANGE_START + 90 * DAY_NS


def candles(series: Series, count: int) -> list[Candle]:
    """A saw-tooth with cents: as many different digits as real prices have."""
    made = []
    for number in range(count):
        middle = 20_000 + (number * 7_919) % 100_003 / 100
        values = (middle, middle + number % 97 / 10, middle - number % 89 / 10, middle, 1 + number % 10_007 / 1_000)
        end = START + (number + 1) * HOUR_NS
        made.append(Candle(end, series.instrument, series.granularity, end, *values))
    return made


def cpu_ms(call: Callable[[], object], runs: int) -> float:
    """Median CPU time of a call in milliseconds, threads included; the first call is not counted."""
    call()
    times = []
    for _ in range(runs):
        before = time.process_time()
        call()
        times.append(time.process_time() - before)
    return statistics.median(times) * 1e3


def measured(folder: Path, names: tuple[str, ...], count: int, runs: int) -> dict[str, Any]:
    """All figures of one store; it is filled first where it is empty."""
    store = ParquetCandleStore(folder)
    all_series = [Series(f"binance:{name}/USDT", "1h") for name in names]
    before = time.process_time()
    for series in all_series:
        if not store.ranges(series):
            store.write(series, candles(series, count), source="benchmark")
    write_s = time.process_time() - before
    one, end = all_series[min(1, len(names) - 1)], START + count * HOUR_NS
    partitioning = pds.partitioning(pa.schema([("year", pa.int32()), ("month", pa.int32())]), flavor="hive")
    open_time = pc.field("open_time")
    wanted = (open_time >= RANGE_START // 10**6) & (open_time < RANGE_END // 10**6)

    def dataset(series: Series) -> Any:
        return pds.dataset(folder_of(folder, series), partitioning=partitioning)

    def candles_of(series: Series) -> list[Candle]:
        table = dataset(series).to_table()
        return candles_between(series, [column.to_pylist() for column in table.columns[:6]], START, end)

    assert len(store.read(one, RANGE_START, RANGE_END)) == dataset(one).to_table(filter=wanted).num_rows
    assert candles_of(one) == store.read(one, START, end)
    ours = cpu_ms(lambda: store.read(one, RANGE_START, RANGE_END), runs)
    theirs = cpu_ms(lambda: dataset(one).to_table(filter=wanted), runs)
    ours_all = cpu_ms(lambda: [store.read(series, START, end) for series in all_series], max(3, runs // 7))
    theirs_all = cpu_ms(lambda: [dataset(series).to_table() for series in all_series], max(3, runs // 7))
    theirs_candles = cpu_ms(lambda: [candles_of(series) for series in all_series], max(3, runs // 7))
    return {
        "symbols": len(names),
        "candles": count,
        "runs": runs,
        "write_cpu_s": round(write_s, 2),
        "bytes_per_candle": round(sum(path.stat().st_size for path in folder.rglob("*.parquet")) / (count * len(names)), 1),
        "range_ms": round(ours, 2),
        "range_dataset_ms": round(theirs, 2),
        "range_ratio": round(ours / theirs, 3),
        "all_ms": round(ours_all, 1),
        "all_dataset_ms": round(theirs_all, 1),
        "all_dataset_candles_ms": round(theirs_candles, 1),
        "all_candles_ratio": round(ours_all / theirs_candles, 3),
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=8, choices=range(1, 9), metavar="1..8")
    parser.add_argument("--candles", type=int, default=70_128)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = measured(options.folder or Path(temporary), SYMBOLS[: options.symbols], options.candles, options.runs)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
