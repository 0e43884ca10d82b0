"""A log of sealed lines that only grows: appended in memory, written and synced in one piece off the loop.

Journal and signed projections are such logs; one may go on in a new file. It knows no cycles and no kinds of entries.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import anyio
import anyio.to_thread

from dudzian_daemon.adapters.files import (
    PRIVATE_FILE,
    os_errors,
    require_regular_or_absent,
    require_sole_name_or_absent,
    sync_folder,
    write_atomic,
)
from dudzian_daemon.adapters.journal_format import LOG_ID, LineSealer, encode, key_change, split
from dudzian_daemon.adapters.key_change import keys_at_end
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_lines import read_tail
from dudzian_daemon.domain.errors import DudzianError, IntegrityError, StorageError, StorageFull
from dudzian_daemon.kernel.faults import fault_point
from dudzian_daemon.trading.content import ORIGIN

#: Of a disk that takes no lines now, and may later.
_NO_LINES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class NewFile(NamedTuple):
    """Where lines go on: in a file `path`. If that is the name of the file at hand, this one is called `put_aside` before."""

    path: Path
    put_aside: Path | None


def new_log_id() -> str:
    """A random log id, 32 hex digits."""
    return secrets.token_hex(16)


class ChainedLog:
    """Owns the last file of a log and the sealer of its lines. `append` is for one thread (the loop's); writing happens in a worker.

    `faults` is the prefix of its fault points: `<faults>.write`, `.fsync`, `.release`; those of a new file are `<faults>.segment.aside`,
    `.write`, `.fsync`, `.rename`, `.renamed`. Without `sync` a commit writes only.
    """

    def __init__(self, path: Path, sealer: LineSealer, descriptor: int, *, length: int, faults: str, sync: bool = True) -> None:
        self.path = path
        self.durable_line = sealer.line
        self._sealer = sealer
        self._descriptor = descriptor
        self._length = length
        self._faults = faults
        self._sync = sync
        #: Lines, and where those after it belong into a new file.
        self._appended: list[bytes | NewFile] = []
        self._unwritten: list[bytes | NewFile] = []
        self._named: list[Callable[[], object]] = []
        self._named_unwritten: list[Callable[[], object]] = []
        self._fault: str | None = None
        #: The key to hand over to before the next line, and the content link until then.
        self._heir: tuple[SigningKey, str] | None = None
        self._turn = anyio.Lock()
        self._writer = Lock()

    @classmethod
    def create(cls, path: Path, log_id: str, key: SigningKey | None, *, faults: str = "journal", sync: bool = True) -> ChainedLog:
        """A new file (0600, its name durable) for the log `log_id`; unsigned without a key.

        Raises `ConfigError` when something stands there already or the folder cannot be written.
        """
        require_regular_or_absent(path)
        with os_errors(path):
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            try:
                path.chmod(PRIVATE_FILE)
                sync_folder(path.parent)
            except OSError:
                os.close(descriptor)
                raise
        return cls(path, LineSealer(log_id, key), descriptor, length=0, faults=faults, sync=sync)

    @classmethod
    def resume(cls, path: Path, key: SigningKey | None, *, faults: str = "journal", sync: bool = True) -> ChainedLog:
        """Go on after the last line of an existing file, which must carry the seal of `key`, or of one of its ring.

        A torn tail, what a crash left of a write, is cut off; a change of key comes before what is appended first. Raises `IntegrityError`
        when the last line is not ours, `ConfigError` when its key is missing.
        """
        require_sole_name_or_absent(path)
        tail = read_tail(path)
        sealer = _sealer_after(path, tail.line, key)
        with os_errors(path):
            descriptor = os.open(path, _FLAGS)
            os.truncate(descriptor, tail.length)
        log = cls(path, sealer, descriptor, length=tail.length, faults=faults, sync=sync)
        if key is not None and sealer.key_id != key.id:
            log._heir = (key, split(tail.line or b"").s.content)
        return log

    @property
    def log_id(self) -> str:
        """Random identity of the log."""
        return self._sealer.log_id

    @property
    def line(self) -> int:
        """Number of the last appended line."""
        return self._sealer.line

    @property
    def line_hash(self) -> str:
        """Raw hash of the last appended line."""
        return self._sealer.previous

    @property
    def pending(self) -> int:
        """Lines appended and not yet durable."""
        return self._sealer.line - self.durable_line

    def append(self, d: bytes, w: bytes, content: str = ORIGIN) -> None:
        """Seal the next line in memory. `d` and `w` are canonical JSON; a projection has no content link."""
        if self._heir is not None:
            (key, link), self._heir = self._heir, None
            self._appended.append(self._sealer.seal(encode(key_change(key.id)), b"{}", link))
            self._sealer.hand_over(key)
        self._appended.append(self._sealer.seal(d, w, content))

    def begin_file(self, path: Path, *, put_aside: Path | None = None) -> None:
        """The lines after this belong into a new file `path`, which comes into being with the first of them, whole.

        Where the file at hand has that name, it is called `put_aside` first: for a moment there is none at `path`.
        """
        self._appended.append(NewFile(path, put_aside))

    def write_first(self, write: Callable[[], object]) -> None:
        """`write` makes durable what the next line names: it is called before that line is written, off the loop, maybe more than once."""
        self._named.append(write)

    async def commit(self) -> None:
        """Make all lines appended so far durable with one write and one sync, off the loop; one commit at a time.

        Raises `StorageFull`, after which it may be called again, or `StorageError`, after which every call fails.
        """
        async with self._turn:
            self._take()
            if self._unwritten:
                await anyio.to_thread.run_sync(self._write_and_sync)

    def commit_now(self) -> None:
        """As `commit`, in the calling thread: for commands and start-up, before a loop runs."""
        self._take()
        if self._unwritten:
            self._write_and_sync()

    def commit_last(self, seal: Callable[[], object], still: Callable[[], bool]) -> bool:
        """What waits made durable by another thread than the appending one, which hangs: for a process that ends. True if it was.

        `seal` may append; nothing is written unless `still()` then says that the hanging thread did not move. Every commit after
        this fails: what two threads might have mixed up never comes to the disk. Raises `StorageError`.
        """
        with self._writer:
            try:
                seal()
                self._take()
                moved = not still()
                if not moved and self._unwritten:
                    self._write_out()
                return not moved
            finally:
                self._fault = self._fault or f"log {self.path} is closed"

    def release(self) -> None:
        """Let go of the file; lines that are not durable are lost."""
        with self._writer:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                self._fault = self._fault or f"log {self.path} is closed"

    def _take(self) -> None:
        self._named_unwritten += self._named  # before the lines: a worker that is through with one commit may see those of the next
        self._named = []
        self._unwritten += self._appended
        self._appended = []

    def _write_and_sync(self) -> None:
        # The lock outlives a cancelled caller: a second commit must not write before the first worker is through.
        with self._writer:
            self._write_out()

    def _write_out(self) -> None:
        if self._fault is not None:
            raise StorageError(self._fault)
        items = self._unwritten[:]
        self._write_named()
        while items:
            new, lines = _of_one_file(items)
            if not lines:
                break
            if new is None:
                self._extend(b"".join(lines))
            else:
                self._begin(new, b"".join(lines))
            self.durable_line += len(lines)
            done = len(lines) + (new is not None)
            del self._unwritten[:done], items[:done]

    def _write_named(self) -> None:
        while self._named_unwritten:
            try:
                self._named_unwritten[0]()
            except StorageFull:
                raise
            except DudzianError as error:
                raise self._failed(f"what its next line names cannot be written: {error}") from error
            del self._named_unwritten[0]

    def _begin(self, new: NewFile, data: bytes) -> None:
        """Go on in a new file, which is there with its first lines or not at all; the one before it is whole and synced."""
        self._require_untouched()
        path = new.path
        if path == self.path and new.put_aside is not None:  # once: what fails after this is tried again from here
            self._put_aside(new.put_aside)
        if path.exists() or path.is_symlink():
            raise self._failed(f"expected nothing at {path}, where it goes on, found a file")
        try:
            write_atomic(path, data, mode=PRIVATE_FILE, faults=f"{self._faults}.segment")
            descriptor = os.open(path, _FLAGS)
        except StorageFull:
            if path.exists():  # it got its name just before: the next try begins anew
                path.unlink()
            raise
        except DudzianError as error:
            raise self._failed(f"it cannot go on in a new file: {error}") from error
        except OSError as error:
            raise self._failed(f"it cannot go on in {path} ({error.strerror})") from error
        os.close(self._descriptor)
        self.path, self._descriptor, self._length = path, descriptor, len(data)

    def _put_aside(self, path: Path) -> None:
        """Give the file at hand another name. A disk that takes no change now may be asked again."""
        if path.exists() or path.is_symlink():
            raise self._failed(f"expected nothing at {path}, where it is put aside, found a file")
        try:
            fault_point(f"{self._faults}.segment.aside")
            self.path.rename(path)
            self.path = path
            sync_folder(path.parent)
        except OSError as error:
            if error.errno in _NO_LINES:
                raise self._refused(error) from error
            raise self._failed(f"it cannot be put aside as {path} ({error.strerror})") from error

    def _extend(self, data: bytes) -> None:
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
            raise self._failed(f"sync failed ({error.strerror}): the last lines may be lost") from error
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
            raise self._failed("expected our file, found it deleted or moved away") from None
        if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino):
            raise self._failed("expected our file, found another one in its place")
        if held.st_size != self._length:
            raise self._failed(f"expected {self._length} bytes, found {held.st_size}: another program wrote to it")

    def _taken_back(self, error: OSError) -> StorageError:
        """Cut what a failed write left, so that no half line stays; a full or read-only disk may be tried again, all else may not."""
        try:
            if os.fstat(self._descriptor).st_size != self._length:  # a disk that is read-only would not even cut nothing
                os.truncate(self._descriptor, self._length)
        except OSError as second:
            return self._failed(f"write failed ({error.strerror}), and so did cutting what it left ({second.strerror})")
        if error.errno in _NO_LINES:
            return self._refused(error)
        return self._failed(f"write failed ({error.strerror})")

    def _refused(self, error: OSError) -> StorageFull:
        if error.errno == errno.EROFS:
            how = "make it writable again, the lines are kept in memory"
            return StorageFull(f"the disk of {self.path} takes no lines ({error.strerror}): {how}")
        return StorageFull(f"no space left for {self.path} ({error.strerror}): free some space, the lines are kept in memory")

    def _failed(self, reason: str) -> StorageError:
        self._fault = f"log {self.path}: {reason}"
        return StorageError(self._fault)


def _of_one_file(items: list[bytes | NewFile]) -> tuple[NewFile | None, list[bytes]]:
    """What comes first: lines for the file at hand, or a new file and its lines."""
    first = items[0]
    new = first if isinstance(first, NewFile) else None
    lines: list[bytes] = []
    for item in items[new is not None :]:
        if isinstance(item, NewFile):
            break
        lines.append(item)
    return new, lines


def _sealer_after(path: Path, line: bytes | None, key: SigningKey | None) -> LineSealer:
    """The sealer that goes on after `line`; sealing it anew must give the same bytes."""
    if line is None:
        msg = f"log {path}: expected at least one whole line, found none"
        raise IntegrityError(msg)
    try:
        parts = split(line)
    except ValueError:
        parts = None
    if parts is not None and LOG_ID.fullmatch(parts.s.log):
        keys = keys_at_end(path, parts, key) if key is not None and parts.s.key else None
        sealer = LineSealer(parts.s.log, keys.sealed_by if keys else key, line=parts.s.line - 1, previous=parts.s.prev)
        if sealer.seal(bytes(parts.d), bytes(parts.w), parts.s.content) == line + b"\n":
            sealer.hand_over(keys.in_force if keys else key)
            return sealer
    signer = f"sealed by key {key.id}" if key else "of an unsigned log"
    msg = f"log {path}: expected a last line {signer}, found one that is not; run: dudzian verify-decision-log {path}"
    raise IntegrityError(msg)


def _sync(descriptor: int) -> None:
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)
