"""What the market tells the core: instruments, series, and the inputs in their one total order.

Instants are integer nanoseconds since 1970-01-01 UTC. Prices and volumes are floats as the venue gave them; money made
from them is Decimal (see `domain.money`). Inputs are encoded as tagged arrays in the journal: the order of their fields
is part of the journal format (docs/reference/journal.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS

#: Length in nanoseconds of every granularity the store and the schedules know.
GRANULARITIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "30s": 30 * SECOND_NS,
        "1m": MINUTE_NS,
        "5m": 5 * MINUTE_NS,
        "15m": 15 * MINUTE_NS,
        "30m": 30 * MINUTE_NS,
        "1h": HOUR_NS,
        "4h": 4 * HOUR_NS,
        "1d": DAY_NS,
    }
)


class Phase(IntEnum):
    """Order of inputs that share an instant: a candle's decisions come before the open print that fills them."""

    COMMAND = 0
    REVISION = 1
    CLOSE = 2
    TIMER = 3
    OPEN = 4
    QUOTE = 5


class FundingTerms(msgspec.Struct, frozen=True):
    """A perpetual's funding: settled at UTC multiples of `interval_ns` at the venue's last `rate`, this one until data brings one.

    A rate is a fraction of the position's value for one interval; above 0 longs pay. `rates` are recorded ones with the instant
    (ns) each was applied from, oldest first, which a replay's feed brings as data.
    """

    interval_ns: int
    rate: Decimal
    rates: tuple[tuple[int, Decimal], ...] = ()


class Instrument(msgspec.Struct, frozen=True):
    """One tradable pair on one venue, with the venue's market rules; `key` is `venue:BASE/QUOTE`.

    A `synthetic` one trades at a venue whose prices a declared model derives from another's. One with `funding` is a perpetual.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    synthetic: bool = False
    funding: FundingTerms | None = None

    @property
    def key(self) -> str:
        """Identity of the instrument in inputs, orders, fills and records."""
        return f"{self.venue}:{self.symbol}"


class Series(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """One stream of candles: which instrument, how long a bar."""

    instrument: str
    granularity: str

    @property
    def step_ns(self) -> int:
        """Length of a bar in nanoseconds."""
        return GRANULARITIES[self.granularity]


class OpenPrint(msgspec.Struct, frozen=True, array_like=True, tag="open_print", gc=False):
    """First price of a bar of the execution series; market orders fill on it."""

    instant: int
    instrument: str
    granularity: str
    price: float


class Candle(msgspec.Struct, frozen=True, array_like=True, tag="candle_close", gc=False):
    """A closed bar. `end` is the bar's end; `instant` differs from it only for a straggler.

    `held_ns` is how long the barrier waited; `synthetic` candles were derived by a declared model, not seen at a venue.
    """

    instant: int
    instrument: str
    granularity: str
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    held_ns: int = 0
    synthetic: bool = False


class Quote(msgspec.Struct, frozen=True, array_like=True, tag="quote", gc=False):
    """Best bid and ask. A snapshot taken at a stop has `source` `last_price` and the age of that price."""

    instant: int
    instrument: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    source: str = "quote"
    age_ns: int = 0


class Book(msgspec.Struct, frozen=True, array_like=True, tag="book", gc=False):
    """The best levels of an order book, (price, size) each, best first; `update_id` is the venue's number of this state."""

    instant: int
    instrument: str
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    update_id: int = 0

    @property
    def best(self) -> Quote:
        """The best bid and ask; both sides must have a level."""
        (bid, bid_size), (ask, ask_size) = self.bids[0], self.asks[0]
        return Quote(self.instant, self.instrument, bid, ask, bid_size, ask_size)


class Funding(msgspec.Struct, frozen=True, array_like=True, tag="funding", gc=False):
    """The funding rate (a fraction) that the venue applies from now on; its phase is that of a gap, so it counts at `instant`."""

    instant: int
    instrument: str
    rate: float


class Timer(msgspec.Struct, frozen=True, array_like=True, tag="timer", gc=False):
    """A deadline the core asked for; `due` is the deadline, `instant` when it was delivered."""

    instant: int
    due: int


class Command(msgspec.Struct, frozen=True, array_like=True, tag="command", gc=False):
    """An operator's or the driver's instruction, as recorded: it replays."""

    instant: int
    id: str
    name: str
    arguments: dict[str, str] = {}


class Gap(msgspec.Struct, frozen=True, array_like=True, tag="gap", gc=False):
    """The bars of one series that lie in [`start`, `end`) will never come."""

    instant: int
    instrument: str
    granularity: str
    start: int
    end: int


class WarmUp(msgspec.Struct, frozen=True, array_like=True, tag="warm_up", gc=False):
    """History given to strategies before they may speak; its rows travel beside the input and are stored once per digest."""

    instant: int
    instrument: str
    granularity: str
    start: int
    end: int
    count: int
    digest: str


class Frame(msgspec.Struct, frozen=True, array_like=True, tag="frame", gc=False):
    """On record in the place of `count` inputs, the first one at `instant`: `digest` is the SHA-256 of their canonical JSON array."""

    instant: int
    digest: str
    count: int


Input = OpenPrint | Candle | Quote | Book | Timer | Command | Gap | WarmUp | Funding


def price_shown(item: Input) -> float | None:
    """The price of its instrument that an input tells, in the quote asset: close, print, or the middle of best bid and ask; None: none."""
    if isinstance(item, Candle):
        return item.close
    if isinstance(item, OpenPrint):
        return item.price
    if isinstance(item, Book):
        return (item.bids[0][0] + item.asks[0][0]) / 2.0 if item.bids and item.asks else None
    return (item.bid + item.ask) / 2.0 if isinstance(item, Quote) else None


class Tick(msgspec.Struct, frozen=True, gc=False):
    """All inputs of one (instant, phase): what the core is stepped with. `rows` holds the candles of its warm-ups by digest."""

    instant: int
    phase: Phase
    inputs: tuple[Input, ...]
    rows: Mapping[str, Sequence[Candle]] = {}


class Elapsed(msgspec.Struct, frozen=True, gc=False):
    """What a live feed says when nothing else happens: timers up to `instant` are due. No input itself."""

    instant: int


class WindowEnd(msgspec.Struct, frozen=True, gc=False):
    """What a feed says after the last tick of a stretch of data: positions are closed on the last prices. No input itself."""

    number: int
    last: bool
