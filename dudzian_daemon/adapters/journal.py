"""The session's one authoritative series: cycles in, a sealed and durable line out, then their release.

It implements the `Journal` port. What a session goes on from is read by `journal_recovery`; it judges nothing.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon import __version__
from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors, remove_unfinished, write_atomic
from dudzian_daemon.adapters.heads import Head
from dudzian_daemon.adapters.journal_format import (
    JOURNAL_FOLDER,
    OBJECTS_FOLDER,
    QUIET_GROUP,
    SEGMENT,
    SEGMENT_LINES,
    encode,
    genesis,
    segment_name,
)
from dudzian_daemon.adapters.journal_reader import entries
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.private_files import private_folder
from dudzian_daemon.adapters.tape import TAPE_FOLDER, write_frame
from dudzian_daemon.domain.errors import StorageError
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.ports import Released
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.trading.content import ContentChain

_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
#: Kinds that only `append` writes.
_CYCLE_KINDS: Final = frozenset({"cycle", "quiet"})


class Segments(msgspec.Struct, kw_only=True):
    """Which segment the last sealed line belongs to, on which day since 1970 it was begun (UTC), and how many lines are before it."""

    most_lines: int
    number: int
    day: int
    lines_before: int = 0


class _Sealed(msgspec.Struct, frozen=True, gc=False):
    """A sealed line with the last cycle up to it; its own cycles wait for their release."""

    line: int
    line_hash: str
    content: str
    sequence: int
    records: tuple[CycleRecord, ...] = ()


class SessionJournal:
    """One session's log. Everything but `commit` and `close` happens in memory; `commit` says what became durable."""

    def __init__(self, folder: Path, log: ChainedLog, chain: ContentChain, clock: Clock, segments: Segments) -> None:
        self.folder = folder
        self._log = log
        self._chain = chain
        self._clock = clock
        self._segments = segments
        self._quiet: list[tuple[CycleRecord, bytes, bytes]] = []
        self._unreleased: deque[_Sealed] = deque()
        self._durable = _Sealed(log.line, log.line_hash, chain.link, chain.sequence)
        self._closing = False
        #: Names configuration and code of the run, so that the next start sees at once whether they are still the same.
        self.identity = ""

    @classmethod
    def create(
        cls,
        root: Path,
        artifact: str,
        key: SigningKey | None,
        *,
        clock: Clock,
        wall: dict[str, Any] | None = None,
        segment_lines: int = SEGMENT_LINES,
    ) -> SessionJournal:
        """Open a new session below the data folder `root`; its genesis line is durable on return. Blocks for some syncs.

        Without a key the whole log is unsigned. Raises `ConfigError` when a symlink or something else stands in the way.
        """
        now = clock.wall_ns()
        log_id = new_log_id()
        folder = private_folder(root, JOURNAL_FOLDER / artifact / log_id)
        log = ChainedLog.create(folder / segment_name(1, now), log_id, key)
        chain = ContentChain()
        entry = genesis(artifact, __version__, signed=key is not None)
        log.append(encode(entry), encode({"at": now, **(wall or {})}), chain.link)
        try:
            log.commit_now()
        except StorageError:
            log.release()
            shutil.rmtree(folder, ignore_errors=True)  # a session that was never born must not be the newest one
            raise
        return cls(folder, log, chain, clock, Segments(most_lines=segment_lines, number=1, day=now // DAY_NS))

    @classmethod
    def resume(
        cls, path: Path, key: SigningKey | None, chain: ContentChain, *, clock: Clock, segment_lines: int = SEGMENT_LINES
    ) -> SessionJournal:
        """Go on after the last line of a session's last file; `chain` has sealed its last cycle. A torn tail is cut off.

        Raises `IntegrityError` when the last line is not ours.
        """
        log = ChainedLog.resume(path, key)
        remove_unfinished(path.parent)
        name, first = SEGMENT.fullmatch(path.name), next(entries(path))
        number = int(name[1]) if name else 1
        day = date.fromisoformat(path.name[:10]).toordinal() - _FIRST_DAY
        segments = Segments(most_lines=segment_lines, number=number, day=day, lines_before=first.seal.line - 1)
        return cls(path.parent, log, chain, clock, segments)

    @property
    def log_id(self) -> str:
        """Random identity of the session's log."""
        return self._log.log_id

    @property
    def path(self) -> Path:
        """The segment that is written."""
        return self._log.path

    @property
    def pending(self) -> int:
        """Lines appended and not yet durable; quiet cycles that wait for `flush_quiet` are in none yet."""
        return self._log.pending

    @property
    def waiting(self) -> int:
        """Quiet cycles that wait for others to share a line with."""
        return len(self._quiet)

    @property
    def sequence(self) -> int:
        """Sequence of the last appended cycle, 0 before the first."""
        return self._chain.sequence

    @property
    def content(self) -> str:
        """Content link after the last appended cycle."""
        return self._chain.link

    @property
    def segment_full(self) -> bool:
        """Whether the next checkpoint opens a new segment: this one has its lines, or was begun on another day (UTC, by the wall)."""
        segments = self._segments
        return self._log.line - segments.lines_before >= segments.most_lines or self._clock.wall_ns() // DAY_NS != segments.day

    def begin_segment(self) -> None:
        """What is sealed after this belongs into a new segment, which comes into being, whole, with the next commit."""
        self.flush_quiet()
        now, segments = self._clock.wall_ns(), self._segments
        segments.number += 1
        segments.day, segments.lines_before = now // DAY_NS, self._log.line
        self._log.begin_file(self.folder / segment_name(segments.number, now))

    def append(self, record: CycleRecord, *, wall: dict[str, Any]) -> None:
        """Encode, chain and seal the record in memory; a quiet one waits for others to share a line with."""
        w = encode(wall)
        quiet = record.quiet
        if not quiet:
            self.flush_quiet()
        d = self._chain.seal(record)
        if self._chain.frame is not None:  # before the line that names it
            self._log.write_first(partial(self._put_frame, *self._chain.frame))
        if not quiet:
            self._seal(d, w, (record,))
            return
        self._quiet.append((record, d, w))
        if len(self._quiet) >= QUIET_GROUP:
            self.flush_quiet()

    def _put_frame(self, digest: str, content: bytes) -> None:
        private_folder(self.folder, Path(TAPE_FOLDER))
        write_frame(self.folder, digest, content)

    def append_entry(self, kind: str, d: dict[str, Any], w: dict[str, Any]) -> None:
        """Seal a line that is no cycle; `d` lacks its `kind`, which comes first."""
        if kind in _CYCLE_KINDS or "kind" in d:
            msg = f"expected an entry that is no cycle and whose kind is given once, found {kind!r} with members {sorted(d)}"
            raise ValueError(msg)
        content, wall = encode({"kind": kind, **d}), encode(w)
        self.flush_quiet()
        self._seal(content, wall, ())

    def append_checkpoint(self, state: bytes, reason: str) -> None:
        """Seal the bytes of the whole state after the last appended cycle, as the first line of a new segment if it is time for one."""
        if self.segment_full:
            self.begin_segment()
        place = {"sequence": self._chain.sequence, "content": self._chain.link, "books": self._chain.books}
        held = {"reason": reason, "identity": self.identity, "hash": sha256(state).hexdigest(), "state": msgspec.Raw(state)}
        self.append_entry("checkpoint", place | held, {})

    def flush_quiet(self) -> None:
        """Seal the quiet cycles that wait, as one line; call it at least once a second of the edge clock."""
        if not self._quiet:
            return
        group, self._quiet = self._quiet, []
        records = tuple(record for record, _, _ in group)
        d, w = (b",".join(part) for part in list(zip(*group, strict=True))[1:])
        if len(group) > 1:
            d, w = b'{"kind":"quiet","cycles":[' + d + b"]}", b"[" + w + b"]"
        self._seal(d, w, records)

    def put_object(self, data: bytes) -> str:
        """Store a blob under its SHA-256 in the session's folder, durably, and return that name. Blocks: call it off the loop.

        A line that names the digest is appended after this has returned.
        """
        digest = sha256(data).hexdigest()
        folder = private_folder(self.folder, Path(OBJECTS_FOLDER))
        path = folder / digest
        with os_errors(path):
            stored = path.is_file() and not path.is_symlink() and path.read_bytes() == data
        if not stored:
            write_atomic(path, data, mode=PRIVATE_FILE)
        return digest

    async def commit(self) -> Sequence[Released]:
        """Write and sync all lines appended so far, off the loop; the cycles that became durable, in order.

        Raises `StorageFull`, after which it may be called again, or `StorageError`, after which every call fails.
        """
        await self._log.commit()
        released: list[Released] = []
        while self._unreleased and self._unreleased[0].line <= self._log.durable_line:
            sealed = self._durable = self._unreleased.popleft()
            released += [Released(record=record, line=sealed.line, line_hash=sealed.line_hash) for record in sealed.records]
        return released

    def head(self) -> Head:
        """How far the log is durable: its line, the cycle before it, and both chains there, now."""
        durable = self._durable
        return Head(
            log=self.log_id,
            line=durable.line,
            sequence=durable.sequence,
            hash=durable.line_hash,
            content=durable.content,
            at=self._clock.wall_ns(),
        )

    async def close(self, kind: str, detail: dict[str, Any], wall: dict[str, Any] | None = None) -> Sequence[Released]:
        """Append the last entry, make all durable, release the file. After `StorageFull` it may be called again."""
        if not self._closing:
            self.append_entry(kind, detail, wall or {})
            self._closing = True
        released = await self.commit()
        self._log.release()
        return released

    def commit_last(self, still: Callable[[], bool]) -> bool:
        """All that was appended made durable from another thread, since the appending one hangs and the process ends; True if it was.

        Nothing is written unless `still()` says at the end that the hanging thread did not move. Raises `StorageError`.
        """
        return self._log.commit_last(self.flush_quiet, still)

    def commit_now(self) -> None:
        """Make all lines appended so far durable in the calling thread: at the start, before there is anything to release."""
        self._log.commit_now()

    def abandon(self) -> None:
        """Release the file as it is, without a last entry: after a fault."""
        self._log.release()

    def discard(self) -> None:
        """Release the file and remove the session: one that is not whole from its first line on is none."""
        self._log.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _seal(self, d: bytes, w: bytes, records: tuple[CycleRecord, ...]) -> None:
        content = self._chain.link
        self._log.append(d, w, content)
        self._unreleased.append(_Sealed(self._log.line, self._log.line_hash, content, self._chain.sequence, records))
