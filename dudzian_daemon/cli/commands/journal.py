"""Keep the journals small: pack segments into which nothing will be written any more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text

EXAMPLES = """Examples:

  dudzian journal archive --dry-run

  dudzian journal archive --older-than-days 90
"""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `archive` a word of its own while it is the only one."""


@app.command("archive")
def archive(
    older_than_days: Annotated[int, typer.Option(min=0, max=36_500, help="Age (days, UTC) from which a segment is packed.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be packed.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout (schema dudzian.journal_archive/1).")] = False,
) -> None:
    """Pack old segments of all sessions with gzip, in place. They are verified, shown and replayed as before; a daemon may run."""
    from datetime import UTC, datetime

    from dudzian_daemon.adapters import journal_archive
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.kernel.clock import SystemClock

    today = datetime.fromtimestamp(SystemClock().wall_ns() // 1_000_000_000, UTC).date()
    packed = []
    for each in journal_archive.archive(resolve(data_dir, os.environ), today, older_than_days, dry_run=dry_run):
        packed.append(each)
        if not as_json:
            became = "would be packed" if each.packed_bytes is None else f"packed into {each.packed_bytes:,}"
            emit_text(f"{each.log_id} {each.segment}: {each.bytes:,} bytes {became}")
    if as_json:
        emit_json({"schema": "dudzian.journal_archive/1", "dry_run": dry_run, "segments": packed})
    elif not packed:
        emit_text(f"nothing to pack: no segment that is done was begun more than {older_than_days} days ago")
