"""The statistics of a daily equity curve against quantstats (365 periods a year): equal to 1e-9, or different in a way that is named."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no annotations
import pytest
import quantstats.stats as qs

from dudzian_daemon.app.backtest.run import BacktestOptions, run
from dudzian_daemon.domain.statistics import PERIODS_PER_YEAR, Activity, Statistics, summarise

DAY_NS = 86_400 * 10**9

# On two cores it takes two seconds to import and to meet its first curve.


def returns_of(opening: Decimal, daily: list[Decimal]) -> Any:
    equity = pd.Series([float(opening), *map(float, daily)], index=pd.date_range("2024-01-01", periods=len(daily) + 1))
    return equity.pct_change().iloc[1:]


def assert_equal(found: Statistics, daily: list[Decimal]) -> None:
    returns = returns_of(found.opening_equity, daily)
    theirs = {
        "total_return": qs.comp(returns),
        "cagr": qs.cagr(returns, periods=PERIODS_PER_YEAR),
        "volatility": qs.volatility(returns, periods=PERIODS_PER_YEAR),
        "sharpe": qs.sharpe(returns, periods=PERIODS_PER_YEAR),
        "sortino": qs.sortino(returns, periods=PERIODS_PER_YEAR),
        "calmar": qs.calmar(returns, periods=PERIODS_PER_YEAR),
        "max_drawdown": -qs.max_drawdown(returns),  # theirs is below 0
    }
    for name, value in theirs.items():
        assert getattr(found, name) == pytest.approx(float(value), rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("seed", range(8))
def test_seeded_curves(seed: int) -> None:
    random = np.random.default_rng(seed)
    moves = random.normal(0.0005, 0.004 * 3 ** random.integers(0, 4), int(random.integers(2, 900)))
    daily = [Decimal(repr(round(float(value), 8))) for value in 10_000.0 * np.cumprod(1.0 + np.clip(moves, -0.9, 2.0))]
    assert_equal(summarise(Decimal(10_000), daily, Activity()), daily)


def test_a_backtest_of_the_sample_in_total_and_by_strategy() -> None:
    result = run(BacktestOptions(strategies=("demo_mean_reversion", "demo_volatility_target")), {})
    assert_equal(result.statistics.total, list(result.equity.total))
    for name, found in result.statistics.strategies.items():
        assert_equal(found, list(result.equity.strategies[name]))


def test_where_the_definitions_differ() -> None:
    """Theirs count days, rounded up to a percent; ours count time with a position, and round trips after fees."""
    daily = [Decimal(each) for each in (101, 101, 103, 102)]
    activity = Activity(profits=[Decimal(3), Decimal(-1)], held_ns=2 * DAY_NS, elapsed_ns=4 * DAY_NS)
    found, returns = summarise(Decimal(100), daily, activity), returns_of(Decimal(100), daily)
    assert (found.exposure, qs.exposure(returns)) == (0.5, 0.75)
    assert (found.win_rate, qs.win_rate(returns)) == (0.5, 2 / 3)
    gains, loss = 1 / 100 + 2 / 101, 1 / 103
    assert (found.profit_factor, qs.profit_factor(returns)) == (3.0, pytest.approx(gains / loss))


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide")  # theirs
def test_where_theirs_is_no_number_ours_is_not_defined() -> None:
    flat = [Decimal(100)] * 5
    found, returns = summarise(Decimal(100), flat, Activity()), returns_of(Decimal(100), flat)
    assert (found.sharpe, found.sortino) == (None, None)
    assert math.isnan(qs.sharpe(returns, periods=PERIODS_PER_YEAR))
    assert math.isnan(qs.sortino(returns, periods=PERIODS_PER_YEAR))
