"""What the entries of a log must say of each other: cycles their chains, checkpoints their place, a change of key the new id.

Every seal has been proven before; what fails here was written so by whoever holds the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from dudzian_daemon.adapters.entry_reading import Cycles, Entry, cycle_of, d_bytes
from dudzian_daemon.adapters.journal_format import FORMAT, KEY_CHANGE, OBJECTS_FOLDER, QUIET_GROUP, encode
from dudzian_daemon.adapters.line_proof import Mismatch
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.named_objects import rows_of, rows_of_frame, sources_of
from dudzian_daemon.adapters.tape import frames_of, read_frame
from dudzian_daemon.domain.errors import DudzianError, IntegrityError
from dudzian_daemon.trading.content import ORIGIN

#: Members of a cycle that its books hash covers, in this order.
CHANGED: Final = ("results", "fills", "positions", "risk", "cash")

_changed: Final = attrgetter(*CHANGED)
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class _Cycles(msgspec.Struct, gc=False):
    cycles: list[msgspec.Raw]


class _Quiet(msgspec.Struct, gc=False):
    d: _Cycles


_decode_quiet: Final = msgspec.json.Decoder(_Quiet).decode


class EntryChecks:
    """Follows the entries of one log and counts them into its report. What they name of a session's tape and objects must lie in its
    `folder`, None for a log that is read without one."""

    def __init__(self, report: LogReport, folder: Path | None = None) -> None:
        self._report = report
        self._folder = folder
        self._there: set[str] = set()
        self._books = bytes.fromhex(ORIGIN)
        self._content = self._books
        self._checks: dict[str, Callable[[Entry, bytes], None]] = {"genesis": self._genesis, KEY_CHANGE: self._key_change}

    @property
    def link(self) -> str:
        """The content link after the last entry, in hex."""
        return self._content.hex()

    def take(self, kind: str, entry: Entry | Cycles, text: bytes, content: str) -> None:
        """The next entry, with its text and the content link that its seal claims.

        Raises `Mismatch`, or `DudzianError` for a format that is not ours.
        """
        if isinstance(entry, Cycles):
            self._cycles(entry)
        else:
            check = self._checks.get(kind)
            if check is not None:
                check(entry, text)
        self.require_link(content)

    def require_link(self, content: str) -> None:
        """That is the one after the last entry; raises `Mismatch`."""
        if content != (link := self.link):
            raise Mismatch(f"content link {link}", content)

    def _genesis(self, entry: Entry, _text: bytes) -> None:
        d = entry.d
        if d.get("format") != FORMAT:
            msg = f"expected log format {FORMAT}, found {d.get('format')!r}: it takes another version of dudzian to read it"
            raise DudzianError(msg)
        signed = self._report.key_id != ""
        if d.get("signed") is not signed:
            raise Mismatch(f"a genesis that declares signed {str(signed).lower()}", d.get("signed"))
        self._report.artifact = str(d.get("artifact", ""))
        self._report.projection = d.get("projection") is True
        if not self._report.projection:
            self._checks |= {"cycle": self._one_cycle, "quiet": self._quiet, "checkpoint": self._checkpoint, "state": self._state}
            self._checks["run"] = self._run

    def _key_change(self, entry: Entry, _text: bytes) -> None:
        d, used = entry.d, self._report.key_ids
        if not used:
            raise Mismatch("no change of key in an unsigned log", d.get("key"))
        if not isinstance(d.get("key"), str) or not d["key"] or d["key"] in used:
            raise Mismatch("a change to a key that the log has not had", d.get("key"))

    def _one_cycle(self, entry: Entry, text: bytes) -> None:
        self._cycles(Cycles("cycle", [cycle_of(entry.d)], [d_bytes(text, entry.w)], entry.w))

    def _quiet(self, entry: Entry, text: bytes) -> None:
        cycles = entry.d.get("cycles")
        found = [cycle_of(each) for each in cycles] if isinstance(cycles, list) else []
        raws = [bytes(raw) for raw in _decode_quiet(text + b"}").d.cycles] if found else []
        self._cycles(Cycles("quiet", found, raws, entry.w))

    def _cycles(self, entry: Cycles) -> None:
        cycles, w = entry.cycles, entry.w
        if entry.kind == "quiet" and not (2 <= len(cycles) <= QUIET_GROUP and isinstance(w, list) and len(w) == len(cycles)):
            raise Mismatch(f"2 to {QUIET_GROUP} cycles with as many wall members", "something else")
        report, books, content = self._report, self._books, self._content
        for cycle, raw in zip(cycles, entry.raws, strict=True):
            due = (report.last_sequence or 0) + 1
            if type(cycle.sequence) is not int or cycle.sequence != due:
                raise Mismatch(f"cycle {due}", f"cycle {None if cycle.sequence is UNSET else cycle.sequence}")
            try:
                changed = encode(_changed(cycle))
            except TypeError:
                raise Mismatch(f"a cycle with the members {', '.join(CHANGED)}", "one without") from None
            books = sha256(books + changed).digest()
            if cycle.books != books.hex():
                raise Mismatch(f"books hash {books.hex()}", None if cycle.books is UNSET else cycle.books)
            content = sha256(content + raw).digest()
            if cycle.names_frame:
                self._require_frames(raw)
            self._require_objects(rows_of(cycle.inputs, raw))
            report.last_sequence = due
        report.cycles += len(cycles)
        report.first_sequence = report.first_sequence or cycles[0].sequence
        self._books, self._content = books, content

    def _require_frames(self, raw: bytes) -> None:
        """What a cycle names has to be on the tape; where a log is read without its folder, its lines alone are judged."""
        if self._folder is None:
            return
        for digest in frames_of(raw):
            try:
                named = rows_of_frame(read_frame(self._folder, digest))
            except (IntegrityError, ValueError, RecursionError) as error:
                raise Mismatch(f"frame {digest} of the tape as its digest says", str(error)) from None
            self._require_objects(named)

    def _run(self, entry: Entry, _text: bytes) -> None:
        self._require_objects(sources_of(entry.d))

    def _require_objects(self, digests: Iterable[Any]) -> None:
        """What a line names has to be there, or nobody can run the session again; that it is what its name says is judged by itself."""
        if self._folder is None:
            return
        for name in map(str, digests):
            if name not in self._there and not (_HASH.fullmatch(name) and (self._folder / OBJECTS_FOLDER / name).is_file()):
                raise Mismatch(f"object {name}, which the line names, in {OBJECTS_FOLDER}/", "none")
            self._there.add(name)

    def _state(self, entry: Entry, _text: bytes) -> None:
        due = self._report.last_sequence or 0
        if entry.d.get("sequence") != due:
            raise Mismatch(f"the state after cycle {due}", f"that after cycle {entry.d.get('sequence')}")

    def _checkpoint(self, entry: Entry, _text: bytes) -> None:
        """It stands right after the cycle whose state it holds."""
        d = entry.d
        wanted = {
            "sequence": self._report.last_sequence or 0,
            "content": self.link,
            "books": self._books.hex(),
            "hash": sha256(encode(d.get("state"))).hexdigest(),
        }
        for name, expected in wanted.items():
            if d.get(name) != expected:
                raise Mismatch(f"a checkpoint with {name} {expected}", d.get(name))
