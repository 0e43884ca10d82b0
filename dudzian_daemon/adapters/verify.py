"""Judges a sealed log: is it what was written (integrity), and is it all of it (completeness)? Two verdicts.

It trusts nothing in the file but what the key proves, never raises on its content, and keeps no line in memory. A MAC that
would fit is never reported: who reads a report must not be able to finish a forgery with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import chain
from typing import Any, BinaryIO, Final

import msgspec

from dudzian_daemon.adapters.entry_checks import EntryChecks
from dudzian_daemon.adapters.entry_reading import Cycles, Entry, read_entries, read_session
from dudzian_daemon.adapters.entry_shapes import Shapes
from dudzian_daemon.adapters.files import sha256_file
from dudzian_daemon.adapters.head_checks import HeadChecks, HeadFault, own_heads
from dudzian_daemon.adapters.heads import ED25519, HeadVerifier, SignedHead
from dudzian_daemon.adapters.journal_format import ALGORITHM, HEADS_FILE, KEY_CHANGE, LOG_ID, MAX_LINE_BYTES, UNSIGNED, Line
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.line_proof import LineProof, Mismatch, Proven, shown, taken_apart
from dudzian_daemon.adapters.log_lines import DAMAGED, raw_lines
from dudzian_daemon.adapters.log_report import Completeness, Finding, Integrity, LogReport
from dudzian_daemon.adapters.log_sources import Source, heads_files, holds_log
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.trading.content import ORIGIN

_BLOCK: Final = 32 * 1024
_PAUSES: Final = 10


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader of the verdict accepts. `key` finds a key by the id a log names; `pause` waits for a writer's line to end.

    `heads` are of any logs; their signatures have been proven. Those that lie beside a log are proven here, `public_key` is for them.
    """

    key: Callable[[str], SigningKey | None]
    expected_key_id: str | None = None
    allow_unsigned: bool = False
    pause: Callable[[], None] | None = None
    progress: Callable[[int], None] | None = None
    heads: tuple[SignedHead, ...] = ()
    public_key: HeadVerifier | None = None


class _NotJudged(Exception):
    def __init__(self, integrity: Integrity, reason: str) -> None:
        super().__init__(reason)
        self.integrity = integrity


def verify_log(source: Source, terms: Terms) -> LogReport:
    """Both verdicts on one log; never raises on what the files contain."""
    return _Judge(source, terms).judge()


class _Judge:
    """The walk through one log: proves each line, then what its entry says, then what heads say of it."""

    def __init__(self, source: Source, terms: Terms) -> None:
        self._source = source
        self._terms = terms
        self._report = LogReport(log=source.label)
        self._proof: LineProof | None = None
        own_folder = source.log_id is not None and source.files
        self._checks = EntryChecks(self._report, source.files[0].parent if own_folder else None)
        self._heads = HeadChecks(self._report)
        self._shapes = Shapes(never=frozenset({"genesis", KEY_CHANGE, Completeness.CLOSED}))
        self._claims = {claim.line_hash: claim for claim in source.claims}
        self._keyless = ""
        self._last_kind = ""
        self._hash = ORIGIN
        self._entries = 0
        self._kinds: Counter[str] = Counter()
        self._file, self._number = source.label, 0

    def judge(self) -> LogReport:
        report = self._report
        try:
            self._require_whole_set()
            for name, stream in self._source.open():
                self._file = name
                self._read(stream)
            self._require_objects()
            self._require_judged()
        except _NotJudged as unjudged:
            return self._unjudged(unjudged.integrity, str(unjudged))
        except Mismatch as mismatch:
            due = None if report.projection else (report.last_sequence or 0) + 1
            report.finding = Finding(file=self._file, line=self._number, sequence=due, expected=mismatch.expected, found=mismatch.found)
            return self._unjudged(Integrity.TAMPERED, "")
        except (DudzianError, OSError) as error:
            return self._unjudged(Integrity.UNREADABLE, str(error))
        ending = self._last_kind if self._last_kind in (Completeness.CLOSED, Completeness.STOPPED) else Completeness.OPEN
        report.completeness = Completeness.TORN if report.torn_bytes else Completeness(ending)
        self._heads.end(self._file)
        return report

    def _unjudged(self, integrity: Integrity, reason: str) -> LogReport:
        self._count()
        self._report.integrity, self._report.reason = integrity, reason
        return self._report

    # -- files and lines -------------------------------------------------------------------------------------------

    def _read(self, stream: BinaryIO) -> None:
        if self._report.torn_bytes:
            raise Mismatch("a torn line in the last file only", f"{self._report.torn_bytes} bytes without a newline before this file")
        self._number = 0
        try:
            for lines, rest, done in self._blocks(stream):
                if self._proof is None:
                    self._require_log(chain(lines, _going_on(rest, stream)))
                self._prove(lines)
                if self._terms.progress is not None:
                    self._terms.progress(done)
        except DAMAGED as error:
            self._number += 1
            raise Mismatch("gzip that unpacks", f"a damaged one ({error})") from None

    def _require_log(self, lines: Iterator[bytes]) -> None:
        """What is no log is not a tampered one; a file in a session's folder is one, whatever it holds."""
        if self._source.log_id is None and not holds_log(lines):
            raise _NotJudged(Integrity.NOT_A_LOG, "expected lines of a journal or decision log (members d, w and s), found none")

    def _blocks(self, stream: BinaryIO) -> Iterator[tuple[list[bytes], bytes, int]]:
        """Whole lines of a file, many at a time and without newlines, what has been read of the next one, and how many bytes that took.

        A line that a daemon is just writing is given a moment to get its end.
        """
        pause = None if self._source.stream is not None else self._terms.pause
        rest, tries = b"", 0
        while True:
            block = stream.read(max(_BLOCK, len(rest)))  # of a long line ever more: it is copied a few times, not once a block
            if not block:
                if not rest or pause is None or tries == _PAUSES:
                    break
                pause()
                tries += 1
                continue
            lines, rest = _lines_and_rest(rest + block)
            if len(rest) >= MAX_LINE_BYTES:
                self._number += len(lines) + 1
                raise Mismatch(f"a line of at most {MAX_LINE_BYTES} bytes", "a longer one")
            yield lines, rest, len(block)
        if rest:
            self._number += 1
            self._torn(rest)

    def _torn(self, rest: bytes) -> None:
        if self._last_kind == Completeness.CLOSED:
            raise Mismatch("the end of the log after its entry `closed`", f"{len(rest)} more bytes")
        self._report.torn_bytes = len(rest)

    # -- one entry -------------------------------------------------------------------------------------------------

    def _prove(self, lines: list[bytes]) -> None:
        """Some more lines; what line 1 and a change of key say is known before those after them are proven."""
        while lines:
            self._number += 1  # if a line is not proven, it is this one
            proof = self._proof
            if proof is None:
                proof = self._proof = self._first_proof(taken_apart(lines[0]))
                count = self._take_each(proof.prove(lines[:1], read_entries))
            elif not self._report.projection:
                count = self._take_each(proof.prove(lines, read_session))
            elif self._claims or self._heads.next_line or self._last_kind == Completeness.CLOSED:
                count = self._take_each(proof.prove(lines, read_entries))
            else:
                count = self._take_alike(proof.prove(lines, self._shapes.read, self._checks.link))
            lines = lines[count:]

    def _take_alike(self, proven: Proven[Any]) -> int:
        """How many lines these are of a projection; if they need no check of their own, they are counted all at once."""
        kinds = self._shapes.kinds(proven.entries)
        if not kinds:
            return self._take_each(proven)
        for content in set(proven.contents):
            self._checks.require_link(content)
        self._kinds.update(kinds)
        self._number += len(kinds) - 1
        self._entries += len(kinds)
        self._last_kind, self._hash = kinds[-1], proven.hashes[-1]
        return len(kinds)

    def _take_each(self, proven: Proven[Any]) -> int:
        """How many lines these are; those behind a change of key are not among them, since it is the new key that has to prove them."""
        taken, due = 0, len(proven.texts)
        for entry, text, content, line_hash in zip(proven.entries, proven.texts, proven.contents, proven.hashes, strict=True):
            self._take(entry, text, content, line_hash)
            self._number += 1
            taken += 1
            if self._last_kind == KEY_CHANGE and self._proof is not None:
                self._proof.go_back(due - taken, line_hash)
                break
        self._number -= 1
        return taken

    def _take(self, entry: Entry | Cycles, text: bytes, content: str, line_hash: str) -> None:
        kind, first = entry.kind, not self._entries
        if type(kind) is not str or (kind == "genesis") is not first or self._last_kind == Completeness.CLOSED:
            raise Mismatch(self._entry_due(first), f"an entry of kind {kind!r}")
        self._checks.take(kind, entry, text, content)
        self._last_kind, self._hash = kind, line_hash
        self._kinds[kind] += 1
        self._entries += 1
        if self._claims:
            self._strike(line_hash, entry.w if first else None)
        if kind == KEY_CHANGE and isinstance(entry, Entry):
            self._keyed(entry.d["key"])
        if self._entries == self._heads.next_line:
            self._count()
            self._heads.meet(self._file, self._number, key_changed=kind == KEY_CHANGE)

    def _count(self) -> None:
        """What was proven so far, into the report."""
        report = self._report
        report.kinds = dict(self._kinds)
        report.entries = self._entries
        report.signed, report.unsigned = (report.entries, 0) if report.key_id else (0, report.entries)
        report.content, report.last_hash = self._checks.link, self._hash

    def _strike(self, line_hash: str, genesis: Any) -> None:
        """What other logs say of this one is true of this line; a log that was begun later than they were is not the one they mean."""
        at = genesis.get("at", 0) if isinstance(genesis, dict) else 0
        if isinstance(at, int) and at:
            self._claims = {each: claim for each, claim in self._claims.items() if claim.at >= at}
        self._claims.pop(line_hash, None)

    def _first_proof(self, parts: Line) -> LineProof:
        """What line 1 says of the whole log."""
        seal, terms, report = parts.s, self._terms, self._report
        if not LOG_ID.fullmatch(seal.log) or self._source.log_id not in (None, seal.log):
            raise Mismatch(f"log id {self._source.log_id or 'of 32 hex digits'}", seal.log)
        if seal.alg == UNSIGNED and not terms.allow_unsigned:
            raise Mismatch("a signed log (--allow-unsigned accepts one that is unsigned on purpose)", "one declared unsigned")
        if seal.alg not in (UNSIGNED, ALGORITHM):
            raise Mismatch(f"algorithm {ALGORITHM} or {UNSIGNED}", seal.alg)
        report.log_id = seal.log
        self._heads.expect([signed for signed in terms.heads if signed.head.log == seal.log])
        self._expect_own(seal.log, ED25519)
        if seal.alg == UNSIGNED:
            self._expect_own(seal.log, ALGORITHM)
            return LineProof(seal.log, signed=False)
        if terms.expected_key_id not in (None, seal.key) and terms.key(seal.key) is None:
            raise _NotJudged(Integrity.OTHER_KEY, shown(seal.key))
        self._proof = LineProof(seal.log, signed=True)
        self._keyed(seal.key)
        self._expect_own(seal.log, ALGORITHM)
        return self._proof

    def _expect_own(self, log_id: str, algorithm: str) -> None:
        """Heads beside the log that are signed so."""
        source, terms = self._source, self._terms
        if source.folder is None or not source.own_heads:
            return
        path = (heads_files(source.folder) or [source.folder / HEADS_FILE])[-1]  # it may have been moved meanwhile
        try:
            found = own_heads(path, source.own_heads, log_id, algorithm, terms.key, terms.public_key)
        except HeadFault as fault:
            self._file, self._number = str(path), fault.line - 1  # which is counted up for the line that is not proven
            raise Mismatch(fault.expected, fault.found) from None
        self._heads.expect(found, own=True)

    def _keyed(self, key_id: str) -> None:
        """What follows is sealed by this key. Without it, a head whose signature is proven vouches for all lines up to its own."""
        key = self._terms.key(key_id)
        self._keyless = "" if key else key_id
        if key is None and self._heads.public_line <= self._entries:
            raise _NotJudged(Integrity.KEY_MISSING, shown(key_id))
        self._report.by_head |= key is None
        self._report.key_id = key_id
        self._report.key_ids.append(key_id)
        if self._proof is not None:
            self._proof.hand_over(key_id, key)

    def _entry_due(self, first: bool) -> str:
        if self._last_kind == Completeness.CLOSED:
            return "the end of the log after its entry `closed`"
        return "an entry `genesis` as the first one" if first else "an entry with a kind other than `genesis`"

    # -- the whole -------------------------------------------------------------------------------------------------

    def _require_whole_set(self) -> None:
        misplaced = self._source.misplaced()
        if misplaced is not None:
            path, expected, found = misplaced
            self._file = str(path)
            raise Mismatch(expected, found)

    def _require_objects(self) -> None:
        folder = self._source.objects
        for path in sorted(folder.iterdir()) if folder is not None else ():
            if not path.name.startswith(".") and (digest := sha256_file(path)) != path.name:
                self._file, self._number = str(path), 0
                raise Mismatch(f"an object with SHA-256 {path.name}", digest)

    def _require_judged(self) -> None:
        """After the last line: there was one, it names the key that is expected, and what others say of this log is true."""
        report, terms = self._report, self._terms
        self._count()
        if report.entries == 0 and self._source.own_heads:
            raise Mismatch(f"lines, of which heads were written beside them ({HEADS_FILE})", "a log without a whole line")
        if report.entries == 0:
            raise _NotJudged(Integrity.UNREADABLE, "expected a log, found no whole line: the log is empty")
        if report.key_ids and terms.expected_key_id not in (None, *report.key_ids):
            raise _NotJudged(Integrity.OTHER_KEY, shown(report.key_id))
        if self._claims:
            self._number = 0
            claim = next(iter(self._claims.values()))
            raise Mismatch(f"a line with the hash {claim.line_hash}, after which {claim.by} was begun", "none")
        if self._keyless and report.entries > self._heads.public_line:
            self._heads.end(self._file)
            raise _NotJudged(Integrity.KEY_MISSING, shown(self._keyless))


def _lines_and_rest(data: bytes) -> tuple[list[bytes], bytes]:
    """As `split`, which looks at each byte by itself and takes twice the time."""
    lines = BytesIO(data).readlines()
    rest = b"" if data.endswith(b"\n") else lines.pop()
    return [line[:-1] for line in lines], rest


def _going_on(rest: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream of which the beginning of the next one has been read."""
    yield rest + stream.readline(MAX_LINE_BYTES)
    yield from raw_lines(stream)
