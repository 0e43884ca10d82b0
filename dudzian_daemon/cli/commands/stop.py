"""Stop the daemon on a data folder in an orderly way, and wait until it is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian stop                        close paper positions, end the session

  dudzian stop --keep-positions       keep the book for the next run
"""


def command(
    data_dir: Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")] = None,
    keep_positions: Annotated[bool, typer.Option("--keep-positions", help="Do not close paper positions.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the end.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Exit 0 once the daemon has ended, 1 if it has not within the time, 2 if none runs."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.cli.asking import ended_within
    from dudzian_daemon.services.inbox import CommandFile, read_reply, send

    folder = resolve(data_dir, os.environ)
    pid = running_pid(folder)
    if pid is None:
        msg = f"no daemon runs on {folder}"
        raise ConfigError(msg)
    command_id = send(folder, CommandFile("stop", {"close_positions": "no" if keep_positions else "yes"}))
    ended = ended_within(folder, timeout)
    reply = read_reply(folder, command_id)
    if as_json:
        emit_json({"pid": pid, "ended": ended, "command": command_id, "reply": reply})
    else:
        emit_text(f"daemon (pid {pid}) {'has ended' if ended else f'has not ended within {timeout:g} s; look at: dudzian status'}")
    raise typer.Exit(0 if ended else 1)
