"""Begin: write a configuration of your own with comments, make the signing key, and begin the signed decision log.

Asks three questions; with --yes it takes the defaults and asks nothing. Nothing that is there is overwritten.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian init                                       asks for environment, balance and folder

  dudzian init --yes                                 binance_paper with 10000 USDT

  dudzian init --yes -e demo --config-dir ./config
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Default environment of the new configuration.")] = None,
    balance: Annotated[str | None, typer.Option(help="Opening balance in USDT.")] = None,
    config_dir: Annotated[Path | None, typer.Option(help="Folder of the new configuration; default: the user's own.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Exit 0 once all is written, 2 for a wrong answer or a configuration that is there already."""
    from platformdirs import user_config_path

    from dudzian_daemon.app.first_start import begin

    folder = config_dir or user_config_path("dudzian", appauthor=False)
    if not yes:
        if not sys.stdin.isatty():
            msg = (
                "init: expected a terminal to ask in, found none; give --yes, and --environment, --balance, --config-dir where they differ"
            )
            raise ConfigError(msg)
        environment = typer.prompt("Environment", default=environment or "binance_paper")
        balance = typer.prompt("Opening balance, USDT", default=balance or "10000")
        folder = Path(typer.prompt("Folder of the configuration", default=str(folder)))
    done = begin(folder.absolute(), environment or "binance_paper", _amount(balance), data_dir, os.environ)
    if as_json:
        emit_json(done)
        return
    for file in done.files:
        emit_text(f"wrote         {file}")
    made = "made" if done.key_created else "found"
    emit_text(f"signing key   {made}: {done.key}\ndecision log  {done.decision_log}\ndata folder   {done.data_folder}")
    emit_text(f"next          dudzian preflight -e {done.environment}, then dudzian run -e {done.environment}")


def _amount(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        msg = f"--balance: expected an amount above 0, found {text!r}"
        raise ConfigError(msg)
    return f"{amount:f}"
