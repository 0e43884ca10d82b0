"""A log of sealed lines that only grows: appended in memory, written and synced in one piece off the loop.

Journal and signed projections are such logs; one may go on in a new file. It knows no cycles and no kinds of entries.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import anyio
import anyio.to_thread

from dudzian_daemon.adapters.files import require_sole_name_or_absent
from dudzian_daemon.adapters.journal_format import LOG_ID, LineSealer, encode, key_change, split
from dudzian_daemon.adapters.key_change import keys_at_end
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_file import LogFile
from dudzian_daemon.adapters.log_lines import read_tail
from dudzian_daemon.domain.errors import DudzianError, IntegrityError, StorageFull
from dudzian_daemon.trading.content import ORIGIN


class NewFile(NamedTuple):
    """Where lines go on: in a file `path`. If that is the name of the file at hand, this one is called `put_aside` before."""

    path: Path
    put_aside: Path | None


def new_log_id() -> str:
    """A random log id, 32 hex digits."""
    return secrets.token_hex(16)


class ChainedLog:
    """Owns the last file of a log and the sealer of its lines. `append` is for one thread (the loop's); writing happens in a worker.

    `faults` is the prefix of its file's fault points. Without `sync` a commit writes only.
    """

    def __init__(self, file: LogFile, sealer: LineSealer) -> None:
        self.durable_line = sealer.line
        self._file = file
        self._sealer = sealer
        #: Lines, and where those after it belong into a new file.
        self._appended: list[bytes | NewFile] = []
        self._unwritten: list[bytes | NewFile] = []
        self._named: list[Callable[[], object]] = []
        self._named_unwritten: list[Callable[[], object]] = []
        #: The key to hand over to before the next line, and the content link until then.
        self._heir: tuple[SigningKey, str] | None = None
        self._turn = anyio.Lock()
        self._writer = Lock()

    @classmethod
    def create(cls, path: Path, log_id: str, key: SigningKey | None, *, faults: str = "journal", sync: bool = True) -> ChainedLog:
        """A new file (0600, its name durable) for the log `log_id`; unsigned without a key.

        Raises `ConfigError` when something stands there already or the folder cannot be written.
        """
        return cls(LogFile.create(path, faults=faults, sync=sync), LineSealer(log_id, key))

    @classmethod
    def resume(cls, path: Path, key: SigningKey | None, *, faults: str = "journal", sync: bool = True) -> ChainedLog:
        """Go on after the last line of an existing file, which must carry the seal of `key`, or of one of its ring.

        A torn tail, what a crash left of a write, is cut off; a change of key comes before what is appended first. Raises `IntegrityError`
        when the last line is not ours, `ConfigError` when its key is missing.
        """
        require_sole_name_or_absent(path)
        tail = read_tail(path)
        sealer = _sealer_after(path, tail.line, key)
        log = cls(LogFile.cut(path, tail.length, faults=faults, sync=sync), sealer)
        if key is not None and sealer.key_id != key.id:
            log._heir = (key, split(tail.line or b"").s.content)
        return log

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._file.path

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
                self._file.take_no_more()

    def release(self) -> None:
        """Let go of the file; lines that are not durable are lost."""
        with self._writer:
            self._file.close()

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
        self._file.require_sound()
        items = self._unwritten[:]
        self._write_named()
        while items:
            new, lines = _of_one_file(items)
            if not lines:
                break
            if new is None:
                self._file.extend(b"".join(lines))
            else:
                self._file.go_on_in(new.path, b"".join(lines), new.put_aside)
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
                raise self._file.failed(f"what its next line names cannot be written: {error}") from error
            del self._named_unwritten[0]


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
