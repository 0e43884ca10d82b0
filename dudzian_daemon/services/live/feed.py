"""The live feed as the session sees it: one ordered stream of ticks from all venues, on exchange time.

Its task opens the venues and keeps them polled; the session takes what the desk's barrier lets go. A fault restarts the task, and
the desk goes on where it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import anyio
import msgspec

from dudzian_daemon.adapters.venue_calls import Shared
from dudzian_daemon.adapters.venue_data import VenueData
from dudzian_daemon.domain import events
from dudzian_daemon.domain.errors import AdapterError, Permanent, Retryable
from dudzian_daemon.domain.market import HOUR_NS, SECOND_NS, Candle, Elapsed, Series, Tick, WindowEnd
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.progress import Progress
from dudzian_daemon.services.live.desk import Desk
from dudzian_daemon.services.live.market_rules import MarketRules, symbol_of, venue_of
from dudzian_daemon.services.live.opening import Begun, begin, known_ends, opening_ticks
from dudzian_daemon.services.live.storing import LiveStore, Storing
from dudzian_daemon.services.live.venue_feed import VenueFeed, VenuePlan
from dudzian_daemon.services.live.watch import FeedAlerts, LeftAlert
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.windows import Digest

#: How often ages and outages are looked at, and holes of the candle store are looked for (seconds).
WATCH_S: Final = 10.0
STORE_WATCH_S: Final = 3600.0
#: Seconds between two tries to begin.
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 30.0

T = TypeVar("T")


class VenueOpener(Protocol):
    """Opens the venues of the process; see `app.venues`."""

    async def open(self, name: str, symbols: Sequence[str] = ()) -> VenueData: ...

    def known(self) -> Mapping[str, Shared]: ...

    async def close(self) -> None: ...


class FeedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be fed: candles of warm-up by series, instruments to quote, the venue whose clock stamps, and how quotes come.

    With `book_levels` above 0 it is books of so many levels that come, in the place of quotes.
    A venue that does not answer for `offline_ns`, and a daily candle that is late by `lag_ns`, are an alert; `left` are those of
    an earlier run.
    """

    needs: Mapping[Series, int]
    instruments: Sequence[str]
    clock_venue: str
    poll_seconds: float = 300.0
    quote_seconds: float
    pushed: bool
    book_levels: int = 0
    offline_ns: int = 300 * SECOND_NS
    lag_ns: int = 12 * HOUR_NS
    left: Sequence[LeftAlert] = ()

    @property
    def venues(self) -> list[str]:
        """Names of all venues, the one with the clock first."""
        names = {venue_of(name) for name in (*self.instruments, *(series.instrument for series in self.needs))}
        return sorted(names, key=lambda name: (name != self.clock_venue, name))


class LiveFeed:
    """`store` takes the closed candles of all venues."""

    name = "feed"

    def __init__(
        self,
        plan: FeedPlan,
        venues: VenueOpener,
        driver: Driver,
        clock: Clock,
        bus: Bus,
        digest: Digest,
        store: LiveStore,
    ) -> None:
        self._plan = plan
        self._venues = venues
        self._driver = driver
        self._clock = clock
        self._bus = bus
        self._digest = digest
        self.progress = Progress(clock)
        self._storing = Storing(store, clock, self.progress)
        self.alerts = FeedAlerts(bus, clock.monotonic_ns, plan.offline_ns, plan.left)
        #: Called once everything that the market takes is loaded, before the first input is let go.
        self.on_loaded: Callable[[], object] = lambda: None
        self._begun = anyio.Event()
        self._opening: list[Tick] = []
        self._desk: Desk | None = None
        self._rules = MarketRules(plan.instruments, bus, clock)
        self._left_out: tuple[str, ...] = ()
        self._log = logs.logger("feed")

    # -- the session's side ----------------------------------------------------------------------------------------

    async def items(self) -> AsyncIterator[Tick | Elapsed | WindowEnd]:
        """Ticks as their turn comes, and time that passes where the core waits for a timer; it never ends."""
        await self._begun.wait()
        desk = self._desk
        if desk is None:
            return
        for tick in self._opening:
            yield tick
        while True:
            for tick in desk.ready():
                yield tick
            now, deadline = desk.now(), self._driver.deadline
            if deadline is not None and deadline <= now < desk.horizon:
                yield Elapsed(now)
            await self._until_arrival(desk)

    def now(self) -> int:
        """Exchange time (ns); 0 before the feed has begun."""
        return 0 if self._desk is None else self._desk.now()

    def command_instant(self) -> int:
        """Exchange time for a command; 0, just after the last input, behind a closed barrier and before the feed has begun."""
        now = 0 if self._desk is None else self._desk.now()
        return now if self._desk is not None and now < self._desk.horizon else 0

    def not_ready(self) -> list[str]:
        """Why the market is not to be trusted, one line each: stale streams, venues that do not answer."""
        reasons = [f"{subject}: {code}" for code, subject in self.alerts.active if code == "ADAPTER-OFFLINE"]
        return reasons + ([] if self._desk is None else self._desk.ages.stale(self._desk.now()))

    def ages_seconds(self) -> dict[tuple[str, str], float]:
        """Age of each stream by (instrument, granularity), `quote` or `book` for prices."""
        if self._desk is None:
            return {}
        now = self._desk.now()
        found = {(series.instrument, series.granularity): age / SECOND_NS for series, age in self._desk.ages.candle_ages(now).items()}
        prices = self._desk.ages.prices
        return found | {(name, prices): age / SECOND_NS for name, age in self._desk.ages.price_ages(now).items()}

    def venues(self) -> Mapping[str, Shared]:
        """Counters and clocks of the venues that were opened."""
        return self._venues.known()

    async def _until_arrival(self, desk: Desk) -> None:
        """Until something came, the barrier has to be looked at, or a timer is due."""
        now, deadline = desk.now(), self._driver.deadline
        until = desk.next_deadline if deadline is None or deadline <= now else min(deadline, desk.next_deadline)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._alarm, max(until - now, SECOND_NS // 1000), tasks.cancel_scope)
            await desk.arrived.wait()
            tasks.cancel_scope.cancel()

    async def _alarm(self, after_ns: int, scope: anyio.CancelScope) -> None:
        await self._clock.sleep(after_ns / SECOND_NS)
        scope.cancel()

    # -- the feed's own task ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the venues, begin or go on, and keep polling; a venue that does not answer is waited for."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, name="feed.watch")
                data = {name: await self._patiently(partial(self._opened, name)) for name in self._plan.venues}
                desk = self._desk
                if desk is None:
                    desk = await self._patiently(partial(self._begin, data))
                for name, source in data.items():
                    tasks.start_soon(VenueFeed(desk, source, self._plan_of(name, desk), self._clock, self._rests).run, name=f"feed.{name}")
                    tasks.start_soon(self._rules.watch, source, name=f"feed.{name}.rules")
                tasks.start_soon(self._storing.run, name="feed.store")
                tasks.start_soon(self._watch_store, desk, name="feed.store.watch")
        except* AdapterError as group:
            raise _first(group) from None
        finally:
            self.progress.done()
            with anyio.CancelScope(shield=True):
                await self._storing.flush()
                await self._venues.close()

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call gives once the venue answers."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await call()
            except Retryable as error:
                self._log.warning("venue_not_there", action="wait", text=str(error), seconds=pause_s)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _opened(self, name: str) -> VenueData:
        symbols = sorted(
            {symbol_of(each) for each in (*self._plan.instruments, *(s.instrument for s in self._plan.needs)) if venue_of(each) == name}
        )
        data = await self._venues.open(name, symbols)
        self._venues.known()[name].on_state = partial(self._tell_adapter, name)
        await data.server_time_ns()
        await self._rules.read(data)
        return data

    async def _begin(self, data: Mapping[str, VenueData]) -> Desk:
        """Ask for history, and set up the desk behind it."""
        clock = self._venues.known()[self._plan.clock_venue]
        known = known_ends(self._latest)
        wanted, made = self._split(data)
        begun: list[Begun] = []
        for series, count in wanted.items():
            stored = await self._storing.newest_end(series) if series in known else None
            begun.append(await begin(data[venue_of(series.instrument)], series, count, known.get(series), stored, clock.now_ns()))
        now = max(clock.now_ns(), self._driver.last[0] + 1)
        first = {each.series: each.first for each in begun} | {series: (now // series.step_ns + 1) * series.step_ns for series in made}
        if not first:
            msg = f"no venue has a market that the schedules take: {', '.join(self._left_out)}"
            raise Permanent(msg)
        quoted = [name for name in self._plan.instruments if self._rules.is_open(name)]
        prices = "book" if self._plan.book_levels else "quote"
        settle = {name: each.profile.settle_ns for name, each in self._venues.known().items()}
        self._opening = opening_ticks(begun, now, self._digest)
        desk = self._desk = Desk(first, made, quoted, settle, clock.now_ns, lambda: self._driver.last, prices)
        desk.on_candle = self._storing.add
        self._storing.add_history(row for each in begun for row in (*each.history, *each.unstored, *each.missed))
        self.on_loaded()
        self._begun.set()
        self._log.info("live", action="feed", series=len(first), quoted=len(quoted), left_out=self._left_out)
        return desk

    def _split(self, data: Mapping[str, VenueData]) -> tuple[dict[Series, int], list[Series]]:
        """Series to ask for with their history, and those to make of quotes; a market that is closed is left out and named."""
        wanted: dict[Series, int] = {}
        made: list[Series] = []
        left_out: list[str] = []
        for series, count in sorted(self._plan.needs.items()):
            if not self._rules.is_open(series.instrument):
                left_out.append(f"{series.instrument} {series.granularity}")
            elif series.granularity in data[venue_of(series.instrument)].granularities:
                wanted[series] = count
            else:
                made.append(series)
        self._left_out = tuple(left_out)
        if left_out:
            self._log.warning("markets_closed", action="leave_out", series=left_out)
        return wanted, made

    def _plan_of(self, name: str, desk: Desk) -> VenuePlan:
        ends = desk.ages.candle_ends()
        first = {
            series: ends[series] + series.step_ns
            for series in self._plan.needs
            if venue_of(series.instrument) == name and series in ends and not desk.makes(series)
        }
        made = any(desk.makes(series) for series in self._plan.needs if venue_of(series.instrument) == name)
        symbols = [symbol_of(each) for each in self._plan.instruments if venue_of(each) == name and self._rules.is_open(each)]
        return VenuePlan(first, made, symbols, self._plan.poll_seconds, self._plan.quote_seconds, self._plan.pushed, self._plan.book_levels)

    def _rests(self, instrument: str) -> bool:
        return self._driver.core.execution.has_open_orders_in(instrument)

    def _latest(self) -> list[Candle]:
        return [candle for units in self._driver.core.strategies.units.values() for unit in units for candle in unit.latest.values()]

    def _tell_adapter(self, name: str, reachable: bool, error: str, detail: str) -> None:
        self._bus.publish(events.ADAPTER_STATE, events.AdapterState(adapter=name, reachable=reachable, error=error, detail=detail))

    # -- beside it -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self.progress.expect("feed.watch", WATCH_S)
            known = self._venues.known()
            unasked = [name for name in self._plan.venues if name not in known or known[name].reachable is None]
            self.alerts.offline({name: shared.down_since for name, shared in known.items()}, unasked)
            if self._desk is not None:
                self.alerts.lag(self._desk.ages.lagging(self._desk.now(), self._plan.lag_ns))
            await self._clock.sleep(WATCH_S)

    async def _watch_store(self, desk: Desk) -> None:
        """Tell where the store lacks bars: at the start, and every hour."""
        while True:
            await self._storing.flush()
            lacking = await self._storing.missing(series for series in self._plan.needs if not desk.makes(series))
            self.alerts.lacking({f"{series.instrument} {series.granularity}": bars for series, bars in lacking.items()})
            await self._clock.sleep(STORE_WATCH_S)


def _first(group: BaseExceptionGroup[AdapterError]) -> AdapterError:
    """The first fault in a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, AdapterError) else Retryable(str(error))
