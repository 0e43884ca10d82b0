"""A live feed over a made-up venue without sockets, on a `ManualClock`: real client logic, real barrier, real core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import stamina

from dudzian_daemon.adapters.candle_rows import Judged
from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.venue_answers import VenueDown
from dudzian_daemon.adapters.venue_calls import ATTEMPTS, Shared
from dudzian_daemon.adapters.venue_data import VenueData
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.domain.events import AdapterState, FeedAlert, MarketRulesChanged
from dudzian_daemon.domain.market import GRANULARITIES, Candle, Elapsed, Series, Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.ports import VenueMarket
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.domain.venues import Depth, TopOfBook, VenueProfile
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.services.live.feed import FeedPlan, LiveFeed
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.exchange_market import Market
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core

BTC = "binance:BTC/USDT"
HOURS, DAYS = Series(BTC, "1h"), Series(BTC, "1d")
PROFILE = VenueProfile(
    name="binance",
    hosts=("data-api.binance.vision",),
    stream_hosts=("data-stream.binance.vision",),
    granularities=("1m", "5m", "1h", "1d"),
    candles_per_call=1000,
    weight_limit=10**9,
)


class MadeSource:
    """Implements `domain.venues.Source`. `down` fails every request; `lacking` holds starts (ms) of candles that do not come."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.market = Market(base="BTC", price=60_000.0)
        self.down = False
        self.silent = False
        self.one_sided = False
        self.size = 2.0
        #: Seconds between two pushed prices.
        self.push_seconds = 1.0
        #: What the venue says of its market beside that it is open.
        self.rules: dict[str, Any] = {}
        self.lacking: Callable[[str, int], bool] = lambda _granularity, _start_ms: False
        self.asked: list[str] = []
        self.closed = 0
        self.dropped = 0

    @property
    def now_ms(self) -> int:
        return self._clock.wall_ns() // 1_000_000

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise VenueDown(what)

    async def candle_rows(self, symbol: str, granularity: str, since_ms: int, until_ms: int, limit: int) -> Sequence[Any]:
        self._ask(f"candles {granularity}")
        step_ms = GRANULARITIES[granularity] // 1_000_000
        rows = self.market.candles(since_ms, min(until_ms, self.now_ms), step_ms, limit)
        return [[int(row[0]), *row[1:]] for row in rows if not self.lacking(granularity, int(row[0]))]

    async def market_rows(self) -> Sequence[VenueMarket]:
        self._ask("markets")
        return [VenueMarket(symbol="BTC/USDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT", **{"active": True} | self.rules)]

    async def tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        self._ask("quotes")
        price = self.market.at(self.now_ms)
        return [TopOfBook(symbol, price - 0.01, price + 0.01, 2.0, 3.0) for symbol in symbols]

    async def next_tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        await self._clock.sleep(self.push_seconds)
        if self.silent:
            await anyio.sleep_forever()
        self._ask("push")
        price = self.market.at(self.now_ms)
        return [TopOfBook(symbol, price - 0.01, price + 0.01, 2.0, 3.0) for symbol in symbols]

    async def drop(self) -> None:
        self.dropped += 1

    async def depth(self, symbol: str, levels: int) -> tuple[Sequence[Any], Sequence[Any], int]:
        self._ask(f"book {symbol}")
        bids, asks = self._sides(levels)
        return bids, asks, self.now_ms

    async def next_depths(self, symbols: Sequence[str], levels: int) -> Sequence[Depth]:
        await self._clock.sleep(self.push_seconds)
        if self.silent:
            await anyio.sleep_forever()
        self._ask("push")
        return [Depth(symbol, *self._sides(levels), self.now_ms) for symbol in symbols]

    def _sides(self, levels: int) -> tuple[Sequence[Any], Sequence[Any]]:
        price = self.market.at(self.now_ms)
        bids, asks = ([[price + sign * 0.01 * (n + 1), self.size * (n + 1)] for n in range(levels)] for sign in (-1, 1))
        return ([] if self.one_sided else bids), asks

    async def time_ms(self) -> int:
        self._ask("time")
        return self.now_ms

    async def close(self) -> None:
        self.closed += 1


class MadeVenues:
    """Implements `VenueOpener` over one source."""

    def __init__(self, source: MadeSource, clock: ManualClock) -> None:
        self._source = source
        self._shared = Shared(PROFILE, clock)

    async def open(self, name: str, symbols: Sequence[str] = ()) -> VenueData:
        return VenueData(self._shared, self._source, _forget)

    def known(self) -> Mapping[str, Shared]:
        return {"binance": self._shared}

    async def close(self) -> None:
        await self._source.close()


async def _forget(_series: Series, _judged: Judged) -> None:
    return None


class StoreInMemory:
    """Implements `services.live.storing.LiveStore`; `broken` fails every write."""

    def __init__(self) -> None:
        self.rows: dict[Series, dict[int, Candle]] = {}
        self.days: list[tuple[Series, int]] = []
        self.appended: list[Candle] = []
        self.broken: Exception | None = None

    def _write(self, series: Series, candles: Sequence[Candle]) -> None:
        if self.broken is not None:
            raise self.broken
        self.rows.setdefault(series, {}).update({candle.end: candle for candle in candles})

    def history(self, series: Series, candles: Sequence[Candle]) -> None:
        self._write(series, candles)

    def closed(self, series: Series, candle: Candle) -> None:
        self._write(series, [candle])
        self.appended.append(candle)

    def day_over(self, series: Series, before: int) -> None:
        self.days.append((series, before))

    def newest_end(self, series: Series) -> int | None:
        return max(self.rows.get(series, ()), default=None)

    def missing(self, series: Series) -> int:
        ends = self.ends(series)
        return (ends[-1] - ends[0]) // series.step_ns + 1 - len(ends) if ends else 0

    def ends(self, series: Series) -> list[int]:
        return sorted(self.rows.get(series, ()))


class Live:
    """A running feed with what came of it: the ticks as the core was stepped with them, alerts, how the venue was, stored candles."""

    def __init__(self, feed: LiveFeed, driver: Driver, clock: ManualClock, source: MadeSource, store: StoreInMemory) -> None:
        self.feed = feed
        self.driver = driver
        self.clock = clock
        self.source = source
        self.ticks: list[Tick] = []
        self.records: list[CycleRecord] = []
        self.alerts: list[FeedAlert] = []
        self.adapter: list[AdapterState] = []
        self.rules: list[MarketRulesChanged] = []
        self.store = store

    def inputs(self, kind: type[Any]) -> list[Any]:
        return [item for tick in self.ticks for item in tick.inputs if isinstance(item, kind)]

    async def consume(self) -> None:
        async for item in self.feed.items():
            self.take(item)

    def take(self, item: Tick | Elapsed | WindowEnd) -> None:
        with exact_money():
            if isinstance(item, Tick):
                assert (item.instant, item.phase) > self.driver.last
                self.ticks.append(item)
                self.records += self.driver.advance(item)


def spec_of(folder: Path) -> Any:
    """The session of the bundled core set; only its BTC series are fed here."""
    logs.logger("feed")  # loads the library here, off the loop, as the start of the daemon does
    return prepare(RunOptions(environment="binance_paper", data_dir=folder), {}).spec


@asynccontextmanager
async def live(
    spec: Any,
    *,
    needs: Mapping[Series, int] = {HOURS: 5, DAYS: 3},
    clock: ManualClock | None = None,
    before: Callable[[MadeSource], object] = lambda _source: None,
    driver: Driver | None = None,
    store: StoreInMemory | None = None,
    pushed: bool = False,
    quote_seconds: float = 5.0,
    poll_seconds: float = 300.0,
    book_levels: int = 0,
) -> AsyncIterator[Live]:
    """A feed that runs until the block ends."""
    clock = clock or ManualClock()
    source, bus = MadeSource(clock), Bus()
    before(source)
    with exact_money():
        driver = driver or Driver(Core(spec))
    plan = FeedPlan(
        needs=needs,
        instruments=[BTC],
        clock_venue="binance",
        poll_seconds=poll_seconds,
        quote_seconds=quote_seconds,
        pushed=pushed,
        book_levels=book_levels,
    )
    store = store or StoreInMemory()
    feed = LiveFeed(plan, MadeVenues(source, clock), driver, clock, bus, digest_rows, store)
    run = Live(feed, driver, clock, source, store)
    bus.subscribe("feed.alert", lambda _topic, alert: run.alerts.append(alert), name="test")
    bus.subscribe("market.rules", lambda _topic, changed: run.rules.append(changed), name="test rules")
    bus.subscribe("adapter.state", lambda _topic, state: run.adapter.append(state), name="test states")
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run)
            tasks.start_soon(run.consume)
            await clock.settle()
            try:
                yield run
            finally:
                tasks.cancel_scope.cancel()
