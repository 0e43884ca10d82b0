"""What a verification says of one log: two verdicts, the first bad entry, the counts. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from dudzian_daemon.trading.content import ORIGIN

#: What is said of a log's end when nobody outside has seen it.
NO_HEAD: Final = "unproven: no head"


class Integrity(StrEnum):
    """`not_a_log`: nothing in the file is of the format; `other_key`: it names another key than the reader expects, and is not judged."""

    INTACT = "intact"
    TAMPERED = "tampered"
    NOT_A_LOG = "not_a_log"
    OTHER_KEY = "other_key"
    UNREADABLE = "unreadable"
    KEY_MISSING = "key_missing"


class Completeness(StrEnum):
    """How a log ends. `open`: it is being written, or its writer died; `unknown` when it is not intact."""

    CLOSED = "closed"
    STOPPED = "stopped"
    OPEN = "open"
    TORN = "torn"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The first bad entry. `line` counts in `file` (0: the file as a whole); `sequence` is the cycle due there, None in projections."""

    file: str
    line: int
    sequence: int | None
    expected: str
    found: str

    def __str__(self) -> str:
        return f"TAMPERED at {self.place}: expected {self.expected}, found {self.found}"

    @property
    def place(self) -> str:
        """File, line and sequence."""
        line = f" line {self.line}" if self.line else ""
        sequence = "" if self.sequence is None or not self.line else f" (sequence {self.sequence})"
        return f"{self.file}{line}{sequence}"


class SeenHead(msgspec.Struct, frozen=True, kw_only=True):
    """The last head that the log agrees with: its line and sequence, when it was seen (wall ns), lines of the log after it."""

    line: int
    sequence: int
    at: int
    lines_after: int


class LogReport(msgspec.Struct, kw_only=True):
    """Both verdicts on one log, with what was counted up to the first bad entry. `reason` explains a log not judged.

    `lacking` is what a head was seen of and the log does not have. `key_id` is the log's last key, `key_ids` are all it had; `by_head`:
    one was missing, and what it sealed was proven by the chain of hashes up to a head.
    """

    log: str
    integrity: Integrity = Integrity.INTACT
    completeness: Completeness = Completeness.UNKNOWN
    proof: str = NO_HEAD
    head: SeenHead | None = None
    lacking: Finding | None = None
    by_head: bool = False
    log_id: str = ""
    artifact: str = ""
    projection: bool = False
    key_id: str = ""
    key_ids: list[str] = []
    entries: int = 0
    cycles: int = 0
    signed: int = 0
    unsigned: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    content: str = ORIGIN
    last_hash: str = ORIGIN
    torn_bytes: int = 0
    kinds: dict[str, int] = {}
    finding: Finding | None = None
    reason: str = ""
