"""What telemetry says of a run of a schedule, and how cycles are folded into runs. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.indicators import bars_per_year
from dudzian_daemon.domain.market import Book, Candle, OpenPrint, Quote, WarmUp, price_shown
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.trading.spec import Schedule

SCHEMA: Final = "dudzian.scheduler_telemetry/1"


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Ratios are fractions unless they end in `_pct` or `_bps`; an average over nothing is None."""

    schema: str = SCHEMA
    multi_strategy: str
    namespace: str
    environment: str
    scheduler: str
    schedule: str
    strategy: str
    risk_profile: str
    run_id: str
    timestamp: str
    instant: int
    session: str
    sequence: int
    line_hash: str
    dry_run: bool
    latency_ms: float
    drift_ms: float
    drift_exceeded: bool
    drifts: int
    warmup_bars: int
    signals: int
    faults: int
    avg_confidence: float | None
    avg_abs_zscore: float | None
    avg_realized_volatility: float | None
    allocation_error_pct: float | None
    realized_vs_target_vol_pct: float | None
    secondary_delay_ms: float | None
    spread_capture_bps: float | None
    base_max_signals: int
    active_max_signals: int
    portfolio_weight: float
    peak_portfolio_weight: float
    allocation_cap: float


class SchedulerSet(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines say of a scheduler: `namespace` is its `telemetry_namespace`, drift limits are in seconds by schedule."""

    environment: str
    scheduler: str
    namespace: str
    schedules: Mapping[str, Schedule]
    max_drift_seconds: Mapping[str, int]


class MeterMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a meter knows of a session; `told` is the sequence of the last run it has made."""

    prices: dict[str, float]
    held: tuple[tuple[str, str, float], ...]
    weights: dict[str, float]
    peaks: dict[str, float]
    warm: tuple[tuple[str, str, int], ...]
    inactive: tuple[str, ...]
    drifts: dict[str, int]
    told: int


class RunMeter:
    """Folds the cycles of sessions, each from its first one, into runs. No I/O."""

    def __init__(self, known: SchedulerSet, *, dry_run: bool = False) -> None:
        self._known = known
        self._dry_run = dry_run
        self._log_id = ""
        self._begin("")

    def take(self, cycle: CycleDurable) -> list[ScheduleRun]:
        """The runs of one cycle, in the order in which they ran."""
        if cycle.log_id != self._log_id:
            self._begin(cycle.log_id)
        record = cycle.record
        self._note(record)
        if any(name in self._known.schedules for name in record.due):
            self._told = record.sequence
        for name, schedule in self._known.schedules.items():
            weight = self._weights.get(schedule.strategy, 0.0)
            self._peaks[name] = max(self._peaks.get(name, 0.0), weight)
        return [self._run(self._known.schedules[name], cycle) for name in record.due if name in self._known.schedules]

    def _begin(self, log_id: str) -> None:
        self._log_id = log_id
        self._told = 0
        self._prices: dict[str, float] = {}
        self._held: dict[tuple[str, str], float] = {}
        self._weights: dict[str, float] = {}
        self._peaks: dict[str, float] = {}
        self._warm: dict[tuple[str, str], int] = {}
        self._inactive: set[str] = set()
        self._drifts: Counter[str] = Counter()

    def export(self) -> MeterMemory:
        """What it needs to go on with the session."""
        return MeterMemory(
            prices=self._prices,
            held=tuple((*key, quantity) for key, quantity in self._held.items()),
            weights=self._weights,
            peaks=self._peaks,
            warm=tuple((*key, count) for key, count in self._warm.items()),
            inactive=tuple(sorted(self._inactive)),
            drifts=dict(self._drifts),
            told=self._told,
        )

    def restore(self, log_id: str, memory: MeterMemory) -> None:
        """Go on with session `log_id` where the meter was that said so."""
        self._begin(log_id)
        self._prices, self._weights, self._peaks = dict(memory.prices), dict(memory.weights), dict(memory.peaks)
        self._held = {(strategy, instrument): quantity for strategy, instrument, quantity in memory.held}
        self._warm = {(instrument, granularity): count for instrument, granularity, count in memory.warm}
        self._inactive, self._drifts, self._told = set(memory.inactive), Counter(memory.drifts), memory.told

    def _note(self, record: CycleRecord) -> None:
        for item in record.inputs:
            if isinstance(item, Candle | OpenPrint | Quote | Book) and (price := price_shown(item)) is not None:
                self._prices[item.instrument] = price
            elif isinstance(item, WarmUp):
                self._warm[(item.instrument, item.granularity)] = item.count
        for change in record.positions:
            self._held[(change.strategy, change.instrument)] = abs(float(change.quantity))
        for state in record.strategies:
            (self._inactive.discard if state.change == "resumed" else self._inactive.add)(state.strategy)
        equity = float(record.equity)
        self._weights = {}
        for (strategy, instrument), quantity in self._held.items():
            value = quantity * self._prices.get(instrument, 0.0) / equity if quantity and equity > 0 else 0.0
            self._weights[strategy] = self._weights.get(strategy, 0.0) + value

    def _run(self, schedule: Schedule, cycle: CycleDurable) -> ScheduleRun:
        record, name = cycle.record, schedule.name
        signals = [signal for signal in record.signals if signal.schedule == name]
        first = name not in self._drifts
        drift_ms = _drift_ms(0 if first else record.instant % schedule.cadence_ns, cycle.late_s)
        exceeded = drift_ms > self._known.max_drift_seconds[name] * 1_000
        self._drifts[name] += exceeded
        weight, peak = self._weights.get(schedule.strategy, 0.0), self._peaks[name]
        self._peaks[name] = weight
        series = {(instrument, schedule.granularity) for instrument in schedule.instruments}
        timestamp = iso_utc(record.instant)
        return ScheduleRun(
            multi_strategy=self._known.namespace,
            namespace=f"{self._known.environment}.multi_strategy.{name}",
            environment=self._known.environment,
            scheduler=self._known.scheduler,
            schedule=name,
            strategy=schedule.strategy,
            risk_profile=schedule.profile,
            run_id=f"{name}:{timestamp}",
            timestamp=timestamp,
            instant=record.instant,
            session=cycle.log_id,
            sequence=record.sequence,
            line_hash=cycle.line_hash,
            dry_run=self._dry_run,
            latency_ms=cycle.duration_s * 1_000,
            drift_ms=drift_ms,
            drift_exceeded=exceeded,
            drifts=self._drifts[name],
            warmup_bars=min((count for key, count in self._warm.items() if key in series), default=0),
            signals=len(signals),
            faults=sum(fault.strategy == schedule.strategy for fault in record.faults),
            avg_confidence=_mean(signal.confidence for signal in signals),
            avg_abs_zscore=_over(signals, lambda numbers: abs(numbers["zscore"])),
            avg_realized_volatility=_mean(_annual_volatilities(signals, schedule.granularity)),
            allocation_error_pct=_over(signals, _allocation_error),
            realized_vs_target_vol_pct=_over(signals, lambda n: (n["realized_volatility"] / n["target_volatility"] - 1.0) * 100.0),
            secondary_delay_ms=_over(signals, lambda numbers: numbers["secondary_delay_ms"]),
            spread_capture_bps=_over(signals, lambda numbers: (numbers["entry_spread"] - numbers["spread"]) * 10_000.0),
            base_max_signals=schedule.max_signals,
            active_max_signals=0 if schedule.strategy in self._inactive else schedule.max_signals,
            portfolio_weight=weight,
            peak_portfolio_weight=peak,
            allocation_cap=float(schedule.allocation),
        )


def telemetry_path(data_folder: Path) -> Path:
    """Where the telemetry of the daemon on `data_folder` lies."""
    return data_folder / "audit" / "metrics" / "telemetry.jsonl"


def encoded(runs: Iterable[ScheduleRun]) -> bytes:
    """Runs as JSON lines."""
    return b"".join(msgspec.json.encode(run) + b"\n" for run in runs)


def read_run(line: bytes) -> ScheduleRun | None:
    """The run in a line, None if it holds something else."""
    try:
        return msgspec.json.decode(line, type=ScheduleRun)
    except msgspec.DecodeError:
        return None


def _drift_ms(off_grid_ns: int, late_s: float | None) -> float:
    """How long after its grid point a schedule ran: market time that its data was late, and wall time that the machine was.

    The first run of a session is not late by the market: the grid point before it was not the session's.
    """
    return off_grid_ns / 1_000_000 + (late_s or 0.0) * 1_000


def _annual_volatilities(signals: Iterable[Signal], granularity: str) -> Iterator[float]:
    """Annualised; what a strategy tells per bar is scaled by the root of the bars of a year."""
    for signal in signals:
        annual, of_bar = signal.numbers.get("realized_volatility"), signal.numbers.get("volatility")
        if annual is not None:
            yield annual
        elif of_bar is not None:
            yield of_bar * bars_per_year(granularity) ** 0.5


def _allocation_error(numbers: Mapping[str, float]) -> float:
    return abs(numbers["target_allocation"] - numbers["current_allocation"]) / numbers["target_allocation"] * 100.0


def _over(signals: Iterable[Signal], figure: Callable[[Mapping[str, float]], float]) -> float | None:
    """Mean of a figure over the signals that hold its numbers."""
    return _mean(_figures(signals, figure))


def _figures(signals: Iterable[Signal], figure: Callable[[Mapping[str, float]], float]) -> Iterator[float]:
    for signal in signals:
        try:
            yield figure(signal.numbers)
        except (KeyError, ZeroDivisionError):  # the strategy has no such number, or it means nothing
            continue


def _mean(figures: Iterable[float]) -> float | None:
    found = list(figures)
    return sum(found) / len(found) if found else None
