"""Packs old segments of journals in place: `<segment>.jsonl` becomes `<segment>.jsonl.gz`, which is read, verified and replayed as before.

A segment is packed when nothing will be written into it any more. The plain file goes only after the packed one was read back.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, Final

import msgspec

from dudzian_daemon.adapters.files import (
    PRIVATE_FILE,
    begin_file,
    finish_file,
    os_errors,
    remove_leftovers,
    require_regular_or_absent,
    sha256_file,
    sync_folder,
)
from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER, SEGMENT
from dudzian_daemon.adapters.journal_reader import Session, sessions
from dudzian_daemon.adapters.log_lines import read_tail
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.kernel.faults import fault_point

_LEVEL: Final = 6


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that was packed, or would be (`packed_bytes` None): its file before, and the sizes in bytes."""

    log_id: str
    segment: str
    bytes: int
    packed_bytes: int | None


def archive(root: Path, today: date, older_than_days: int, *, dry_run: bool = False) -> Iterator[Packed]:
    """Pack the segments of all sessions below the data folder `root` that were begun more than so many days before `today` (UTC)."""
    places = root / JOURNAL_FOLDER
    for artifact in sorted(path.name for path in places.iterdir() if path.is_dir()) if places.is_dir() else ():
        for session in reversed(sessions(root, artifact)):
            yield from archive_segments(session, today - timedelta(days=older_than_days), dry_run=dry_run)


def archive_segments(session: Session, before: date, *, dry_run: bool = False) -> Iterator[Packed]:
    """Pack the session's segments that were begun before a day (UTC); the last one only if the session is closed.

    Raises `IntegrityError` for one that does not end with a whole line, or is not read back as it was.
    """
    files = session.segments if session.state != "unreadable" else []
    for path in files if session.state == "closed" else files[:-1]:
        if path.suffix == ".gz" or date.fromisoformat(path.name[:10]) >= before or not SEGMENT.fullmatch(path.name):
            continue
        if (packed := _packed(session, path, dry_run=dry_run)) is not None:
            yield packed


def _packed(session: Session, path: Path, *, dry_run: bool) -> Packed | None:
    """None if another archive was quicker: who takes the plain file away has proven its copy."""
    try:
        with os_errors(path):
            size = path.stat().st_size
            packed_bytes = None if dry_run else pack(path).stat().st_size
    except ConfigError:
        if path.exists():
            raise
        return None
    return Packed(log_id=session.log_id, segment=path.name, bytes=size, packed_bytes=packed_bytes)


def pack(path: Path) -> Path:
    """The packed file in the place of `path`, durably; equal files give equal bytes. After a crash there is the one, or both."""
    target = path.with_name(f"{path.name}.gz")
    for each in (path, target):
        require_regular_or_absent(each)
    if (torn := read_tail(path).torn) > 0:
        msg = f"log {path}: expected whole lines, found {torn} bytes after the last one; it is not packed"
        raise IntegrityError(msg)
    with os_errors(target):
        file, temporary = begin_file(target)
        try:
            with file:
                _copy(path, file)
                file.flush()
                fault_point("archive.fsync")
                os.fsync(file.fileno())
                _require_equal(path, temporary)
                temporary.chmod(PRIVATE_FILE)
                fault_point("archive.rename")
                finish_file(file, temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        remove_leftovers(target)
        sync_folder(path.parent)
        fault_point("archive.unlink")
        path.unlink()
        sync_folder(path.parent)
    return target


def _copy(path: Path, file: BinaryIO) -> None:
    fault_point("archive.write")
    with path.open("rb") as plain, gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
        copyfileobj(plain, packed)


def _require_equal(path: Path, packed: Path) -> None:
    with gzip.open(packed, "rb") as file:
        unpacked = file_digest(file, sha256).hexdigest()
    if unpacked != sha256_file(path):
        msg = f"log {path}: expected it packed as it is, found other bytes when it was read back; the plain file stays"
        raise IntegrityError(msg)
