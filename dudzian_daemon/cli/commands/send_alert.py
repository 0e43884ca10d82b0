"""Send a message over one alert channel, as a test or by hand, with a line in the audit file (`logs/alerts_audit.jsonl`).

No daemon is needed. Exit 0 if the channel took it, 1 if not, 2 for an unknown channel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """Examples:

  dudzian send-alert --channel telegram --message "Paper trading start test"

  dudzian send-alert --channel file:local --message "disk replaced" --severity warning --json
"""


def command(
    channel: Annotated[str, typer.Option(help="plugin:name, or plugin alone for its first channel.")],
    message: Annotated[str, typer.Option(help="The text.")],
    severity: Annotated[str, typer.Option(help="info, warning, error or critical.")] = "info",
    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment, by name or alias.")] = "binance_paper",
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    plugins_dir: Annotated[Path | None, typer.Option(help="Folder of your own plugins.", envvar="DUDZIAN_PLUGINS_DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Send, tell, exit 0 or 1."""
    from dudzian_daemon.cli.sending import send_and_tell

    send_and_tell(channel, message, severity, (environment, config, data_dir, plugins_dir), as_json=as_json)
