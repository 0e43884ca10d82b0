"""The Protocols the inside needs from the outside; adapters and plugins fit them, tests substitute them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from dudzian_daemon.domain.market import Candle, Quote, Series
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.domain.records import CycleRecord


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The position facts of one strategy in one instrument, kept by the core.

    `quantity` is signed and in the base asset; prices are in the quote asset; the last three count the strategy's own
    candles that ended after the entry. Flat is quantity 0.
    """

    quantity: float = 0.0
    entry_price: float = 0.0
    entry_instant: int = 0
    candles_held: int = 0
    highest_close: float = 0.0
    lowest_close: float = 0.0


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """What `decide` may look at: latest candle of each declared series, latest quote and position facts per instrument."""

    instant: int
    candles: dict[Series, Candle]
    positions: dict[str, Position]
    quotes: dict[str, Quote] = {}

    def age_ns(self, series: Series) -> int | None:
        """Time since the end of the series' latest candle, None if there is none yet."""
        candle = self.candles.get(series)
        return None if candle is None else self.instant - candle.end


class SeriesNeed(msgspec.Struct, frozen=True):
    """A series a strategy takes, and how many candles of it must have been seen before it may speak."""

    series: Series
    warm_up: int


class Strategy(Protocol):
    """The strategy contract (architecture 7): no clock, no I/O, no randomness, no state outside `State`."""

    #: A frozen `msgspec.Struct` that refuses unknown fields; not said in the type, since a protocol's attribute is invariant.
    Params: type[Any]
    #: How many instruments one unit of the strategy trades; each unit has its own `State`.
    legs: int
    #: True for a strategy that decides on quotes where there are any; a new quote is new data for it.
    takes_quotes: bool

    def __init__(self, params: Any) -> None: ...

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The series one unit needs to trade `instruments` (as many as `legs`) on `granularity`, with their warm-up."""
        ...

    def new_state(self) -> msgspec.Struct:
        """A fresh `State`, as before the first candle."""
        ...

    def on_candle(self, state: Any, candle: Candle) -> None:
        """Move `state` by one closed candle of a declared series; called once per candle, in warm-up too."""
        ...

    def on_gap(self, state: Any, series: Series, start: int, end: int) -> bool:
        """Candles of `series` in [start, end) will never come. True: the core resets state and warm-up of the unit."""
        ...

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        """The signals of this moment; called when the schedule is due, never in warm-up."""
        ...


class CandleStore(Protocol):
    """Read access to stored candles."""

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        """Closed candles of `series` whose bar lies in [start, end), oldest first, `instant` = `end` of the bar.

        Raises `IntegrityError` naming the file when what is stored is not what was written.
        """
        ...


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle whose line is durable: its record and the identity of its line."""

    record: CycleRecord
    line: int
    line_hash: str


class Journal(Protocol):
    """The one authoritative series. Nothing is released before `commit` has returned it."""

    @property
    def log_id(self) -> str: ...

    @property
    def pending(self) -> int:
        """Lines appended and not yet durable; quiet cycles that wait for others are in none yet."""
        ...

    @property
    def waiting(self) -> int:
        """Quiet cycles that wait for others to share a line with."""
        ...

    def append(self, record: CycleRecord, *, wall: dict[str, Any]) -> None:
        """Encode, chain and seal the record into the in-memory tail. No I/O. Quiet ones wait to share a line."""
        ...

    def append_entry(self, kind: str, d: dict[str, Any], w: dict[str, Any]) -> None:
        """Seal an entry that is no cycle (`run`, `recovered` and others); `d` comes without its kind. No I/O."""
        ...

    def append_checkpoint(self, state: bytes, reason: str) -> None:
        """Seal the bytes of the whole state after the last appended cycle; it opens a new segment if that is due. No I/O."""
        ...

    @property
    def segment_full(self) -> bool:
        """Whether the next checkpoint opens a new segment of the log."""
        ...

    def begin_segment(self) -> None:
        """Go on in a new segment without a checkpoint: for a session that has none. No I/O."""
        ...

    def flush_quiet(self) -> None:
        """Seal the quiet cycles that wait; the caller does so at least once a second of the edge clock. No I/O."""
        ...

    async def commit(self) -> Sequence[Released]:
        """Write and sync all lines appended so far, off the loop; returns the cycles that became durable, in order.

        Raises `StorageError` when the disk refuses; the tail is kept for another try where that is safe (disk full).
        """
        ...

    async def close(self, kind: str, detail: dict[str, Any], wall: dict[str, Any] | None = None) -> Sequence[Released]:
        """Append a last entry of `kind` (`closed` or `stopped`), make all durable, release the file; returns as `commit`."""
        ...


class CandleSource(Protocol):
    """Closed candles of one venue, as a backfill asks for them. `symbol` is the unified BASE/QUOTE, instants are ns since 1970."""

    async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> Sequence[Candle]:
        """The first closed candles with `since_ns` <= start and end <= `until_ns`, oldest first, at most `limit`.

        Empty: the venue has none in this span. Raises `Retryable` when it does not answer, `Permanent` when it refuses for good.
        """
        ...

    async def close(self) -> None:
        """End all connections; may be called twice."""
        ...
