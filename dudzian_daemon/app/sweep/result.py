"""What a sweep tells: one document for programs, the same for the table."""

from __future__ import annotations

from typing import Any

import msgspec

from dudzian_daemon.app.sweep.grid import size
from dudzian_daemon.app.sweep.plan import Plan
from dudzian_daemon.app.sweep.trials import Span
from dudzian_daemon.domain.statistics import Statistics


class Winner(msgspec.Struct, frozen=True, kw_only=True):
    """A combination that won, played again twice through the step.

    `statistics` are those of `span`; with walk-forward windows that is the test, and `train` are those it was chosen by.
    `deflated_sharpe` judges what it was chosen by, among `trials` with a Sharpe ratio. `reproduced`: both runs and the kept
    result are equal. `twin_difference` is empty where twin and step decide the same, None where no twin was asked.
    """

    rank: int
    parameters: dict[str, Any]
    span: Span
    statistics: Statistics
    train: Statistics | None
    deflated_sharpe: float | None
    trials: int
    decisions: int
    refused: int
    closings: int
    cycles: int
    content_chain: str
    reproduced: bool
    twin_difference: str | None


class FoldResult(msgspec.Struct, frozen=True):
    """One search: how many trials, and with a test the metric of the winner on both."""

    fold: int
    train: Span
    test: Span | None
    trials: int
    train_metric: float | None
    test_metric: float | None


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.sweep/1`. Equal inputs give equal documents, but for `computed` and `output`."""

    schema: str = "dudzian.sweep/1"
    environment: str
    strategy: str
    asset: str
    search: str
    metric: str
    seed: int | None
    fast: bool
    output: str
    computed: int
    refused: int
    refused_reason: str
    folds: tuple[FoldResult, ...]
    winners: tuple[Winner, ...]

    @property
    def reproduced(self) -> bool:
        """Whether every winner came out the same again."""
        return all(winner.reproduced for winner in self.winners)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.sweep-plan/1`: what a dry run tells. `trials` are all folds' trials, of which `kept` are there."""

    schema: str = "dudzian.sweep-plan/1"
    environment: str
    strategy: str
    parameters: dict[str, tuple[Any, ...]]
    combinations: int
    refused: int
    refused_reason: str
    trials: int
    kept: int
    folds: tuple[tuple[Span, Span | None], ...]
    output: str


def planned_of(plan: Plan, kept: int) -> Planned:
    """What will be tried."""
    return Planned(
        environment=plan.environment,
        strategy=plan.setting.strategy,
        parameters={axis.name: axis.values for axis in plan.axes},
        combinations=size(plan.axes),
        refused=plan.candidates.refused,
        refused_reason=plan.candidates.reason,
        trials=plan.trials,
        kept=kept,
        folds=tuple((fold.train, fold.test) for fold in plan.folds),
        output=str(plan.output),
    )


# -- for people --------------------------------------------------------------------------------------------------------


def plan_lines(planned: Planned) -> list[str]:
    """What will be tried, as text."""
    lines = [f"strategy      {planned.strategy} in {planned.environment}"]
    lines += [f"parameter     {name}: {', '.join(map(str, values))}" for name, values in planned.parameters.items()]
    refused = f", {planned.refused} of them refused by the plugin ({planned.refused_reason})" if planned.refused else ""
    lines.append(f"combinations  {planned.combinations}{refused}")
    lines += [f"days          {span_text(train)}{_tested(test)}" for train, test in planned.folds]
    lines.append(f"trials        {planned.trials}; {planned.kept} results are there")
    return [*lines, f"output        {planned.output}"]


def head_lines(result: SweepResult) -> list[str]:
    """What was tried, as text."""
    lines = [f"strategy  {result.strategy} in {result.environment}, best {result.metric} first"]
    lines += [f"trials    {fold.trials} over {span_text(fold.train)}{_tested(fold.test)}" for fold in result.folds]
    return [*lines, f"results   {result.output} ({result.computed} computed now)"]


def winner_rows(result: SweepResult) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of winners."""
    names = sorted({name for winner in result.winners for name in winner.parameters})
    walked = any(winner.train is not None for winner in result.winners)
    columns = ["fold" if walked else "rank", *names]
    columns += [f"train {result.metric}", f"test {result.metric}"] if walked else [result.metric]
    columns += ["deflated", "return", "max drawdown", "round trips", "decisions", *(["twin"] if result.fast else []), "again"]
    rows = []
    for winner in result.winners:
        row = [str(winner.rank), *(str(winner.parameters.get(name, "")) for name in names)]
        if walked:
            row.append(_number(getattr(winner.train, result.metric)))
        row += [_number(getattr(winner.statistics, result.metric)), _number(winner.deflated_sharpe, 4)]
        row += [_percent(winner.statistics.total_return, "+"), _percent(winner.statistics.max_drawdown), str(winner.statistics.round_trips)]
        row += [str(winner.decisions), *([_equal(not winner.twin_difference)] if result.fast else []), _equal(winner.reproduced)]
        rows.append(row)
    return columns, rows


def notes(result: SweepResult) -> list[str]:
    """What is worth a line below the table."""
    lines = []
    if result.refused:
        first = f"; the first: {result.refused_reason}" if result.refused_reason else ""
        lines.append(f"{result.refused} combinations were refused by the plugin{first}")
    lines += [
        f"{winner.rank}: twin and step differ ({winner.twin_difference}); the twin knows neither what the gate refused ({winner.refused}) "
        f"nor what the core closed ({winner.closings})"
        for winner in result.winners
        if winner.twin_difference
    ]
    return lines


def span_text(span: Span) -> str:
    """Days of a span as text."""
    return f"{span.first} to {span.last}" if span.first and span.last else "the environment's windows"


def _tested(test: Span | None) -> str:
    return "" if test is None else f", the best tested over {span_text(test)}"


def _equal(equal: bool) -> str:
    return "equal" if equal else "DIFFERS"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value * 100:{sign},.2f} %"
