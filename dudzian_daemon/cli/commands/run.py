"""Run the daemon: a whole paper session, from its start to its signed end.

Without options this is the demo: real candles that ship with the package, no network, no account.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, lossy_stdout

if TYPE_CHECKING:
    from dudzian_daemon.app.preparation import RunOptions

EXAMPLES = """Examples:

  dudzian run                                        the demo, about three minutes

  dudzian run --speed max --no-ui                    the demo as fast as it goes, logs only

  dudzian run -e binance_paper --metrics-port 0      another environment, any free port

  dudzian run --dry-run                              what would run, and nothing else
"""


def command(
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Data folder: everything the daemon writes is below it.", envvar="DUDZIAN_DATA_DIR")
    ] = None,
    speed: Annotated[str | None, typer.Option(help="Market seconds per second of a replay: max, real or a number.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics, /livez, /readyz on 127.0.0.1; 0: any free one.")] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="No view: log lines on stderr instead.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check configuration, plugins and candles, say what would run, write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: the answer as JSON.")] = False,
) -> None:
    """Run a paper session until its data ends or you press Ctrl-C (twice: at once)."""
    from dudzian_daemon.app.signals import StopSignals
    from dudzian_daemon.kernel.faults import fault_point

    signals = StopSignals()
    if not dry_run:
        signals.install()  # to the end of the process: a Ctrl-C after the last line is no traceback either
        fault_point("run.import")

    from dudzian_daemon.app.preparation import RunOptions

    options = RunOptions(
        config=config, environment=environment, data_dir=data_dir, speed=speed, metrics_port=metrics_port, show_view=not no_ui
    )
    if dry_run:
        _plan(options, as_json=as_json)
        return

    from dudzian_daemon.app import daemon

    raise typer.Exit(daemon.run(options, os.environ, lossy_stdout(), signals))


def _plan(options: RunOptions, *, as_json: bool) -> None:
    from dudzian_daemon.app.plan import plan, plan_lines

    answer = plan(options, os.environ)
    if as_json:
        emit_json(answer)
    else:
        emit_text("\n".join(plan_lines(answer)))
