"""The deflated Sharpe ratio against the example of its paper and against a calculation by other means."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from statistics import variance

import pytest

from dudzian_daemon.app.sweep.deflated import Shape, deflated, expected_maximum, probabilistic, shape_of

YEAR = 250
#: The paper's example: a Sharpe ratio of 2.5 a year over 1,250 days, skewness -3, kurtosis 10; the trials vary by 1/2 a year.
EXAMPLE = Shape(1250, 2.5 / math.sqrt(YEAR), -3.0, 10.0)
VARIANCE = 0.5 / YEAR


def test_the_example_of_the_paper() -> None:
    assert expected_maximum(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic(EXAMPLE, expected_maximum(100, VARIANCE)) == pytest.approx(0.9004, abs=5e-5)
    assert probabilistic(EXAMPLE, expected_maximum(46, VARIANCE)) == pytest.approx(0.9505, abs=5e-5)
    normal = Shape(1250, EXAMPLE.sharpe, 0.0, 3.0)
    assert probabilistic(normal, expected_maximum(88, VARIANCE)) == pytest.approx(0.9505, abs=5e-4)


def phi(x: float) -> float:
    """Normal distribution function by its power series (Abramowitz and Stegun 26.2.11)."""
    term = total = x
    for k in range(1, 400):
        term *= x * x / (2 * k + 1)
        total += term
    return 0.5 + total * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def quantile(p: float) -> float:
    """Its inverse by halving."""
    low, high = -8.0, 8.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if phi(middle) < p else (low, middle)
    return low


@pytest.mark.parametrize("trials", [2, 10, 250, 5000])
def test_it_equals_a_calculation_by_other_means(trials: int) -> None:
    draw = random.Random(trials)
    sharpes = [draw.gauss(0.01, 0.04) for _ in range(trials)]
    equity = [100.0]
    for _ in range(400):
        equity.append(equity[-1] * (1.0 + draw.gauss(0.001, 0.012) + (0.03 if draw.random() < 0.02 else 0.0)))
    returns = [after / before - 1.0 for before, after in pairwise(equity)]
    centre = sum(returns) / 400
    moments = [sum((r - centre) ** n for r in returns) / 400 for n in (2, 3, 4)]
    sharpe = centre / math.sqrt(moments[0] * 400 / 399)
    skew, kurtosis = moments[1] / moments[0] ** 1.5, moments[2] / moments[0] ** 2
    gamma = 0.57721566490153286
    benchmark = math.sqrt(variance(sharpes)) * ((1 - gamma) * quantile(1 - 1 / trials) + gamma * quantile(1 - 1 / (trials * math.e)))
    error = math.sqrt((1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2) / 399)
    shape = shape_of(equity)
    assert shape is not None
    assert (shape.returns, shape.sharpe, shape.skew, shape.kurtosis) == pytest.approx((400, sharpe, skew, kurtosis))
    assert deflated(shape, sharpes) == pytest.approx(phi((sharpe - benchmark) / error), abs=1e-9)


def test_more_trials_deflate_more_and_one_trial_does_not() -> None:
    shape = Shape(500, 0.1, 0.0, 3.0)
    few, many = ([0.05, -0.05] * n for n in (5, 500))
    lucky, doubtful, alone = deflated(shape, few), deflated(shape, many), deflated(shape, [0.1])
    assert lucky is not None
    assert doubtful is not None
    assert lucky > doubtful
    assert alone == probabilistic(shape, 0.0)


@pytest.mark.parametrize("equity", [[100.0], [100.0, 101.0], [100.0, 100.0, 100.0], [100.0, 0.0, 5.0]])
def test_a_curve_without_a_sharpe_ratio_has_no_shape(equity: list[float]) -> None:
    assert shape_of(equity) is None
