"""The record of every alert: a line per channel per alert in `logs/alerts_audit.jsonl`, and a file per critical alert, the incident.

Lines tell what became of an alert: `OK`, `ERROR`, `SUPPRESSED`, `OFFLINE`, `NO_CHANNEL`, `GIVEN_UP`. The file of an earlier day is
put aside as `alerts_audit-YYYYMMDD.jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.files import ensure_dir, os_errors, write_atomic
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.alerts import Alert
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.kernel.redaction import clean
from dudzian_daemon.sinks.alerts.book import Tracked

SCHEMA: Final = "dudzian.alert_audit/1"
INCIDENTS: Final = Path("audit") / "incidents"
#: In place of a channel, where none was asked.
SUPPRESSED: Final = "__suppressed__"
NO_CHANNEL: Final = "__none__"


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one alert on one channel. `timestamp_utc` is when the line was written, `created_at` when the alert was made."""

    schema: str = SCHEMA
    timestamp_utc: str
    channel: str
    status: str
    severity: str
    category: str
    code: str
    title: str
    message: str
    response: str
    attempts: int
    fallback: bool
    alert_id: str
    key: str
    created_at: str
    session: str
    sequence: int
    resolved: bool
    repeat: str
    context: dict[str, str]


def audit_line(alert: Alert, channel: str, status: str, response: str, now: int, *, attempts: int = 0, fallback: bool = False) -> AuditLine:
    """The line for an outcome at `now` (wall ns)."""
    return AuditLine(
        timestamp_utc=iso_utc(now),
        channel=channel,
        status=status,
        severity=alert.severity,
        category=alert.category,
        code=alert.code,
        title=alert.title,
        message=alert.body,
        response=response,
        attempts=attempts,
        fallback=fallback,
        alert_id=alert.id,
        key=alert.key,
        created_at=iso_utc(alert.at),
        session=alert.log_id,
        sequence=alert.sequence,
        resolved=alert.resolved,
        repeat=alert.repeat,
        context=alert.context,
    )


def append_audit(path: Path, lines: Iterable[AuditLine], now: int) -> None:
    """Append the lines, masked, to the file of today. Blocks. Raises what the disk says (`StorageError`, `ConfigError`)."""
    _put_aside(path, iso_utc(now)[:10])
    encoded = b"".join(msgspec.json.encode(clean(msgspec.to_builtins(line))) + b"\n" for line in lines)
    LineFile(path).append(encoded)


def write_incident(data_folder: Path, tracked: Tracked) -> None:
    """Tell the present state of a critical alert in a file of its own. Blocks. Raises what the disk says."""
    path = data_folder / INCIDENTS / f"{iso_utc(tracked.opened_at)[:10]}-{tracked.alert.code}-{tracked.id}.json"
    ensure_dir(path.parent)
    document: dict[str, Any] = {
        "schema": "dudzian.incident/1",
        "id": tracked.id,
        "code": tracked.alert.code,
        "state": tracked.state,
        "opened_at": iso_utc(tracked.opened_at),
        "last_at": iso_utc(tracked.last_at),
        "count": tracked.count,
        "changed_at": iso_utc(tracked.changed_at) if tracked.changed_at else None,
        "operator": tracked.operator,
        "note": tracked.note,
        "alert": clean(msgspec.to_builtins(tracked.alert)),
    }
    write_atomic(path, msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def _put_aside(path: Path, today: str) -> None:
    """Rename a file whose last line is of an earlier day; where that name is taken, the file grows on."""
    with os_errors(path), suppress(FileNotFoundError):
        day = iso_utc(path.stat().st_mtime_ns)[:10]
        aside = path.with_name(f"{path.stem}-{day.replace('-', '')}{path.suffix}")
        if day < today and not aside.exists():
            path.replace(aside)
