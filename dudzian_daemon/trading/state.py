"""The whole state of a core and its driver as values: what a checkpoint holds, and what a restored session goes on from.

Each part's own memory is defined beside the part. Members stand in the order in which things happened where that order can
matter later; amounts keep their number of decimals. Equal states have equal bytes (docs/reference/journal.md).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Input
from dudzian_daemon.trading.controllers import ControllerMemory
from dudzian_daemon.trading.funding import FundingMemory
from dudzian_daemon.trading.ledger import LedgerMemory
from dudzian_daemon.trading.paper_execution import VenueMemory
from dudzian_daemon.trading.risk_engine import GateMemory
from dudzian_daemon.trading.strategy_host import HostMemory


class CoreState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A core after cycle `sequence`, with the `pending` inputs that go on record with the next one. Instants in ns, `day` since 1970."""

    sequence: int
    instant: int
    day: int
    last_cycle: int | None
    pending: tuple[Input, ...]
    execution_series: dict[str, str]
    ledger: LedgerMemory
    funding: FundingMemory
    gate: GateMemory
    venue: VenueMemory
    strategies: HostMemory
    schedules: dict[str, int]
    controller: ControllerMemory


class FeedPosition(msgspec.Struct, frozen=True):
    """How far a feed of windows has come: windows that ended, and (instant, phase) of the last tick after that, None before it.

    `closing` is true right after the command that ends a window: what it has ordered waits for the snapshot of last prices.
    """

    windows: int = 0
    last: tuple[int, int] | None = None
    closing: bool = False


class SessionState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A core with its driver: (instant, phase) of what was released last, the next deadline (ns), and the feed's position."""

    last: tuple[int, int]
    deadline: int | None
    feed: FeedPosition
    core: CoreState


_encode: Final = msgspec.json.Encoder().encode


def encode_state(state: SessionState) -> bytes:
    """The state's one spelling."""
    return _encode(state)


def decode_state(data: bytes) -> SessionState:
    """The state that has these bytes. Raises `msgspec.DecodeError` where they are none."""
    return msgspec.json.decode(data, type=SessionState)  # no decoder of its own: a start that goes on from nothing does not need the types


def state_hash(data: bytes) -> str:
    """SHA-256 of a state's bytes, as 64 hex digits."""
    return sha256(data).hexdigest()
