"""Run the daemon: a whole paper session, from its start to its signed end.

Without options this is the demo: real candles that ship with the package, no network, no account.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.session_run import Said, run_session, show_plan

EXAMPLES = """Examples:

  dudzian run                                        the demo, about three minutes

  dudzian run --speed max --no-ui                    the demo as fast as it goes, logs only

  dudzian run -e binance_paper --metrics-port 0      another environment, any free port

  dudzian run --fresh                                a new session instead of the one that would go on

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
    plugins_dir: Annotated[
        Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
    ] = None,
    pipeline_module: Annotated[
        list[str] | None, typer.Option("--pipeline-module", help="Importable module that supplies CONTROLLERS (signals only); repeat.")
    ] = None,
    realtime_module: Annotated[
        list[str] | None, typer.Option("--realtime-module", help="The same, asked after the pipeline modules; repeat.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Close the session that would go on, and begin a new one.")] = False,
    accept_change: Annotated[
        bool, typer.Option("--accept-change", help="Let the session go on under a changed configuration or other code.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check configuration, plugins and candles, say what would run, write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: the answer as JSON.")] = False,
) -> None:
    """Run a paper session until its data ends or you press Ctrl-C (twice: at once)."""
    said: Said = {
        "config": config,
        "environment": environment,
        "data_dir": data_dir,
        "speed": speed,
        "metrics_port": metrics_port,
        "show_view": not no_ui,
        "plugins_dir": plugins_dir,
        "fresh": fresh,
        "accept_change": accept_change,
        "modules": (*(pipeline_module or ()), *(realtime_module or ())),
    }
    if dry_run:
        show_plan(as_json=as_json, **said)
        return
    run_session(**said)
