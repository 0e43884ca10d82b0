"""Run the daemon: a whole paper session, from its start to its signed end.

Without options this is the demo: real candles that ship with the package, no network, no account.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dudzian_daemon.cli.session_options import ControllerModules, session_command
from dudzian_daemon.cli.session_run import AsJson, Said, run_session, show_plan

EXAMPLES = """Examples:

  dudzian run                                        the demo, about three minutes

  dudzian run --speed max --no-ui                    the demo as fast as it goes, logs only

  dudzian run -e binance_paper --metrics-port 0      another environment, any free port

  dudzian run -e binance_paper --live                that environment on the live market

  dudzian run --fresh                                a new session instead of the one that would go on

  dudzian run --dry-run                              what would run, and nothing else
"""


@session_command
def command(
    said: Said,
    modules: ControllerModules,
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check configuration, plugins and candles, say what would run, write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a paper session until its data ends or you press Ctrl-C (twice: at once)."""
    said["environment"] = environment
    said["modules"] = (*(modules.pipeline_module or ()), *(modules.realtime_module or ()))
    if dry_run:
        show_plan(as_json=as_json, **said)
        return
    run_session(as_json=as_json, **said)
