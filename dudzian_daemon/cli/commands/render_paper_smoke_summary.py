"""Turn the normalised summary of a smoke run (run-daily-trend --paper-smoke-summary-json) into Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian render-paper-smoke-summary --summary-json smoke.json --output smoke.md

  dudzian render-paper-smoke-summary --summary smoke.json          on stdout
"""


def command(
    summary_json: Annotated[Path, typer.Option("--summary-json", "--summary", help="The file that the smoke run wrote.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it; default: stdout.")] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Paper smoke run",
) -> None:
    """Exit 0 once it is written, 2 for a file that is no such summary."""
    import msgspec

    from dudzian_daemon.adapters.files import ensure_dir, os_errors, write_atomic
    from dudzian_daemon.app.daily_trend.smoke_audit import NormalisedSummary, markdown_text

    if not summary_json.is_file():
        msg = f"--summary-json: expected a file that --paper-smoke-summary-json wrote, found none at {summary_json}"
        raise ConfigError(msg)
    with os_errors(summary_json):
        data = summary_json.read_bytes()
    try:
        answer = msgspec.json.decode(data, type=NormalisedSummary)
    except msgspec.DecodeError as error:
        msg = f"--summary-json: expected a summary of a smoke run in {summary_json}, found something else ({error})"
        raise ConfigError(msg) from None
    text = markdown_text(answer, title)
    if output is None:
        emit_text(text.rstrip())
        return
    ensure_dir(output.absolute().parent)
    write_atomic(output.absolute(), text.encode())
