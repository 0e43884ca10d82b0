"""What the entries of a log must say of each other: cycles their chains, checkpoints their place, a change of key the new id.

Every seal has been proven before; what fails here was written so by whoever holds the key.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.entry_reading import Cycles, Entry, d_bytes
from dudzian_daemon.adapters.journal_format import FORMAT, KEY_CHANGE, QUIET_GROUP, encode
from dudzian_daemon.adapters.line_proof import Mismatch
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.tape import frames_of, read_frame
from dudzian_daemon.domain.errors import DudzianError, IntegrityError
from dudzian_daemon.trading.content import ORIGIN

#: Members of a cycle that its books hash covers, in this order.
CHANGED: Final = ("results", "fills", "positions", "risk", "cash")

_changed: Final = attrgetter(*CHANGED)
_changed_members: Final = itemgetter(*CHANGED)


class _Cycles(msgspec.Struct, gc=False):
    cycles: list[msgspec.Raw]


class _Quiet(msgspec.Struct, gc=False):
    d: _Cycles


_decode_quiet: Final = msgspec.json.Decoder(_Quiet).decode


class EntryChecks:
    """Follows the entries of one log and counts them into its report. What cycles name of a session's tape must lie in its `folder`,
    None for a log that is read without one."""

    def __init__(self, report: LogReport, folder: Path | None = None) -> None:
        self._report = report
        self._folder = folder
        self._books = bytes.fromhex(ORIGIN)
        self._content = self._books
        self._checks: dict[str, Callable[[Entry, bytes], None]] = {"genesis": self._genesis, KEY_CHANGE: self._key_change}

    @property
    def link(self) -> str:
        """The content link after the last entry, in hex."""
        return self._content.hex()

    def take(self, kind: str, entry: Entry | Cycles, text: bytes, content: str) -> None:
        """The next entry, with the canonical JSON of what it covers and the content link that its seal claims.

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

    def _key_change(self, entry: Entry, _text: bytes) -> None:
        d, used = entry.d, self._report.key_ids
        if not used:
            raise Mismatch("no change of key in an unsigned log", d.get("key"))
        if not isinstance(d.get("key"), str) or not d["key"] or d["key"] in used:
            raise Mismatch("a change to a key that the log has not had", d.get("key"))

    def _cycles(self, entry: Cycles) -> None:
        """Cycles with the members of cycles, as all of a daemon are."""
        if entry.kind == "quiet":
            self._require_group(entry.cycles, entry.w)
        for cycle, raw in zip(entry.cycles, entry.raws, strict=True):
            self._cycle(cycle.sequence, _changed(cycle), cycle.books, raw)
            if cycle.names_frame:
                self._require_frames(raw)

    def _one_cycle(self, entry: Entry, text: bytes) -> None:
        self._other_cycle(entry.d, d_bytes(text, entry.w))

    def _quiet(self, entry: Entry, text: bytes) -> None:
        cycles = entry.d.get("cycles")
        self._require_group(cycles, entry.w)
        for cycle, raw in zip(cycles, _decode_quiet(text).d.cycles, strict=True):
            self._other_cycle(cycle, bytes(raw))

    def _require_group(self, cycles: Any, w: Any) -> None:
        if not isinstance(cycles, list) or not 2 <= len(cycles) <= QUIET_GROUP or not isinstance(w, list) or len(w) != len(cycles):
            raise Mismatch(f"2 to {QUIET_GROUP} cycles with as many wall members", "something else")

    def _other_cycle(self, d: Any, raw: bytes) -> None:
        """What says that it is a cycle and has other members than ours have."""
        members = d if isinstance(d, dict) else {}
        changed = _changed_members(members) if members.keys() >= set(CHANGED) else None
        self._cycle(members.get("sequence"), changed, members.get("books"), raw)
        self._require_frames(raw)

    def _cycle(self, sequence: object, changed: tuple[Any, ...] | None, books: object, raw: bytes) -> None:
        report = self._report
        due = (report.last_sequence or 0) + 1
        if type(sequence) is not int or sequence != due:
            raise Mismatch(f"cycle {due}", f"cycle {sequence}")
        if changed is None:
            raise Mismatch(f"a cycle with the members {', '.join(CHANGED)}", "one without")
        self._books = sha256(self._books + encode(changed)).digest()
        if books != self._books.hex():
            raise Mismatch(f"books hash {self._books.hex()}", books)
        self._content = sha256(self._content + raw).digest()
        report.cycles += 1
        report.last_sequence = sequence
        if report.first_sequence is None:
            report.first_sequence = sequence

    def _require_frames(self, raw: bytes) -> None:
        """What a cycle names has to be on the tape; where a log is read without its folder, its lines alone are judged."""
        if self._folder is None:
            return
        for digest in frames_of(raw):
            try:
                read_frame(self._folder, digest)
            except IntegrityError as error:
                raise Mismatch(f"frame {digest} of the tape as its digest says", str(error)) from None

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
