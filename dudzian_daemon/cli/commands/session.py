"""What is known of a session apart from its cycles: its newest signed head, to be kept where nobody who writes the log can reach it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_text

EXAMPLES = """Examples:

  dudzian session head

  dudzian session head --json > /mnt/elsewhere/head.json
"""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `head` a word of its own while it is the only one."""


@app.command("head")
def head(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Log id, its beginning, folder, file, artifact, or `newest`.")
    ] = "newest",
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose newest session `newest` is.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The signed head alone, one line of JSON.")] = False,
) -> None:
    """Show the newest signed head of a session: how far its journal has come. It is at most a minute or a hundred lines old."""
    from dudzian_daemon.adapters.head_file import newest_head
    from dudzian_daemon.adapters.heads import encode_head
    from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
    from dudzian_daemon.kernel.clock import iso_utc

    log = find_recorded(LogOptions(session=session, data_dir=data_dir, config=config, environment=environment), os.environ)
    signed = newest_head(log.folder)
    if not as_json:
        known = signed.head
        emit_text(f"session {known.log}: line {known.line}, cycle {known.sequence}, seen at {iso_utc(known.at)}, signed by {signed.key}")
    emit_text(encode_head(signed).decode().rstrip("\n"))  # in its one spelling: a signature covers bytes
