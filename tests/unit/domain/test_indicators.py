"""Indicators against the plainest code there is: a list, a slice, and the standard library."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.indicators import AverageTrueRange, Lag, RollingExtreme, RollingMean

Indicator = TypeVar("Indicator", RollingMean, RollingExtreme, Lag)

windows = st.integers(1, 12)
#: What prices and ranges look like; below 2**-27 a double has bits that the mean's scale drops.
values = st.one_of(st.just(0.0), st.floats(1e-7, 1e9), st.floats(-1e9, -1e-7))
series = st.lists(values, min_size=1, max_size=60)


def saved_and_loaded(indicator: Indicator) -> Indicator:
    return msgspec.json.decode(msgspec.json.encode(indicator), type=type(indicator))


@given(windows, series)
def test_a_mean_is_that_of_its_window_to_the_last_bit_or_one(window: int, pushed: list[float]) -> None:
    mean = RollingMean(window)
    for count, value in enumerate(pushed, 1):
        mean.push(value)
        if count < window:
            assert mean.value is None
            continue
        expected = math.fsum(pushed[count - window : count]) / window
        assert mean.value is not None
        assert abs(mean.value - expected) <= math.ulp(expected)


@given(windows, series, series)
def test_a_mean_knows_no_history_before_its_window(window: int, before: list[float], inside: list[float]) -> None:
    old, new = RollingMean(window), RollingMean(window)
    for value in (*before, *inside):
        old.push(value)
    for value in inside:
        new.push(value)
    assert new.value is None or old.value == new.value


@given(st.lists(st.floats(0.0, 1e-9), min_size=3, max_size=40))
def test_a_mean_of_the_tiniest_values_is_off_by_less_than_its_scale(pushed: list[float]) -> None:
    mean = RollingMean(3)
    for value in pushed:
        mean.push(value)
    expected = math.fsum(pushed[-3:]) / 3
    assert mean.value is not None
    assert abs(mean.value - expected) <= 2.0**-80 + math.ulp(expected)


def test_a_mean_refuses_what_is_no_number() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises((ValueError, OverflowError)):
            RollingMean(3).push(value)


@pytest.mark.parametrize(("sign", "judge"), [(1.0, max), (-1.0, min)])
@given(window=windows, pushed=series)
def test_an_extreme_is_that_of_its_window(sign: float, judge: Callable[[list[float]], float], window: int, pushed: list[float]) -> None:
    extreme = RollingExtreme(window, sign)
    for count, value in enumerate(pushed, 1):
        extreme.push(value)
        assert extreme.value == (None if count < window else judge(pushed[count - window : count]))


@given(st.integers(0, 12), series)
def test_a_lag_is_so_many_pushes_ago(distance: int, pushed: list[float]) -> None:
    lag = Lag(distance)
    for count, value in enumerate(pushed, 1):
        lag.push(value)
        assert lag.value == (None if count <= distance else pushed[count - 1 - distance])


def test_true_range_counts_the_jump_from_the_close_before_and_the_first_candle_has_none() -> None:
    atr = AverageTrueRange(RollingMean(2))
    candles = [
        (12.0, 10.0, 11.0),
        (13.0, 12.5, 13.0),  # 0.5 inside, 2 from the close of 11 to the high
        (12.0, 9.0, 9.0),  # 3 inside, 4 from the close of 13 to the low
        (10.0, 8.0, 9.0),  # 2 inside
        (9.0, 8.0, 8.5),  # 1
    ]
    averages = []
    for high, low, close in candles:
        atr.push(high, low, close)
        averages.append(atr.value)
    assert averages == [None, None, 3.0, 3.0, 1.5]


bars = st.tuples(st.floats(1.0, 1e6), st.floats(0.0, 100.0), st.floats(0.0, 100.0))


@given(st.lists(bars, min_size=2, max_size=40))
def test_average_true_range_is_the_plain_mean(made: list[tuple[float, float, float]]) -> None:
    candles = [(close + above, close - below, close) for close, above, below in made]
    atr = AverageTrueRange(RollingMean(3))
    ranges: list[float] = []
    for number, (high, low, close) in enumerate(candles):
        atr.push(high, low, close)
        if number:
            before = candles[number - 1][2]
            ranges.append(max(high - low, abs(high - before), abs(low - before)))
    if len(ranges) < 3:
        assert atr.value is None
    else:
        expected = math.fsum(ranges[-3:]) / 3
        assert atr.value is not None
        assert abs(atr.value - expected) <= math.ulp(expected)


@given(windows, series)
def test_saving_and_loading_at_every_step_changes_nothing(window: int, pushed: list[float]) -> None:
    mean, highest, lowest, lag = RollingMean(window), RollingExtreme(window, 1.0), RollingExtreme(window, -1.0), Lag(window)
    kept = copy.deepcopy((mean, highest, lowest, lag))
    for value in pushed:
        mean, highest, lowest, lag = (saved_and_loaded(mean), saved_and_loaded(highest), saved_and_loaded(lowest), saved_and_loaded(lag))
        moved = (mean, highest, lowest, lag)
        for indicator in (*kept, *moved):
            indicator.push(value)
        assert moved == kept
        assert [each.value for each in moved] == [each.value for each in kept]


@given(st.lists(bars, min_size=1, max_size=30))
def test_saving_and_loading_a_true_range_at_every_step_changes_nothing(made: list[tuple[float, float, float]]) -> None:
    kept, moved = AverageTrueRange(RollingMean(3)), AverageTrueRange(RollingMean(3))
    for close, above, below in made:
        kept.push(close + above, close - below, close)
        moved = msgspec.json.decode(msgspec.json.encode(moved), type=AverageTrueRange)
        moved.push(close + above, close - below, close)
        assert moved == kept
        assert moved.value == kept.value


def test_two_indicators_never_share_a_window() -> None:
    first, second = RollingMean(2), RollingMean(2)
    first.push(1.0)
    assert second.values == []
