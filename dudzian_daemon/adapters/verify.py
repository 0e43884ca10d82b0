"""Judges a sealed log: is it what was written (integrity), and is it all of it (completeness)? Two verdicts.

It trusts nothing in the file but what the key proves, never raises on its content, and keeps no line in memory. A MAC that
would fit is never reported: who reads a report must not be able to finish a forgery with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain
from typing import Any, BinaryIO, Final, NoReturn

import msgspec

from dudzian_daemon.adapters.files import sha256_file
from dudzian_daemon.adapters.journal_format import (
    ALGORITHM,
    FORMAT,
    LOG_ID,
    MAX_LINE_BYTES,
    QUIET_GROUP,
    UNSIGNED,
    Line,
    LineSealer,
    decode,
    encode,
    split,
)
from dudzian_daemon.adapters.journal_reader import DAMAGED, raw_lines
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import Completeness, Finding, Integrity, LogReport
from dudzian_daemon.adapters.log_sources import Source, holds_log
from dudzian_daemon.adapters.tape import frames_of, read_frame
from dudzian_daemon.domain.errors import DudzianError, IntegrityError
from dudzian_daemon.trading.content import ORIGIN

#: Members of a cycle that its books hash covers, in this order.
CHANGED: Final = ("results", "fills", "positions", "risk", "cash")
_PROGRESS_LINES: Final = 2_000
_SHOWN: Final = 100
_PAUSES: Final = 10


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader of the verdict accepts. `key` finds a key by the id a log names; `pause` waits for a writer's line to end."""

    key: Callable[[str], SigningKey | None]
    expected_key_id: str | None = None
    allow_unsigned: bool = False
    pause: Callable[[], None] | None = None
    progress: Callable[[int], None] | None = None


class _Mismatch(Exception):
    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = _shown(found)


class _NotJudged(Exception):
    def __init__(self, integrity: Integrity, reason: str) -> None:
        super().__init__(reason)
        self.integrity = integrity


def _shown(found: object) -> str:
    """Text for people of something that comes from the file: short, and without control characters for their terminal."""
    text = found if isinstance(found, str) and found.isprintable() else repr(found)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _split(line: bytes) -> Line:
    try:
        return split(line)
    except ValueError as error:
        raise _Mismatch("one JSON object with the members d, w, s and nothing else", f"other text ({error})") from None


def verify_log(source: Source, terms: Terms) -> LogReport:
    """Both verdicts on one log; never raises on what the files contain."""
    return _Judge(source, terms).judge()


class _Judge:
    """The walk through one log: re-seals each line and compares bytes, then recomputes what cycles chain."""

    def __init__(self, source: Source, terms: Terms) -> None:
        self._source = source
        self._terms = terms
        self._report = LogReport(log=source.label)
        self._sealer: LineSealer | None = None
        self._link = self._books = bytes.fromhex(ORIGIN)
        self._last_kind = ""
        self._file, self._number = source.label, 0

    def judge(self) -> LogReport:
        report = self._report
        try:
            for name, stream in self._source.open():
                self._file = name
                self._read(stream)
            self._require_objects()
            if report.entries == 0:
                return self._unjudged(Integrity.UNREADABLE, "expected a log, found no whole line: the log is empty")
        except _NotJudged as unjudged:
            return self._unjudged(unjudged.integrity, str(unjudged))
        except _Mismatch as mismatch:
            due = None if report.projection else (report.last_sequence or 0) + 1
            report.finding = Finding(file=self._file, line=self._number, sequence=due, expected=mismatch.expected, found=mismatch.found)
            return self._unjudged(Integrity.TAMPERED, "")
        except (DudzianError, OSError) as error:
            return self._unjudged(Integrity.UNREADABLE, str(error))
        ending = self._last_kind if self._last_kind in (Completeness.CLOSED, Completeness.STOPPED) else Completeness.OPEN
        report.completeness = Completeness.TORN if report.torn_bytes else Completeness(ending)
        return report

    def _unjudged(self, integrity: Integrity, reason: str) -> LogReport:
        self._report.integrity, self._report.reason = integrity, reason
        return self._report

    def _read(self, stream: BinaryIO) -> None:
        if self._report.torn_bytes:
            raise _Mismatch("a torn line in the last file only", f"{self._report.torn_bytes} bytes without a newline before this file")
        self._number, done = 0, 0
        try:
            for line in self._lines(stream):
                self._number += 1
                done += len(line)
                if self._sealer is None:
                    self._require_log(chain([line], raw_lines(stream)))
                if not line.endswith(b"\n"):
                    self._torn(line)
                    return
                self._take(line)
                if self._terms.progress is not None and self._number % _PROGRESS_LINES == 0:
                    self._terms.progress(done)
                    done = 0
        except DAMAGED as error:
            self._number += 1
            raise _Mismatch("gzip that unpacks", f"a damaged one ({error})") from None

    def _require_log(self, lines: Iterator[bytes]) -> None:
        """What is no log is not a tampered one; a file in a session's folder is one, whatever it holds."""
        if self._source.log_id is None and not holds_log(lines):
            raise _NotJudged(Integrity.NOT_A_LOG, "expected lines of a journal or decision log (members d, w and s), found none")

    def _lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """Lines of a file; one that a daemon is just writing is given a moment to get its end."""
        pause = None if self._source.stream is not None else self._terms.pause
        while line := stream.readline(MAX_LINE_BYTES):
            tries = 0
            while pause is not None and tries < _PAUSES and not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                pause()
                line += stream.readline(MAX_LINE_BYTES)
                tries += 1
            yield line

    def _torn(self, rest: bytes) -> None:
        if len(rest) >= MAX_LINE_BYTES:
            raise _Mismatch(f"a line of at most {MAX_LINE_BYTES} bytes", "a longer one")
        if self._last_kind == Completeness.CLOSED:
            raise _Mismatch("the end of the log after its entry `closed`", f"{len(rest)} more bytes")
        self._report.torn_bytes = len(rest)

    def _take(self, line: bytes) -> None:
        first = self._sealer is None
        sealer = self._sealer = self._sealer or self._first_sealer(_split(line))
        d, w, raw, claimed = self._resealed(line, sealer)
        kind = d.get("kind") if isinstance(d, dict) else None
        if not isinstance(kind, str) or (kind == "genesis") != first or self._last_kind == Completeness.CLOSED:
            raise _Mismatch(self._entry_due(first), f"an entry of kind {kind!r}")
        self._entry(kind, d, w, raw)
        link = self._link.hex()
        if claimed != link:
            raise _Mismatch(f"content link {link}", claimed)
        self._count(kind, sealer)

    def _resealed(self, line: bytes, sealer: LineSealer) -> tuple[Any, Any, bytes, str]:
        """Values of `d` and `w`, bytes of `d`, claimed content link of a line that is, byte for byte, what its sealer would write.

        Members are spelled anew before they are sealed, so this is the test of the canonical form too.
        """
        before = sealer.previous
        try:
            members = decode(line)
            d, w, claimed = members["d"], members["w"], members["s"]["content"]
            raw = encode(d)
            resealed = sealer.seal(raw, encode(w), claimed)
        except (ValueError, LookupError, TypeError, RecursionError):
            _split(line)
            raise _Mismatch("the canonical form", "JSON that is not spelled canonically") from None
        if resealed != line:
            respelled = encode(members) + b"\n" == resealed
            self._name_difference(_split(line), sealer, before, respelled=respelled)
        return d, w, raw, claimed

    def _first_sealer(self, parts: Line) -> LineSealer:
        seal, terms = parts.s, self._terms
        if not LOG_ID.fullmatch(seal.log) or self._source.log_id not in (None, seal.log):
            raise _Mismatch(f"log id {self._source.log_id or 'of 32 hex digits'}", seal.log)
        if seal.alg == UNSIGNED and not terms.allow_unsigned:
            raise _Mismatch("a signed log (--allow-unsigned accepts one that is unsigned on purpose)", "one declared unsigned")
        if seal.alg not in (UNSIGNED, ALGORITHM):
            raise _Mismatch(f"algorithm {ALGORITHM} or {UNSIGNED}", seal.alg)
        self._report.log_id = seal.log
        if seal.alg == UNSIGNED:
            return LineSealer(seal.log, None)
        if terms.expected_key_id not in (None, seal.key):
            raise _NotJudged(Integrity.OTHER_KEY, _shown(seal.key))
        key = terms.key(seal.key)
        if key is None:
            raise _NotJudged(Integrity.KEY_MISSING, _shown(seal.key))
        self._report.key_id = seal.key
        return LineSealer(seal.log, msgspec.structs.replace(key, id=seal.key))

    def _name_difference(self, parts: Line, sealer: LineSealer, before: str, *, respelled: bool) -> NoReturn:
        seal = parts.s
        algorithm = ALGORITHM if sealer.signed else UNSIGNED
        expectations = (
            ("log id", sealer.log_id, seal.log),
            ("line", sealer.line, seal.line),
            ("hash of the line before", before, seal.prev),
            ("key id", sealer.key_id, seal.key),
            ("algorithm", algorithm, seal.alg),
        )
        for name, expected, found in expectations:
            if expected != found:
                raise _Mismatch(f"{name} {expected}", found)
        if bool(seal.mac) != sealer.signed:
            raise _Mismatch("a MAC" if sealer.signed else "no MAC in an unsigned log", seal.mac or "none")
        if sealer.signed and not respelled:
            raise _Mismatch(f"a line whose bytes fit its MAC under the given key {sealer.key_id}", f"MAC {seal.mac}, which does not fit")
        raise _Mismatch("the canonical form", "JSON that is not spelled canonically")

    def _entry_due(self, first: bool) -> str:
        if self._last_kind == Completeness.CLOSED:
            return "the end of the log after its entry `closed`"
        return "an entry `genesis` as the first one" if first else "an entry with a kind other than `genesis`"

    def _entry(self, kind: str, d: dict[str, Any], w: Any, raw: bytes) -> None:
        if kind == "genesis":
            self._genesis(d)
        elif self._report.projection:
            return
        elif kind == "cycle":
            self._cycle(d, raw)
        elif kind == "checkpoint":
            self._checkpoint(d)
        elif kind == "state" and d.get("sequence") != (self._report.last_sequence or 0):
            raise _Mismatch(f"the state after cycle {self._report.last_sequence or 0}", f"that after cycle {d.get('sequence')}")
        elif kind == "quiet":
            cycles = d.get("cycles")
            if not isinstance(cycles, list) or not 2 <= len(cycles) <= QUIET_GROUP or not isinstance(w, list) or len(w) != len(cycles):
                raise _Mismatch(f"2 to {QUIET_GROUP} cycles with as many wall members", "something else")
            for cycle in cycles:
                self._cycle(cycle, encode(cycle))

    def _genesis(self, d: dict[str, Any]) -> None:
        if d.get("format") != FORMAT:
            msg = f"expected log format {FORMAT}, found {d.get('format')!r}: it takes another version of dudzian to read it"
            raise DudzianError(msg)
        signed = self._report.key_id != ""
        if d.get("signed") is not signed:
            raise _Mismatch(f"a genesis that declares signed {str(signed).lower()}", d.get("signed"))
        self._report.artifact = str(d.get("artifact", ""))
        self._report.projection = d.get("projection") is True

    def _cycle(self, d: Any, raw: bytes) -> None:
        due = (self._report.last_sequence or 0) + 1
        sequence = d.get("sequence") if isinstance(d, dict) else None
        if type(sequence) is not int or sequence != due:
            raise _Mismatch(f"cycle {due}", f"cycle {sequence}")
        changed = [d.get(name) for name in CHANGED]
        books = sha256(self._books + encode(changed))
        if d.get("books") != books.hexdigest():
            raise _Mismatch(f"books hash {books.hexdigest()}", d.get("books"))
        self._books = books.digest()
        self._link = sha256(self._link + raw).digest()
        self._require_frames(raw)
        self._report.cycles += 1
        self._report.last_sequence = sequence
        if self._report.first_sequence is None:
            self._report.first_sequence = sequence

    def _require_frames(self, raw: bytes) -> None:
        """What a cycle names has to be on the tape; where a log is read without its folder, its lines alone are judged."""
        digests = frames_of(raw) if self._source.log_id is not None and self._source.files else []
        for digest in digests:
            try:
                read_frame(self._source.files[0].parent, digest)
            except IntegrityError as error:
                raise _Mismatch(f"frame {digest} of the tape as its digest says", str(error)) from None

    def _checkpoint(self, d: dict[str, Any]) -> None:
        """It stands right after the cycle whose state it holds."""
        wanted = {
            "sequence": self._report.last_sequence or 0,
            "content": self._link.hex(),
            "books": self._books.hex(),
            "hash": sha256(encode(d.get("state"))).hexdigest(),
        }
        for name, expected in wanted.items():
            if d.get(name) != expected:
                raise _Mismatch(f"a checkpoint with {name} {expected}", d.get(name))

    def _count(self, kind: str, sealer: LineSealer) -> None:
        report = self._report
        report.entries += 1
        report.signed += sealer.signed
        report.unsigned += not sealer.signed
        report.kinds[kind] = report.kinds.get(kind, 0) + 1
        report.content, report.last_hash = self._link.hex(), sealer.previous
        self._last_kind = kind

    def _require_objects(self) -> None:
        folder = self._source.objects
        for path in sorted(folder.iterdir()) if folder is not None else ():
            if not path.name.startswith(".") and (digest := sha256_file(path)) != path.name:
                self._file, self._number = str(path), 0
                raise _Mismatch(f"an object with SHA-256 {path.name}", digest)
