"""Keep what is old where it belongs: logs, journals, ledgers and reports past their time go, packed, into the archive.

What a daemon may still write is left alone, so this may run beside one; it never removes anything that is younger than the table of
docs/howto/retention.md says, and nothing at all from the archive without --delete-expired.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text

EXAMPLES = """Examples:

  dudzian retention run --dry-run

  dudzian retention run --json
"""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `run` a word of its own while it is the only one."""


@app.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    delete_expired: Annotated[
        bool, typer.Option("--delete-expired", help="Delete from the archive what was kept as long as it has to be.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object (schema dudzian.retention/1).")] = False,
) -> None:
    """Exit 0 where all that was due is done, 1 where something could not be (it stays where it was), 2 for a wrong configuration."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.app import retention
    from dudzian_daemon.config.load import load
    from dudzian_daemon.kernel.clock import SystemClock

    folder = resolve(data_dir, os.environ)
    known = load(config, env=os.environ).config
    results = []
    for each in retention.run(known, folder, SystemClock().wall_ns(), dry_run=dry_run, delete_expired=delete_expired):
        results.append(each)
        if not as_json:
            where = f" -> {each.target}" if each.target else ""
            why = f": {each.reason}" if each.reason else f", kept until {each.keep_until}" if each.keep_until else ""
            other = f"; another content of that name stays at {each.beside}" if each.beside else ""
            emit_text(f"{each.action:<14}{each.kind} {each.path}{where} ({each.age_days} days, {each.bytes:,} bytes){why}{other}")
    failed = sum(each.action == "failed" for each in results)
    if as_json:
        emit_json({"schema": "dudzian.retention/1", "dry_run": dry_run, "data_folder": str(folder), "failed": failed, "items": results})
    elif not results:
        emit_text(f"nothing is due: nothing below {folder} was last written more than {known.reporting.retention.hot_days} days ago")
    raise typer.Exit(1 if failed else 0)
