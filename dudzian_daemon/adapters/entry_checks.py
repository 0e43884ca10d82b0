"""What the entries of a log must say of each other: cycles their chains, checkpoints their place, a change of key the new id.

Every seal has been proven before; what fails here was written so by whoever holds the key.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.journal_format import FORMAT, KEY_CHANGE, QUIET_GROUP, encode
from dudzian_daemon.adapters.line_proof import Fields, Mismatch, d_bytes
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.tape import frames_of, read_frame
from dudzian_daemon.domain.errors import DudzianError, IntegrityError
from dudzian_daemon.trading.content import ORIGIN

#: Members of a cycle that its books hash covers, in this order.
CHANGED: Final = ("results", "fills", "positions", "risk", "cash")


_changed: Final = itemgetter(*CHANGED)


class _Cycles(msgspec.Struct, gc=False):
    cycles: list[msgspec.Raw]


class _Quiet(msgspec.Struct, gc=False):
    d: _Cycles


_decode_quiet: Final = msgspec.json.Decoder(_Quiet).decode


class EntryChecks:
    """Follows the entries of one log and counts them into its report. What cycles name of a session's tape must lie in its `folder`,
    None for a log that is read without one. `link` is the content link after the last one, in hex."""

    def __init__(self, report: LogReport, folder: Path | None = None) -> None:
        self._report = report
        self._folder = folder
        self._books = bytes.fromhex(ORIGIN)
        self._content = self._books
        self.link = ORIGIN
        self._checks: dict[str, Callable[[Fields, bytes], None]] = {"genesis": self._genesis, KEY_CHANGE: self._key_change}

    def take(self, kind: str, fields: Fields, text: bytes, content: str) -> None:
        """The next entry, with the canonical JSON of its fields and the content link that its seal claims.

        Raises `Mismatch`, or `DudzianError` for a format that is not ours.
        """
        check = self._checks.get(kind)
        if check is not None:
            check(fields, text)
        if content != self.link:
            raise Mismatch(f"content link {self.link}", content)

    def take_uniform(self, kinds: list[str], contents: list[str]) -> bool:
        """Whether these entries of a projection need no check of their own and claim the link that all of them have."""
        return self._report.projection and self._checks.keys().isdisjoint(kinds) and contents.count(self.link) == len(contents)

    def _genesis(self, fields: Fields, _text: bytes) -> None:
        d = fields.d
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

    def _key_change(self, fields: Fields, _text: bytes) -> None:
        d, used = fields.d, self._report.key_ids
        if not used:
            raise Mismatch("no change of key in an unsigned log", d.get("key"))
        if not isinstance(d.get("key"), str) or not d["key"] or d["key"] in used:
            raise Mismatch("a change to a key that the log has not had", d.get("key"))

    def _one_cycle(self, fields: Fields, text: bytes) -> None:
        self._cycle(fields.d, d_bytes(text, fields.w))

    def _quiet(self, fields: Fields, text: bytes) -> None:
        cycles, w = fields.d.get("cycles"), fields.w
        if not isinstance(cycles, list) or not 2 <= len(cycles) <= QUIET_GROUP or not isinstance(w, list) or len(w) != len(cycles):
            raise Mismatch(f"2 to {QUIET_GROUP} cycles with as many wall members", "something else")
        for cycle, raw in zip(cycles, _decode_quiet(text).d.cycles, strict=True):
            self._cycle(cycle, bytes(raw))

    def _cycle(self, d: Any, raw: bytes) -> None:
        report = self._report
        due = (report.last_sequence or 0) + 1
        sequence = d.get("sequence") if isinstance(d, dict) else None
        if type(sequence) is not int or sequence != due:
            raise Mismatch(f"cycle {due}", f"cycle {sequence}")
        try:
            changed = _changed(d)
        except LookupError:
            raise Mismatch(f"a cycle with the members {', '.join(CHANGED)}", "one without") from None
        books = sha256(self._books + encode(changed))
        if d.get("books") != books.hexdigest():
            raise Mismatch(f"books hash {books.hexdigest()}", d.get("books"))
        self._books = books.digest()
        content = sha256(self._content + raw)
        self._content, self.link = content.digest(), content.hexdigest()
        self._require_frames(raw)
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

    def _state(self, fields: Fields, _text: bytes) -> None:
        due = self._report.last_sequence or 0
        if fields.d.get("sequence") != due:
            raise Mismatch(f"the state after cycle {due}", f"that after cycle {fields.d.get('sequence')}")

    def _checkpoint(self, fields: Fields, _text: bytes) -> None:
        """It stands right after the cycle whose state it holds."""
        d = fields.d
        wanted = {
            "sequence": self._report.last_sequence or 0,
            "content": self.link,
            "books": self._books.hex(),
            "hash": sha256(encode(d.get("state"))).hexdigest(),
        }
        for name, expected in wanted.items():
            if d.get(name) != expected:
                raise Mismatch(f"a checkpoint with {name} {expected}", d.get(name))
