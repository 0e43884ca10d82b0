"""Search a strategy's parameters through the product's own backtest, on all cores, and prove the winners.

Every combination is a backtest with the gate, fees and fills of `dudzian run`. Results are kept as Parquet below the output folder as they
come; --resume computes nothing that is there. The winners are played twice more and must come out the same, decision for decision. With
each stands the deflated Sharpe ratio: how likely it is that its Sharpe ratio is above that of the luckiest of so many trials without skill.
Exit 0 done, 1 a winner did not come out the same or a worker died, 2 wrong input, 130 interrupted (what is done is kept).
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dudzian_daemon.cli.option_groups import Options, grouped
from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.cli.progress import progress
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.backtest.run import BacktestOptions
    from dudzian_daemon.app.sweep.plan import Plan, SweepOptions
    from dudzian_daemon.app.sweep.result import SweepResult

EXAMPLES = """Examples:

  dudzian sweep --strategies demo_mean_reversion --param lookback=48:144:24 --param entry_zscore=1.8,2.1,2.4

  dudzian sweep --strategies core_daily_trend --param fast_ma=10:40:5 --param slow_ma=60:140:20 --from 2018-06-01 --to 2021-02-16

  dudzian sweep ... --walk-forward 365:90                     best of a year, measured on the quarter after it

  dudzian sweep ... --search optuna --trials 200 --seed 7     with the extra `sweep`

  dudzian sweep ... --fast --profile unlimited_research       ranked by the strategy's vectorised twin first
"""

_INTERRUPTED: Final = 130


class Asked(Options, frozen=True):
    """What is searched, how, on which days, and where its results go."""

    strategies: Annotated[str, typer.Option("--strategies", help="The strategy whose parameters are searched.")]
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUES", help="first:last:step, or values parted by commas; repeatable.")
    ] = None
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None
    search: Annotated[str, typer.Option("--search", help="grid: every combination; optuna: a sampler that learns.")] = "grid"
    trials: Annotated[int, typer.Option("--trials", min=1, max=1_000_000, help="How many trials optuna has, in each fold.")] = 100
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of optuna's sampler.")] = 0
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day, UTC; instead of the environment's windows.")
    ] = None
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, UTC, included.")] = None
    walk_forward: Annotated[
        str | None,
        typer.Option("--walk-forward", metavar="TRAIN:TEST", help="Days to search on, and days after them to measure the best on."),
    ] = None
    metric: Annotated[
        str, typer.Option("--metric", help="sharpe, sortino, calmar, cagr, total_return, profit_factor, win_rate or max_drawdown.")
    ] = "sharpe"
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, max=1024, help="Worker processes; default: one per core.")] = None
    fast: Annotated[
        bool, typer.Option("--fast", help="Rank by the strategy's vectorised twin, play only the best; needs the extra `research`.")
    ] = False
    profile: Annotated[
        str | None, typer.Option("--profile", help="Risk profile of the schedules; unlimited_research is for backtests only.")
    ] = None
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Folder of the results; default: one below sweeps of the data folder.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on in a folder that has results of the same inputs.")] = False
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="How many of the best are proved and shown.")] = 5
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (schema dudzian.sweep/1) on stdout.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be tried; compute nothing, write nothing.")] = False
    yes: Annotated[bool, typer.Option("--yes", help="Begin more than 10,000 trials.")] = False
    data_dir: Annotated[Path | None, typer.Option(help="Data folder, with the candle cache.", envvar="DUDZIAN_DATA_DIR")] = None
    plugins_dir: Annotated[
        Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
    ] = None
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None


@grouped
def command(asked: Asked) -> None:
    """Plan, search, prove, tell."""
    from dudzian_daemon.app.sweep.plan import planned

    _require_extras(asked.search, fast=asked.fast)
    plan = planned(_options(asked), os.environ)
    if asked.dry_run:
        _tell_plan(plan, as_json=asked.as_json)
        return
    result = _swept(plan, asked.jobs or os.cpu_count() or 1)
    if asked.as_json:
        emit_json(result)
    else:
        _tell(result)
    if not result.reproduced:
        note("sweep: a winner did not come out the same when it was played again; is the plugin deterministic? (dudzian plugins check)")
        raise typer.Exit(1)


def _options(asked: Asked) -> SweepOptions:
    from dudzian_daemon.app.sweep.plan import SweepOptions

    return SweepOptions(
        backtest=_backtest(asked),
        parameters=tuple(asked.param or ()),
        search=asked.search,
        trials=asked.trials,
        seed=asked.seed,
        walk_forward=_windows(asked.walk_forward),
        metric=asked.metric,
        top=asked.top,
        fast=asked.fast,
        output=asked.output,
        resume=asked.resume,
        confirmed=asked.yes,
    )


def _backtest(asked: Asked) -> BacktestOptions:
    """What every trial plays."""
    from dudzian_daemon.app.backtest.run import BacktestOptions

    return BacktestOptions(
        config=asked.config,
        environment=asked.environment,
        data_dir=asked.data_dir,
        strategies=tuple(name.strip() for name in asked.strategies.split(",")),
        first=_day("--from", asked.first),
        last=_day("--to", asked.last),
        profile=asked.profile,
        plugins_dir=asked.plugins_dir,
    )


def _swept(plan: Plan, jobs: int) -> SweepResult:
    from dudzian_daemon.app.sweep.execution import local_executor
    from dudzian_daemon.app.sweep.kept import Kept
    from dudzian_daemon.app.sweep.run import Sweep
    from dudzian_daemon.kernel.clock import SystemClock

    kept = None
    try:
        kept = Kept(plan, SystemClock())
        with progress("sweep", "trials", plan.trials) as bar, local_executor(jobs) as executor:
            return Sweep(plan, kept, executor, jobs, bar.at).run()
    except KeyboardInterrupt:
        computed = 0 if kept is None else kept.computed
        note(f"sweep: interrupted; {computed} results of this run are kept in {plan.output}, go on with --resume --output {plan.output}")
        raise typer.Exit(_INTERRUPTED) from None


def _require_extras(search: str, *, fast: bool) -> None:
    """Not after minutes of work."""
    from dudzian_daemon.adapters.candle_columns import require_numpy
    from dudzian_daemon.adapters.optuna_search import require_optuna

    if search == "optuna":
        require_optuna()
    if fast:
        require_numpy()


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        msg = f"{option}: expected a day such as 2024-01-31, found {text!r}"
        raise ConfigError(msg) from None


def _windows(text: str | None) -> tuple[int, int] | None:
    """Days of training and test."""
    if text is None:
        return None
    train, _, test = text.partition(":")
    if not (train.isdecimal() and test.isdecimal() and 0 < int(train) <= 36_500 and 0 < int(test) <= 36_500):
        msg = f"--walk-forward: expected TRAIN:TEST in whole days from 1 to 36500, such as 365:90, found {text!r}"
        raise ConfigError(msg)
    return int(train), int(test)


def _tell_plan(plan: Plan, *, as_json: bool) -> None:
    from dudzian_daemon.app.sweep.kept import kept_there
    from dudzian_daemon.app.sweep.result import plan_lines, planned_of

    planned = planned_of(plan, kept_there(plan))
    if as_json:
        emit_json(planned)
    else:
        emit_text("\n".join(plan_lines(planned)))


def _tell(result: SweepResult) -> None:
    from dudzian_daemon.app.sweep.result import head_lines, notes, winner_rows
    from dudzian_daemon.cli.layout import table_lines, terminal_width, wrapped

    width = terminal_width()
    columns, rows = winner_rows(result)
    lines = [*head_lines(result), "", *table_lines(columns, rows, width), *([""] if notes(result) else []), *notes(result)]
    emit_text("\n".join(piece for line in lines for piece in (wrapped(line, 4, width) if line else [line])))
