"""Run all schedules of a scheduler together: `dudzian run` restricted to that set, on binance_paper unless told otherwise.

Telemetry of every run goes to audit/metrics/telemetry.jsonl. With --dry-run nothing is traded: alone it says what would run, with
--emit-telemetry it plays the stored candles with the kill switch on and writes the telemetry of that.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.session_options import session_command
from dudzian_daemon.cli.session_run import AsJson, Said, options, run_session, show_plan

EXAMPLES = """Examples:

  dudzian run-multi-strategy-scheduler                                    the set of binance_paper

  dudzian run-multi-strategy-scheduler --dry-run --emit-telemetry         validate it and write telemetry, trade nothing

  dudzian run-multi-strategy-scheduler -e demo --run-once --speed max     end once each schedule has run
"""


@session_command
def command(
    said: Said,
    environment: Annotated[
        str, typer.Option("--environment", "-e", help="Environment of the configuration, by name or alias.")
    ] = "binance_paper",
    scheduler: Annotated[str | None, typer.Option(help="Which of runtime.multi_strategy_schedulers; default: the environment's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the set and say what would run; trade nothing.")] = False,
    emit_telemetry: Annotated[
        bool, typer.Option("--emit-telemetry", help="With --dry-run: play the set and write its telemetry. A real run always writes it.")
    ] = False,
    run_once: Annotated[bool, typer.Option("--run-once", help="End as soon as each schedule has run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Exit 0 after an orderly end or a dry run, 2 if configuration, plugins or candles are wrong."""
    said |= {"environment": environment, "scheduler": scheduler, "run_once": run_once}
    if not dry_run:
        run_session(as_json=as_json, **said)
    if emit_telemetry:
        _rehearse(said, as_json=as_json)
    else:
        show_plan(as_json=as_json, **said)


def _rehearse(said: Said, *, as_json: bool) -> None:
    from dudzian_daemon.app.process.rehearsal import rehearsal_lines, rehearse
    from dudzian_daemon.kernel.clock import SystemClock

    answer = rehearse(options(said), os.environ, SystemClock())
    if as_json:
        emit_json(answer)
    else:
        emit_text("\n".join(rehearsal_lines(answer)))
