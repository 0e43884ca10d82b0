"""The Protocols the inside needs from the outside; adapters and plugins fit them, tests substitute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from dudzian_daemon.domain.market import Book, Candle, Quote, Series
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.domain.records import CycleRecord


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


class VenueMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A market as the venue describes it. Fees are fractions of a fill's value, None where the venue says nothing; so are the limits."""

    symbol: str
    venue_symbol: str
    base: str
    quote: str
    active: bool
    tick_size: Decimal | None = None
    lot_size: Decimal | None = None
    min_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None


class MarketData(Protocol):
    """Public data of one venue; it has no key and no way to an order. `symbol` is the unified BASE/QUOTE, instants are ns since 1970.

    Every call waits for its share of the venue's request budget and repeats what may succeed on another try. What is raised then:
    `Retryable` (the venue does not answer, or with nonsense), `Permanent` (it refuses this call for good, or has no such symbol).
    """

    @property
    def venue(self) -> str:
        """Name of the venue, as in instrument keys."""
        ...

    @property
    def candles_per_call(self) -> int:
        """The most candles one call of `candles` gives."""
        ...

    async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
        """The first closed candles with `since_ns` <= start and end <= `until_ns`, oldest first, none twice, `instant` = `end`.

        At most `limit` and `candles_per_call`. Rows that are no sound candle were refused and counted, so bars may be missing in
        between. Empty: the venue has none in this span.
        """
        ...

    async def markets(self) -> Mapping[str, VenueMarket]:
        """The markets by unified symbol, loaded once; delisted ones may be there with `active` False."""
        ...

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Best bid and ask of each symbol that has both, in the order asked for, stamped with the venue's time."""
        ...

    async def book(self, symbol: str, depth: int) -> Book:
        """The best `depth` levels of both sides, stamped with the venue's time."""
        ...

    async def server_time_ns(self) -> int:
        """What the venue's clock says now, asked of the venue."""
        ...

    async def close(self) -> None:
        """End all connections; calls that are under way fail. May be called twice."""
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
