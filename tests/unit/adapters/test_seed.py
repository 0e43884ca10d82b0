"""Made-up candles: the same everywhere and in every window, plausible, and never where real ones are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, WriteReport
from dudzian_daemon.adapters.seed import SeedSeries, SeedWindow, cache_of, planned, seed_store, seeded_candles
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.config.load import load
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, GRANULARITIES, HOUR_NS, Candle, Instrument, Series

START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9
PAPER = Environment(mode="paper", exchange="binance", data_cache_path="var/cache", risk_profile="balanced", scheduler="core")


def instrument(base: str, tick: str = "0.01", lot: str = "0.00001") -> Instrument:
    return Instrument("binance", f"{base}/USDT", base, "USDT", Decimal(tick), Decimal(lot), Decimal(lot), Decimal(5))


BTC, XRP, NEW = instrument("BTC"), instrument("XRP", "0.0001", "0.1"), instrument("NEW", "0.5", "1")


def window(days: int = 60, *, granularity: str = "1d", start: int = START, seed: int = 0) -> SeedWindow:
    return SeedWindow(granularity=granularity, start=start, end=start + days * DAY_NS, seed=seed)


def test_the_first_candles_are_known_for_ever() -> None:
    first, second = seeded_candles(BTC, window(2))
    assert first == Candle(START + DAY_NS, BTC.key, "1d", START + DAY_NS, 37370.55, 37613.76, 36970.07, 37613.76, 1665.77998)
    assert second == Candle(START + 2 * DAY_NS, BTC.key, "1d", START + 2 * DAY_NS, 37613.76, 38184.61, 37451.3, 37531.05, 1527.62614)


@settings(max_examples=20)
@given(st.integers(0, 20), st.integers(1, 10), st.sampled_from(["1h", "4h", "1d"]), st.integers())
def test_a_window_is_a_cut_of_every_window_that_holds_it(skip: int, days: int, granularity: str, seed: int) -> None:
    outer = seeded_candles(XRP, window(skip + days + 3, granularity=granularity, seed=seed))
    inner = window(days, granularity=granularity, start=START + skip * DAY_NS, seed=seed)
    assert seeded_candles(XRP, inner) == [candle for candle in outer if inner.start < candle.end <= inner.end]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("traded", [BTC, XRP, NEW], ids=lambda traded: str(traded.base))
def test_candles_are_whole_closed_and_plausible(granularity: str, traded: Instrument) -> None:
    chosen = SeedWindow(granularity=granularity, start=START, end=START + 100 * GRANULARITIES[granularity], seed=3)
    candles = seeded_candles(traded, chosen)
    assert [candle.end for candle in candles] == [START + number * GRANULARITIES[granularity] for number in range(1, 101)]
    for candle, following in pairwise(candles):
        assert following.open == candle.close
        assert abs(candle.close / candle.open - 1) < 0.2
    for candle in candles:
        assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        for price in (candle.open, candle.high, candle.low, candle.close):
            assert Decimal(repr(price)) % traded.tick_size == 0
        assert candle.volume > 0
        assert Decimal(repr(candle.volume)) % traded.lot_size == 0
    assert len({candle.close for candle in candles}) >= 4


def test_prices_stay_around_the_base_price_for_decades() -> None:
    closes = [candle.close for candle in seeded_candles(BTC, window(3000, start=0))]
    assert min(closes) / 42_000 > 0.4
    assert max(closes) / 42_000 < 1.6


def test_seed_instrument_and_time_each_make_another_market() -> None:
    shape = [candle.close / candle.open for candle in seeded_candles(BTC, window(10))]
    others = [(BTC, window(10, seed=1)), (instrument("ETH"), window(10)), (BTC, window(10, start=START + DAY_NS))]
    for traded, chosen in others:
        assert [candle.close / candle.open for candle in seeded_candles(traded, chosen)] != shape


def test_bars_begin_and_end_inside_the_window() -> None:
    chosen = SeedWindow(granularity="4h", start=START + HOUR_NS, end=START + 13 * HOUR_NS - 1, seed=0)
    assert [candle.end - START for candle in seeded_candles(BTC, chosen)] == [8 * HOUR_NS, 12 * HOUR_NS]


def test_a_second_venue_follows_the_first_and_strays_a_little() -> None:
    chosen = window(1, granularity="30s")
    there = msgspec.structs.replace(BTC, venue="kraken", tick_size=Decimal("0.1"))
    first, second = seeded_candles(BTC, chosen), seeded_candles(there, chosen, market=BTC.key)
    apart = [(other.close / candle.close - 1.0) * 10_000 for candle, other in zip(first, second, strict=True)]
    assert max(map(abs, apart)) <= 22.5
    assert min(apart) < -10
    assert max(apart) > 10
    assert max(abs(after - before) for before, after in pairwise(apart)) < 1.0, "no jumps"
    assert {candle.instrument for candle in second} == {there.key}


def of(instrument: Instrument, window: SeedWindow) -> SeedSeries:
    return SeedSeries(instrument=instrument, window=window, market=instrument.key)


def test_seeding_more_adds_and_never_revises(tmp_path: Path) -> None:
    store = ParquetCandleStore(tmp_path)
    told: list[SeedSeries] = []
    both = [of(BTC, window(30)), of(XRP, window(30))]
    days = [each.series for each in both]
    assert seed_store(store, both, done=told.append) == dict.fromkeys(days, WriteReport(added=30, months=1))
    assert told == both
    earlier = of(BTC, window(90, start=START - 30 * DAY_NS))
    assert seed_store(store, [earlier], done=told.append) == {days[0]: WriteReport(added=60, unchanged=30, months=3)}
    assert store.read(days[0], 0, START + 365 * DAY_NS) == seeded_candles(BTC, earlier.window)


def test_a_dry_run_writes_nothing_but_refuses_as_the_real_one(tmp_path: Path) -> None:
    store = ParquetCandleStore(tmp_path / "cache")
    plan = [of(BTC, window())]
    assert seed_store(store, plan, done=lambda _: None, dry_run=True) == {plan[0].series: WriteReport(added=60)}
    assert not store.root.exists()
    store.write(plan[0].series, seeded_candles(BTC, window(1)), source="exchange")
    with pytest.raises(ConfigError, match="never share a store"):
        seed_store(store, plan, done=lambda _: None, dry_run=True)


# -- which series ------------------------------------------------------------------------------------------------------

CONFIG = load(Path(__file__).parents[3] / "config" / "core.yaml", env={}).config


def plan(
    environment: str = "binance_paper", days: int = 60, most_rows: int = 20_000, granularities: Sequence[str] = ()
) -> list[SeedSeries]:
    end = START + days * DAY_NS
    return planned(CONFIG, environment, START, end, seed=0, most_rows=most_rows, granularities=granularities)


def test_every_series_that_is_scheduled_is_planned_and_days_of_everything() -> None:
    found = {each.series for each in plan()}
    days = {Series(instrument.key, "1d") for instrument in CONFIG.universe("binance_paper")}
    assert len(days) == 8
    scheduled = {
        Series("binance:BTC/USDT", "5m"),
        Series("binance:ETH/USDT", "5m"),
        Series("binance:BTC/USDT", "30s"),
        Series("kraken:BTC/USDT", "30s"),
    }
    assert found == days | scheduled
    assert {each.instrument.key: each.market for each in plan()}["kraken:BTC/USDT"] == "binance:BTC/USDT"


def test_chosen_granularities_are_of_every_instrument_and_of_the_other_venues_that_take_them() -> None:
    assert {(each.instrument.venue, each.window.granularity) for each in plan(granularities=["1h"])} == {("binance", "1h")}
    halves = plan(granularities=["30s", "1h"])
    assert [each.instrument.venue for each in halves].count("kraken") == 1
    assert len(halves) == 8 + 8 + 1


def test_a_derived_venue_needs_no_candles() -> None:
    assert {each.instrument.venue for each in plan("demo")} == {"binance"}


@pytest.mark.parametrize(
    ("most_rows", "granularity", "kept_ns"),
    [
        (20_000, "1d", 60 * DAY_NS),
        (20_000, "30s", 6 * DAY_NS),  # 2,880 a day
        (17_279, "5m", 59 * DAY_NS),  # 288 a day
        (100, "30s", 3_000 * 10**9),  # less than a day
    ],
)
def test_a_long_series_gets_its_last_rows_in_whole_days(most_rows: int, granularity: str, kept_ns: int) -> None:
    windows = {each.window for each in plan(most_rows=most_rows) if each.window.granularity == granularity}
    assert windows == {SeedWindow(granularity=granularity, start=START + 60 * DAY_NS - kept_ns, end=START + 60 * DAY_NS, seed=0)}


def test_the_cache_is_where_the_environment_says(tmp_path: Path) -> None:
    assert cache_of("paper", PAPER, [BTC], tmp_path).root == tmp_path / "var" / "cache"


@pytest.mark.parametrize(
    "environment",
    [
        msgspec.structs.replace(PAPER, mode="demo"),
        msgspec.structs.replace(PAPER, candle_source="sample"),
        msgspec.structs.replace(PAPER, data_cache_path=None),
    ],
)
def test_only_a_paper_environment_with_a_cache_is_seeded(tmp_path: Path, environment: Environment) -> None:
    with pytest.raises(ConfigError, match="environment x cannot be seeded: expected `mode: paper`"):
        cache_of("x", environment, [BTC], tmp_path)


def test_a_venue_without_instruments_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no instrument of instruments\.yaml has a venue 'binance'"):
        cache_of("x", PAPER, [], tmp_path)
