"""What has lain long enough goes into the archive, and what the archive need not keep any longer may be deleted.

| what | hot | in the archive at least |
|---|---|---|
| runtime logs, alert audits put aside, telemetry put aside | `hot_days` | `archive_months` |
| sessions that are closed, decision logs, ledgers | `hot_days` | `record_days` |
| daily and session reports, smoke archives | `hot_days` | `archive_months` |

Age is the time since a file was last written. What a daemon may still write or resume is left alone: the newest session and every
one that is not closed, the newest ledger files, the live log files.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final, Literal

import msgspec

from dudzian_daemon.adapters.archive_folder import Move, copy_over, remove_file, remove_folder
from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER
from dudzian_daemon.adapters.journal_reader import sessions
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.config.reporting import Retention
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import DudzianError, StorageFull
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.kernel.clock import iso_utc

#: Sealed logs go where the runbook verifies them, everything else into `reporting.retention.archive_path`.
SEALED: Final = Path("audit") / "decisions"
_MANIFEST: Final = "manifest.jsonl"
#: The ledger's next file begins with the end of the one before.
_NEWEST_LEDGERS: Final = 2
_DAYS_PER_MONTH: Final = 31

Kind = Literal["runtime_log", "alert_audit", "telemetry", "session", "decision_log", "ledger", "report", "smoke_archive", "precheck"]
_RECORDS: Final = frozenset({"session", "decision_log", "ledger"})


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a whole session that is due: its moves, and its age in days."""

    kind: Kind
    path: Path
    target: Path
    moves: tuple[Move, ...]
    age_days: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item, or would: `archived`, `deleted`, `would_archive`, `would_delete` or `failed`, with the reason."""

    action: str
    kind: str
    path: str
    target: str
    age_days: int
    files: int
    bytes: int
    packed_bytes: int = 0
    keep_until: str = ""
    reason: str = ""


def run(config: CoreConfig, data_folder: Path, now_ns: int, *, dry_run: bool = False, delete_expired: bool = False) -> Iterator[Result]:
    """Archive what is due, one item after the other; a fault of one is told in its result and does not stop the others.

    A full disk does: each of the others would meet it too.
    """
    retention = config.reporting.retention
    for item in due(config, data_folder, now_ns):
        told = _told(item, retention, now_ns)
        try:
            yield told if dry_run else _archived(item, told, data_folder, retention, now_ns)
        except StorageFull as fault:
            yield msgspec.structs.replace(told, action="failed", reason=f"{fault}; what else is due waits for the next run")
            break
        except DudzianError as fault:
            yield msgspec.structs.replace(told, action="failed", reason=str(fault))
    if delete_expired:
        yield from _expired(data_folder, retention, now_ns, dry_run=dry_run)


def due(config: CoreConfig, data_folder: Path, now_ns: int) -> Iterator[Item]:
    """What is old enough and needed by nobody, in an order that does not change."""
    before = now_ns - config.reporting.retention.hot_days * DAY_NS
    archive = data_folder / config.reporting.retention.archive_path
    artifacts = sorted({config.artifact_name(name) for name in config.environments})
    live = {f"{artifact}.log" for artifact in artifacts}
    plain: list[tuple[Kind, str, list[Path]]] = [
        ("runtime_log", "logs/runtime", [path for path in _files(data_folder, "logs/runtime/*") if path.name not in live]),
        ("alert_audit", "logs", _files(data_folder, "logs/alerts_audit-*.jsonl")),
        ("telemetry", "audit/metrics", _files(data_folder, "audit/metrics/telemetry-*.jsonl")),
        ("report", "reports/daily", _files(data_folder, "data/reports/daily/*/*")),
        ("report", "reports/sessions", _files(data_folder, "data/reports/sessions/*")),
        ("smoke_archive", "smoke_archives", _files(data_folder, "audit/smoke_archives/*.zip")),
        ("precheck", "paper_precheck_reports", _files(data_folder, "audit/paper_precheck_reports/*")),
    ]
    for kind, folder, paths in plain:
        base = {"reports/daily": "data/reports/daily"}.get(folder)
        for path in paths:
            name = path.relative_to(data_folder / base) if base else Path(path.name)
            yield from _one(kind, path, archive / folder / name, before, now_ns)
    for artifact in artifacts:
        yield from _of_artifact(config, data_folder, artifact, before, now_ns)


def _of_artifact(config: CoreConfig, data_folder: Path, artifact: str, before: int, now_ns: int) -> Iterator[Item]:
    """Sessions first: while one is open, decision log and ledger may be written on."""
    found = sessions(data_folder, artifact)
    target = data_folder / SEALED / JOURNAL_FOLDER.name / artifact
    for session in found[1:]:
        files = [path for path in sorted(session.folder.rglob("*")) if path.is_file()]
        newest = max((_written(path) for path in files), default=now_ns)
        if session.state == "closed" and newest < before:
            moves = tuple(Move(path, target / session.log_id / path.relative_to(session.folder)) for path in files)
            yield Item(
                kind="session", path=session.folder, target=target / session.log_id, moves=moves, age_days=(now_ns - newest) // DAY_NS
            )
    ledgers = sorted((data_folder / config.paper_trading.ledger_directory / artifact).glob("ledger-*.jsonl"))
    for path in ledgers[:-_NEWEST_LEDGERS]:
        yield from _one("ledger", path, data_folder / SEALED / "ledger" / artifact / path.name, before, now_ns)
    log = data_folder / config.risk.decision_log.path / f"{artifact}.jsonl"
    if log.is_file() and all(session.state == "closed" for session in found):
        day = iso_utc(_written(log))[:10].replace("-", "")
        yield from _one("decision_log", log, data_folder / SEALED / "decision_log" / f"{artifact}-{day}.jsonl", before, now_ns)


def _one(kind: Kind, path: Path, target: Path, before: int, now_ns: int) -> Iterator[Item]:
    written = _written(path)
    if written < before:
        move = Move(path, target)
        yield Item(kind=kind, path=path, target=move.packed_target, moves=(move,), age_days=(now_ns - written) // DAY_NS)


def _told(item: Item, retention: Retention, now_ns: int) -> Result:
    return Result(
        action="would_archive",
        kind=item.kind,
        path=str(item.path),
        target=str(item.target),
        age_days=item.age_days,
        files=len(item.moves),
        bytes=sum(move.source.stat().st_size for move in item.moves),
        keep_until=iso_utc(now_ns + _kept_days(item.kind, retention) * DAY_NS)[:10],
    )


def _archived(item: Item, told: Result, data_folder: Path, retention: Retention, now_ns: int) -> Result:
    """Move the item. Raises what the disk says; what is in the archive by then stays there, and so does the original."""
    moved = [copy_over(move) for move in item.moves]
    records = [
        {
            "at": iso_utc(now_ns)[:10],
            "kind": item.kind,
            "from": str(move.source.relative_to(data_folder)),
            "to": str(each.target.relative_to(data_folder)),
            "sha256": each.sha256,
            "bytes": each.bytes,
            "keep_until": told.keep_until,
        }
        for move, each in zip(item.moves, moved, strict=True)
    ]
    manifest = data_folder / retention.archive_path / _MANIFEST
    LineFile(manifest).append(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    if item.path.is_dir():
        remove_folder(item.path)
    else:
        remove_file(item.path)
    return msgspec.structs.replace(told, action="archived", packed_bytes=sum(each.packed_bytes for each in moved))


def _expired(data_folder: Path, retention: Retention, now_ns: int, *, dry_run: bool) -> Iterator[Result]:
    """Archived files that were kept as long as they have to be, by what the manifest says of each."""
    today = iso_utc(now_ns)[:10]
    manifest = LineFile(data_folder / retention.archive_path / _MANIFEST)
    seen: set[str] = set()
    for line in manifest.backwards():
        record = msgspec.json.decode(line)
        path = data_folder / record["to"]
        if record["to"] in seen or not path.is_file():
            continue
        seen.add(record["to"])
        age = (date.fromisoformat(today) - date.fromisoformat(record["at"])).days
        if record["keep_until"] < today and age > _kept_days(record["kind"], retention):
            size = path.stat().st_size
            if not dry_run:
                remove_file(path)
            action = "would_delete" if dry_run else "deleted"
            yield Result(action=action, kind=record["kind"], path=str(path), target="", age_days=age, files=1, bytes=size)


def _kept_days(kind: str, retention: Retention) -> int:
    months = retention.archive_months * _DAYS_PER_MONTH
    return max(retention.record_days, months) if kind in _RECORDS else months


def _files(root: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(root.glob(pattern)) if path.is_file() and not path.is_symlink()]


def _written(path: Path) -> int:
    with os_errors(path):
        return path.stat().st_mtime_ns
