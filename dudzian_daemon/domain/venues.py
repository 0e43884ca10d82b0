"""What the daemon must know of a venue before it talks to it: hosts, limits, lengths of candles. Said by the exchange plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.ports import CandleStore, VenueMarket


class VenueProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A venue as a public data client needs it. `hosts` and `stream_hosts` are all it may be reached at.

    `weight_limit` is what the venue allows an address in a minute, `weights` what a call of the port costs of it (default 1; `book_stream`
    is what a pushed book costs to begin with, default 0), `weight_header` the answer's header that says what is used up. `settle_ns`: how
    long after its end a candle is to be had.
    A venue with a reason in `disabled` is written down and not to be used.
    """

    name: str
    hosts: tuple[str, ...]
    stream_hosts: tuple[str, ...] = ()
    granularities: tuple[str, ...]
    candles_per_call: int
    weight_limit: int
    weights: Mapping[str, int] = {}
    weight_header: str = ""
    settle_ns: int = 3 * SECOND_NS
    disabled: str = ""


class TopOfBook(msgspec.Struct, frozen=True):
    """Best bid and ask of a symbol with their sizes, as the venue wrote them."""

    symbol: str
    bid: Any
    ask: Any
    bid_size: Any
    ask_size: Any


class Depth(msgspec.Struct, frozen=True):
    """The best levels of a symbol's book, [price, size] each, best first, and the venue's number of this state (0: none)."""

    symbol: str
    bids: Sequence[Any]
    asks: Sequence[Any]
    update_id: int


class Source(Protocol):
    """The raw answers of a venue, unjudged: whoever asks validates every row, repeats what failed and keeps the budget.

    Raises `Retryable` or `Permanent` where the source knows which; anything else it raises counts as an answer that made no sense.
    """

    async def candle_rows(self, symbol: str, granularity: str, since_ms: int, until_ms: int, limit: int) -> Sequence[Any]:
        """Rows [start in ms, open, high, low, close, volume] from `since_ms` on; forming ones may be among them."""
        ...

    async def market_rows(self) -> Sequence[VenueMarket]:
        """All markets, or those the session asked for where the venue can filter."""
        ...

    async def tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        """Best bid and ask of each symbol."""
        ...

    async def depth(self, symbol: str, levels: int) -> tuple[Sequence[Any], Sequence[Any], int]:
        """Bids and asks, [price, size] each, best first, and the venue's number of this state (0: none)."""
        ...

    async def time_ms(self) -> int:
        """The venue's clock."""
        ...

    async def close(self) -> None:
        """End all connections; may be called twice."""
        ...


class Streams(Protocol):
    """Pushed data of a venue: each call waits for the next update. Raises `Retryable` when the connection is lost."""

    async def next_tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        """The next changes of best bids and asks."""
        ...

    async def next_depths(self, symbols: Sequence[str], levels: int) -> Sequence[Depth]:
        """The next changes of books, each as a whole."""
        ...

    async def drop(self) -> None:
        """Cut the connections, so that the next call connects and subscribes anew."""
        ...


class PublicHttp(Protocol):
    """GET requests to the venue's own hosts, for plugins whose venue no library speaks."""

    async def get_json(self, path: str, params: Mapping[str, str | int]) -> Any:
        """The decoded answer to `path`, which begins with a slash. Raises `Retryable` or `Permanent`."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...


class CcxtClient(msgspec.Struct, frozen=True, kw_only=True):
    """Says that the venue is spoken by ccxt's class `id`: which of its URL sections are used, with which options.

    `sections` maps a URL section of ccxt to the host it is to use; all others are taken out of the client. `market_filter` names the
    parameter that limits the list of markets to some ids. `symbol_suffix` makes ccxt's symbol of ours (`:USDT` for a perpetual).
    `stream_depths` are the depths that a pushed book may be asked for, rising; the least one that holds the levels wanted is taken.
    """

    id: str
    sections: Mapping[str, str]
    stream_sections: Mapping[str, str] = {}
    stream_depths: tuple[int, ...] = ()
    options: Mapping[str, Any] = {}
    market_filter: str = ""
    market_filter_as_json: bool = False
    quotes_by: str = "fetch_bids_asks"
    symbol_suffix: str = ""


class VenueAccess(msgspec.Struct, frozen=True):
    """What a plugin's `source` may use: the venue's public HTTP, and the candle store for a venue that is a recording."""

    http: PublicHttp
    store: CandleStore
