"""From the journal to the package of a day: `ledger.csv`, `decisions.jsonl`, `summary.json` in one reproducible ZIP."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from dudzian_daemon.adapters.journal_reader import Cycle, Session, entries, sessions
from dudzian_daemon.adapters.zip_archive import write_zip
from dudzian_daemon.app.daily_report.day import Day, DayFold, day_of, local_text
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.money import exact_money, plain

#: Below the data folder.
REPORTS: Final = Path("data") / "reports" / "daily"
CSV_COLUMNS: Final = (
    "timestamp_utc",
    "timestamp_local",
    "kind",
    "order_id",
    "fill_id",
    "strategy",
    "symbol",
    "side",
    "quantity",
    "price",
    "fee",
    "fee_asset",
    "status",
    "leverage",
    "position_value",
    "position_change",
    "realised",
    "sequence",
    "line_hash",
)
_SEVERITIES: Final = ("critical", "error", "warning", "info")


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The day and where its package lies."""

    day: Day
    zip_path: Path
    files: Mapping[str, bytes]


def always() -> None:
    """Who makes a report and asks for nothing else wants it to the end."""


def daily_package(
    config: CoreConfig,
    data_folder: Path,
    environment: str,
    day: date | None = None,
    *,
    log_id: str | None = None,
    timezone: str = "UTC",
    still_wanted: Callable[[], object] = always,
) -> Written:
    """Make the package of a day, the latest recorded one if none is named. Reads the journal only, so it works on a stopped daemon.

    Raises `ConfigError` for a day or session there is nothing of, `IntegrityError` for a damaged journal, and what `still_wanted`
    raises, which is called while the journal is read: then nothing is written.
    """
    zone_of(timezone)
    artifact, name = config.artifact_name(environment), config.environment_id(environment)
    session, wanted = _session_of(data_folder, artifact, day, log_id, still_wanted)
    return packed(config, data_folder, environment, read_day(session, name, artifact, wanted, timezone, still_wanted))


def packed(config: CoreConfig, data_folder: Path, environment: str, found: Day) -> Written:
    """The package of a day that was read, with the alerts of its time. Raises `ConfigError` for an unknown time zone."""
    zone = zone_of(found.summary.timezone)
    artifact, name = config.artifact_name(environment), config.environment_id(environment)
    found.alerts = _alerts(data_folder / config.environment(name).alert_audit.path, found)
    found.summary.alerts = {each: count for each in _SEVERITIES if (count := _count(found.alerts, each))}
    files = package_files(found, zone)
    path = data_folder / REPORTS / found.summary.report_date / f"{artifact}.zip"
    write_zip(path, files)
    return Written(day=found, zip_path=path, files=files)


def read_day(
    session: Session, environment: str, artifact: str, day: date, timezone: str = "UTC", still_wanted: Callable[[], object] = always
) -> Day:
    """Fold the session up to the end of `day`."""
    fold = DayFold(environment=environment, artifact=artifact, log_id=session.log_id, day=day, timezone=timezone)
    with exact_money():
        for cycle, content in _cycles(session, still_wanted):
            if cycle.record.instant >= fold.end:
                break
            fold.add(cycle, content)
        return fold.finish()


def package_files(day: Day, zone: tzinfo) -> dict[str, bytes]:
    """The three files, always all of them."""
    return {
        "ledger.csv": _csv(day.ledger, zone),
        "decisions.jsonl": b"".join(msgspec.json.encode(event) + b"\n" for event in day.decisions),
        "summary.json": msgspec.json.format(msgspec.json.encode(day.summary), indent=2) + b"\n",
    }


def zone_of(name: str) -> tzinfo:
    """The time zone of that name. Raises `ConfigError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"--timezone: expected a name such as UTC or Europe/Warsaw, found {name!r}"
        raise ConfigError(msg) from None


def _session_of(
    data_folder: Path, artifact: str, day: date | None, log_id: str | None, still_wanted: Callable[[], object]
) -> tuple[Session, date]:
    """The newest session that has something of the day. Raises `ConfigError` naming the days there are."""
    found = sessions(data_folder, artifact)
    if log_id is not None:
        found = [session for session in found if session.log_id.startswith(log_id)]
    spans: list[str] = []
    for session in found:
        days, last = _days(session, still_wanted)
        if days and (day is None or day in days):
            return session, day or last
        if days:
            spans.append(f"{session.log_id}: {min(days)} to {max(days)}")
    msg = f"no session of {artifact} below {data_folder} has cycles{'' if day is None else f' of {day}'}" + (
        f"; there are: {', '.join(spans[:3])}" if spans else f"; run one first: dudzian run --environment {artifact}"
    )
    raise ConfigError(msg)


def _days(session: Session, still_wanted: Callable[[], object]) -> tuple[set[date], date]:
    """The days there are cycles of, and the latest of them that is more than the midnight at which it begins."""
    instants = [cycle.record.instant for cycle, _ in _cycles(session, still_wanted)]
    days = {day_of(instant) for instant in instants}
    last = max(instants, default=0)
    begun = day_of(last - SECOND_NS)
    return days, begun if begun in days else day_of(last)


def _cycles(session: Session, still_wanted: Callable[[], object]) -> Iterator[tuple[Cycle, str]]:
    for path in session.segments:
        for entry in entries(path):
            still_wanted()
            for cycle in entry.cycles():
                yield cycle, entry.seal.content


def _csv(lines: Iterable[Mapping[str, Any]], zone: tzinfo) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        row = {key: "" if line.get(key) is None else _text(line[key]) for key in CSV_COLUMNS if key in line}
        writer.writerow({**row, "timestamp_utc": line["timestamp"], "timestamp_local": local_text(line["timestamp"], zone)})
    return text.getvalue().encode()


def _text(value: Any) -> str:
    return f"{plain(value):f}" if isinstance(value, Decimal) else str(value)


def _alerts(path: Path, day: Day) -> list[dict[str, Any]]:
    """Alerts of the day in the audit files at `path`, each once: those of its session by sequence, others by the UTC day they were made."""
    summary = day.summary
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(path.parent.glob(f"{path.stem}*{path.suffix}")) if path.parent.is_dir() else ():
        for line in file.read_bytes().splitlines():
            alert = _decoded(line)
            of_session = alert.get("session") == summary.log_id and (
                summary.first_sequence <= int(alert.get("sequence") or 0) <= summary.last_sequence
            )
            of_day = not alert.get("session") and str(alert.get("created_at", "")).startswith(summary.report_date)
            if (of_session or of_day) and alert.get("severity") in _SEVERITIES:
                found.setdefault(str(alert.get("alert_id") or alert.get("key")), alert)
    return list(found.values())


def _decoded(line: bytes) -> dict[str, Any]:
    """A line of the audit file; one that is none is the audit's matter."""
    try:
        alert = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return alert if isinstance(alert, dict) else {}


def _count(alerts: Iterable[Mapping[str, Any]], severity: str) -> int:
    return sum(alert["severity"] == severity for alert in alerts)
