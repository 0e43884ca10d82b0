"""Reads sealed logs with flat memory: entries in order, the last cycles from the end, sessions of a data folder.

It takes lines apart and does not judge them: that is `verify`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import LOG_ID, OBJECTS_FOLDER, Seal, journal_folder, line_hash, segments, split
from dudzian_daemon.adapters.log_lines import is_begun, open_log, raw_lines, read_tail, unpacking, whole_lines_backwards
from dudzian_daemon.adapters.tape import with_inputs
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.records import CycleRecord

#: Above every sequence.
NEWEST: Final = 2**63

_decode_cycle: Final = partial(msgspec.json.decode, type=CycleRecord)  # a decoder would be made by every start: a hundredth of it


class _Kind(msgspec.Struct):
    kind: str = ""
    cycles: list[msgspec.Raw] = []


class _Born(msgspec.Struct):
    at: int = 0


_decode_kind: Final = msgspec.json.Decoder(_Kind).decode
_decode_born: Final = msgspec.json.Decoder(_Born).decode


class Entry(msgspec.Struct, frozen=True):
    """A line of a log: where it stands, its kind, its members and its raw hash. `d` and `w` are the bytes as they were."""

    path: Path
    kind: str
    d: bytes
    w: bytes
    seal: Seal
    line_hash: str

    def cycles(self) -> list[Cycle]:
        """The cycles of the line, none if it is of another kind; inputs on the tape are read from there.

        Raises `IntegrityError` if they do not parse, or a frame of the tape is not what it was.
        """
        if self.kind not in ("cycle", "quiet"):
            return []
        try:
            wall = msgspec.json.decode(self.w)
            records = zip(self.parts(), wall if self.kind == "quiet" else [wall], strict=True)
            log, line, digest, folder = self.seal.log, self.seal.line, self.line_hash, self.path.parent
            return [Cycle(_decode_cycle(with_inputs(part, folder)), wall, part, log, line, digest) for part, wall in records]
        except (ValueError, TypeError, RecursionError) as error:
            raise _broken(self.path, f"line {self.seal.line}", str(error)) from None

    def parts(self) -> list[bytes]:
        """Canonical bytes of its cycles. Raises `ValueError` if they do not parse."""
        if self.kind == "quiet":
            return [bytes(part) for part in _decode_kind(self.d).cycles]
        return [self.d] if self.kind == "cycle" else []


class Cycle(msgspec.Struct, frozen=True):
    """A recorded cycle with its wall fields, its canonical bytes `d` and the identity of the line that carries it."""

    record: CycleRecord
    wall: dict[str, Any]
    d: bytes
    log_id: str
    line: int
    line_hash: str


class Session(msgspec.Struct, frozen=True):
    """A session's folder and how its log ends.

    `state` is `closed`, `stopped` (may be resumed), `open` (being written, or crashed), `torn` or `unreadable`; `lines` is
    the number of the last line, `born` the wall time (ns) of its first.
    """

    log_id: str
    folder: Path
    state: str
    lines: int
    born: int

    @property
    def segments(self) -> list[Path]:
        """The session's files in order."""
        return segments(self.folder)


def entries(path: Path) -> Iterator[Entry]:
    """Whole lines of one log file in order; a torn tail is left out. Raises `IntegrityError` naming file and line."""
    with open_log(path) as stream, unpacking(path):
        for number, line in enumerate(raw_lines(stream), start=1):
            if line.endswith(b"\n"):
                yield entry_of(path, f"line {number}", line[:-1])


def entries_from(path: Path, offset: int) -> Iterator[tuple[Entry, int]]:
    """Whole lines of a log from the (unpacked) byte `offset` on, each with the byte after it. Raises `IntegrityError`."""
    with open_log(path) as stream, unpacking(path):
        stream.seek(offset)
        for line in raw_lines(stream):
            if line.endswith(b"\n"):
                where, offset = f"at byte {offset}", offset + len(line)
                yield entry_of(path, where, line[:-1]), offset


def entry_of(path: Path, where: str, line: bytes) -> Entry:
    """The entry in a line given without its newline. Raises `IntegrityError`, which says `where`, when it is not one."""
    try:
        parts = split(line)
        kind = _decode_kind(parts.d).kind
    except (ValueError, RecursionError) as error:
        raise _broken(path, where, str(error)) from None
    return Entry(path, kind, bytes(parts.d), bytes(parts.w), parts.s, line_hash(line))


def sessions(root: Path, artifact: str) -> list[Session]:
    """Sessions of an artifact below the data folder `root`, newest first; each is judged by its first and last line only.

    A folder whose writer was killed before the first line was whole is no session.
    """
    folder = journal_folder(root, artifact)
    if not folder.is_dir():
        return []
    found = [_session(path) for path in folder.iterdir() if LOG_ID.fullmatch(path.name) and path.is_dir() and not _unborn(path)]
    return sorted(found, key=lambda session: (session.born, session.log_id), reverse=True)


def latest_cycles(
    folder: Path, count: int, *, quiet: bool = True, through: int | None = None, seen: Callable[[Entry], None] | None = None
) -> list[Cycle]:
    """The last `count` cycles of a session folder up to sequence `through`, oldest first, read from the end.

    Without `quiet`, of those with an event; `seen` is told of every entry that is read.
    """
    last = NEWEST if through is None else through
    found: deque[Cycle] = deque()
    for path in reversed(segments(folder)) if count else ():
        for entry in _entries_backwards(path):
            if seen is not None:
                seen(entry)
            ours = (cycle for cycle in reversed(entry.cycles()) if cycle.record.sequence <= last)
            found.extendleft(cycle for cycle in ours if quiet or not cycle.record.quiet)
            if len(found) >= count:
                return list(found)[-count:]
    return list(found)


def cycles_between(folder: Path, first: int, last: int) -> list[Cycle]:
    """Cycles of a session folder with first <= sequence <= last, oldest first, read from the end: for those that just fell behind."""
    found: deque[Cycle] = deque()
    for path in reversed(segments(folder)):
        for entry in _entries_backwards(path):
            for cycle in reversed(entry.cycles()):
                if cycle.record.sequence < first:
                    return list(found)
                if cycle.record.sequence <= last:
                    found.appendleft(cycle)
    return list(found)


class Follower:
    """Follows a log while it is written: each `poll` gives the entries that were added since the last one."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self._path = path
        self._offset = offset

    def poll(self) -> list[Entry]:
        """New whole lines; a line that is still being written comes with a later poll."""
        added: list[Entry] = []
        for entry, end in entries_from(self._path, self._offset):
            added.append(entry)
            self._offset = end
        return added


def read_object(folder: Path, digest: str) -> bytes:
    """Content of `objects/<digest>` of a session folder. Raises `IntegrityError` when it is not what the name says."""
    path = folder / OBJECTS_FOLDER / digest
    with os_errors(path):
        data = path.read_bytes()
    if sha256(data).hexdigest() != digest:
        msg = f"object {path}: expected content with this SHA-256, found other content"
        raise IntegrityError(msg)
    return data


def _entries_backwards(path: Path) -> Iterator[Entry]:
    for number, (_, line) in enumerate(whole_lines_backwards(path), start=1):
        yield entry_of(path, f"line {number} from the end", line)


def _unborn(folder: Path) -> bool:
    files = segments(folder)
    begun = not files or (len(files) == 1 and is_begun(files[0]))
    return begun and not (folder / OBJECTS_FOLDER).exists()  # what has objects had a first line


def _session(folder: Path) -> Session:
    born, state, lines = folder.stat().st_mtime_ns, "unreadable", 0
    try:
        files = segments(folder)
        born = _decode_born(next(entries(files[0])).w).at
        last = next(_entries_backwards(files[-1]))
        lines = last.seal.line
        torn = files[-1].suffix != ".gz" and read_tail(files[-1]).torn
        state = "torn" if torn else last.kind if last.kind in ("closed", "stopped") else "open"
    except (IndexError, StopIteration, ConfigError, IntegrityError, ValueError, RecursionError):
        state = "unreadable"
    return Session(folder.name, folder, state, lines, born)


def _broken(path: Path, where: str, reason: str) -> IntegrityError:
    return IntegrityError(f"log {path} {where}: expected an entry, found text that is none ({reason})")
