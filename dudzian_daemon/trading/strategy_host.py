"""Runs the plugins' code inside the core: feeds candles, keeps `State` and position facts, fences every call.

What a plugin raises or returns wrongly becomes a recorded fault and costs nobody else anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final, TypeVar, TypeVarTuple

import msgspec

from dudzian_daemon.domain.market import Candle, Gap, Quote, Series
from dudzian_daemon.domain.orders import Fill, Signal
from dudzian_daemon.domain.ports import Position, SeriesNeed
from dudzian_daemon.domain.records import PositionChange, StrategyChange, StrategyFault
from dudzian_daemon.trading.spec import Schedule, SessionSpec
from dudzian_daemon.trading.strategy_unit import Unit, UnitMemory

SUSPENDED: Final = "suspended"
QUARANTINED: Final = "quarantined"
_FRESH: Final = attrgetter("fresh")
_encode: Final = msgspec.json.Encoder().encode

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class HostMemory(msgspec.Struct, frozen=True, kw_only=True):
    """All units, recorded faults by strategy, and which strategies do not decide."""

    units: tuple[UnitMemory, ...]
    faults: dict[str, int]
    inactive: dict[str, str]


class StrategyHost:
    """All units of a session, by the series they take and the schedule they run on."""

    def __init__(self, spec: SessionSpec) -> None:
        self.units: dict[str, tuple[Unit, ...]] = {}
        self._by_series: dict[tuple[str, str], list[tuple[Series, Unit]]] = {}
        self._by_position: dict[tuple[str, str], Unit] = {}
        self._by_quote: dict[str, list[Unit]] = {}
        self._quarantine_after = spec.quarantine_after
        self._faults: Counter[str] = Counter()
        #: Strategies that were quarantined for their faults since `take_changes`.
        self.changes: list[StrategyChange] = []
        #: Strategies that do not decide, and why: `suspended` or `quarantined`.
        self.inactive: dict[str, str] = dict.fromkeys(spec.quarantined, QUARANTINED)
        #: The unit whose code runs now, and how often plugin code was called: what a watchdog names when it does not come back. Both
        #: the same as before, and a unit: the thread has not left that call in between.
        self.running: Unit | None = None
        self.calls = 0
        #: Told of every exception a plugin let out: its text and stack are wall fields and no matter of the core's.
        self.on_fault: Callable[[BaseException], object] | None = None
        for schedule in spec.schedules:
            strategy = spec.strategies[schedule.strategy]
            self.units[schedule.name] = tuple(Unit(schedule, strategy, legs) for legs in _in_legs(schedule.instruments, strategy.legs))
        self._all = [unit for units in self.units.values() for unit in units]
        for unit in self._all:
            for need in unit.needs:
                self._by_series.setdefault((need.series.instrument, need.series.granularity), []).append((need.series, unit))
            for instrument in unit.instruments:
                self._by_position[(unit.schedule.strategy, instrument)] = unit
                if unit.strategy.takes_quotes:
                    self._by_quote.setdefault(instrument, []).append(unit)

    def export(self) -> HostMemory:
        """All of it, to be restored. Raises `TypeError` for a `State` that is no data."""
        return HostMemory(units=tuple(unit.export() for unit in self._all), faults=dict(self._faults), inactive=dict(self.inactive))

    def restore(self, memory: HostMemory) -> None:
        """Be as the host was that said so; units that it did not have start anew. Raises `msgspec.DecodeError`."""
        known = {(each.strategy, each.instruments): each for each in memory.units}
        for unit in self._all:
            found = known.get((unit.schedule.strategy, unit.instruments))
            if found is not None:
                unit.restore(found)
        self._faults, self.inactive = Counter(memory.faults), dict(memory.inactive)

    def unreadable(self, memory: HostMemory) -> list[str]:
        """Units whose `State` would not come back from `memory` as it is."""
        kinds = {(unit.schedule.strategy, unit.instruments): type(unit.state) for unit in self._all}
        return [f"{each.strategy}[{','.join(each.instruments)}]" for each in memory.units if not _comes_back(each, kinds)]

    def on_candle(self, candle: Candle) -> list[StrategyFault]:
        """Give one released candle to every unit that takes its series."""
        faults: list[StrategyFault] = []
        for series, unit in self._by_series.get((candle.instrument, candle.granularity), ()):
            self._fenced(faults, unit, "on_candle", unit.take, series, candle)
        return faults

    def on_quote(self, quote: Quote) -> None:
        """Keep the latest quote for the units that decide on quotes; it is new data for them."""
        for unit in self._by_quote.get(quote.instrument, ()):
            unit.quotes[quote.instrument] = quote
            unit.fresh = True

    def warm_up(self, candles: Iterable[Candle]) -> list[StrategyFault]:
        """Give history: states move, nobody is asked to decide on it."""
        faults = [fault for candle in candles for fault in self.on_candle(candle)]
        for unit in self._all:
            unit.fresh = False
        return faults

    def on_gap(self, gap: Gap) -> list[StrategyFault]:
        """Tell every unit that takes the series; it is reset if the plugin wants that or fails."""
        faults: list[StrategyFault] = []
        for series, unit in self._by_series.get((gap.instrument, gap.granularity), ()):
            if self._fenced(faults, unit, "on_gap", unit.strategy.on_gap, unit.state, series, gap.start, gap.end) is not False:
                self._fenced(faults, unit, "new_state", unit.reset)
        return faults

    def decide(self, schedule: Schedule, instant: int) -> tuple[list[Signal], list[StrategyFault]]:
        """Signals of every unit of a due schedule that is warm and has a new candle since it last decided.

        Stamped, and in the order in which they are judged: confidence descending, instrument, n.
        """
        signals: list[Signal] = []
        faults: list[StrategyFault] = []
        for unit in self.units[schedule.name]:
            if not unit.fresh or not unit.warm or unit.schedule.strategy in self.inactive:
                continue
            unit.fresh = False
            spoken = self._fenced(faults, unit, "decide", unit.decide, instant)
            if spoken:
                signals.extend(stamp(signal, schedule, instant, number) for number, signal in enumerate(spoken))
        if len(signals) > 1:
            signals.sort(key=lambda signal: (-signal.confidence, signal.instrument))
        return signals, faults

    def has_new_data(self, schedule: Schedule) -> bool:
        """True if any unit of the schedule saw a candle since it last decided."""
        return any(map(_FRESH, self.units[schedule.name]))

    def cold(self) -> Iterator[tuple[str, SeriesNeed, int]]:
        """Schedules of which no unit is warm: a series that one lacks candles of, and how many it has seen."""
        for name, units in self.units.items():
            lacking = [unit.lacking for unit in units]
            if all(lacking) and (first := lacking[0]):
                yield name, *first

    def take_changes(self) -> list[StrategyChange]:
        """The `changes` there were; from now on there are none."""
        changes, self.changes = self.changes, []
        return changes

    def set_inactive(self, strategy: str, change: str, reason: str) -> StrategyChange:
        """Suspend (it sees candles, decides nothing) or quarantine (its code is not called) a strategy."""
        self.inactive[strategy] = change
        return StrategyChange(strategy=strategy, change=change, reason=reason)

    def resume(self, strategy: str, reason: str) -> tuple[StrategyChange, list[StrategyFault]]:
        """Let a strategy decide again; one that was quarantined has missed candles and warms up anew."""
        faults: list[StrategyFault] = []
        if self.inactive.pop(strategy, None) == QUARANTINED:
            self._faults[strategy] = 0
            for unit in (unit for unit in self._all if unit.schedule.strategy == strategy):
                self._fenced(faults, unit, "new_state", unit.reset)
        return StrategyChange(strategy=strategy, change="resumed", reason=reason), faults

    def schedule_of(self, strategy: str, instrument: str) -> Schedule:
        """The one schedule under which the strategy trades the instrument."""
        return self._by_position[(strategy, instrument)].schedule

    def latest_candle(self, schedule: Schedule, instrument: str) -> Candle | None:
        """Latest candle the schedule has of the instrument."""
        unit = self._by_position[(schedule.strategy, instrument)]
        return unit.latest.get(unit.traded[instrument])

    def execution_series(self) -> dict[str, str]:
        """The finest granularity anyone takes of each instrument: it drives matching and marking."""
        finest: dict[str, Series] = {}
        for need in (need for unit in self._all for need in unit.needs):
            known = finest.get(need.series.instrument)
            if known is None or need.series.step_ns < known.step_ns:
                finest[need.series.instrument] = need.series
        return {instrument: series.granularity for instrument, series in finest.items()}

    def on_fill(self, fill: Fill, change: PositionChange) -> None:
        """Move the position facts of the unit whose order was filled."""
        unit = self._by_position[(fill.strategy, fill.instrument)]
        if not change.quantity:
            unit.positions[fill.instrument] = Position()
            return
        before = unit.positions[fill.instrument]
        entry_price = float(change.cost) / float(change.quantity)
        base = before if before.quantity else Position(entry_instant=fill.filled_at)
        unit.positions[fill.instrument] = msgspec.structs.replace(base, quantity=float(change.quantity), entry_price=entry_price)

    def _fenced(self, faults: list[StrategyFault], unit: Unit, where: str, call: Callable[[*Ts], T], *arguments: *Ts) -> T | None:
        """The plugin's answer, or None: with a fault on record, or since its strategy is quarantined, which only this asks."""
        if self.inactive and self.inactive.get(unit.schedule.strategy) == QUARANTINED:
            return None
        self.calls += 1
        self.running = unit
        try:
            return call(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a strategy's fault, `exit()` too, is a record, never the core's
            if self.on_fault is not None:
                self.on_fault(error)
            faults.append(StrategyFault(strategy=unit.schedule.strategy, unit=unit.name, where=where, error=type(error).__name__))
            self._count_fault(unit.schedule.strategy)
            return None
        finally:
            self.running = None

    def _count_fault(self, strategy: str) -> None:
        """The one that reaches the limit is the last: from here on the strategy's code is not called, whatever the tick still holds."""
        self._faults[strategy] += 1
        if self._faults[strategy] >= self._quarantine_after:
            self.changes.append(self.set_inactive(strategy, QUARANTINED, "faults"))


def stamp(signal: Signal, schedule: Schedule, instant: int, number: int) -> Signal:
    """The signal with its derived identity: (strategy, instrument, instant, n)."""
    identity = f"{schedule.strategy}/{signal.instrument}/{instant}/{number}"
    return msgspec.structs.replace(signal, id=identity, strategy=schedule.strategy, schedule=schedule.name, instant=instant)


def _comes_back(memory: UnitMemory, kinds: Mapping[tuple[str, tuple[str, ...]], type[msgspec.Struct]]) -> bool:
    try:
        state = msgspec.json.decode(memory.state, type=kinds[memory.strategy, memory.instruments])
    except msgspec.DecodeError:
        return False
    return _encode(state) == bytes(memory.state)


def _in_legs(instruments: tuple[str, ...], legs: int) -> Iterable[tuple[str, ...]]:
    return (instruments[start : start + legs] for start in range(0, len(instruments), legs))
