"""Judge whether the candles an environment needs are stored: rows, freshness, holes, damaged files, with a repair for each finding.

Needed are the backfill windows of instruments.yaml up to now; of made-up candles, the window that was seeded; of the shipped sample, what
the environment replays. Every file is compared with its digest. Exit 0 when nothing is found, 1 on any finding, 2 on a wrong name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.layout import table_lines, terminal_width
from dudzian_daemon.cli.output import emit_json, emit_text

if TYPE_CHECKING:
    from dudzian_daemon.app.coverage.report import CoverageReport

EXAMPLES = """Examples:

  dudzian check-data-coverage --environment binance_paper --json

  dudzian check-data-coverage -e binance_paper --symbol BTC_USDT --interval D1 --as-of 2024-02-29

  dudzian check-data-coverage -e binance_paper --instrument-bucket spot_core_major --output data/reports/coverage/binance_paper.json
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose candles; default: the default environment.")] = None,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Only this pair (BTC_USDT or the venue's name); repeatable.")] = None,
    interval: Annotated[
        list[str] | None, typer.Option("--interval", "--granularity", help="Only this length of candle (1d or D1); repeatable.")
    ] = None,
    instrument_bucket: Annotated[str | None, typer.Option("--instrument-bucket", help="Only members of this bucket.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Judge freshness at this time (ISO, UTC; a day means its end).")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write the JSON document to this file too.")] = None,
    metrics_file: Annotated[
        Path | None, typer.Option("--metrics-file", help="Write the figures as Prometheus text, for a text-file collector.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Resolve names, judge, write, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.app.coverage.report import CoverageQuestion, coverage
    from dudzian_daemon.app.coverage.requirements import Selection
    from dudzian_daemon.cli.moments import moment_ns
    from dudzian_daemon.config.load import load
    from dudzian_daemon.kernel.clock import SystemClock

    loaded = load(config, env=os.environ).config
    question = CoverageQuestion(
        environment=loaded.environment_id(environment),
        now=SystemClock().wall_ns(),
        as_of=None if as_of is None else moment_ns(as_of, "--as-of"),
        selection=Selection(
            symbols=tuple(symbol or ()),
            granularities=tuple(granularity_named(text) for text in interval or ()),
            bucket=instrument_bucket,
        ),
    )
    report = coverage(loaded, data_folder.resolve(data_dir, os.environ), question)
    _write_files(report, output, metrics_file)
    if json:
        emit_json(report)
    else:
        emit_text("\n".join(_lines(report)))
    raise typer.Exit(0 if report.status == "ok" else 1)


def _write_files(report: CoverageReport, output: Path | None, metrics_file: Path | None) -> None:
    from dudzian_daemon.adapters.files import ensure_dir, write_atomic
    from dudzian_daemon.app.coverage.metrics import exposition
    from dudzian_daemon.cli.output import json_text

    if output is not None:
        ensure_dir(output.absolute().parent)
        write_atomic(output.absolute(), json_text(report).encode())
    if metrics_file is not None:
        ensure_dir(metrics_file.absolute().parent)
        write_atomic(metrics_file.absolute(), exposition(report))


def _lines(report: CoverageReport) -> list[str]:
    summary = report.summary
    lines = [
        f"{report.environment}: {report.status} as of {report.as_of} ({report.requirement.replace('_', ' ')}), {summary['ok']} of "
        f"{summary['total']} series without a finding",
    ]
    columns = ("series", "status", "rows", "required", "missing", "age_minutes", "newest")
    rows = [
        (
            entry.name,
            entry.status,
            str(entry.row_count),
            str(entry.required_rows),
            str(entry.missing_rows),
            "-" if entry.gap_minutes is None else str(entry.gap_minutes),
            entry.last_timestamp_iso or "-",
        )
        for entry in report.entries
    ]
    lines += table_lines(columns, rows, terminal_width()) if rows else []
    for entry in report.entries:
        if entry.issues:
            holes = "".join(f" [{hole.start_iso}, {hole.end_iso})" for hole in entry.holes[:3])
            more = f" and {entry.holes_total - 3} more" if entry.holes_total > 3 else ""
            lines.append(f"{entry.name}: {', '.join(entry.issues)}{holes and f'; missing{holes}{more}'}")
            lines += [f"  {text}" for text in entry.damaged]
            lines.append(f"  repair: {entry.repair}")
    lines += [f"threshold: {issue}" for issue in report.threshold_issues]
    return lines
