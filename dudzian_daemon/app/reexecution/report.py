"""What a re-execution says of a session and of each of its runs. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dudzian_daemon.adapters.log_report import Completeness
from dudzian_daemon.app.reexecution.difference import CycleDifference
from dudzian_daemon.trading.content import ORIGIN


class ReplayVerdict(StrEnum):
    """`nothing_to_replay`: the seals hold, and the session ended, or was killed, before its first cycle."""

    EQUAL = "equal"
    NOTHING_TO_REPLAY = "nothing_to_replay"
    DIFFERS = "differs"
    NOT_RE_EXECUTED = "not_re_executed"
    TAMPERED = "tampered"
    OTHER_KEY = "other_key"
    UNREADABLE = "unreadable"
    KEY_MISSING = "key_missing"


class RunReport(msgspec.Struct, kw_only=True):
    """One process life of the session: what it ran on, how many cycles it has, how many were compared. `reason`: why not all."""

    line: int
    environment: str
    version: str
    package: str
    interpreter: str
    platform: str
    verdict: ReplayVerdict = ReplayVerdict.EQUAL
    reason: str = ""
    cycles: int = 0
    compared: int = 0


class ReplayReport(msgspec.Struct, kw_only=True):
    """Schema `dudzian.replay/1`. `checkpoints` of the log hold the very state that was reached, `states` its hash.

    `market_seconds` passed in the session, `seconds` of this machine while it was executed again.
    """

    schema: str = "dudzian.replay/1"
    log: str
    log_id: str
    artifact: str
    key_id: str
    verdict: ReplayVerdict
    completeness: Completeness
    torn_bytes: int
    reason: str = ""
    runs: list[RunReport] = []
    cycles: int = 0
    compared: int = 0
    checkpoints: int = 0
    states: int = 0
    content_chain: str = ORIGIN
    books: str = ORIGIN
    market_seconds: float = 0.0
    seconds: float = 0.0
    difference: CycleDifference | None = None

    @property
    def times_real_time(self) -> float:
        """Market seconds per second."""
        return self.market_seconds / self.seconds if self.seconds else 0.0
