"""Confirm from the scheduler's telemetry that every strategy stayed within its allocation, profile by profile.

Compared is the largest share of equity a strategy's positions had at any cycle with the `strategy_allocations` of the risk profile it
ran under. Without options: the latest session of every scheduler in audit/metrics/telemetry.jsonl.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text

if TYPE_CHECKING:
    from dudzian_daemon.app.allocations import Allocations

EXAMPLES = """Examples:

  dudzian telemetry-risk-profiles --summary core

  dudzian telemetry-risk-profiles --summary demo --max-latency-ms 250 --json
"""


class Verdict(IntEnum):
    """Exit codes of the command."""

    WITHIN = 0
    OVER = 1
    UNREADABLE = 2


def command(
    summary: Annotated[
        str | None,
        typer.Option("--summary", metavar="SCHEDULER", help="This scheduler only: core_multi_pipeline, or the end of its namespace, core."),
    ] = None,
    all_sessions: Annotated[bool, typer.Option("--all-sessions", help="Every session in the file, not the latest only.")] = False,
    max_latency_ms: Annotated[
        float | None, typer.Option(min=0.0, help="A run that took so long or longer is a breach too (the operator's limit: 250).")
    ] = None,
    telemetry: Annotated[Path | None, typer.Option("--telemetry", help="Telemetry file; default: that of the data folder.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (schema dudzian.telemetry_risk_profiles/1).")] = False,
) -> None:
    """Exit 0 if everything stayed within its limits, 1 if not, 2 if there is no telemetry to judge."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.app.allocations import judge
    from dudzian_daemon.sinks.telemetry.runs import telemetry_path

    path = telemetry or telemetry_path(resolve(data_dir, os.environ))
    answer = judge(path, summary, all_sessions=all_sessions, max_latency_ms=max_latency_ms)
    if as_json:
        emit_json(answer)
    else:
        emit_text("\n".join(_lines(answer)))
    raise typer.Exit(Verdict.WITHIN if answer.within else Verdict.OVER)


def _lines(answer: Allocations) -> Iterator[str]:
    for scheduler in answer.schedulers:
        yield f"scheduler     {scheduler.name} ({scheduler.environment}), {scheduler.runs} runs of {len(scheduler.sessions)} session(s)"
        for share in scheduler.shares:
            verdict = "within" if share.within else f"OVER since {share.first_over}"
            yield f"allocation    {share.risk_profile:<14} {share.strategy:<28} {share.peak:7.2%} of {share.cap:7.2%}  {verdict}"
        limit = "" if answer.max_latency_ms is None else f", {scheduler.slow_runs} at or above {answer.max_latency_ms:g} ms"
        yield f"latency       {scheduler.max_latency_ms:.1f} ms at most{limit}"
    yield f"verdict       {'within the limits' if answer.within else 'OVER a limit'}"
