"""The file that a log is written to: it grows by whole lines and nobody else touches it, until the log goes on in another one."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors, require_regular_or_absent, sync_folder, write_atomic
from dudzian_daemon.domain.errors import DudzianError, StorageError, StorageFull
from dudzian_daemon.kernel.faults import fault_point

#: Of a disk that takes no lines now, and may later.
_NO_LINES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class LogFile:
    """Owns one open file at a time. Every call blocks on the disk, and they come one after the other.

    `faults` is the prefix of its fault points: `<faults>.write`, `.fsync`, `.release`; those of a new file are `<faults>.segment.aside`,
    `.write`, `.fsync`, `.rename`, `.renamed`. Without `sync` what is appended is written only.
    """

    def __init__(self, path: Path, descriptor: int, *, length: int, faults: str, sync: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self._length = length
        self._faults = faults
        self._sync = sync
        self._fault: str | None = None

    @classmethod
    def create(cls, path: Path, *, faults: str, sync: bool) -> LogFile:
        """A new file (0600, its name durable). Raises `ConfigError` when something stands there or the folder cannot be written."""
        require_regular_or_absent(path)
        with os_errors(path):
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            try:
                path.chmod(PRIVATE_FILE)
                sync_folder(path.parent)
            except OSError:
                os.close(descriptor)
                raise
        return cls(path, descriptor, length=0, faults=faults, sync=sync)

    @classmethod
    def cut(cls, path: Path, length: int, *, faults: str, sync: bool) -> LogFile:
        """An existing file, cut to `length` bytes."""
        with os_errors(path):
            descriptor = os.open(path, _FLAGS)
            os.truncate(descriptor, length)
        return cls(path, descriptor, length=length, faults=faults, sync=sync)

    def require_sound(self) -> None:
        """Raise `StorageError` where a call has failed for good, or the file is closed."""
        if self._fault is not None:
            raise StorageError(self._fault)

    def take_no_more(self) -> None:
        """Let every call after this fail."""
        self._fault = self._fault or f"log {self.path} is closed"

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self.take_no_more()

    def go_on_in(self, path: Path, data: bytes, put_aside: Path | None) -> None:
        """Go on in a new file, which is there with its first lines or not at all; the one before it is whole and synced.

        Where this one has its name, it is called `put_aside` first. Raises as `extend`.
        """
        self._require_untouched()
        if path == self.path and put_aside is not None:  # once: what fails after this is tried again from here
            self._put_aside(put_aside)
        if path.exists() or path.is_symlink():
            raise self.failed(f"expected nothing at {path}, where it goes on, found a file")
        try:
            write_atomic(path, data, mode=PRIVATE_FILE, faults=f"{self._faults}.segment")
            descriptor = os.open(path, _FLAGS)
        except StorageFull:
            if path.exists():  # it got its name just before: the next try begins anew
                path.unlink()
            raise
        except DudzianError as error:
            raise self.failed(f"it cannot go on in a new file: {error}") from error
        except OSError as error:
            raise self.failed(f"it cannot go on in {path} ({error.strerror})") from error
        os.close(self._descriptor)
        self.path, self._descriptor, self._length = path, descriptor, len(data)

    def _put_aside(self, path: Path) -> None:
        """Give the file at hand another name. A disk that takes no change now may be asked again."""
        if path.exists() or path.is_symlink():
            raise self.failed(f"expected nothing at {path}, where it is put aside, found a file")
        try:
            fault_point(f"{self._faults}.segment.aside")
            self.path.rename(path)
            self.path = path
            sync_folder(path.parent)
        except OSError as error:
            if error.errno in _NO_LINES:
                raise self._refused(error) from error
            raise self.failed(f"it cannot be put aside as {path} ({error.strerror})") from error

    def extend(self, data: bytes) -> None:
        """Append whole lines, durably. Raises `StorageFull`, after which it may be tried again, or `StorageError`, which is for good."""
        try:
            self._require_untouched()
            fault_point(f"{self._faults}.write")
            self._write(data)
        except OSError as error:
            raise self._taken_back(error) from error
        try:
            fault_point(f"{self._faults}.fsync")
            if self._sync:
                _sync(self._descriptor)
            fault_point(f"{self._faults}.release")
        except OSError as error:
            # What the kernel dropped after a failed sync is unknown: a second sync that succeeds would prove nothing.
            raise self.failed(f"sync failed ({error.strerror}): the last lines may be lost") from error
        self._length += len(data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _require_untouched(self) -> None:
        held = os.fstat(self._descriptor)
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            raise self.failed("expected our file, found it deleted or moved away") from None
        if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino):
            raise self.failed("expected our file, found another one in its place")
        if held.st_size != self._length:
            raise self.failed(f"expected {self._length} bytes, found {held.st_size}: another program wrote to it")

    def _taken_back(self, error: OSError) -> StorageError:
        """Cut what a failed write left, so that no half line stays; a full or read-only disk may be tried again, all else may not."""
        try:
            if os.fstat(self._descriptor).st_size != self._length:  # a disk that is read-only would not even cut nothing
                os.truncate(self._descriptor, self._length)
        except OSError as second:
            return self.failed(f"write failed ({error.strerror}), and so did cutting what it left ({second.strerror})")
        if error.errno in _NO_LINES:
            return self._refused(error)
        return self.failed(f"write failed ({error.strerror})")

    def _refused(self, error: OSError) -> StorageFull:
        if error.errno == errno.EROFS:
            return StorageFull(f"the disk of {self.path} takes no lines ({error.strerror}): make it writable again")
        return StorageFull(f"no space left for {self.path} ({error.strerror}): free some space")

    def failed(self, reason: str) -> StorageError:
        """What to raise; no call after this succeeds."""
        self._fault = f"log {self.path}: {reason}"
        return StorageError(self._fault)


def _sync(descriptor: int) -> None:
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)
