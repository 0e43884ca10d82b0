"""A session at a desk: the real core behind the real driver, a strategy that says what it is told, and every record kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Input, OpenPrint, Phase, Quote, Series, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Fill, Intent, OrderResult, Signal, Verdict
from dudzian_daemon.domain.ports import MarketView, SeriesNeed, Strategy
from dudzian_daemon.domain.records import CycleRecord, RiskChange, StrategyFault
from dudzian_daemon.testing.market import START_NS, candles, instrument, limits, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.timeline import candle_ticks

BTC, ETH = instrument("BTC"), instrument("ETH")
BTC_1H, ETH_1H, BTC_1D = Series(BTC.key, "1h"), Series(ETH.key, "1h"), Series(BTC.key, "1d")
#: Position sizes far from every other limit, so that a test meets the one limit it is about.
WIDE = limits(max_position_pct=Decimal(1), max_daily_loss_pct=Decimal("0.9"), hard_drawdown_pct=Decimal("0.9"))


def hour(number: int, day: int = 0) -> int:
    """The instant `number` hours into day `day`."""
    return START_NS + day * DAY_NS + number * HOUR_NS


class Seen(msgspec.Struct):
    """Ends of the candles a unit was given."""

    ends: list[int] = []


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


class Scripted:
    """Says at an instant what the script holds for it; keeps the views it was shown and the gaps it was told of."""

    Params = NoParams
    legs = 1
    takes_quotes = False

    def __init__(self, script: Mapping[int, Sequence[Signal]] | None = None, *, warm_up: int = 1) -> None:
        self.script = script or {}
        self.warm_up = warm_up
        self.views: list[MarketView] = []
        self.states: list[tuple[int, ...]] = []

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return (SeriesNeed(Series(instruments[0], granularity), self.warm_up),)

    def new_state(self) -> Seen:
        return Seen()

    def on_candle(self, state: Seen, candle: Candle) -> None:
        state.ends.append(candle.end)

    def on_gap(self, state: Seen, series: Series, start: int, end: int) -> bool:
        return True

    def decide(self, state: Seen, view: MarketView) -> Sequence[Signal]:
        self.views.append(view)
        self.states.append(tuple(state.ends))
        return [signal for signal in self.script.get(view.instant, ()) if signal.instrument in view.positions]


def enter(key: str = BTC.key, **fields: Any) -> Signal:
    return Signal(instrument=key, intent=Intent.ENTER, reason="told to", **fields)


def leave(key: str = BTC.key, **fields: Any) -> Signal:
    return Signal(instrument=key, intent=Intent.EXIT, reason="told to", **fields)


class Desk:
    """Plays inputs into a session and keeps what came of them."""

    def __init__(self, session: SessionSpec) -> None:
        with exact_money():
            self.core = Core(session)
        self.driver = Driver(self.core)
        self.records: list[CycleRecord] = []
        self.fed: list[Input] = []

    def feed(self, *series: Sequence[Candle]) -> list[CycleRecord]:
        """Candles as the feed would release them."""
        rows = {Series(each[0].instrument, each[0].granularity): each for each in series}
        return self.ticks(candle_ticks(rows))

    def ticks(self, ticks: Iterable[Tick]) -> list[CycleRecord]:
        """Ticks as they are; returns the cycles of this call."""
        before = len(self.records)
        with exact_money():
            for tick in ticks:
                self.fed.extend(tick.inputs)
                self.records.extend(self.driver.advance(tick))
        return self.records[before:]

    def command(self, name: str, *, now: int = 0, **arguments: str) -> CycleRecord:
        """A command; returns its cycle."""
        with exact_money():
            self.records.extend(self.driver.command(f"c{len(self.records)}", name, arguments, now=now))
        return self.records[-1]

    def snapshot(self) -> list[CycleRecord]:
        """What follows a stop."""
        before = len(self.records)
        with exact_money():
            self.records.extend(self.driver.snapshot())
        return self.records[before:]

    @property
    def fills(self) -> list[Fill]:
        return [fill for record in self.records for fill in record.fills]

    @property
    def signals(self) -> list[Signal]:
        return [signal for record in self.records for signal in record.signals]

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for record in self.records for verdict in record.verdicts]

    @property
    def results(self) -> list[OrderResult]:
        return [result for record in self.records for result in record.results]

    @property
    def risk(self) -> list[RiskChange]:
        return [change for record in self.records for change in record.risk]

    @property
    def faults(self) -> list[StrategyFault]:
        return [fault for record in self.records for fault in record.faults]

    def at(self, instant: int, phase: Phase) -> CycleRecord:
        """The one cycle of this instant and phase."""
        (record,) = [each for each in self.records if (each.instant, each.phase) == (instant, phase)]
        return record


def desk(
    script: Mapping[int, Sequence[Signal]] | None = None, *, strategy: Strategy | None = None, granularity: str = "1h", **changes: Any
) -> Desk:
    """One strategy on BTC, scripted unless given, under limits that a test does not meet by accident."""
    session: dict[str, Any] = {"profiles": {"balanced": WIDE}} | changes
    plan = schedule("told", [BTC], granularity=granularity, **session.pop("schedule", {}))
    return Desk(spec({"told": strategy or Scripted(script)}, [plan], [BTC], **session))


def flat_hours(count: int, price: float = 100.0, *, series: Series = BTC_1H, start: int = START_NS) -> list[Candle]:
    return candles(series, [price] * count, start=start)


def open_tick(instant: int, price: float, key: str = BTC.key, granularity: str = "1h") -> Tick:
    return Tick(instant, Phase.OPEN, (OpenPrint(instant, key, granularity, price),))


def quote_tick(instant: int, bid: float, ask: float, key: str = BTC.key) -> Tick:
    return Tick(instant, Phase.QUOTE, (Quote(instant, key, bid, ask, 1000.0, 1000.0),))


def close_tick(*closed: Candle) -> Tick:
    return Tick(closed[0].instant, Phase.CLOSE, closed)
