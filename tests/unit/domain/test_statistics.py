"""Each figure by a curve whose answer is known by hand, what is not defined, and what must hold of every curve."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.statistics import (
    CONVENTIONS,
    Activity,
    Drawdown,
    Statistics,
    annual_growth,
    daily_returns,
    deviation,
    drawdown,
    power,
    profit_factor,
    sharpe,
    sortino,
    summarise,
    volatility,
)

DAY_NS = 86_400 * 10**9
NOTHING = Activity()

equities = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=60)


def figures(opening: object, daily: list[object], activity: Activity = NOTHING) -> Statistics:
    return summarise(Decimal(str(opening)), [Decimal(str(each)) for each in daily], activity)


def test_two_days_up_ten_and_down_five_percent() -> None:
    found = figures(100, [110, "104.5"])
    mean, spread, losses = 0.025, math.sqrt(2 * 0.075**2 / 1), math.sqrt(0.05**2 / 2)
    assert (found.days, found.profit) == (2, Decimal("4.5"))
    assert found.total_return == pytest.approx(0.045)
    assert found.volatility == pytest.approx(spread * math.sqrt(365))
    assert found.sharpe == pytest.approx(mean / spread * math.sqrt(365))
    assert found.sortino == pytest.approx(mean / losses * math.sqrt(365))
    assert found.cagr == pytest.approx(1.045 ** (365 / 2) - 1)
    assert found.max_drawdown == pytest.approx(0.05)
    assert (found.max_drawdown_days, found.recovered) == (1, False)
    assert found.calmar == pytest.approx((1.045 ** (365 / 2) - 1) / 0.05)


def test_what_was_done_beside_the_curve() -> None:
    activity = Activity(
        profits=[Decimal(30), Decimal(-10), Decimal(0), Decimal(-5)],
        traded=Decimal(600),
        fees=Decimal("0.6"),
        slippage=Decimal("0.3"),
        held_ns=3 * DAY_NS,
        elapsed_ns=4 * DAY_NS,
    )
    found = figures(100, [100, 200], activity)
    assert (found.exposure, found.turnover) == (0.75, 600 / 150)
    assert (found.round_trips, found.win_rate, found.profit_factor) == (4, 0.25, 2.0)
    assert (found.fees, found.slippage) == (Decimal("0.6"), Decimal("0.3"))


@pytest.mark.parametrize(
    ("opening", "daily", "undefined"),
    [
        (100, [], {"cagr", "volatility", "sharpe", "sortino", "calmar", "turnover"}),
        (100, [101], {"volatility", "sharpe", "sortino", "calmar"}),  # one return has no spread, and no fall to divide by
        (100, [99], {"volatility", "sharpe"}),
        (100, [100, 100, 100], {"sharpe", "sortino", "calmar"}),
        (100, [50, -10, 20], {"volatility", "sharpe", "sortino"}),  # no share of an equity below 0 has a meaning
        (0, [0, 0], {"total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "turnover"}),
    ],
    ids=["no day", "a gain", "a loss", "flat", "below zero", "nothing"],
)
def test_what_is_not_defined_is_none(opening: int, daily: list[object], undefined: set[str]) -> None:
    ratios = ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "turnover")
    found = figures(opening, daily)
    assert {name for name in ratios if getattr(found, name) is None} == undefined
    assert (found.exposure, found.win_rate, found.profit_factor) == (None, None, None)


def test_a_total_loss_and_a_growth_beyond_floats() -> None:
    assert annual_growth([100.0, 0.0]) == -1.0
    assert annual_growth([1.0, 1e300]) is None
    assert drawdown([100.0, 0.0]).depth == 1.0


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ([100.0, 110.0, 121.0], Drawdown(0.0, 0, recovered=True)),
        ([100.0, 50.0, 100.0, 90.0], Drawdown(0.5, 2, recovered=True)),
        ([100.0, 120.0, 60.0, 119.0], Drawdown(0.5, 2, recovered=False)),
        ([100.0, 50.0, 100.0, 50.0, 70.0], Drawdown(0.5, 2, recovered=True)),  # the first of two that are equally deep
        ([100.0, 100.0, 50.0, 100.0], Drawdown(0.5, 2, recovered=True)),  # from the last day at the peak
    ],
)
def test_the_deepest_fall_and_its_length(equity: list[float], expected: Drawdown) -> None:
    assert drawdown(equity) == expected


def test_a_profit_factor_needs_a_loss() -> None:
    assert profit_factor([Decimal(1), Decimal(2)]) is None
    assert profit_factor([Decimal(-1)]) == 0.0


@given(equities, st.floats(0.001, 1000.0))
def test_ratios_do_not_depend_on_the_size_of_the_account(equity: list[float], factor: float) -> None:
    scaled = [value * factor for value in equity]
    assert drawdown(scaled).depth == pytest.approx(drawdown(equity).depth, abs=1e-12)
    assert annual_growth(scaled) == (None if annual_growth(equity) is None else pytest.approx(annual_growth(equity), rel=1e-6))
    before, after = daily_returns(equity), daily_returns(scaled)
    assert before is not None
    assert after == pytest.approx(before, rel=1e-9, abs=1e-12)


@given(equities)
def test_bounds_of_every_curve(equity: list[float]) -> None:
    found, returns = drawdown(equity), daily_returns(equity)
    assert returns is not None
    assert 0.0 <= found.depth < 1.0
    assert 0 <= found.days < len(equity)
    assert (volatility(returns) is None) == (len(returns) < 2)
    sign = math.copysign(1.0, math.fsum(returns))
    assert all(ratio is None or ratio == 0.0 or math.copysign(1.0, ratio) == sign for ratio in (sharpe(returns), sortino(returns)))


@given(st.floats(1e-6, 1e6), st.floats(0.0, 40.0))
def test_power_is_that_of_the_mathematics_library(base: float, exponent: float) -> None:
    assert power(base, exponent) == pytest.approx(base**exponent, rel=1e-12)


def test_deviation_divides_by_one_less_than_the_number() -> None:
    assert deviation([1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(5 / 3))
    assert CONVENTIONS["ddof"] == 1


def test_every_ratio_says_what_it_means() -> None:
    amounts = {"days", "opening_equity", "closing_equity", "profit", "total_return", "fees", "slippage", "round_trips", "recovered"}
    assert set(Statistics.__struct_fields__) - amounts - {"max_drawdown_days"} <= set(CONVENTIONS)
