"""The arbitrage on real prices of two venues: Binance BTC/USDT against Bitstamp BTC/USD, hour by hour.

`DUDZIAN_TEST_DATA=<folder> pytest -m long -s tests/long/test_two_real_venues.py`: the folder holds `ohlcv*/<venue>/<PAIR>/1h_*.parquet`
with columns ts_ms (open of the bar, ms), open, high, low, close, volume. A dollar is taken for a USDT: their basis is part of the spread.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no type information
import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.app.backtest.run import BacktestOptions, run
from dudzian_daemon.domain.market import HOUR_NS, Candle, Series
from tests.integration.daemon_process import DEMO_WINDOWS, write_config

pytestmark = pytest.mark.long

PAIR = "BTC/USDT"
WINDOW = "        - {start: 2020-01-01, end: 2021-01-01, instruments: [BTC_USDT], granularity: 1h}"
BINANCE = 'binance: {symbol: BTCUSDT, tick_size: "0.01", lot_size: "0.00001", min_quantity: "0.00001", min_notional: "5"}\n'
BITSTAMP = BINANCE.replace("binance:", "      bitstamp:")
DERIVED = "    derived_venues:\n      binance_mirror: {source: binance, basis_bps: 80, period_bars: 8, seed: 20240108}\n"


def stored(folder: Path, venue: str, pattern: str) -> list[Candle]:
    (path,) = folder.glob(pattern)
    columns = pq.read_table(path).to_pydict()
    return [
        Candle(end := opened * 1_000_000 + HOUR_NS, f"{venue}:{PAIR}", "1h", end, *bar)
        for opened, *bar in zip(*(columns[name] for name in ("ts_ms", "open", "high", "low", "close", "volume")), strict=True)
    ]


def test_the_arbitrage_trades_both_legs_on_two_real_venues(tmp_path: Path) -> None:
    given = os.environ.get("DUDZIAN_TEST_DATA")
    if given is None:
        pytest.skip("DUDZIAN_TEST_DATA names no folder")
    store = ParquetCandleStore(tmp_path / "data" / "var" / "two")
    for venue, pattern in (
        ("binance", "ohlcv*/binance/BTC-USDT/1h_to_2021-04.parquet"),
        ("bitstamp", "ohlcv/bitstamp/BTC-USD/1h_*.parquet"),
    ):
        store.write(Series(f"{venue}:{PAIR}", "1h"), stored(Path(given), venue, pattern), source="long check")
    config = write_config(
        tmp_path,
        candles=("    candle_source: sample\n", "    candle_source: cache\n    data_cache_path: var/two\n"),
        windows=(DEMO_WINDOWS, WINDOW),
        derived=(DERIVED, ""),
        venues=("venues: [binance, binance_mirror]", "venues: [binance, bitstamp]"),
        bucket=("demo_pair: {symbols: [ETH_USDT]", "demo_pair: {symbols: [BTC_USDT]"),
    )
    instruments = config.parent / "instruments.yaml"
    instruments.write_text(instruments.read_text(encoding="utf-8").replace(BINANCE, f"{BINANCE}{BITSTAMP}", 1), encoding="utf-8")

    found = run(BacktestOptions(config=config, data_dir=tmp_path / "data", strategies=("demo_cross_exchange",)), {})

    venues = {trip.instrument.partition(":")[0] for trip in found.trades}
    pairs = {(trip.opened_at, trip.instrument.partition(":")[0]) for trip in found.trades}
    total = found.statistics.total
    assert venues == {"binance", "bitstamp"}
    lone = [trip for trip in found.trades for other in venues if (trip.opened_at, other) not in pairs]
    for trip in lone:  # its other leg found no price: that venue stood still, and the core unwound what it had on the next price
        (other,) = venues - {trip.instrument.partition(":")[0]}
        assert store.read(Series(f"{other}:{PAIR}", "1h"), trip.opened_at, trip.opened_at + HOUR_NS) == []
        assert trip.closed_at - trip.opened_at == HOUR_NS
    assert found.open_positions == ()
    assert found.synthetic == ()
    sys.stdout.write(f"{total.round_trips} round trips, {len(lone)} of a leg that stayed alone, profit {total.profit}, fees {total.fees}\n")
