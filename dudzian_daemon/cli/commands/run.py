"""Run the daemon: a whole paper session, from its start to its signed end.

Without options this is the demo: real candles that ship with the package, no network, no account.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dudzian_daemon.cli import session_run
from dudzian_daemon.cli.session_run import Said, run_session, show_plan

EXAMPLES = """Examples:

  dudzian run                                        the demo, about three minutes

  dudzian run --speed max --no-ui                    the demo as fast as it goes, logs only

  dudzian run -e binance_paper --metrics-port 0      another environment, any free port

  dudzian run -e binance_paper --live                that environment on the live market

  dudzian run --fresh                                a new session instead of the one that would go on

  dudzian run --dry-run                              what would run, and nothing else
"""


def command(
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    config: session_run.Config = None,
    data_dir: session_run.DataDir = None,
    speed: session_run.Speed = None,
    metrics_port: session_run.MetricsPort = None,
    no_ui: session_run.NoUi = False,
    plugins_dir: session_run.PluginsDir = None,
    pipeline_module: Annotated[
        list[str] | None, typer.Option("--pipeline-module", help="Importable module that supplies CONTROLLERS (signals only); repeat.")
    ] = None,
    realtime_module: Annotated[
        list[str] | None, typer.Option("--realtime-module", help="The same, asked after the pipeline modules; repeat.")
    ] = None,
    fresh: session_run.Fresh = False,
    accept_change: session_run.AcceptChange = False,
    live: session_run.Live = False,
    base_url: session_run.BaseUrl = None,
    ws_url: session_run.WsUrl = None,
    poll_seconds: session_run.PollSeconds = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check configuration, plugins and candles, say what would run, write nothing.")
    ] = False,
    as_json: session_run.AsJson = False,
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
        "live": live,
        "base_url": base_url,
        "ws_url": ws_url,
        "poll_seconds": poll_seconds,
        "modules": (*(pipeline_module or ()), *(realtime_module or ())),
    }
    if dry_run:
        show_plan(as_json=as_json, **said)
        return
    run_session(as_json=as_json, **said)
