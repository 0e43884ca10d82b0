"""Ranks combinations by the vectorised twin of a strategy, and compares what it decides with what the step recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.candle_columns import Columns
from dudzian_daemon.adapters.series_audit import iso_second
from dudzian_daemon.app.backtest.run import BacktestOptions
from dudzian_daemon.app.plugins.loader import make_strategy
from dudzian_daemon.app.sweep.estimate import Costs, curve_of, decisions_of, figures_of_curves
from dudzian_daemon.app.sweep.grid import Combination
from dudzian_daemon.app.sweep.trials import Decision, Figures
from dudzian_daemon.app.sweep.workbench import Setting, Workbench, workbench
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.twins import Turn
from dudzian_daemon.trading.spec import Schedule

#: Combinations that a worker takes at once: one is done in about a millisecond.
BATCH: Final = 64


class TwinTask(msgspec.Struct, frozen=True):
    """Some combinations over the days of `options`; `history` candles before them are as many as any combination wants."""

    setting: Setting
    options: BacktestOptions
    history: int
    combinations: tuple[Combination, ...]


class _Cell(msgspec.Struct, frozen=True):
    """The candles of one unit in one window, `history` of them before it."""

    schedule: Schedule
    series: Series
    columns: Columns
    history: int
    costs: Costs


class TwinBench:
    """The columns of every unit and window, made once."""

    def __init__(self, bench: Workbench, options: BacktestOptions, history: int) -> None:
        self._bench = bench
        self._cells = list(_cells(bench, options, history))

    def turns(self, combination: Combination) -> list[Sequence[Turn]]:
        """What the twin decides in each cell."""
        strategy: Any = make_strategy(self._bench.source, {**self._bench.configured, **combination})
        return [strategy.signals_vectorised(_ready(cell, strategy)) for cell in self._cells]

    def figures(self, combination: Combination) -> Figures:
        """Estimated figures."""
        curves = [curve_of(cell.columns, turns, cell.costs) for cell, turns in zip(self._cells, self.turns(combination), strict=True)]
        return figures_of_curves(curves, self._cells[0].costs, sum(len(cell.columns.close) - cell.history for cell in self._cells))

    def decisions(self, combination: Combination) -> list[Decision]:
        """What the twin decides, in order of time and instrument."""
        found = [
            decision
            for cell, turns in zip(self._cells, self.turns(combination), strict=True)
            for decision in decisions_of(cell.columns, turns, cell.series.instrument)
        ]
        return sorted(found, key=_when)


@lru_cache(maxsize=4)
def twin_bench(setting: Setting, options: BacktestOptions, history: int) -> TwinBench:
    """The columns of a span in this process."""
    return TwinBench(workbench(setting), options, history)


def estimate(task: TwinTask) -> list[Figures]:
    """Estimated figures of each combination. Raises `DudzianError`."""
    bench = twin_bench(task.setting, task.options, task.history)
    return [bench.figures(each) for each in task.combinations]


def require_twin(bench: Workbench) -> None:
    """Raise `ConfigError` if the strategy has no twin, or is run in a way that a twin does not know."""
    name = bench.setting.strategy
    if not callable(getattr(bench.source.plugin, "signals_vectorised", None)):
        msg = f"--fast: expected a plugin with a vectorised twin (signals_vectorised), found none in {bench.source.path}; leave --fast away"
        raise ConfigError(msg)
    for schedule in bench.prepared.spec.schedules:
        if schedule.strategy != name:
            continue
        strategy = bench.prepared.spec.strategies[name]
        (need, *more) = strategy.series(schedule.instruments[:1], schedule.granularity)
        plain = need.series == Series(schedule.instruments[0], schedule.granularity) and not more
        if not plain or strategy.legs != 1 or schedule.cadence_ns > need.series.step_ns:
            msg = f"--fast: expected a schedule that decides at every candle of one series, found {schedule.name!r}; leave --fast away"
            raise ConfigError(msg)


def history_of(bench: Workbench, combinations: Sequence[Combination]) -> int:
    """As many candles before a window as any combination wants."""
    schedules = [schedule for schedule in bench.prepared.spec.schedules if schedule.strategy == bench.setting.strategy]
    return max(
        strategy.series(schedule.instruments[:1], schedule.granularity)[0].warm_up
        for strategy in (make_strategy(bench.source, {**bench.configured, **each}) for each in combinations)
        for schedule in schedules
    )


def difference(twin: Sequence[Decision], step: Sequence[Decision]) -> str:
    """The first decision that is not in both, empty if there is none."""
    ordered = sorted(step, key=_when)
    for number, (ours, theirs) in enumerate(zip(twin, ordered, strict=False), start=1):
        if ours != theirs:
            return f"decision {number}: twin {_told(ours)}, step {_told(theirs)}"
    if len(twin) != len(ordered):
        return f"the twin has {len(twin)} decisions, the step {len(ordered)}"
    return ""


def _when(decision: Decision) -> tuple[int, str]:
    return decision.instant, decision.instrument


def _told(decision: Decision) -> str:
    return f"{decision.intent} {decision.instrument} at {iso_second(decision.instant)}"


def _ready(cell: _Cell, strategy: Strategy) -> Columns:
    """The columns from the candle at which the strategy may speak: inside the window, and warm."""
    warm_up = strategy.series((cell.series.instrument,), cell.schedule.granularity)[0].warm_up
    return cell.columns.from_candle(max(cell.history, warm_up - 1))


def _cells(bench: Workbench, options: BacktestOptions, history: int) -> Iterator[_Cell]:
    arranged = bench.arranged(options, {})
    spec = arranged.core.spec
    for window in arranged.windows:
        for units in arranged.core.strategies.units.values():
            for unit in units:
                series = unit.needs[0].series
                if series not in window.series:
                    continue
                before = bench.candles.read(series, window.start - history * series.step_ns, window.start)
                rows = [*before, *bench.candles.read(series, window.start, window.end)]
                if len(rows) > len(before):
                    _require_whole(series, rows)
                    schedule = unit.schedule
                    costs = Costs(
                        fee=float(spec.preset.taker_fee),
                        slippage=float(spec.preset.slippage_bps) / 10_000.0,
                        allocation=float(schedule.allocation),
                        position_size=float(schedule.position_size),
                        opening=float(spec.opening_balance),
                    )
                    yield _Cell(schedule, series, Columns(rows, len(before)), len(before), costs)


def _require_whole(series: Series, rows: Sequence[Candle]) -> None:
    for before, after in pairwise(rows):
        if after.end - before.end != series.step_ns:
            name = f"{series.instrument} {series.granularity}"
            found = f"found one of {name} before the candle that ends at {iso_second(after.end)}"
            msg = f"--fast: expected candles without a hole, {found}; choose other days with --from and --to, or leave --fast away"
            raise ConfigError(msg)
