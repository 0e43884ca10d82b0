"""Play stored candles through the daemon's own step, as fast as it goes, and tell what came of it.

The same strategies, risk gate, fills and ledger as `dudzian run`, cycle for cycle; no waiting, no files unless asked for.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.cli.progress import progress
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.backtest.result import BacktestResult

EXAMPLES = """Examples:

  dudzian backtest                                            the demo's own windows

  dudzian backtest --from 2024-03-01 --to 2024-04-30          two months, both days included

  dudzian backtest --strategies core_daily_trend --profile unlimited_research --plot equity.html

  dudzian backtest --json | jq .statistics.total              for programs
"""


def command(
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    strategies: Annotated[
        list[str] | None, typer.Option("--strategies", help="Only schedules of these strategies; repeat, or part by commas.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day, UTC; instead of the environment's windows.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, UTC, included.")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="Risk profile of all schedules; unlimited_research is for backtests only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (schema dudzian.backtest/1) on stdout.")] = False,
    per_cycle: Annotated[bool, typer.Option("--per-cycle", help="With --json: equity after every cycle too.")] = False,
    journal: Annotated[
        bool, typer.Option("--journal", help="Write a signed journal below the data folder, as artifact backtest_<environment>.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png|FILE.html", help="Draw equity and drawdown; needs the extra `reports`.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder, with the candle cache.", envvar="DUDZIAN_DATA_DIR")] = None,
    plugins_dir: Annotated[
        Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Simulate, then tell."""
    from dudzian_daemon.adapters.plots import require_plottable, write_plot
    from dudzian_daemon.app.backtest import run, view

    if per_cycle and not as_json:
        msg = "--per-cycle: expected --json beside it, found none; the tables for people have no row per cycle"
        raise ConfigError(msg)
    if plot is not None:
        require_plottable(plot)  # not after minutes of work
    options = run.BacktestOptions(
        config=config,
        environment=environment,
        data_dir=data_dir,
        strategies=tuple(name.strip() for text in strategies or () for name in text.split(",")),
        first=_day("--from", first),
        last=_day("--to", last),
        profile=profile,
        journal=journal,
        plugins_dir=plugins_dir,
    )
    with progress("backtest", "bars") as bar:
        result = run.run(options, os.environ, lambda bars, share: bar.at(bars, bars / share if share else None))
    if as_json:
        emit_json(result if per_cycle else msgspec.structs.replace(result, equity_by_cycle=None))
    else:
        _tell(result)
    if plot is not None:  # last, so that a full disk costs the picture alone
        write_plot(plot, view.plot(result), [view.figures(result), view.trades(result)])
        note(f"plot written to {plot}")


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        msg = f"{option}: expected a day such as 2024-01-31, found {text!r}"
        raise ConfigError(msg) from None


def _tell(result: BacktestResult) -> None:
    from dudzian_daemon.app.backtest import view
    from dudzian_daemon.cli.layout import table_lines, terminal_width, wrapped

    width = terminal_width()
    figures = view.figures(result)
    lines = [piece for line in view.head_lines(result) for piece in wrapped(line, view.INDENT, width)]
    lines += ["", *table_lines(figures.columns, figures.rows, width)]
    if result.journal is not None:
        lines += ["", *view.journal_lines(result)]
    emit_text("\n".join(lines))
