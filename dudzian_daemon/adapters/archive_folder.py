"""Moving files into an archive: packed with gzip where they are text that grows, compared before the original goes, written down.

A file goes through three states, each durable before the next: here, here and there, there. An interrupted move is finished by the next.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, os_errors, sync_folder, write_atomic
from dudzian_daemon.adapters.journal_format import GONE, HEADS_FILE
from dudzian_daemon.adapters.log_lines import DAMAGED
from dudzian_daemon.domain.errors import IntegrityError

#: Files of these endings are packed; what is packed already stays as it is.
_PACKED: Final = frozenset({".jsonl", ".log", ".json", ".csv", ".txt"})
#: So many hex digits of a SHA-256 tell contents of one name apart.
_DIGEST_LENGTH: Final = 12


class Move(msgspec.Struct, frozen=True):
    """One file, and where it goes."""

    source: Path
    target: Path

    @property
    def packed_target(self) -> Path:
        """The target with what packing adds to its name."""
        return self.target.with_name(f"{self.target.name}.gz") if _packs(self.source) else self.target


class Moved(msgspec.Struct, frozen=True):
    """A file that is in the archive: digest and size of its content, size of what stands there."""

    target: Path
    sha256: str
    bytes: int
    packed_bytes: int


def beside_others(move: Move) -> Move:
    """The move itself; where another content has the target's name, one that goes beside it, with the digest of the content in its name."""
    if not move.packed_target.exists():
        return move
    with os_errors(move.source):
        data = move.source.read_bytes()
    if _holds(move.packed_target, move.source, data):
        return move
    target = move.target
    return Move(move.source, target.with_name(f"{target.stem}.{hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]}{target.suffix}"))


def copy_over(move: Move) -> Moved:
    """Put the file into the archive, packed and compared; the original stays. Raises `IntegrityError` if something else stands there.

    One that was packed before may stand there packed otherwise: a segment that a crash left plain too went there as that one.
    """
    with os_errors(move.source):
        data = move.source.read_bytes()
    target = move.packed_target
    stored = gzip.compress(data, compresslevel=9, mtime=0) if _packs(move.source) else data
    if target.exists():
        if not _holds(target, move.source, data):
            msg = f"archive: {target} holds another content than {move.source}; move one of them away"
            raise IntegrityError(msg)
    else:
        ensure_dir(target.parent)
        write_atomic(target, stored, mode=PRIVATE_FILE if move.source.stat().st_mode & 0o077 == 0 else 0o640)
        if not _holds(target, move.source, data):
            msg = f"archive: {target} could not be read back as it was written; the original stays"
            raise IntegrityError(msg)
    with os_errors(target):
        there = target.read_bytes()
    content = data if _packs(move.source) else there
    return Moved(target, hashlib.sha256(content).hexdigest(), len(content), len(there))


def remove_file(path: Path) -> None:
    """Remove an original whose copy stands."""
    with os_errors(path):
        path.unlink()
        sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a whole folder in one step as far as readers see: it loses its name first."""
    gone = path.with_name(f"{GONE}{path.name}")
    with os_errors(path):
        path.rename(gone)
        sync_folder(path.parent)
        shutil.rmtree(gone)


def finish_removals(folder: Path) -> None:
    """Remove what is left in `folder` of folders whose removal was cut short."""
    for gone in folder.glob(f"{GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)  # another run may be at it


def _packs(path: Path) -> bool:
    return path.suffix in _PACKED and path.name != HEADS_FILE  # a verifier reads them beside their log, as they were written


def _holds(target: Path, source: Path, data: bytes) -> bool:
    """Whether `target` is the file `source` with these bytes, as it is or in whatever way it is packed."""
    with os_errors(target):
        stored = target.read_bytes()
    try:
        return (stored == data and not _packs(source)) or (target.suffix == ".gz" and gzip.decompress(stored) == _unpacked(source, data))
    except DAMAGED:
        return False


def _unpacked(path: Path, data: bytes) -> bytes:
    return gzip.decompress(data) if path.suffix == ".gz" else data
