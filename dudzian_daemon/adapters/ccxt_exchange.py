"""Public data of a venue through a client of ccxt, made by `ccxt_client`.

ccxt is imported when a client is opened, in a worker thread. Markets are parsed there too: thousands of them would hold the loop up
for a third of a second. Whoever calls gets plain rows; the client itself stays in here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import orjson

from dudzian_daemon.adapters.ccxt_client import ClientOptions, client_of, imported
from dudzian_daemon.adapters.ccxt_faults import Errors
from dudzian_daemon.adapters.public_http import guarded_session
from dudzian_daemon.domain.errors import Permanent
from dudzian_daemon.domain.market import GRANULARITIES
from dudzian_daemon.domain.ports import VenueMarket
from dudzian_daemon.domain.venues import CcxtClient, Depth, TopOfBook

_BOOK_LIMIT: Final = 100
_MS_NS: Final = 1_000_000
#: Pushed updates that wait at most to be taken; the oldest go first.
_MOST_UNTAKEN: Final = 10_000


T = TypeVar("T")


class CcxtSource:
    """A venue through ccxt. Made by `open_client`."""

    def __init__(self, client: Any, errors: Errors, plugin: CcxtClient, options: ClientOptions, make: Callable[[], Any]) -> None:
        self.__client = client
        self.__make = make
        self._errors = errors
        self._plugin = plugin
        self._options = options
        self._loading = anyio.Lock()
        self._loaded = False
        self._pushed: dict[str, Any] = {}
        self._depths: dict[str, tuple[Any, Any]] = {}
        self._book_levels = 0
        #: What was pushed and not taken yet, every update of it.
        self._tops: deque[TopOfBook] = deque(maxlen=_MOST_UNTAKEN)
        self._books: deque[Depth] = deque(maxlen=_MOST_UNTAKEN)
        self._watched: dict[str, str] = {}
        client.heard = self._hear

    async def candle_rows(self, symbol: str, granularity: str, since_ms: int, until_ms: int, limit: int) -> Sequence[Any]:
        """Rows from `since_ms` on, no more than the span has room for: venues understand an end differently."""
        await self._ready()
        limit = max(1, min(limit, (until_ms - since_ms) // (GRANULARITIES[granularity] // _MS_NS)))
        with self._errors.read(f"candles {symbol} {granularity}"):
            rows = await self.__client.fetch_ohlcv(self._name(symbol), granularity, since_ms, limit)
        return list(rows)

    async def market_rows(self) -> Sequence[VenueMarket]:
        """The markets, asked anew each time."""
        async with self._loading:
            return await self._load_markets()

    async def _load_markets(self) -> list[VenueMarket]:
        client, markets = await anyio.to_thread.run_sync(self._load_in_thread)
        self.__client.set_markets_from_exchange(client)
        self._loaded = True
        return markets

    async def tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        """Best bids and asks in one request."""
        await self._ready()
        fetch = self.__client.fetch_bids_asks if self._plugin.quotes_by == "fetch_bids_asks" else self.__client.fetch_tickers
        with self._errors.read("quotes"):
            found = await fetch([self._name(symbol) for symbol in symbols])
        return [top for symbol in symbols if (top := _top(symbol, found.get(self._name(symbol))))]

    async def depth(self, symbol: str, levels: int) -> tuple[Sequence[Any], Sequence[Any], int]:
        """The book."""
        await self._ready()
        with self._errors.read(f"book {symbol}"):
            book = await self.__client.fetch_order_book(self._name(symbol), min(levels, _BOOK_LIMIT))
        return book["bids"][:levels], book["asks"][:levels], int(book.get("nonce") or 0)

    async def time_ms(self) -> int:
        """The venue's clock."""
        with self._errors.read("time"):
            return int(await self.__client.fetch_time())

    async def next_tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        """Every update that the venue has pushed since the last call, at least one message of them."""
        await self._ready()
        self._watched = {self._name(symbol): symbol for symbol in symbols}
        if self._tops:  # a call is woken once for a burst of messages
            return _taken(self._tops)
        with self._errors.read("quote stream"):
            await self.__client.watch_bids_asks(list(self._watched), {})
        return _taken(self._tops)

    async def next_depths(self, symbols: Sequence[str], levels: int) -> Sequence[Depth]:
        """Every state that a message has brought the books to since the last call, at least one message."""
        await self._ready()
        self._watched, self._book_levels = {self._name(symbol): symbol for symbol in symbols}, levels
        if self._books:
            return _taken(self._books)
        depth = next((each for each in self._plugin.stream_depths if each >= levels), levels)
        with self._errors.read("book stream"):
            await self.__client.watch_order_book_for_symbols(list(self._watched), depth)
        return _taken(self._books)

    def _hear(self) -> None:
        """A message has come: note what it has changed."""
        if self._book_levels:
            books = (self._changed_book(name, symbol, self._book_levels) for name, symbol in self._watched.items())
            self._books.extend(book for book in books if book is not None)
            return
        known, self._pushed = self._pushed, {**self.__client.tickers, **self.__client.bidsasks}
        for name, symbol in self._watched.items():
            ticker = self._pushed.get(name)
            if ticker is not known.get(name) and (top := _top(symbol, ticker)):
                self._tops.append(top)

    def _changed_book(self, name: str, symbol: str, levels: int) -> Depth | None:
        """The book as it is pushed by now, None where it is the one we know or has not begun."""
        book = self.__client.orderbooks.get(name)
        if book is None or not (book["bids"] or book["asks"]):
            return None
        state = book["nonce"], book["timestamp"]
        if self._depths.get(symbol) == state:
            return None
        self._depths[symbol] = state
        return Depth(symbol, book["bids"][:levels], book["asks"][:levels], int(book["nonce"] or 0))

    async def drop(self) -> None:
        """Cut the websockets; what they built up is old then."""
        with self._errors.read("stream"):
            await self.__client.close_ws_clients()
        self._depths.clear()
        self._tops.clear()
        self._books.clear()
        self.__client.orderbooks.clear()

    async def close(self) -> None:
        """End all connections; what is under way fails."""
        session = self.__client.session
        with self._errors.read("close"):
            await self.__client.close()
        if session is not None:
            await session.close()

    async def _ready(self) -> None:
        """Calls name markets, so these are loaded first; once, and not ended by a caller that is cancelled."""
        if self._loaded:
            return
        with anyio.CancelScope(shield=True):
            async with self._loading:
                if not self._loaded:
                    await self._load_markets()

    def _load_in_thread(self) -> tuple[Any, list[VenueMarket]]:
        return asyncio.run(self._load())

    async def _load(self) -> tuple[Any, list[VenueMarket]]:
        client = self.__make()
        client.session = session = await guarded_session(self._options.rules)
        try:
            await self._load_into(client)
        finally:
            client.session = None
            await session.close()
        self._keep_wanted(client)
        suffix = self._plugin.symbol_suffix
        rows = [_market(market) for market in client.markets.values() if market["symbol"] == _unified(market, suffix)]
        return client, rows

    def _keep_wanted(self, client: Any) -> None:
        """Forget the markets nobody asks for, where some are named: thousands of them are tens of megabytes."""
        wanted = self._options.wanted
        if wanted:
            ids = set(wanted.values())
            kept = [each for each in client.markets.values() if each["id"] in ids or f"{each['base']}/{each['quote']}" in wanted]
            client.set_markets(kept)

    async def _load_into(self, client: Any) -> None:
        """Those that were asked for where the venue filters, all of them where it knows one of them no more."""
        params: dict[str, str] = {}
        ids = list(self._options.wanted.values())
        if self._plugin.market_filter and ids:
            text = orjson.dumps(ids).decode() if self._plugin.market_filter_as_json else ",".join(ids)
            params = {self._plugin.market_filter: text}
        try:
            with self._errors.read("markets"):
                await client.load_markets(True, params)
        except Permanent:
            if not params:
                raise
            with self._errors.read("markets"):
                await client.load_markets(True)

    def _name(self, symbol: str) -> str:
        return symbol + self._plugin.symbol_suffix.format(quote=symbol.partition("/")[2])


async def open_client(plugin: CcxtClient, options: ClientOptions) -> CcxtSource:
    """Import ccxt and make the venue's client. Raises `ConfigError` for a URL that is out of bounds; nothing is asked yet."""
    errors, venue = await anyio.to_thread.run_sync(imported, plugin.id, options.streams)
    make = partial(client_of, venue, plugin, options)
    session = await guarded_session(options.rules)
    client = make()
    client.session = session
    return CcxtSource(client, Errors(errors, options.rules.venue, options.wall_ns), plugin, options, make)


def _taken(waiting: deque[T]) -> list[T]:
    """All that waits, in order; nothing is left."""
    taken = list(waiting)
    waiting.clear()
    return taken


def _unified(market: Mapping[str, Any], suffix: str) -> str:
    return f"{market['base']}/{market['quote']}" + suffix.format(quote=market["quote"])


def _market(market: Mapping[str, Any]) -> VenueMarket:
    limits, precision = market["limits"], market["precision"]
    return VenueMarket(
        symbol=f"{market['base']}/{market['quote']}",
        venue_symbol=str(market["id"]),
        base=str(market["base"]),
        quote=str(market["quote"]),
        active=market.get("active") is not False,
        tick_size=_exact(precision.get("price")),
        lot_size=_exact(precision.get("amount")),
        min_quantity=_exact(limits.get("amount", {}).get("min")),
        min_notional=_exact(limits.get("cost", {}).get("min")),
        maker_fee=_exact(market.get("maker")),
        taker_fee=_exact(market.get("taker")),
    )


def _exact(value: float | str | None) -> Decimal | None:
    """Numbers of ccxt are floats of short texts: the shortest text is the number the venue wrote."""
    return None if value is None else Decimal(str(value))


def _top(symbol: str, ticker: Mapping[str, Any] | None) -> TopOfBook | None:
    if ticker is None:
        return None
    return TopOfBook(symbol, ticker["bid"], ticker["ask"], ticker["bidVolume"], ticker["askVolume"])
