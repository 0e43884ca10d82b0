"""All of a daily report in one call: package, document, encrypted copy, mail. Shared by the command and the Python function."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import msgspec

from dudzian_daemon.adapters import data_folder as folders
from dudzian_daemon.adapters.age_file import encrypt_file, recipients_of
from dudzian_daemon.adapters.files import sha256_file, write_atomic
from dudzian_daemon.app.daily_report.day import DailySummary, Day
from dudzian_daemon.app.daily_report.delivery import mail_report
from dudzian_daemon.app.daily_report.package import always, daily_package, packed
from dudzian_daemon.config.load import load
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError


class MadeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.daily_report/1`: where everything lies."""

    schema: str = "dudzian.daily_report/1"
    package: str
    sha256: str
    pdf: str | None
    encrypted: str | None
    mailed_to: tuple[str, ...]
    summary: DailySummary


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a report: `day` (default: the latest recorded), `session` (default: the newest that has it).

    `found` is a day that was read already; it goes before both.
    """

    day: date | None = None
    session: str | None = None
    encrypt_to: tuple[str, ...] = ()
    with_pdf: bool = True
    mail: bool = False
    found: Day | None = None


def make_report(
    config: CoreConfig,
    data_folder: Path,
    environment: str,
    wishes: Wishes,
    env: Mapping[str, str],
    still_wanted: Callable[[], object] = always,
) -> MadeReport:
    """Make the report of a day. Raises `DudzianError`; what was written before stays.

    `still_wanted` is called while the journal is read: what it raises ends the making before anything is written.
    """
    recipients = recipients_of(wishes.encrypt_to) if wishes.encrypt_to else list(config.reporting.age_recipients)
    zone = config.reporting.timezone
    if wishes.found is not None:
        written = packed(config, data_folder, environment, wishes.found)
    else:
        written = daily_package(
            config, data_folder, environment, wishes.day, log_id=wishes.session, timezone=zone, still_wanted=still_wanted
        )
    document, pdf_path = b"", None
    if wishes.with_pdf or wishes.mail:
        from dudzian_daemon.app.daily_report.document import pdf  # only now: pictures and typesetting are an extra

        document = pdf(written.day, config.paper(environment).valuation_asset)
        pdf_path = written.zip_path.with_suffix(".pdf")
        write_atomic(pdf_path, document)
    encrypted = encrypt_file(written.zip_path, recipients) if recipients else None
    settings = config.reporting.mail if wishes.mail else None
    if settings is not None:
        mail_report(settings, written, document, env)
    return MadeReport(
        package=str(written.zip_path),
        sha256=sha256_file(written.zip_path),
        pdf=None if pdf_path is None else str(pdf_path),
        encrypted=None if encrypted is None else str(encrypted),
        mailed_to=() if settings is None else settings.recipients,
        summary=written.day.summary,
    )


def generate_daily_paper_report(
    environment: str, *, day: date | str | None = None, config: Path | None = None, data_dir: Path | None = None, with_pdf: bool = False
) -> Path:
    """Make the daily report of an environment as `dudzian daily-report` does; returns the path of the package. Raises `DudzianError`."""
    try:
        wanted = date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError:
        msg = f"day: expected one as 2024-02-14, found {day!r}"
        raise ConfigError(msg) from None
    known = load(config, env=os.environ).config
    made = make_report(known, folders.resolve(data_dir, os.environ), environment, Wishes(day=wanted, with_pdf=with_pdf), os.environ)
    return Path(made.package)
