"""Enter something into the audit log (docs/audit/paper_trading_log.md and .jsonl below the data folder): an incident, a note."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from dudzian_daemon.cli.operator import Operator, operator_name
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian audit-log add incident --text "Binance answered 503 for 12 minutes" --severity warning --operator jan

  dudzian audit-log add note --text "keys rotated, checked with a dry run"
"""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `add` a word of its own while it is the only one."""


@app.command("add")
def add(
    kind: Annotated[Literal["incident", "note"], typer.Argument(help="Which table.")],
    text: Annotated[str, typer.Option("--text", help="What happened.")],
    severity: Annotated[Literal["info", "warning", "error", "critical"], typer.Option("--severity", help="Of an incident.")] = "warning",
    notes: Annotated[str, typer.Option(help="What was done about it.")] = "",
    operator: Operator = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Exit 0 once it is written, 2 for a text that is empty or a log that is none."""
    from dudzian_daemon.adapters.audit_log import JSON_LINES, MARKDOWN, add_entry
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.kernel.clock import SystemClock, iso_utc

    if not text.strip():
        msg = "--text: expected what happened, found nothing"
        raise ConfigError(msg)
    folder, who = resolve(data_dir, os.environ), operator_name(operator, os.environ)
    now = iso_utc(SystemClock().wall_ns())[:19] + "Z"
    values = (now, who, severity, text, notes) if kind == "incident" else (now, who, f"{text} {notes}".strip())
    of_kind = {"severity": severity} if kind == "incident" else {}

    def record(entry: str) -> dict[str, str]:
        return {"kind": kind, "id": entry, "timestamp": now, "operator": who, "text": text, "notes": notes, **of_kind}

    entry = add_entry(folder / MARKDOWN, folder / JSON_LINES, kind, values, record)
    if as_json:
        emit_json({"schema": "dudzian.audit_row/1", "path": str(folder / MARKDOWN), **record(entry)})
    else:
        emit_text(f"audit row     {entry} in {folder / MARKDOWN}")
