"""Indicators against TA-Lib on the shipped candles, and those with exact sums against exact fractions.

Three definitions are ours on purpose: the average true range is a simple mean (TA-Lib smooths as Wilder did), z-scores
divide by the population deviation, and the exponential mean starts from the first simple one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.domain.indicators import (
    AverageTrueRange,
    Ema,
    Lag,
    RealisedVolatility,
    RollingDeviation,
    RollingExtreme,
    RollingMean,
    ZScore,
    bars_per_year,
)
from dudzian_daemon.domain.market import Candle, Series

Floats = NDArray[np.float64]

#: Every character the sample has: years of daily candles, dear and cheap coins by the hour, gaps between its stretches.
SHIPPED = [Series("binance:BTC/USDT", "1d"), Series("binance:BTC/USDT", "1h"), Series("binance:MATIC/USDT", "1h")]
RELATIVE = 1e-9


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda series: f"{series.instrument[8:11]}-{series.granularity}")
def shipped(request: pytest.FixtureRequest) -> list[Candle]:
    return ParquetCandleStore(sample_root(), read_only=True).read(request.param, 0, 2**62)


def column(candles: Iterable[Candle], name: str) -> Floats:
    return np.array([getattr(candle, name) for candle in candles])


def pushed(indicator: Any, values: Floats, read: Callable[[Any], float | None] = lambda each: each.value) -> Floats:
    """What the indicator says after each value; not a number for "no decision"."""
    said = []
    for value in values.tolist():
        indicator.push(value)
        now = read(indicator)
        said.append(math.nan if now is None else now)
    return np.array(said)


def assert_equal(ours: Floats, theirs: Floats, *, zero: float = 0.0) -> None:
    """Silent on the same candles, and equal to 1e-9 of their size; below `zero` equal to 1e-9 of that."""
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    known = ~np.isnan(theirs)
    assert known.sum() > 1000
    assert np.all(np.abs(ours - theirs)[known] <= RELATIVE * np.maximum(np.abs(theirs[known]), zero))


@pytest.mark.parametrize("window", [5, 20, 96])
def test_means_deviations_and_extremes_are_those_of_talib(shipped: list[Candle], window: int) -> None:
    close, high, low = (column(shipped, name) for name in ("close", "high", "low"))
    assert_equal(pushed(RollingMean(window), close), talib.SMA(close, window))
    assert_equal(pushed(Ema(RollingMean(window)), close), talib.EMA(close, window))
    assert_equal(pushed(RollingDeviation(window), close, lambda each: each.mean), talib.SMA(close, window))
    assert_equal(pushed(RollingExtreme(window, 1.0), high), talib.MAX(high, window))
    assert_equal(pushed(RollingExtreme(window, -1.0), low), talib.MIN(low, window))


@pytest.mark.parametrize("window", [20, 60, 96])
def test_deviations_and_zscores_are_those_of_talib(shipped: list[Candle], window: int) -> None:
    close = column(shipped, "close")
    deviation = talib.STDDEV(close, window, 1.0)
    assert_equal(pushed(RollingDeviation(window), close), deviation)
    # At the mean a difference of two prices has lost its digits on their side: a z-score is compared to 1e-9 deviations there.
    assert_equal(pushed(ZScore(RollingDeviation(window)), close), (close - talib.SMA(close, window)) / deviation, zero=1.0)


@pytest.mark.parametrize("window", [20, 60, 96])
def test_realised_volatility_is_the_deviation_of_talibs_returns(shipped: list[Candle], window: int) -> None:
    close = column(shipped, "close")
    returns = talib.ROCP(close, 1)
    per_bar = np.concatenate(([math.nan], talib.STDDEV(returns[1:], window, 1.0)))
    assert_equal(pushed(RealisedVolatility(RollingDeviation(window)), close), per_bar)


@pytest.mark.parametrize("distance", [1, 20])
def test_momentum_is_that_of_talib(shipped: list[Candle], distance: int) -> None:
    close = column(shipped, "close")
    lagged = pushed(Lag(distance), close)
    assert_equal(close - lagged, talib.MOM(close, distance))
    assert_equal((close / lagged - 1.0) * 100.0, talib.ROC(close, distance), zero=1.0)


def test_average_true_range_is_the_simple_mean_of_talibs_true_range_and_not_wilders(shipped: list[Candle]) -> None:
    high, low, close = (column(shipped, name) for name in ("high", "low", "close"))
    atr = AverageTrueRange(RollingMean(14))
    ours = []
    for candle in shipped:
        atr.push(candle.high, candle.low, candle.close)
        ours.append(math.nan if atr.value is None else atr.value)
    ranges = talib.TRANGE(high, low, close)
    assert math.isnan(ranges[0])
    assert_equal(np.array(ours), np.concatenate(([math.nan], talib.SMA(ranges[1:], 14))))
    wilder = talib.ATR(high, low, close, 14)
    assert not np.allclose(np.array(ours)[20:], wilder[20:], rtol=1e-3)


# -- exact sums --------------------------------------------------------------------------------------------------------

windows = st.integers(1, 12)
#: Below 2**-27 a double has bits that the scale drops.
values = st.one_of(st.just(0.0), st.floats(1e-7, 1e9), st.floats(-1e9, -1e-7))
series = st.lists(values, min_size=1, max_size=60)
no_numbers = st.sampled_from([math.nan, math.inf, -math.inf])


def exact_variance(window: list[float]) -> Fraction:
    numbers = [Fraction(value) for value in window]
    mean = sum(numbers, Fraction(0)) / len(numbers)
    return sum(((number - mean) ** 2 for number in numbers), Fraction(0)) / len(numbers)


@given(windows, series)
def test_mean_and_variance_are_the_exact_ones_rounded_once(window: int, pushes: list[float]) -> None:
    sample = RollingDeviation(window)
    for count, value in enumerate(pushes, 1):
        sample.push(value)
        inside = pushes[max(0, count - window) : count]
        if count < window:
            assert (sample.mean, sample.variance, sample.value, sample.zscore) == (None, None, None, None)
            continue
        variance = exact_variance(inside)
        assert sample.mean == float(sum(map(Fraction, inside)) / window)
        assert sample.variance == float(variance)
        assert sample.value == math.sqrt(float(variance))
        if not variance:
            assert sample.zscore is None
            continue
        distance = Fraction(value) - sum(map(Fraction, inside)) / window
        assert sample.zscore == pytest.approx(float(distance) / math.sqrt(float(variance)), rel=1e-14, abs=0.0)


@given(windows, values, st.lists(values, max_size=20))
def test_equal_values_deviate_by_nothing_at_all_whatever_came_before(window: int, value: float, before: list[float]) -> None:
    sample = ZScore(RollingDeviation(window))
    for each in [*before, *[value] * window]:
        sample.push(each)
    assert (sample.sample.mean, sample.sample.value, sample.value) == (value, 0.0, None)


@given(windows, series, series)
def test_a_deviation_knows_no_history_before_its_window(window: int, before: list[float], inside: list[float]) -> None:
    old, new = RollingDeviation(window), RollingDeviation(window)
    for value in (*before, *inside):
        old.push(value)
    for value in inside:
        new.push(value)
    if new.value is not None:
        assert (old.value, old.mean, old.zscore, old.total, old.squares) == (new.value, new.mean, new.zscore, new.total, new.squares)


@pytest.mark.parametrize(
    "fresh", [RollingDeviation(3), ZScore(RollingDeviation(3)), RealisedVolatility(RollingDeviation(3)), Ema(RollingMean(3))]
)
@given(before=st.lists(st.floats(1.0, 1e6), max_size=10), hole=no_numbers, after=st.lists(st.floats(1.0, 1e6), min_size=1, max_size=10))
def test_what_is_no_number_starts_over(fresh: Any, before: list[float], hole: float, after: list[float]) -> None:
    broken, new = copy.deepcopy(fresh), copy.deepcopy(fresh)
    for value in (*before, hole):
        broken.push(value)
    assert broken.value is None
    for value in after:
        broken.push(value)
        new.push(value)
        assert broken == new
        assert broken.value == new.value


@given(windows, st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=40))
def test_saving_and_loading_at_every_step_changes_nothing(window: int, pushes: list[float]) -> None:
    kept: list[Any] = [
        RollingDeviation(window),
        ZScore(RollingDeviation(window)),
        RealisedVolatility(RollingDeviation(window)),
        Ema(RollingMean(window)),
    ]
    moved = copy.deepcopy(kept)
    for value in pushes:
        moved = [msgspec.json.decode(msgspec.json.encode(each), type=type(each)) for each in moved]
        for indicator in (*kept, *moved):
            indicator.push(value)
        assert moved == kept
        assert [each.value for each in moved] == [each.value for each in kept]


def test_volatility_of_a_price_that_is_none_starts_over() -> None:
    volatility = RealisedVolatility(RollingDeviation(1))
    volatility.push(100.0)
    volatility.push(110.0)
    assert volatility.value == 0.0
    volatility.push(0.0)
    volatility.push(100.0)
    assert volatility.value is None


def test_daily_returns_of_two_percent_are_thirty_eight_percent_a_year() -> None:
    volatility = RealisedVolatility(RollingDeviation(60))
    close = 100.0
    for number in range(61):
        volatility.push(close)
        close *= 1.02 if number % 2 else 0.98
    assert volatility.value == pytest.approx(0.02, rel=1e-12)
    assert volatility.annualised(bars_per_year("1d")) == pytest.approx(0.02 * math.sqrt(365))
    assert RealisedVolatility(RollingDeviation(60)).annualised(365.0) is None


def test_bars_a_year() -> None:
    assert (bars_per_year("1d"), bars_per_year("1h"), bars_per_year("30s")) == (365.0, 8760.0, 1_051_200.0)
