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

from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec

from dudzian_daemon.adapters.archive_folder import Move, beside_others, copy_over, finish_removals, remove_file, remove_folder
from dudzian_daemon.adapters.files import UNFINISHED, os_errors
from dudzian_daemon.adapters.journal_archive import archive_segments
from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER
from dudzian_daemon.adapters.journal_reader import sessions
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.adapters.log_segments import ARCHIVE, beginning, done_name, done_segments, number_of, whole_log
from dudzian_daemon.config.reporting import Retention
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import DudzianError, StorageFull
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.kernel.clock import iso_utc

#: Sealed logs go where the runbook verifies them, everything else into `reporting.retention.archive_path`.
SEALED: Final = ARCHIVE.parent
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
    """What became of an item, or would: `archived`, `deleted`, `would_archive`, `would_delete` or `failed`, with the reason.

    `beside` is the archived file of the same name and another content, which stays.
    """

    action: str
    kind: str
    path: str
    target: str
    age_days: int
    files: int
    bytes: int
    packed_bytes: int = 0
    keep_until: str = ""
    beside: str = ""
    reason: str = ""


def run(config: CoreConfig, data_folder: Path, now_ns: int, *, dry_run: bool = False, delete_expired: bool = False) -> Iterator[Result]:
    """Archive what is due, one item after the other; a fault of one is told in its result and does not stop the others.

    A full disk does: each of the others would meet it too. Old segments of sessions that stay where they are, are packed there.
    """
    retention = config.reporting.retention
    for item in due(config, data_folder, now_ns):
        told = _told(item, retention, now_ns)
        try:
            placed, told = _placed(item, told)
            yield told if dry_run else _archived(placed, told, data_folder, retention, now_ns)
        except StorageFull as fault:
            yield msgspec.structs.replace(told, action="failed", reason=f"{fault}; what else is due waits for the next run")
            break
        except DudzianError as fault:
            yield msgspec.structs.replace(told, action="failed", reason=str(fault))
    for artifact in _artifacts(config):
        if not dry_run:
            finish_removals(data_folder / JOURNAL_FOLDER / artifact)
        yield from _packed_in_place(data_folder, artifact, retention, now_ns, dry_run=dry_run)
    if delete_expired:
        going_on = {begun.log_id for begun in map(beginning, _decision_logs(config, data_folder)) if begun is not None}
        yield from _expired(data_folder, retention, now_ns, going_on, dry_run=dry_run)


def due(config: CoreConfig, data_folder: Path, now_ns: int) -> Iterator[Item]:
    """What is old enough and needed by nobody, in an order that does not change."""
    before = now_ns - config.reporting.retention.hot_days * DAY_NS
    archive = data_folder / config.reporting.retention.archive_path
    artifacts = _artifacts(config)
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


def _artifacts(config: CoreConfig) -> list[str]:
    return sorted({config.artifact_name(name) for name in config.environments})


def _decision_logs(config: CoreConfig, data_folder: Path) -> list[Path]:
    """The files in which decision logs go on."""
    return [data_folder / config.risk.decision_log.path / f"{artifact}.jsonl" for artifact in _artifacts(config)]


def _packed_in_place(data_folder: Path, artifact: str, retention: Retention, now_ns: int, *, dry_run: bool) -> Iterator[Result]:
    """Segments of a journal that is still needed: a start and `dudzian replay` read them where they are."""
    today = date.fromisoformat(iso_utc(now_ns)[:10])
    for session in sessions(data_folder, artifact):
        told = Result(action="failed", kind="session", path=str(session.folder), target="", age_days=0, files=1, bytes=0)
        try:
            for each in archive_segments(session, today - timedelta(days=retention.hot_days), dry_run=dry_run):
                yield Result(
                    action="would_pack" if dry_run else "packed",
                    kind="session",
                    path=str(session.folder / each.segment),
                    target=str(session.folder / f"{each.segment}.gz"),
                    age_days=(today - date.fromisoformat(each.segment[:10])).days,
                    files=1,
                    bytes=each.bytes,
                    packed_bytes=each.packed_bytes or 0,
                )
        except DudzianError as fault:
            yield msgspec.structs.replace(told, reason=str(fault))


def _of_artifact(config: CoreConfig, data_folder: Path, artifact: str, before: int, now_ns: int) -> Iterator[Item]:
    """Sessions first: while one is open, decision log and ledger may be written on."""
    found = sessions(data_folder, artifact)
    target = data_folder / SEALED / JOURNAL_FOLDER.name / artifact
    for session in found[1:]:
        files = [path for path in sorted(session.folder.rglob("*")) if path.is_file() and not path.match(UNFINISHED)]
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
    if log.is_file():
        yield from _decision_log(log, data_folder / ARCHIVE, before, now_ns, going_on=any(session.state != "closed" for session in found))


def _decision_log(log: Path, archive: Path, before: int, now_ns: int, *, going_on: bool) -> Iterator[Item]:
    """Segments that are done, in their order; after the last session the file that was written last goes with them, as the last of all."""
    done = done_segments(log)
    if going_on or _written(log) >= before:
        for path in done:
            yield from _one("decision_log", path, archive / path.name, before, now_ns)
        return
    begun = beginning(log)
    number, at = (1, 0) if begun is None else (begun.number, begun.at)
    last = done_name(log, number, at or _written(log)).name
    moves = (*(Move(path, archive / path.name) for path in done), Move(log, archive / last))
    target = moves[-1].packed_target
    yield Item(kind="decision_log", path=log, target=target, moves=moves, age_days=(now_ns - _written(log)) // DAY_NS)


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


def _placed(item: Item, told: Result) -> tuple[Item, Result]:
    """A file that was made again goes beside the first one in the archive; sealed ones have one content, and another is a finding."""
    if item.kind in _RECORDS:
        return item, told
    (move,) = item.moves
    placed = beside_others(move)
    if placed is move:
        return item, told
    target, other = placed.packed_target, move.packed_target
    return (
        msgspec.structs.replace(item, target=target, moves=(placed,)),
        msgspec.structs.replace(told, target=str(target), beside=str(other)),
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
        for move in item.moves:
            remove_file(move.source)
    return msgspec.structs.replace(told, action="archived", packed_bytes=sum(each.packed_bytes for each in moved))


def _expired(data_folder: Path, retention: Retention, now_ns: int, going_on: Set[str], *, dry_run: bool) -> Iterator[Result]:
    """Archived files that were kept as long as they have to be, by what the manifest says of each; of a log all segments or none."""
    today = iso_utc(now_ns)[:10]
    records: dict[Path, dict[str, str]] = {}
    for line in LineFile(data_folder / retention.archive_path / _MANIFEST).backwards():
        record = msgspec.json.decode(line)
        records.setdefault((data_folder / record["to"]).absolute(), record)
    past = {path for path, record in records.items() if path.is_file() and _is_past(record, today, retention)}
    gone = [path for path in records if path in past and (not number_of(path) or _log_is_past(path, past, going_on))]
    for path in gone:
        size, age = path.stat().st_size, _days_between(records[path]["at"], today)
        if not dry_run:
            remove_file(path)
        action = "would_delete" if dry_run else "deleted"
        yield Result(action=action, kind=records[path]["kind"], path=str(path), target="", age_days=age, files=1, bytes=size)


def _is_past(record: Mapping[str, str], today: str, retention: Retention) -> bool:
    return record["keep_until"] < today and _days_between(record["at"], today) > _kept_days(record["kind"], retention)


def _log_is_past(path: Path, past: Set[Path], going_on: Set[str]) -> bool:
    """Whether every segment of the log is; one that goes on in a daemon's hands keeps all of its segments."""
    begun = beginning(path)
    return begun is not None and begun.log_id not in going_on and all(each.absolute() in past for each in whole_log(path))


def _days_between(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def _kept_days(kind: str, retention: Retention) -> int:
    months = retention.archive_months * _DAYS_PER_MONTH
    return max(retention.record_days, months) if kind in _RECORDS else months


def _files(root: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(root.glob(pattern)) if path.is_file() and not path.is_symlink() and not path.match(UNFINISHED)]


def _written(path: Path) -> int:
    with os_errors(path):
        return path.stat().st_mtime_ns
