"""Play the environment's own schedules at a pace far above a day's, and hold what that takes against the budgets.

A daemon of its own plays made-up hours of the market in a temporary folder, offline; it is measured from outside: CPU, resident memory,
disk, latency of each run. The report goes to logs/load_tests/ below the data folder, as JSON and as text; nothing else is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.option_groups import Options, grouped
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.progress import progress

if TYPE_CHECKING:
    from dudzian_daemon.app.load_test.plan import LoadPlan, LoadSettings, PlannedLoad
    from dudzian_daemon.app.load_test.run import Measured
    from dudzian_daemon.kernel.clock import Clock

EXAMPLES = """Examples:

  dudzian load-test-scheduler                                          60 decisions of each schedule of binance_paper

  dudzian load-test-scheduler --iterations 60 --schedules 3 --output logs/load_tests/paper_mode.json

  dudzian load-test-scheduler --pace-ms 50 --cpu-budget 70 --json      five times as much an hour, another budget
"""


class Asked(Options, frozen=True):
    """The load, the budgets it is held against, and where the report goes."""

    environment: Annotated[str, typer.Option("--environment", "-e", help="Whose schedules and budgets; one of mode paper.")] = (
        "binance_paper"
    )
    iterations: Annotated[
        int, typer.Option(min=1, max=10_000, help="Decisions of each schedule, an hour of the market apart; in whole days of 24.")
    ] = 60
    schedules: Annotated[int | None, typer.Option(min=1, help="Only the first so many schedules. Default: all.")] = None
    pace_ms: Annotated[int, typer.Option(min=1, max=60_000, help="Wall milliseconds of an hour of the market: less is more load.")] = 250
    cpu_budget: Annotated[float | None, typer.Option(min=0.1, help="% of a core, in the place of the configured budget.")] = None
    memory_budget: Annotated[float | None, typer.Option(min=1, help="MB, in the place of the configured budget.")] = None
    output: Annotated[Path | None, typer.Option(help="The report, .json; the text lies beside it. Default: logs/load_tests/TIME.json.")] = (
        None
    )
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be played.")] = False
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout (schema dudzian.load_test/1).")] = False
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder, for the report.", envvar="DUDZIAN_DATA_DIR")] = None
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None


@grouped
def command(asked: Asked) -> None:
    """Exit 0 where all budgets hold (a warning included), 1 where one was passed or the load did not end, 2 for wrong input."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.files import ensure_dir
    from dudzian_daemon.app.load_test.plan import load_plan
    from dudzian_daemon.app.load_test.report import FOLDER, load_report, report_lines, write_report
    from dudzian_daemon.kernel.clock import SystemClock, file_stamp

    plan = load_plan(_settings(asked), os.environ)
    if asked.dry_run:
        _tell_plan(plan.told, json=asked.json)
        return
    clock = SystemClock()
    path = asked.output or data_folder.resolve(asked.data_dir, os.environ) / FOLDER / f"{file_stamp(clock.wall_ns())}.json"
    ensure_dir(path.parent)  # before the load, which takes its time
    report = load_report(plan.told, _measured(plan, asked.config, clock), clock.wall_ns())
    text = write_report(report, path)
    if asked.json:
        emit_json(report)
    else:
        emit_text("\n".join([*report_lines(report), f"report        {path}, {text.name}"]))
    raise typer.Exit(report.exit_code)


def _settings(asked: Asked) -> LoadSettings:
    from dudzian_daemon.app.load_test.plan import LoadSettings

    return LoadSettings(
        environment=asked.environment,
        config=asked.config,
        iterations=asked.iterations,
        schedules=asked.schedules,
        pace_ms=asked.pace_ms,
        cpu_budget=asked.cpu_budget,
        memory_budget=asked.memory_budget,
    )


def _measured(plan: LoadPlan, config: Path | None, clock: Clock) -> Measured:
    import tempfile

    from dudzian_daemon.app.load_test.run import run_load

    hours = plan.told.iterations
    with tempfile.TemporaryDirectory(prefix="dudzian-load-") as folder, progress("load test", "hours", hours) as bar:
        return run_load(plan, Path(folder), os.environ, config, clock, lambda share: bar.at(share * hours))


def _tell_plan(plan: PlannedLoad, *, json: bool) -> None:
    if json:
        emit_json(plan)
        return
    hours = f"{plan.iterations} hours of the market, {plan.pace_ms} ms each: about {plan.seconds:.0f} s"
    emit_text(f"would play    {plan.environment}, {len(plan.schedules)} schedules on {len(plan.symbols)} instruments, {hours}")
    for name, strategy in plan.schedules.items():
        emit_text(f"schedule      {name}: {strategy}")
    limits = plan.limits
    budgets = f"{limits.cpu_percent:g} % of a core, {limits.memory_mb:g} MB, {limits.io_read_mb_s:g} and {limits.io_write_mb_s:g} MB/s"
    emit_text(f"budgets       {budgets}, warning from {limits.headroom_warning_threshold:g} of each")
