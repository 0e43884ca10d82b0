"""Files that are either the old or the new one, never a half: atomic writes with their own permissions, folders, digests.

It knows nothing of what is in them. A symlink, FIFO or folder in the place of a file is refused, never followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from dudzian_daemon.adapters.file_locks import hold_new, remove_unless_held
from dudzian_daemon.domain.errors import ConfigError, DudzianError, ReadOnlyDisk, StorageError, StorageFull
from dudzian_daemon.kernel.faults import fault_point

PRIVATE_FILE: Final = 0o600
FILE: Final = 0o640
FOLDER: Final = 0o750
#: Names of files that are not finished yet.
UNFINISHED: Final = ".*.tmp"

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: No file can be opened, by this process or on this machine, until one is closed.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG})
#: Why a folder cannot be made: no such thing is said where its parents are there but make none, as in /proc.
_UNMADE: Final = _REFUSED | {errno.ENOENT, errno.EINVAL}


def write_atomic(path: Path, data: bytes, *, mode: int = FILE, faults: str = "files") -> None:
    """Replace `path` by a durable file that holds `data` and has `mode` whatever the umask; its folder must exist.

    `faults` is the prefix of its fault points: `<faults>.write`, `.fsync`, `.rename`, `.renamed`.

    Raises `ConfigError` when the folder cannot be written or something else than a file stands there, `StorageError`
    when the disk refuses. After an error the old file is still there, whole.
    """
    require_regular_or_absent(path)
    with os_errors(path):
        file, temporary = begin_file(path)
        try:
            with file:
                fault_point(f"{faults}.write")
                file.write(data)
                file.flush()
                temporary.chmod(mode)
                fault_point(f"{faults}.fsync")
                os.fsync(file.fileno())
                fault_point(f"{faults}.rename")
                finish_file(file, temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fault_point(f"{faults}.renamed")
        sync_folder(path.parent)


def begin_file(path: Path) -> tuple[BinaryIO, Path]:
    """A new temporary file beside `path`, open and with its name: as long as it is open, nobody takes it for a leftover."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        if hold_new(handle):
            return os.fdopen(handle, "wb"), Path(name)
        os.close(handle)


def finish_file(file: BinaryIO, temporary: Path, path: Path) -> None:
    """Give the temporary file its name while it is still held; Windows renames closed files only."""
    if sys.platform == "win32":
        file.close()
    temporary.replace(path)


@contextmanager
def whole_or_gone(path: Path) -> Iterator[None]:
    """For a new file that is written where it lies: after an error it is removed, so that it does not stand in the way of the next try."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` that killed writers left behind; those of a living one stay."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        remove_unless_held(leftover)


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files below `folder` that killed writers left behind, whatever of; those of a living one stay."""
    with os_errors(folder):
        for leftover in folder.rglob(UNFINISHED):
            remove_unless_held(leftover)


def sha256_file(path: Path) -> str:
    """SHA-256 of the file's bytes in hexadecimal."""
    with os_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ensure_dir(path: Path, mode: int = FOLDER) -> None:
    """Create `path` and its missing parents, durably and with `mode` whatever the umask; existing folders keep theirs."""
    with os_errors(path):
        try:
            for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
                folder.mkdir(exist_ok=True)
                folder.chmod(mode)
                sync_folder(folder.parent)
        except OSError as error:
            if error.errno not in _UNMADE:
                raise
            msg = (
                f"the folder {path} cannot be made ({error.strerror}): check owner and permissions above it, or choose another data folder"
            )
            raise ConfigError(msg) from error
    if not path.is_dir():
        msg = f"expected a folder at {path}, found something else; move it away"
        raise ConfigError(msg)


def require_regular_or_absent(path: Path) -> None:
    """Raise `ConfigError` unless `path` is a regular file or nothing: a symlink could lead a write anywhere, a FIFO block it."""
    with os_errors(path):
        try:
            found = path.lstat().st_mode
        except FileNotFoundError:
            return
    if not stat.S_ISREG(found):
        kind = "a symlink" if stat.S_ISLNK(found) else "something else"
        msg = f"expected a regular file or nothing at {path}, found {kind}; move it away"
        raise ConfigError(msg)


def require_sole_name_or_absent(path: Path) -> None:
    """As `require_regular_or_absent`, for a file that is written where it lies: under a second name another file would change with it."""
    require_regular_or_absent(path)
    with os_errors(path):
        names = path.lstat().st_nlink if path.exists() else 1
    if names > 1:
        msg = (
            f"expected a file with one name at {path}, found a hard link: what is written there would change another file; put a copy there"
        )
        raise ConfigError(msg)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Windows has no such call: there the rename itself is journalled by NTFS."""
    if sys.platform != "win32":
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into one line for the operator."""
    try:
        yield
    except OSError as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: OSError) -> DudzianError:
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return StorageFull(f"no space left for {path} ({reason}): free some space and run again")
    if error.errno == errno.EROFS:
        return ReadOnlyDisk(f"cannot use {path} ({reason}): make its disk writable, or choose another data folder")
    if error.errno in _EXHAUSTED:
        return StorageFull(f"no file can be opened for {path} ({reason}): raise the limit (ulimit -n), or see what holds so many open")
    if error.errno == errno.ENOENT:
        there = "nothing there" if path.parent.exists() else f"not even the folder {path.parent}"
        return ConfigError(f"expected {path}, found {there}: check the path")
    if error.errno in _REFUSED:
        return ConfigError(f"cannot use {path} ({reason}): check owner and permissions of its folder, or choose another data folder")
    return StorageError(f"the disk refused {path} ({reason}): check the disk")
