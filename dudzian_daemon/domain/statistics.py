"""What an equity curve and its trades amount to: pure formulas over daily equity; docs/reference/statistics.md has each one.

Floats, `math.fsum` and square roots alone, so that the figures are the same on every platform. None is "not defined"
(a denominator of 0, too few days). A year is 365 days: these markets never close.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from dudzian_daemon.domain.money import ZERO

#: Daily equities a year.
PERIODS_PER_YEAR: Final = 365

#: What the figures mean, for whoever reads them without the documentation: n is the number of days, r are daily returns.
CONVENTIONS: Final[Mapping[str, int | float | str]] = {
    "period": "UTC day within the windows, marked at its end",
    "periods_per_year": PERIODS_PER_YEAR,
    "ddof": 1,
    "riskless_rate": 0.0,
    "returns": "r = equity / equity of the day before - 1",
    "cagr": "(last equity / first equity) ** (365 / n) - 1",
    "volatility": "sqrt(sum((r - mean(r)) ** 2) / (n - 1)) * sqrt(365)",
    "sharpe": "mean(r) / sqrt(sum((r - mean(r)) ** 2) / (n - 1)) * sqrt(365)",
    "sortino": "mean(r) / sqrt(sum(min(r, 0) ** 2) / n) * sqrt(365)",
    "calmar": "cagr / max_drawdown",
    "max_drawdown": "largest (peak - equity) / peak of daily equity, the opening equity included",
    "exposure": "time with a position open / time within the windows",
    "turnover": "value of all fills / mean of daily equity",
    "win_rate": "round trips with a profit above 0, after fees / round trips",
    "profit_factor": "sum of the profits above 0 / sum of the losses, after fees",
}


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What was done beside the curve. `traded` is the value of all fills, `profits` those of the round trips after fees; times in ns."""

    profits: Sequence[Decimal] = ()
    traded: Decimal = ZERO
    fees: Decimal = ZERO
    slippage: Decimal = ZERO
    held_ns: int = 0
    elapsed_ns: int = 0


class Drawdown(msgspec.Struct, frozen=True):
    """The deepest fall below an earlier highest equity, as a share of that; `days` from that peak until it is reached again, or the end."""

    depth: float
    days: int
    recovered: bool


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts are in the valuation asset, ratios are plain (0.1 is 10 %), `max_drawdown` is above 0."""

    days: int
    opening_equity: Decimal
    closing_equity: Decimal
    profit: Decimal
    total_return: float | None
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    max_drawdown_days: int
    recovered: bool
    exposure: float | None
    turnover: float | None
    fees: Decimal
    slippage: Decimal
    round_trips: int
    win_rate: float | None
    profit_factor: float | None


def summarise(opening: Decimal, daily: Sequence[Decimal], activity: Activity) -> Statistics:
    """All figures of one curve: `opening` equity, then the equity at the end of each UTC day."""
    closing = daily[-1] if daily else opening
    equity = [float(opening), *map(float, daily)]
    returns = daily_returns(equity)
    growth = annual_growth(equity)
    deepest = drawdown(equity)
    return Statistics(
        days=len(daily),
        opening_equity=opening,
        closing_equity=closing,
        profit=closing - opening,
        total_return=_ratio(equity[-1] - equity[0], equity[0]),
        cagr=growth,
        volatility=None if returns is None else volatility(returns),
        sharpe=None if returns is None else sharpe(returns),
        sortino=None if returns is None else sortino(returns),
        calmar=None if growth is None else _ratio(growth, deepest.depth),
        max_drawdown=deepest.depth,
        max_drawdown_days=deepest.days,
        recovered=deepest.recovered,
        exposure=_ratio(activity.held_ns, activity.elapsed_ns),
        turnover=_ratio(float(activity.traded) * len(daily), math.fsum(equity[1:])),
        fees=activity.fees,
        slippage=activity.slippage,
        round_trips=len(activity.profits),
        win_rate=_ratio(sum(profit > 0 for profit in activity.profits), len(activity.profits)),
        profit_factor=profit_factor(activity.profits),
    )


def daily_returns(equity: Sequence[float]) -> list[float] | None:
    """Change of each value from the one before as a share of that; None where equity was 0 or less, since no share of it has a meaning."""
    if min(equity) <= 0.0:
        return None
    return [after / before - 1.0 for before, after in pairwise(equity)]


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of at least one value."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation: squared distances from the mean over n - 1. None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) * (value - centre) for value in values) / (len(values) - 1))


def volatility(returns: Sequence[float]) -> float | None:
    """Standard deviation of daily returns, a year's."""
    daily = deviation(returns)
    return None if daily is None else daily * math.sqrt(PERIODS_PER_YEAR)


def sharpe(returns: Sequence[float]) -> float | None:
    """Mean daily return over its standard deviation, a year's; the riskless rate is 0."""
    daily = deviation(returns)
    return None if daily is None else _annual(mean(returns), daily)


def sortino(returns: Sequence[float]) -> float | None:
    """Mean daily return over the downside deviation (root of the squared losses over all n days), a year's; the target is 0."""
    if not returns:
        return None
    losses = math.fsum(value * value for value in returns if value < 0.0)
    return _annual(mean(returns), math.sqrt(losses / len(returns)))


def annual_growth(equity: Sequence[float]) -> float | None:
    """Constant yearly growth that leads from the first equity to the last (CAGR); -1 for a total loss."""
    days = len(equity) - 1
    if days < 1 or equity[0] <= 0.0:
        return None
    if equity[-1] <= 0.0:
        return -1.0
    growth = power(equity[-1] / equity[0], PERIODS_PER_YEAR / days) - 1.0
    return growth if growth < math.inf else None


def drawdown(equity: Sequence[float]) -> Drawdown:
    """The deepest fall and how long it lasted; the first of several equally deep ones."""
    peak, peak_day = equity[0], 0
    deepest, begins = 0.0, 0
    for day, value in enumerate(equity):
        if value >= peak:
            peak, peak_day = value, day
        elif peak > 0.0 and (peak - value) / peak > deepest:
            deepest, begins = (peak - value) / peak, peak_day
    if not deepest:
        return Drawdown(0.0, 0, recovered=True)
    over = next((day for day in range(begins + 1, len(equity)) if equity[day] >= equity[begins]), None)
    return Drawdown(deepest, (len(equity) - 1 if over is None else over) - begins, recovered=over is not None)


def profit_factor(profits: Sequence[Decimal]) -> float | None:
    """Gains of the winning round trips over the losses of the others; None without a loss."""
    won = sum((profit for profit in profits if profit > 0), ZERO)
    lost = sum((-profit for profit in profits if profit < 0), ZERO)
    return _ratio(float(won), float(lost))


def power(base: float, exponent: float) -> float:
    """`base` to the power of `exponent`, both >= 0, by multiplications and square roots, which every platform rounds alike.

    Within a few units of the 15th digit; infinite where it is too large for a float.
    """
    whole = int(exponent)
    fraction = exponent - whole
    result, square, root = 1.0, base, base
    while whole:
        if whole & 1:
            result *= square
        square *= square
        whole >>= 1
    while fraction:
        root = math.sqrt(root)
        fraction *= 2.0
        if fraction >= 1.0:
            result *= root
            fraction -= 1.0
    return result


def _annual(average: float, risk: float) -> float | None:
    per_day = _ratio(average, risk)
    return None if per_day is None else per_day * math.sqrt(PERIODS_PER_YEAR)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
