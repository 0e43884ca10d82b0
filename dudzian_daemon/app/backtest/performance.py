"""Watches a core while it is driven and keeps what a backtest tells: equity by day and by cycle, trades, costs, time in the market.

It reads the core and changes nothing in it. A day is a UTC day inside a window; between windows there is no time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from dudzian_daemon.domain.counts import Counts
from dudzian_daemon.domain.market import DAY_NS, Phase, Series, Tick
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Fill
from dudzian_daemon.domain.ports import SeriesNeed
from dudzian_daemon.domain.records import CycleRecord, PositionChange
from dudzian_daemon.domain.round_trips import RoundTrips
from dudzian_daemon.domain.statistics import Activity, Statistics, summarise
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import WindowRows

#: Equities of cycles are kept exact until there are this many, then as floats.
_CHUNK: Final = 4096


class CycleEquity:
    """Equity after every cycle, as two columns: instants (ns) and floats. Several cycles may share an instant."""

    def __init__(self) -> None:
        self.instants = array("q")
        self._floats = array("d")
        self._exact: list[Decimal] = []

    def add(self, instant: int, equity: Decimal) -> None:
        """Note one cycle."""
        self.instants.append(instant)
        self._exact.append(equity)
        if len(self._exact) >= _CHUNK:
            self._settle()

    @property
    def values(self) -> array[float]:
        """The equities."""
        self._settle()
        return self._floats

    def _settle(self) -> None:
        self._floats.extend(map(float, self._exact))
        self._exact.clear()


class Account:
    """Equity and activity of one strategy, or of all: what it has is `opening` plus its own cash flow plus its marked positions."""

    def __init__(self) -> None:
        self.daily: list[Decimal] = []
        self.profits: list[Decimal] = []
        self.traded = self.fees = self.slippage = ZERO
        self.held_ns = 0
        self._open = 0
        self._since = 0

    def start(self, instant: int) -> None:
        """Time passes from here on."""
        self._since = instant

    def pass_time(self, instant: int) -> None:
        """Time has passed up to `instant`."""
        if self._open:
            self.held_ns += instant - self._since
        self._since = instant

    def add(self, fill: Fill, *, opened: int) -> None:
        """Take a fill that changed the number of open positions by `opened`."""
        self.pass_time(fill.filled_at)
        self._open += opened
        self.traded += fill.quantity * fill.price
        self.fees += fill.fee
        self.slippage += fill.quantity * fill.slippage

    def statistics(self, opening: Decimal, elapsed_ns: int) -> Statistics:
        """The figures of this account on `opening` equity over `elapsed_ns` of market time."""
        activity = Activity(
            profits=self.profits,
            traded=self.traded,
            fees=self.fees,
            slippage=self.slippage,
            held_ns=self.held_ns,
            elapsed_ns=elapsed_ns,
        )
        return summarise(opening, self.daily, activity)


class Performance:
    """Call `begin_window`, then `see` before each tick is driven, `add` with each cycle, and `end_window`; all under exact money."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.opening = core.ledger.equity
        self.counts = Counts()
        self.trips = RoundTrips()
        self.by_cycle = CycleEquity()
        self.total = Account()
        self.strategies = {name: Account() for name in core.spec.strategies}
        #: The most candles of a series that came in one window, with the history before it: a gap begins to count anew.
        self.most_candles: dict[Series, int] = {}
        self.days: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self._day: int | None = None
        self._day_end = 0
        self._began = 0

    @property
    def elapsed_ns(self) -> int:
        """Market time inside the windows."""
        return sum(end - start for start, end in self.spans)

    def begin_window(self, found: WindowRows) -> None:
        """Note what there is of each series."""
        for series, rows in found.rows.items():
            count = len(rows) + len(found.history[series])
            self.most_candles[series] = max(count, self.most_candles.get(series, 0))

    def never_warm(self) -> Iterator[tuple[str, SeriesNeed, int]]:
        """Schedules of which no unit can have decided: the first series that was too short, and how many candles it had."""
        for name, units in self._core.strategies.units.items():
            short = [[need for need in unit.needs if self.most_candles.get(need.series, 0) < need.warm_up] for unit in units]
            if all(short):
                yield name, short[0][0], self.most_candles.get(short[0][0].series, 0)

    def see(self, tick: Tick) -> None:
        """Note the days that have ended before `tick`; a close at midnight still belongs to the day that ends then."""
        if tick.instant >= self._day_end and tick.phase is not Phase.REVISION:
            self._turn_days(tick.instant, tick.phase)

    def add(self, record: CycleRecord) -> None:
        """Take one cycle."""
        self.counts.add(record)
        self.by_cycle.add(record.instant, record.equity)
        if record.fills:
            for fill, change in zip(record.fills, record.positions, strict=True):
                self._add_fill(fill, change)

    def end_window(self, instant: int) -> None:
        """No time passes from `instant` until the next window, and what came at its end is of its last day."""
        if self._day is None:
            return
        for account in self._accounts():
            account.pass_time(instant)
        self._note_day(self._day)
        self.spans.append((self._began, instant))
        self._day, self._day_end = None, 0

    def _turn_days(self, instant: int, phase: Phase) -> None:
        day = instant // DAY_NS
        if instant == day * DAY_NS and phase <= Phase.TIMER:
            day -= 1
        if self._day is None:
            self._day, self._began = day, instant
            for account in self._accounts():
                account.start(instant)
        for ended in range(self._day, day):
            self._note_day(ended)
        self._day = max(day, self._day)
        self._day_end = (self._day + 1) * DAY_NS

    def _note_day(self, day: int) -> None:
        self.days.append(day)
        self.total.daily.append(self._core.ledger.equity)
        marked = dict.fromkeys(self.strategies, self.opening)
        for (strategy, instrument), book in self._core.ledger.books.items():
            marked[strategy] += book.realised - book.cost
            if book.quantity:
                marked[strategy] += book.quantity * self._price(instrument)
        for strategy, account in self.strategies.items():
            account.daily.append(marked[strategy] - account.fees)

    def _price(self, instrument: str) -> Decimal:
        mark = self._core.ledger.prices.last_price(instrument)
        if mark is None:
            msg = f"{instrument} has no price, but something was filled at one"
            raise LookupError(msg)
        return mark.price

    def _add_fill(self, fill: Fill, change: PositionChange) -> None:
        before = self.trips.held.get((fill.strategy, fill.instrument))
        opened = bool(change.quantity) - bool(before is not None and before.quantity)
        trip = self.trips.add(fill, change)
        for account in (self.total, self.strategies[fill.strategy]):
            account.add(fill, opened=opened)
            if trip is not None:
                account.profits.append(trip.profit)

    def _accounts(self) -> Iterator[Account]:
        yield self.total
        yield from self.strategies.values()
