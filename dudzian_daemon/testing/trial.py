"""A plugin on trial: its units in the real core on given candles, so far from every limit that only the plugin speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from traceback import walk_tb

import msgspec

from dudzian_daemon.domain.market import Candle, Gap, Instrument, Phase, Series, Tick, WarmUp
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Fill, Signal
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.differences import one_line
from dudzian_daemon.testing.market import limits, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.timeline import candle_ticks

#: Prices and quantities fine enough for any coin.
FINE = Decimal("1e-12")
NAME = "tried"

Rows = Mapping[Series, Sequence[Candle]]


class Fault(msgspec.Struct, frozen=True):
    """What the plugin raised (or returned wrongly), where, and at which instant (ns)."""

    instant: int
    text: str


class Trial:
    """One session of one strategy; `make` gives the strategy, `traded` are the instrument keys, a multiple of its legs."""

    def __init__(self, make: Callable[[], Strategy], traded: Sequence[str], granularity: str) -> None:
        self.make = make
        with exact_money():
            self.core = Core(_wide_spec(make(), [_instrument(key) for key in traded], granularity))
        self.core.strategies.on_fault = self._hear
        self.units = self.core.strategies.units[NAME]
        self.driver = Driver(self.core)
        self.records: list[CycleRecord] = []
        self.faults: list[Fault] = []
        self._raised: list[str] = []

    @property
    def signals(self) -> list[Signal]:
        """Everything the plugin has said, in order."""
        return [signal for record in self.records for signal in record.signals]

    @property
    def fills(self) -> list[Fill]:
        """Everything that was filled, in order."""
        return [fill for record in self.records for fill in record.fills]

    def warm_up(self, rows: Rows, instant: int) -> None:
        """Give history, as a daemon does at its start; nobody is asked to decide on it."""
        history = {f"{series.instrument} {series.granularity}": each for series, each in rows.items() if each}
        inputs = [
            WarmUp(instant, each[0].instrument, each[0].granularity, each[0].end, instant, len(each), digest)
            for digest, each in sorted(history.items())
        ]
        if inputs:
            self._take(Tick(instant, Phase.REVISION, tuple(inputs), history))

    def play(self, rows: Rows, *, saved: bool = False) -> Trial:
        """Feed candles as the feed releases them; `saved`: before each input the plugin is made anew and its `State` read back."""
        for tick in candle_ticks(rows):
            if saved:
                self._save_and_load()
            self._take(tick)
        return self

    def tell_gap(self, rows: Rows, instant: int) -> None:
        """Say of these candles that they will never come; told at `instant`."""
        gaps = [
            Gap(instant, series.instrument, series.granularity, each[0].end, each[-1].end + 1)
            for series, each in sorted(rows.items())
            if each
        ]
        if gaps:
            self._take(Tick(instant, Phase.REVISION, tuple(gaps)))

    def _save_and_load(self) -> None:
        fresh = self.make()
        for unit in self.units:
            unit.strategy = fresh
            unit.state = msgspec.json.decode(msgspec.json.encode(unit.state), type=type(unit.state))

    def _take(self, tick: Tick) -> None:
        with exact_money():
            for record in self.driver.advance(tick):
                self.records.append(record)
                for fault, text in zip(record.faults, self._raised, strict=True):
                    self.faults.append(Fault(record.instant, f"{fault.where}: {text}"))
                self._raised.clear()

    def _hear(self, error: BaseException) -> None:
        """The core keeps the class of an exception; the author of a plugin wants its text and the line of his that led to it."""
        own = getattr(type(self.units[0].strategy).decide, "__code__", None)  # whatever can be called may stand there
        lines = [line for frame, line in walk_tb(error.__traceback__) if own and frame.f_code.co_filename == own.co_filename]
        self._raised.append(f"{one_line(error)} (line {lines[-1]})" if lines else one_line(error))


def _wide_spec(strategy: Strategy, traded: Sequence[Instrument], granularity: str) -> SessionSpec:
    """A session of this strategy alone, with money for everything, shorts included, under limits that nothing reaches."""
    unbound = limits(
        max_position_pct=Decimal(1),
        max_daily_loss_pct=Decimal(1),
        hard_drawdown_pct=Decimal(1),
        max_leverage=Decimal(1000),
        max_open_positions=1_000_000,
    )
    plan = schedule(NAME, traded, granularity=granularity, max_signals=1_000_000)
    return spec(
        {NAME: strategy},
        [plan],
        traded,
        profiles={"balanced": unbound},
        valuation_asset=traded[0].quote,
        opening_balance=Decimal(10**9),
        allow_short=True,
        leverage=Decimal(3),
    )


def _instrument(key: str) -> Instrument:
    venue, _, symbol = key.partition(":")
    base, _, quote = symbol.partition("/")
    return Instrument(venue, symbol, base, quote, tick_size=FINE, lot_size=FINE, min_quantity=FINE, min_notional=FINE)
