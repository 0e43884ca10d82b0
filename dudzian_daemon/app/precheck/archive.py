"""Reports of prechecks as files of the audit: named by time and environment, never overwritten, each with its SHA-256 beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import FILE, ensure_dir, write_atomic
from dudzian_daemon.kernel.clock import file_stamp

#: Below the data folder.
DEFAULT: Final = Path("audit", "paper_precheck_reports")
_MOST: Final = 10_000


class SavedReport(msgspec.Struct, frozen=True):
    """Where a report lies, and the SHA-256 of exactly the bytes of that file."""

    path: str
    sha256: str


def save_report(folder: Path, environment: str, data: bytes, now_ns: int) -> SavedReport:
    """Write a report and, in the form that `sha256sum --check` reads, its digest."""
    ensure_dir(folder)
    path = next(path for path in _names(folder, f"{file_stamp(now_ns)}_{_word(environment)}") if not path.exists())
    write_atomic(path, data, mode=FILE)
    digest = hashlib.sha256(data).hexdigest()
    write_atomic(path.with_name(f"{path.name}.sha256"), f"{digest}  {path.name}\n".encode(), mode=FILE)
    return SavedReport(str(path), digest)


def _word(environment: str) -> str:
    """A name that may be anything, since it may be a wrong one, as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", environment)[:64] or "unknown"


def _names(folder: Path, stem: str) -> list[Path]:
    return [folder / (f"{stem}_{number}.json" if number else f"{stem}.json") for number in range(_MOST)]
