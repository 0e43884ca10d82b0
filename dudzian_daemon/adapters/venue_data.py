"""Public data of a venue as the daemon may believe it: every row, price and book judged, on the venue's own clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, Final, TypeVar

import anyio

from dudzian_daemon.adapters.candle_rows import Judged, judge_rows
from dudzian_daemon.adapters.venue_answers import BadAnswer, Throttled
from dudzian_daemon.adapters.venue_budget import book_spacing_s
from dudzian_daemon.adapters.venue_calls import Shared
from dudzian_daemon.domain.market import Book, Candle, Quote, Series
from dudzian_daemon.domain.ports import VenueMarket
from dudzian_daemon.domain.venues import Depth, Source, TopOfBook
from dudzian_daemon.kernel import logs

_MS_NS: Final = 1_000_000
T = TypeVar("T")


class VenueData:
    """Implements `domain.ports.MarketData` over a venue's source. `refused` is told of every row that was no candle."""

    def __init__(
        self,
        shared: Shared,
        source: Source,
        refused: Callable[[Series, Judged], Awaitable[None]],
        *,
        background: bool = False,
    ) -> None:
        self._shared = shared
        self._source = source
        self._refused = refused
        self._background = background
        self._markets: Mapping[str, VenueMarket] | None = None
        self._measuring = anyio.Lock()
        self._measured = False
        self._subscribed = False
        self._log = logs.logger("venue")

    @property
    def venue(self) -> str:
        """Name of the venue."""
        return self._shared.profile.name

    @property
    def candles_per_call(self) -> int:
        """The most candles one call gives."""
        return self._shared.profile.candles_per_call

    @property
    def granularities(self) -> tuple[str, ...]:
        """Lengths of candles that the venue has."""
        return self._shared.profile.granularities

    async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
        """See `domain.ports.MarketData.candles`."""
        await self._know_the_time()
        series = Series(f"{self.venue}:{symbol}", granularity)
        limit = min(limit, self.candles_per_call)

        async def ask() -> list[Candle]:
            rows = await self._source.candle_rows(symbol, granularity, since_ns // _MS_NS, until_ns // _MS_NS, limit)
            judged = judge_rows(rows, series, since_ns, until_ns, self._shared.now_ns())
            if judged.refused:
                self._shared.refused_rows.update(judged.faults)
                told = _told(judged.faults)
                self._log.warning("rows_refused", action="leave_out", instrument=series.instrument, granularity=granularity, reasons=told)
                await self._refused(series, judged)
                if not judged.candles:
                    msg = f"{self.venue} candles {symbol} {granularity}: no row of {len(rows)} is a candle ({told})"
                    raise BadAnswer(msg)
            return judged.candles[:limit]

        return await self._shared.call("candles", ask, background=self._background)

    async def markets(self) -> Mapping[str, VenueMarket]:
        """The markets, asked for once."""
        if self._markets is None:
            self._markets = await self.load_markets()
        return self._markets

    async def load_markets(self) -> Mapping[str, VenueMarket]:
        """The markets as they are now."""

        async def ask() -> Mapping[str, VenueMarket]:
            return {market.symbol: market for market in await self._source.market_rows()}

        self._markets = await self._shared.call("markets", ask, background=self._background)
        return self._markets

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Best bid and ask of each symbol; one without both, or with a bid above its ask, is left out and counted."""
        await self._know_the_time()

        async def ask() -> list[Quote]:
            tops = await self._source.tops(symbols)
            now = self._shared.now_ns()
            return [quote for top in tops if (quote := self.judged_top(top, now)) is not None]

        return await self._shared.call("quotes", ask, background=self._background)

    async def book(self, symbol: str, depth: int) -> Book:
        """The best levels. Raises `BadAnswer` for a side that is out of order or holds what is no price."""
        await self._know_the_time()

        async def ask() -> Book:
            return self.judged_book(Depth(symbol, *await self._source.depth(symbol, depth)))

        return await self._shared.call("book", ask, background=self._background)

    def judged_book(self, book: Depth) -> Book:
        """The book, stamped now. Raises `BadAnswer` for one that cannot be."""
        buyers, sellers = _levels(book.bids, falling=True), _levels(book.asks, falling=False)
        if buyers and sellers and buyers[0][0] >= sellers[0][0]:
            msg = f"{self.venue} book {book.symbol}: expected the best bid below the best ask, found {buyers[0][0]} and {sellers[0][0]}"
            raise BadAnswer(msg)
        return Book(self._shared.now_ns(), f"{self.venue}:{book.symbol}", buyers, sellers, book.update_id)

    @property
    def book_spacing_s(self) -> float:
        """Seconds between two requests for a book, so that these take no more than half of what may be asked."""
        return book_spacing_s(self._shared.profile)

    async def server_time_ns(self) -> int:
        """The venue's clock, and with it how far ours is off: half of the time that the answer took is its way back."""

        async def ask() -> int:
            before = self._shared.clock.monotonic_ns()
            answer = await self._source.time_ms() * _MS_NS
            way_back = (self._shared.clock.monotonic_ns() - before) // 2
            self._shared.offset_ns = answer + way_back - self._shared.clock.monotonic_ns()
            self._measured = True
            return answer + way_back

        return await self._shared.call("time", ask, background=self._background)

    @property
    def pushes(self) -> bool:
        """Whether the venue's client can be pushed quotes."""
        return bool(self._shared.profile.stream_hosts) and hasattr(self._source, "next_tops")

    async def next_quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """The next quotes the venue pushes, all of them. Raises `Retryable` when the connection is lost; waits for ever on a silent one.

        A venue that refuses the connection and says for how long is left alone for that long, as by a request.
        """
        await self._know_the_time()
        streams: Any = self._source
        await self._subscribe(0)
        tops = await self._streamed(streams.next_tops(symbols))
        now = self._shared.now_ns()
        return [quote for top in tops if (quote := self.judged_top(top, now)) is not None]

    @property
    def pushes_books(self) -> bool:
        """Whether the venue's client can be pushed books."""
        return bool(self._shared.profile.stream_hosts) and hasattr(self._source, "next_depths")

    async def next_books(self, symbols: Sequence[str], levels: int) -> list[Book]:
        """The next books the venue pushes, as `next_quotes`; one that cannot be is left out and counted.

        A connection that is new costs the weight of the books it begins with.
        """
        await self._know_the_time()
        streams: Any = self._source
        await self._subscribe(self._shared.profile.weights.get("book_stream", 0) * len(symbols))
        found = []
        for book in await self._streamed(streams.next_depths(symbols, levels)):
            try:
                found.append(self.judged_book(book))
            except BadAnswer as error:
                self._shared.refused_rows["book"] += 1
                self._log.warning("book_refused", action="leave_out", venue=self.venue, symbol=book.symbol, text=str(error))
        return found

    async def _subscribe(self, weight: int) -> None:
        """Before a new connection: wait until one is allowed, and pay for it."""
        if not self._subscribed:
            await self._shared.budget.take(weight)
            self._subscribed = True

    async def _streamed(self, call: Awaitable[T]) -> T:
        """What a stream gives; a refusal that names a pause holds everybody."""
        try:
            return await call
        except Throttled as error:
            self._subscribed = False
            self._shared.budget.pause(error.pause_s, str(error))
            self._shared.failed(type(error).__name__, error)
            raise

    async def drop_streams(self) -> None:
        """Cut the pushing connections; the next call connects and subscribes anew."""
        streams: Any = self._source
        self._subscribed = False
        await streams.drop()

    async def close(self) -> None:
        """End all connections."""
        await self._source.close()

    def judged_top(self, top: TopOfBook, now_ns: int) -> Quote | None:
        """The quote, None for one that cannot be."""
        values = [_number(value) for value in (top.bid, top.ask, top.bid_size, top.ask_size)]
        bid, ask, bid_size, ask_size = values
        if bid is None or ask is None or not 0 < bid <= ask:
            self._shared.refused_rows["quote"] += 1
            return None
        return Quote(now_ns, f"{self.venue}:{top.symbol}", bid, ask, max(bid_size or 0.0, 0.0), max(ask_size or 0.0, 0.0))

    async def _know_the_time(self) -> None:
        """No row can be judged without the venue's clock: it is asked once before the first."""
        async with self._measuring:
            if not self._measured and self._shared.profile.hosts:
                await self.server_time_ns()


def _told(faults: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {fault}" for fault, count in sorted(faults.items()))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def _levels(rows: Sequence[Any], *, falling: bool) -> tuple[tuple[float, float], ...]:
    """Price and size of each level. Raises `BadAnswer` for what is no level or out of order."""
    levels = []
    for row in rows:
        price, size = _number(row[0]), _number(row[1])
        if price is None or size is None or price <= 0 or size < 0:
            msg = f"expected a price above 0 and a size, found {str(row)[:60]}"
            raise BadAnswer(msg)
        levels.append((price, size))
    if any((after[0] >= before[0]) if falling else (after[0] <= before[0]) for before, after in pairwise(levels)):
        msg = "expected levels in order, found them out of order"
        raise BadAnswer(msg)
    return tuple(levels)
