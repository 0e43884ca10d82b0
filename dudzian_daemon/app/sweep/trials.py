"""One trial: a combination of parameters played over a window, and the row that is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.sweep.deflated import Shape, shape_of
from dudzian_daemon.app.sweep.grid import Axis
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.statistics import Statistics

#: How the figures came about: through the daemon's step, or estimated from the decisions of a vectorised twin.
STEP: Final = "step"
TWIN: Final = "twin"
#: Column of a parameter in the results.
PARAMETER_COLUMN: Final = "param_"
#: Metric by name: the larger the better, but for the drawdown.
METRICS: Final = ("sharpe", "sortino", "calmar", "cagr", "total_return", "profit_factor", "win_rate", "max_drawdown")


class Span(msgspec.Struct, frozen=True):
    """What a trial is played over: days, UTC, both included (empty: the environment's own windows). `part` is whole, train or test."""

    part: str
    fold: int
    first: str
    last: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial. `shape` is that of the daily returns; None without a Sharpe ratio. `closings` are the core's own."""

    statistics: Statistics
    shape: Shape | None
    bars: int
    fills: int
    refused: int
    closings: int
    faults: int


class Decision(msgspec.Struct, frozen=True):
    """What a strategy wished, and when (ns); `target` is a share of its budget, 0 where it named none."""

    instant: int
    instrument: str
    intent: str
    target: float


class Recorded(msgspec.Struct, frozen=True):
    """What a journal of the trial would hold: its content chain, its cycles, and all decisions."""

    content_chain: str
    cycles: int
    decisions: tuple[Decision, ...]


class Trial(msgspec.Struct, frozen=True):
    """A combination with its figures. `engine` is how they came about, `seed` that of the search, if it draws."""

    key: str
    span: Span
    engine: str
    parameters: dict[str, Any]
    seed: int | None
    figures: Figures


def figures_of(performance: Performance) -> Figures:
    """The figures of a run through the step."""
    with exact_money():
        statistics = performance.total.statistics(performance.opening, performance.elapsed_ns)
    counts = performance.counts
    return Figures(
        statistics=statistics,
        shape=shape_of([float(performance.opening), *map(float, performance.total.daily)]),
        bars=counts.bars,
        fills=counts.fills,
        refused=counts.refused,
        closings=counts.closings,
        faults=counts.faults,
    )


def score(trial: Trial, metric: str) -> float | None:
    """The metric as a number of which more is better; None where it is not defined."""
    value: float | None = getattr(trial.figures.statistics, metric)
    return -value if metric == "max_drawdown" and value is not None else value


def ranked(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """The best first; equal ones as they were tried, those without the metric last."""

    def place(trial: Trial) -> tuple[bool, float]:
        found = score(trial, metric)
        return found is None, -(found or 0.0)

    return sorted(trials, key=place)


# -- rows --------------------------------------------------------------------------------------------------------------


def columns_of(axes: Sequence[Axis]) -> dict[str, str]:
    """Type (`text`, `whole`, `number`, `flag`) by column of the results, one column per swept parameter."""
    columns = {"key": "text", "part": "text", "fold": "whole", "first": "text", "last": "text", "engine": "text", "seed": "whole"}
    columns |= {f"{PARAMETER_COLUMN}{axis.name}": _kind(axis.values) for axis in axes}
    columns |= {"parameters": "text"}
    columns |= dict.fromkeys(("bars", "fills", "refused", "closings", "faults"), "whole")
    columns |= {"returns": "whole", "daily_sharpe": "number", "skew": "number", "kurtosis": "number"}
    return columns | {field.name: _STATISTIC_KINDS.get(field.type, "number") for field in msgspec.structs.fields(Statistics)}


def row_of(trial: Trial) -> dict[str, Any]:
    """The trial as one flat row; amounts are text, exactly."""
    figures, shape = trial.figures, trial.figures.shape
    row = {"key": trial.key, **msgspec.structs.asdict(trial.span), "engine": trial.engine, "seed": trial.seed}
    row |= {f"{PARAMETER_COLUMN}{name}": value for name, value in trial.parameters.items()}
    row |= {"parameters": msgspec.json.encode(trial.parameters).decode()}
    row |= {name: getattr(figures, name) for name in ("bars", "fills", "refused", "closings", "faults")}
    row |= {
        "returns": None if shape is None else shape.returns,
        "daily_sharpe": None if shape is None else shape.sharpe,
        "skew": None if shape is None else shape.skew,
        "kurtosis": None if shape is None else shape.kurtosis,
    }
    statistics: dict[str, Any] = msgspec.to_builtins(figures.statistics)
    return row | statistics


def trial_of(row: Mapping[str, Any]) -> Trial:
    """The trial of a row that `row_of` made. Raises `msgspec.ValidationError`."""
    shape = None
    if row["returns"] is not None:
        shape = Shape(row["returns"], row["daily_sharpe"], row["skew"], row["kurtosis"])
    return Trial(
        key=row["key"],
        span=msgspec.convert(row, Span),
        engine=row["engine"],
        parameters=msgspec.json.decode(row["parameters"], type=dict[str, Any]),
        seed=row["seed"],
        figures=Figures(
            statistics=msgspec.convert(row, Statistics),
            shape=shape,
            bars=row["bars"],
            fills=row["fills"],
            refused=row["refused"],
            closings=row["closings"],
            faults=row["faults"],
        ),
    )


_STATISTIC_KINDS: Final[Mapping[object, str]] = {int: "whole", bool: "flag", Decimal: "text"}


def _kind(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "flag"
    if kinds == {int}:
        return "whole"
    return "number" if kinds and kinds <= {int, float} else "text"
