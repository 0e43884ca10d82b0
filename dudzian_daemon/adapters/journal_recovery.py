"""Reads what a session goes on from: its newest good checkpoint, and the lines after it, each of them proven by its seal.

A checkpoint that is damaged is passed over, back to the beginning of the session if need be; any other damaged line is none of
ours, and the session is not resumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.journal_format import KEY_CHANGE, LineSealer, encode, line_hash, split
from dudzian_daemon.adapters.journal_reader import Entry, Session, entry_of
from dudzian_daemon.adapters.key_change import keys_at_end, new_key_of
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_lines import open_log, raw_lines, read_tail, unpacking, whole_lines_backwards
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.trading.content import ORIGIN
from dudzian_daemon.trading.state import SessionState, decode_state, state_hash

_CHECKPOINT: Final = b'{"d":{"kind":"checkpoint",'
_RUN: Final = b'{"d":{"kind":"run",'


class _Members(msgspec.Struct, frozen=True):
    """Member `d` of a checkpoint."""

    sequence: int
    content: str
    books: str
    hash: str
    state: msgspec.Raw
    identity: str = ""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A place from which a session can be resumed: after line `line`, whose hash is `line_hash`; `end` is the byte after it.

    `content`, `books` and `sequence` are those of the last cycle before it; `state` is None at the beginning of the session, and
    `key_id` is empty there.
    """

    path: Path
    end: int = 0
    line: int = 0
    line_hash: str = ORIGIN
    key_id: str = ""
    sequence: int = 0
    content: str = ORIGIN
    books: str = ORIGIN
    identity: str = ""
    state: SessionState | None = None


class SessionLog:
    """The journal of one session, sealed by `key`; `bad` counts the checkpoints that were passed over."""

    def __init__(self, session: Session, key: SigningKey | None) -> None:
        self.session = session
        self.files = session.segments
        if self.files[-1].suffix == ".gz":
            msg = f"session {session.log_id}: expected its last file as plain lines, found it packed; unpack it: gzip -d {self.files[-1]}"
            raise IntegrityError(msg)
        self.torn_bytes = read_tail(self.files[-1]).torn
        self.bad = 0
        self._key = key
        tail = read_tail(self.files[-1]).line
        if key is not None and tail is not None:
            self._require_keys(tail, key)

    def _require_keys(self, tail: bytes, key: SigningKey) -> None:
        """Before anything is run again: the key may go on with the log, and those that it takes are at hand."""
        try:
            last = split(tail)
        except ValueError:  # which is found where the line is read
            return
        if last.s.key:
            keys_at_end(self.files[-1], last, key)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Good checkpoints, the newest first; the last one is the beginning of the session."""
        for path, end, line in self._backwards(_CHECKPOINT):
            found = self._checkpoint(path, end, line)
            if found is None:
                self.bad += 1
            else:
                yield found
        yield Checkpoint(path=self.files[0])

    def entries_after(self, checkpoint: Checkpoint) -> Iterator[Entry]:
        """Whole lines after it, in order. Raises `IntegrityError` for one that is not what was written.

        A damaged checkpoint among them is left out; the line after it says what its hash was, and its own seal proves that.
        """
        sealer = LineSealer(self.session.log_id, None, line=checkpoint.line, previous=checkpoint.line_hash)
        damaged, key_id = False, checkpoint.key_id
        for path, line in self._lines_after(checkpoint):
            entry = _parsed(path, line)
            if damaged and entry is not None:
                sealer.previous = entry.seal.prev
            if sealer.line == checkpoint.line:
                key_id = key_id or (entry.seal.key if entry is not None else "")
                sealer.hand_over(self._sealed_by(key_id))
            damaged = entry is None or sealer.seal(entry.d, entry.w, entry.seal.content) != line + b"\n"
            if entry is not None and not damaged:
                if entry.kind == KEY_CHANGE:
                    sealer.hand_over(self._sealed_by(new_key_of(entry.d)))
                yield entry
                continue
            number = sealer.line + (entry is None)
            if not line.startswith(_CHECKPOINT):
                found = "expected a line that fits its seal and the line before, found another; the session is not resumed"
                msg = f"log {path} line {number}: {found}; run: dudzian verify-decision-log {path}, or begin a new session with --fresh"
                raise IntegrityError(msg)
            sealer.line = number

    def run_before(self, identity: str) -> Entry | None:
        """The newest `run` entry that belongs to what was checkpointed as `identity`, the first one if that is empty."""
        found = None
        for path, _, line in self._backwards(_RUN):
            entry = entry_of(path, "of the run", line)
            if identity and identity_of(entry.d) == identity:
                return entry
            found = entry
        return None if identity else found

    def newest_run(self) -> Entry | None:
        """The newest `run` entry: the run that the session was left by."""
        found = next(self._backwards(_RUN), None)
        return None if found is None else entry_of(found[0], "of the run", found[2])

    def _lines_after(self, checkpoint: Checkpoint) -> Iterator[tuple[Path, bytes]]:
        for path in self.files[self.files.index(checkpoint.path) :]:
            with open_log(path) as stream, unpacking(path):
                stream.seek(checkpoint.end if path == checkpoint.path else 0)
                for line in raw_lines(stream):
                    if line.endswith(b"\n"):
                        yield path, line[:-1]

    def _sealed_by(self, key_id: str) -> SigningKey | None:
        """The key by the id that a line names; raises `ConfigError` when it is missing."""
        if self._key is None or not key_id:
            return self._key
        found = self._key.of(key_id)
        if found is None:
            msg = f"session {self.session.log_id}: expected its earlier key {key_id} where the signing key is looked for, found it nowhere"
            raise ConfigError(msg)
        return found

    def _checkpoint(self, path: Path, end: int, line: bytes) -> Checkpoint | None:
        try:
            entry = entry_of(path, "of a checkpoint", line)
            seal = entry.seal
            sealer = LineSealer(self.session.log_id, self._sealed_by(seal.key), line=seal.line - 1, previous=seal.prev)
            if sealer.seal(entry.d, entry.w, seal.content) != line + b"\n":
                return None
            members = msgspec.json.decode(entry.d, type=_Members)
            state = decode_state(bytes(members.state))
        except (IntegrityError, ConfigError, msgspec.DecodeError):  # of a damaged key id, too
            return None
        if (members.hash, members.sequence) != (state_hash(bytes(members.state)), state.core.sequence):
            return None
        return Checkpoint(
            path=path,
            end=end,
            line=seal.line,
            line_hash=entry.line_hash,
            key_id=seal.key,
            sequence=members.sequence,
            content=members.content,
            books=members.books,
            identity=members.identity,
            state=state,
        )

    def _backwards(self, begins: bytes) -> Iterator[tuple[Path, int, bytes]]:
        """Whole lines that begin so, the last one first, with the byte after each."""
        for path in reversed(self.files):
            for end, line in whole_lines_backwards(path):
                if line.startswith(begins):
                    yield path, end, line


class StateHash(msgspec.Struct, frozen=True):
    """Member `d` of an entry `state`: the hash of the whole state after cycle `sequence`."""

    sequence: int
    hash: str


def state_entry(entry: Entry) -> StateHash:
    """What an entry `state` says. Raises `IntegrityError`."""
    try:
        return msgspec.json.decode(entry.d, type=StateHash)
    except msgspec.DecodeError as error:
        msg = f"log {entry.path} line {entry.seal.line}: expected the hash of a state, found something else ({error})"
        raise IntegrityError(msg) from None


class Facts(msgspec.Struct, frozen=True):
    """What a `run` entry says of configuration and code; all else in it may differ from run to run of a session."""

    config: msgspec.Raw
    package: dict[str, str]
    plugins: dict[str, dict[str, str | dict[str, str]]]


def identity_of(d: bytes) -> str:
    """One hash for the configuration and the code of a `run` entry. Raises `IntegrityError` when it does not tell them."""
    try:
        facts = msgspec.json.decode(d, type=Facts)
    except msgspec.DecodeError as error:
        msg = f"expected a `run` entry that tells configuration, package and plugins, found another ({error})"
        raise IntegrityError(msg) from None
    return line_hash(encode((facts.config, facts.package.get("sha256", ""), facts.plugins)))


def _parsed(path: Path, line: bytes) -> Entry | None:
    try:
        return entry_of(path, "after the checkpoint", line)
    except IntegrityError:
        return None
