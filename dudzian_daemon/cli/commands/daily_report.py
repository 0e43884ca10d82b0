"""Make the report of a day: the package (ledger.csv, decisions.jsonl, summary.json in one ZIP) and a PDF beside it.

Everything is read from the journal, so it works while a daemon runs, after it stopped and for past days; a second run gives the
same bytes. The day is that of event time, UTC.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian daily-report paper_binance                            the latest recorded day

  dudzian daily-report binance_paper --date 2024-02-14          a past one

  dudzian daily-report binance_paper --encrypt-to recipients.txt --mail
"""


def command(
    environment: Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Environment, by name, alias or artifact name.")],
    day: Annotated[str | None, typer.Option("--date", metavar="DAY", help="UTC day as 2024-02-14; default: the latest recorded.")] = None,
    session: Annotated[str | None, typer.Option(help="Of this session (its id, or how it begins); default: the newest.")] = None,
    encrypt_to: Annotated[
        list[str] | None, typer.Option("--encrypt-to", help="age public key, or a file of them; repeat. Also writes <zip>.age.")
    ] = None,
    mail: Annotated[bool, typer.Option("--mail", help="Mail PDF and ledger as reporting.mail says.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Also typeset the PDF (extra reports).")] = True,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Exit 0 once all is written (and mailed), 2 for a wrong name, day or missing extra, 1 when mail or disk refuse."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.typst_document import require_typesetting
    from dudzian_daemon.app.daily_report.making import Wishes, make_report
    from dudzian_daemon.config.load import load

    known = load(config, env=os.environ).config
    if mail and known.reporting.mail is None:
        msg = "--mail: expected a section reporting.mail (host, sender, recipients) in the configuration, found none"
        raise ConfigError(msg)
    if pdf or mail:
        require_typesetting("the PDF of the daily report (--no-pdf leaves it out)")
    wishes = Wishes(
        day=None if day is None else _day(day), session=session, encrypt_to=tuple(encrypt_to or ()), with_pdf=pdf or mail, mail=mail
    )
    made = make_report(known, resolve(data_dir, os.environ), environment, wishes, os.environ)
    if as_json:
        emit_json(made)
        return
    emit_text(f"package       {made.package}\nsha256        {made.sha256}")
    for name, path in (("pdf", made.pdf), ("encrypted", made.encrypted)):
        if path is not None:
            emit_text(f"{name:<14}{path}")
    if made.mailed_to:
        emit_text(f"mailed to     {', '.join(made.mailed_to)}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        msg = f"--date: expected a day as 2024-02-14, found {text!r}"
        raise ConfigError(msg) from None
