"""Brings one venue's market to the desk: candles when they have closed, quotes again and again, by polling or pushed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Final

import anyio
import msgspec

from dudzian_daemon.adapters.venue_answers import BadAnswer, Throttled
from dudzian_daemon.adapters.venue_data import VenueData
from dudzian_daemon.domain.errors import AdapterError, Retryable
from dudzian_daemon.domain.market import SECOND_NS, Book, Candle, Quote, Series
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.services.live.desk import Desk
from dudzian_daemon.trading.barrier import Missing

#: A candle is first asked for this long after its end by the venue's clock, then again and again, less often after a while.
FIRST_ASK_NS: Final = SECOND_NS // 4
EARLY_RETRY_S: Final = 1.0
LATE_RETRY_S: Final = 10.0
LATE_NS: Final = 600 * SECOND_NS
RARE_RETRY_S: Final = 60.0
#: How often the barrier is looked at for bars that no quote has made.
MADE_RETRY_S: Final = 5.0
EARLY_NS: Final = 15 * SECOND_NS
#: A pushing connection without an update for this long is cut and made anew, by event time: an open socket can be dead.
STALL_S: Final = 15.0
RECONNECT_S: Final = 1.0
LONGEST_RECONNECT_S: Final = 30.0
#: Pushed quotes and books are conflated: the latest of each instrument, this often, but for one that an order rests on.
CONFLATE_S: Final = 1.0
#: How often the venue's clock is measured again.
CLOCK_S: Final = 600.0


class VenuePlan(msgspec.Struct, frozen=True):
    """What is taken of a venue: end of the first bar to come of each series, the symbols that are quoted, and how often (seconds).

    Candles are asked for when they are due, and every `poll_seconds` one that is known, so that a venue which is gone is missed at once.
    With `book_levels` above 0 books of so many levels are taken in the place of quotes.
    `made`: some of its candles are made of quotes here, so that bars may be missing whenever it has no quote.
    """

    first: dict[Series, int]
    made: bool
    symbols: Sequence[str]
    poll_seconds: float
    quote_seconds: float
    pushed: bool
    book_levels: int = 0


class VenueFeed:
    """Runs until it is cancelled; a venue that does not answer is asked again for ever.

    `rests` says whether an order of an instrument is open: then each of its pushed prices goes on, not the latest a second.
    """

    def __init__(self, desk: Desk, data: VenueData, plan: VenuePlan, clock: Clock, rests: Callable[[str], bool]) -> None:
        self._desk = desk
        self._data = data
        self._plan = plan
        self._clock = clock
        self._rests = rests
        self._due = dict(plan.first)
        self._latest: dict[str, Quote | Book] = {}
        self._heard_ns = clock.monotonic_ns()
        self._asked_ns = clock.monotonic_ns()
        self._log = logs.logger("feed")

    async def run(self) -> None:
        """Poll everything, each at its own pace."""
        async with anyio.create_task_group() as tasks:
            if self._due or self._plan.made:
                tasks.start_soon(self._poll_candles, name=f"feed.{self._data.venue}.candles")
            tasks.start_soon(self._measure_clock, name=f"feed.{self._data.venue}.clock")
            if not self._plan.symbols:
                return
            if self._plan.pushed and (self._data.pushes_books if self._plan.book_levels else self._data.pushes):
                tasks.start_soon(self._take_pushed, name=f"feed.{self._data.venue}.push")
                tasks.start_soon(self._conflate, name=f"feed.{self._data.venue}.conflate")
            else:
                poll = self._poll_books if self._plan.book_levels else self._poll_quotes
                tasks.start_soon(poll, name=f"feed.{self._data.venue}.quotes")

    # -- candles ---------------------------------------------------------------------------------------------------

    async def _poll_candles(self) -> None:
        while True:
            now = self._desk.now()
            wanted = [series for series, end in sorted(self._due.items()) if end + FIRST_ASK_NS <= now]
            for series in wanted:
                await self._fetch(series)
            if self._due and self._until_poll_s() <= 0:
                await self._look(min(self._due, key=lambda series: (self._due[series], series)))
            await self._settle_missing()
            await self._clock.sleep(min(self._pause_s(), max(self._until_poll_s(), 0.0)) if self._due else self._pause_s())

    async def _fetch(self, series: Series) -> None:
        """The candles from the one that is due; what came is offered, what did not is asked for again."""
        end, now = self._due[series], self._desk.now()
        rows = await self._ask(series, end - series.step_ns, now)
        for row in rows or ():
            self._desk.candle(row)
            self._due[series] = max(self._due[series], row.end + series.step_ns)

    async def _look(self, series: Series) -> None:
        """Ask for the newest candle that is known already; what the venue is worth is learnt from its answer alone."""
        end = self._due[series] - series.step_ns
        await self._ask(series, end - series.step_ns, end)

    async def _settle_missing(self) -> None:
        """Bars that the barrier misses are asked for once more; what the venue lacks then never comes, nor a bar made of no quote."""
        for bars in self._desk.missing(self._data.venue):
            made = bars.series not in self._due
            rows = [] if made else await self._ask(bars.series, bars.start, bars.end)
            if rows is None:
                continue
            for row in rows:
                self._desk.candle(row)
            for still in self._desk.missing(self._data.venue):
                if still.series == bars.series and still.start < bars.end:
                    gone = Missing(still.series, still.start, min(still.end, bars.end))
                    self._desk.declare_missing(gone)
                    if not made:
                        self._due[bars.series] = max(self._due[bars.series], gone.end + bars.series.step_ns)

    async def _ask(self, series: Series, since: int, until: int) -> list[Candle] | None:
        """The candles of a span; None where the venue could not be asked, none where what it sent was no candle."""
        self._asked_ns = self._clock.monotonic_ns()
        step, symbol = series.step_ns, series.instrument.partition(":")[2]
        try:
            return await self._data.candles(symbol, series.granularity, since, until // step * step, self._data.candles_per_call)
        except BadAnswer:
            return []
        except AdapterError:
            return None  # told and counted where it was raised

    def _until_poll_s(self) -> float:
        """Seconds until the venue is to be asked again, whether or not anything is due; 0 or less: now."""
        return self._plan.poll_seconds - (self._clock.monotonic_ns() - self._asked_ns) / SECOND_NS

    def _pause_s(self) -> float:
        """Until the next candle is due; a while where one is late, or where a bar of quotes may be missing."""
        now = self._desk.now()
        late_ns = now - min(self._due.values(), default=now)
        if self._due and late_ns < FIRST_ASK_NS:
            until = (FIRST_ASK_NS - late_ns) / SECOND_NS
            return min(until, MADE_RETRY_S) if self._plan.made else until
        if self._due and late_ns < EARLY_NS:
            return EARLY_RETRY_S
        if self._plan.made:
            return MADE_RETRY_S
        return LATE_RETRY_S if late_ns < LATE_NS else RARE_RETRY_S

    # -- quotes and books ----------------------------------------------------------------------------------------------------

    async def _poll_quotes(self) -> None:
        while True:
            began = self._clock.monotonic_ns()
            await self._refill()
            await self._clock.sleep_until(began + round(self._plan.quote_seconds * SECOND_NS))

    async def _poll_books(self) -> None:
        """One book after the other, evenly spaced: all of them in `quote_seconds`, or as soon as the venue's budget allows."""
        spacing = max(self._plan.quote_seconds / len(self._plan.symbols), self._data.book_spacing_s)
        for symbol in cycle(self._plan.symbols):
            began = self._clock.monotonic_ns()
            await self._ask_book(symbol)
            await self._clock.sleep_until(began + round(spacing * SECOND_NS))

    async def _ask_book(self, symbol: str) -> None:
        try:
            self._desk.price(await self._data.book(symbol, self._plan.book_levels))
        except AdapterError:
            return  # told and counted where it was raised

    async def _refill(self) -> None:
        """Ask for the prices of all symbols once."""
        if self._plan.book_levels:
            for symbol in self._plan.symbols:
                await self._ask_book(symbol)
            return
        try:
            for quote in await self._data.quotes(self._plan.symbols):
                self._desk.price(quote)
        except AdapterError:
            return  # told and counted where it was raised

    async def _take_pushed(self) -> None:
        """Every update the venue pushes. A lost or silent connection is made anew, and what was missed is asked for."""
        pause = RECONNECT_S
        while True:
            self._heard_ns = self._clock.monotonic_ns()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cut_when_silent, tasks.cancel_scope)
                pause = await self._take_until_lost(pause)
                tasks.cancel_scope.cancel()
            self._log.warning("stream_lost", action="connect_again", venue=self._data.venue, seconds=pause)
            try:
                await self._data.drop_streams()
            except AdapterError as error:
                self._log.warning("stream_close_failed", venue=self._data.venue, text=str(error))
            await self._refill()
            await self._clock.sleep(pause)
            pause = min(max(pause * 2, RECONNECT_S), LONGEST_RECONNECT_S)

    async def _take_until_lost(self, pause: float) -> float:
        """Take updates until the connection is lost; the pause before the next one, short again if there was any update.

        None of our own comes on top of one that the venue has asked for, which every request and connection waits for.
        """
        try:
            while True:
                for price in await self._next_prices():
                    self._take(price)
                self._heard_ns = self._clock.monotonic_ns()
                pause = RECONNECT_S
        except Retryable as error:
            self._log.warning("stream_fault", venue=self._data.venue, text=str(error))
            return 0.0 if isinstance(error, Throttled) else pause

    def _take(self, price: Quote | Book) -> None:
        """Keep it until the second is over, or pass it on at once, behind the one that waits, where an order rests."""
        if not self._rests(price.instrument):
            self._latest[price.instrument] = price
            return
        if price.instrument in self._latest:
            self._desk.price(self._latest.pop(price.instrument))
        self._desk.price(price)

    async def _next_prices(self) -> Sequence[Quote | Book]:
        if self._plan.book_levels:
            return await self._data.next_books(self._plan.symbols, self._plan.book_levels)
        return await self._data.next_quotes(self._plan.symbols)

    async def _cut_when_silent(self, scope: anyio.CancelScope) -> None:
        while (rest := self._heard_ns + round(STALL_S * SECOND_NS) - self._clock.monotonic_ns()) > 0:
            await self._clock.sleep(rest / SECOND_NS)
        scope.cancel()

    async def _conflate(self) -> None:
        while True:
            latest, self._latest = self._latest, {}
            for price in latest.values():
                self._desk.price(price)
            await self._clock.sleep(CONFLATE_S)

    # -- the clock -------------------------------------------------------------------------------------------------

    async def _measure_clock(self) -> None:
        while True:
            await self._clock.sleep(CLOCK_S)
            try:
                await self._data.server_time_ns()
            except AdapterError as error:
                self._log.warning("clock_not_measured", venue=self._data.venue, text=str(error))
