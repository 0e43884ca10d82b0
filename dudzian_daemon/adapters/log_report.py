"""What a verification says of one log: two verdicts, the first bad entry, the counts. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from dudzian_daemon.trading.content import ORIGIN

#: What this version can say of a log's end: nobody outside has seen it.
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
        line = f" line {self.line}" if self.line else ""
        sequence = "" if self.sequence is None or not self.line else f" (sequence {self.sequence})"
        return f"TAMPERED at {self.file}{line}{sequence}: expected {self.expected}, found {self.found}"


class LogReport(msgspec.Struct, kw_only=True):
    """Both verdicts on one log, with what was counted up to the first bad entry. `reason` explains a log not judged."""

    log: str
    integrity: Integrity = Integrity.INTACT
    completeness: Completeness = Completeness.UNKNOWN
    proof: str = NO_HEAD
    log_id: str = ""
    artifact: str = ""
    projection: bool = False
    key_id: str = ""
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
