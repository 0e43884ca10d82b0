"""How likely it is that a Sharpe ratio is above 0, given how many were tried to find it.

David H. Bailey and Marcos Lopez de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting, and
Non-Normality", The Journal of Portfolio Management 40(5), 2014, pages 94-107; its example is in the tests. All Sharpe ratios are
per observation (a day), not a year's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import msgspec

from dudzian_daemon.domain.statistics import daily_returns, deviation, mean

_EULER_MASCHERONI: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()


class Shape(msgspec.Struct, frozen=True):
    """Daily returns in four numbers: how many, mean over sample deviation, skewness, kurtosis (a normal distribution has 3)."""

    returns: int
    sharpe: float
    skew: float
    kurtosis: float


def shape_of(equity: Sequence[float]) -> Shape | None:
    """The shape of the daily returns of an equity curve; None where they have no Sharpe ratio."""
    returns = daily_returns(equity) or ()
    risk = deviation(returns)
    if not risk:
        return None
    centre = mean(returns)
    second, third, fourth = (math.fsum((value - centre) ** power for value in returns) / len(returns) for power in (2, 3, 4))
    return Shape(len(returns), centre / risk, third / second**1.5, fourth / second**2)


def expected_maximum(trials: int, variance: float) -> float:
    """The highest Sharpe ratio to be expected of `trials` without skill whose Sharpe ratios have this variance."""
    if trials < 2:
        return 0.0
    lower = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    upper = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - _EULER_MASCHERONI) * lower + _EULER_MASCHERONI * upper)


def probabilistic(shape: Shape, benchmark: float) -> float | None:
    """How likely it is that the true Sharpe ratio is above `benchmark`; None where the estimate has no deviation."""
    spread = 1.0 - shape.skew * shape.sharpe + (shape.kurtosis - 1.0) / 4.0 * shape.sharpe**2
    if spread <= 0.0 or shape.returns < 2:
        return None
    return _NORMAL.cdf((shape.sharpe - benchmark) * math.sqrt(shape.returns - 1) / math.sqrt(spread))


def deflated(shape: Shape, sharpes: Sequence[float]) -> float | None:
    """The deflated Sharpe ratio of one of several trials: of all of them the Sharpe ratios per day are `sharpes`.

    They count as independent. Neighbours in a grid are not, so the answer errs on the side of doubt.
    """
    spread = deviation(sharpes)
    return probabilistic(shape, expected_maximum(len(sharpes), 0.0 if spread is None else spread**2))
