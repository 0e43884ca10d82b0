"""What becomes of a made report: encrypted beside itself, mailed, entered into the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.age_file import encrypt_file
from dudzian_daemon.adapters.audit_log import JSON_LINES, MARKDOWN, add_entry
from dudzian_daemon.adapters.files import sha256_file
from dudzian_daemon.adapters.keychain import find_token
from dudzian_daemon.adapters.report_mail import Letter, send_letter
from dudzian_daemon.app.daily_report.day import Day
from dudzian_daemon.app.daily_report.package import Written
from dudzian_daemon.config.reporting import Mail, Retention
from dudzian_daemon.domain.counts import decisions_text

_SUBJECT: Final = "Dudzian daily report {artifact} {date}"


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """An archived report: the file that was made, its digest, and where that was written down."""

    path: Path
    sha256: str
    retention_until: str
    audit_id: str


def archive_report(
    package: Path, recipients: list[str], *, data_folder: Path, operator: str, today: date, retention: Retention, notes: str = ""
) -> Archived:
    """Encrypt the package to the recipients (none: it stays as it is), and enter the digest of what was made into the audit log."""
    path = encrypt_file(package, recipients) if recipients else package
    digest = sha256_file(path)
    until = months_later(today, retention.archive_months).isoformat()
    day = package.parent.name
    name = path.relative_to(data_folder) if path.is_relative_to(data_folder) else path
    row = (day, operator, str(name), digest, until, notes)

    def record(entry: str) -> dict[str, str]:
        told = {"kind": "daily_report", "id": entry, "date": day, "operator": operator, "artefact": str(name), "sha256": digest}
        return told | {"archived_on": today.isoformat(), "retention_until": until, "notes": notes}

    entry = add_entry(data_folder / MARKDOWN, data_folder / JSON_LINES, "daily", row, record)
    return Archived(path=path, sha256=digest, retention_until=until, audit_id=entry)


def mail_report(settings: Mail, written: Written, document: bytes, env: Mapping[str, str]) -> None:
    """Mail the document and the ledger, with the incidents as a text of its own where there were critical alerts."""
    day, stem = written.day, f"{written.day.summary.artifact}-{written.day.summary.report_date}"
    attachments = {f"{stem}.pdf": document, f"{stem}-ledger.csv": written.files["ledger.csv"]}
    text = letter_text(day)
    if incidents := incident_text(day):
        attachments[f"{stem}-incidents.txt"] = incidents.encode()
        text += f"\n{incidents}"
    subject = _SUBJECT.format(artifact=day.summary.artifact, date=day.summary.report_date)
    letter = Letter(subject=f"{'CRITICAL: ' if incidents else ''}{subject}", text=text, attachments=attachments)
    send_letter(settings, letter, find_token(settings.password_id, settings.password_env, env) if settings.user else None)


def letter_text(day: Day) -> str:
    """The day in a few lines."""
    summary = day.summary
    change = summary.closing_equity - summary.opening_equity
    return (
        f"{summary.artifact}, {summary.report_date} (UTC), paper money\n\n"
        f"equity    {summary.opening_equity:,.2f} -> {summary.closing_equity:,.2f} ({change:+,.2f})\n"
        f"signals   {decisions_text(summary)}\n"
        f"trades    {summary.fills:,} fills, fees {summary.fees_paid:,.2f}, realised {summary.realised:+,.2f}\n"
        f"risk      {summary.risk_events:,} events, drawdown {summary.max_drawdown * 100:.2f} %\n"
        f"session   {summary.log_id}, cycles {summary.first_sequence} to {summary.last_sequence}\n"
    )


def incident_text(day: Day) -> str:
    """The critical alerts of the day with what stood beside them; empty when there were none."""
    critical = [alert for alert in day.alerts if alert["severity"] == "critical"]
    if not critical:
        return ""
    lines = [f"Incidents of {day.summary.report_date}", ""]
    for alert in critical:
        lines += [f"{str(alert.get('created_at', ''))[:19]} {alert.get('code', '')}: {alert.get('title') or ''}".rstrip()]
        lines += [f"    {alert['message']}"] if alert.get("message") else []
    if day.risk_changes:
        lines += ["", "Risk state:"]
        lines += [f"{each['time'][:19]} {each['profile']}: {each['change']} ({each['rule']})" for each in day.risk_changes]
    return "\n".join(lines) + "\n"


def months_later(day: date, months: int) -> date:
    """The same day of the month, or its last day where that month is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    return date(year, month + 1, 28)
