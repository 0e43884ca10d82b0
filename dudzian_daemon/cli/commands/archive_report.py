"""Secure the report of a day: encrypt its package with age, and enter the SHA-256 of the result into the audit log."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.operator import Operator, operator_name
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian archive-report paper_binance --recipients recipients.txt

  dudzian archive-report paper_binance --date 2024-02-14 --recipients age1... --operator jan

  dudzian archive-report paper_binance --sha256 --no-encrypt       only the digest, and its row
"""


def command(
    environment: Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Environment, by name, alias or artifact name.")],
    day: Annotated[str | None, typer.Option("--date", metavar="DAY", help="Day of the report; default: the latest there is.")] = None,
    recipients: Annotated[
        list[str] | None, typer.Option("--recipients", help="age public key, or a file of them; default: reporting.age_recipients.")
    ] = None,
    encrypt: Annotated[bool, typer.Option("--encrypt/--no-encrypt", help="Whether to encrypt it.")] = True,
    sha256: Annotated[bool, typer.Option("--sha256", help="Print the line that sha256sum -c reads, and nothing else.")] = False,
    operator: Operator = None,
    notes: Annotated[str, typer.Option(help="Text for the row.")] = "",
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Exit 0 once the row is written, 2 where there is no such report or no recipient."""
    from dudzian_daemon.adapters.age_file import recipients_of
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.app.daily_report.delivery import archive_report
    from dudzian_daemon.config.load import load
    from dudzian_daemon.kernel.clock import SystemClock

    known = load(config, env=os.environ).config
    folder = resolve(data_dir, os.environ)
    package = _package(folder, known.artifact_name(environment), day)
    keys = recipients_of(recipients or known.reporting.age_recipients) if encrypt else []
    today = datetime.fromtimestamp(SystemClock().wall_ns() // 1_000_000_000, UTC).date()
    done = archive_report(
        package,
        keys,
        data_folder=folder,
        operator=operator_name(operator, os.environ),
        today=today,
        retention=known.reporting.retention,
        notes=notes,
    )
    if as_json:
        emit_json({"schema": "dudzian.archived_report/1", **{name: str(getattr(done, name)) for name in done.__struct_fields__}})
    elif sha256:
        emit_text(f"{done.sha256}  {done.path}")
    else:
        emit_text(
            f"archived      {done.path}\nsha256        {done.sha256}\naudit row     {done.audit_id}, keep until {done.retention_until}"
        )


def _package(folder: Path, artifact: str, day: str | None) -> Path:
    from dudzian_daemon.app.daily_report.package import REPORTS

    if day is not None:
        try:
            date.fromisoformat(day)
        except ValueError:
            msg = f"--date: expected a day as 2024-02-14, found {day!r}"
            raise ConfigError(msg) from None
    found = sorted((folder / REPORTS).glob(f"{day or '*'}/{artifact}.zip"))
    if not found:
        of_day = f" for {day}" if day else ""
        msg = f"no daily report of {artifact}{of_day} below {folder / REPORTS}; make it: dudzian daily-report {artifact}"
        raise ConfigError(msg)
    return found[-1]
