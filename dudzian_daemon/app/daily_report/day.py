"""One UTC day of a recorded session in numbers: folded from its journal, so that it can be told for any past day, by anyone.

Instants are event time. A day holds the cycles whose instant lies in [midnight, next midnight); what is decided on the close of
the last bar of a day is stamped with the midnight after it, and belongs to the day that begins.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.journal_reader import Cycle
from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.domain.counts import Counts
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.market import DAY_NS, Book, Candle, Gap, OpenPrint, Quote, Series
from dudzian_daemon.domain.money import ZERO, plain
from dudzian_daemon.domain.orders import Outcome, RefusalCode
from dudzian_daemon.domain.records import CycleRecord, PositionChange
from dudzian_daemon.domain.round_trips import OpenPosition, RoundTrip, RoundTrips
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.sinks.ledger import ledger_lines
from dudzian_daemon.sinks.projections import decision_events

SCHEMA: Final = "dudzian.daily_summary/1"
_DATA_CODES: Final = (RefusalCode.STALE_DATA, RefusalCode.NO_REFERENCE_PRICE)


class Exposure(msgspec.Struct, kw_only=True):
    """Value of all positions at their last prices (cost where none was seen), in the valuation asset; `share` of equity."""

    opening: Decimal = ZERO
    closing: Decimal = ZERO
    highest: Decimal = ZERO
    highest_share: float = 0.0


class DataQuality(msgspec.Struct, kw_only=True):
    """What the day's data was like: candles seen, bars declared missing by series, refusals for want of a fresh price."""

    candles: int = 0
    gaps: int = 0
    missing_bars: dict[str, int] = {}
    data_refusals: int = 0
    synthetic_candles: int = 0


class DailySummary(Counts, kw_only=True):
    """Schema `dudzian.daily_summary/1` (docs/reference/daily-report.md). Amounts are exact, in the valuation asset.

    `max_drawdown` is the day's deepest fall below the highest equity of the session so far, as a share of it; `realised` is before
    fees, `alerts` counts those of the day by severity.
    """

    schema: str = SCHEMA
    environment: str
    artifact: str
    report_date: str
    timezone: str = "UTC"
    log_id: str
    first_sequence: int = 0
    last_sequence: int = 0
    last_line_hash: str = ""
    content_chain: str = ""
    ledger_rows: int = 0
    decision_events: int = 0
    traded_notional: Decimal = ZERO
    fees_paid: Decimal = ZERO
    slippage_paid: Decimal = ZERO
    realised: Decimal = ZERO
    opening_equity: Decimal = ZERO
    closing_equity: Decimal = ZERO
    closing_cash: Decimal = ZERO
    max_drawdown: float = 0.0
    exposure: Exposure
    round_trips: int = 0
    winners: int = 0
    open_positions: list[OpenPosition] = msgspec.field(default_factory=list)
    risk_events: int = 0
    data_quality: DataQuality
    alerts: dict[str, int] = msgspec.field(default_factory=dict)


class Day(msgspec.Struct, kw_only=True):
    """The summary with the rows behind it. Curves are (instant, value) of the whole session up to the end of the day."""

    summary: DailySummary
    ledger: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    equity: list[tuple[int, float]] = []
    exposure: list[tuple[int, float]] = []
    round_trips: list[RoundTrip] = []
    refusals: list[dict[str, str]] = []
    risk_changes: list[dict[str, str]] = []
    alerts: list[dict[str, Any]] = []

    @property
    def start(self) -> int:
        """First instant of the day."""
        return midnight_ns(date.fromisoformat(self.summary.report_date))

    @property
    def end(self) -> int:
        """First instant after the day."""
        return self.start + DAY_NS


class DayFold:
    """Takes the cycles of a session in order, up to the end of the day. To be used under `exact_money`."""

    def __init__(self, *, environment: str, artifact: str, log_id: str, day: date, timezone: str = "UTC") -> None:
        self._environment = environment
        self._start = midnight_ns(day)
        self.end = self._start + DAY_NS
        self._trips = RoundTrips()
        self._marks: dict[str, Decimal] = {}
        self._positions: dict[tuple[str, str], PositionChange] = {}
        self._peak = ZERO
        self._before: CycleRecord | None = None
        self._durable: list[CycleDurable] = []
        summary = DailySummary(
            environment=environment,
            artifact=artifact,
            report_date=day.isoformat(),
            timezone=timezone,
            log_id=log_id,
            exposure=Exposure(),
            data_quality=DataQuality(),
        )
        self.day = Day(summary=summary)

    def followed_by(self, day: date) -> DayFold:
        """The fold of a later day, which knows what this one knows of the session but its curves. This one takes no more."""
        told = self.day.summary
        after = DayFold(environment=self._environment, artifact=told.artifact, log_id=told.log_id, day=day, timezone=told.timezone)
        after._trips.restore(self._trips.export())
        after._marks, after._positions, after._peak, after._before = self._marks, self._positions, self._peak, self._before
        return after

    def add(self, cycle: Cycle, content: str) -> None:
        """Take one cycle; `content` is the content link after its line."""
        record, day = cycle.record, self.day
        if self._before is None:
            self._peak = record.equity
        within = record.instant >= self._start
        if within:
            self._begin(record)
        self._follow(record)
        exposure = self._exposure()
        day.equity.append((record.instant, float(record.equity)))
        day.exposure.append((record.instant, float(exposure)))
        done = len(self._trips.done)
        for fill, change in zip(record.fills, record.positions, strict=True):
            self._trips.add(fill, change)
        if within:
            self._take(cycle, exposure)
            day.round_trips += self._trips.done[done:]
            day.summary.last_line_hash, day.summary.content_chain = cycle.line_hash, content
        self._before = record

    def finish(self) -> Day:
        """The day as it stands after the last cycle, with its rows, which a day that nobody asks for is spared. To be called once."""
        summary = self.day.summary
        for durable in self._durable:
            self.day.ledger += [line for _, line in ledger_lines(durable, self._environment)]
            self.day.decisions += decision_events(durable, self._environment)
        summary.ledger_rows, summary.decision_events = len(self.day.ledger), len(self.day.decisions)
        summary.round_trips = len(self.day.round_trips)
        summary.winners = sum(trip.profit > 0 for trip in self.day.round_trips)
        summary.open_positions = self._trips.still_open()
        for part in (summary, summary.exposure):
            for name, value in msgspec.structs.asdict(part).items():
                if isinstance(value, Decimal):
                    setattr(part, name, plain(value))
        return self.day

    def _begin(self, record: CycleRecord) -> None:
        summary = self.day.summary
        if not summary.first_sequence:
            summary.first_sequence = record.sequence
            summary.opening_equity = (self._before or record).equity
            summary.exposure.opening = summary.exposure.highest = self._exposure()

    def _follow(self, record: CycleRecord) -> None:
        for item in record.inputs:
            if isinstance(item, OpenPrint):
                self._marks[item.instrument] = Decimal(repr(item.price))
            elif isinstance(item, Candle):
                self._marks[item.instrument] = Decimal(repr(item.close))
            elif isinstance(item, Quote | Book):
                quote = item.best if isinstance(item, Book) else item
                self._marks[item.instrument] = (Decimal(repr(quote.bid)) + Decimal(repr(quote.ask))) / 2
        for change in record.positions:
            self._positions[(change.strategy, change.instrument)] = change
        self._peak = max(self._peak, record.equity)

    def _exposure(self) -> Decimal:
        return sum((self._value(change) for change in self._positions.values() if change.quantity), ZERO)

    def _value(self, change: PositionChange) -> Decimal:
        mark = self._marks.get(change.instrument)
        return abs(change.cost) if mark is None else abs(change.quantity) * mark

    def _take(self, cycle: Cycle, exposure: Decimal) -> None:
        record, summary = cycle.record, self.day.summary
        summary.add(record)
        summary.last_sequence, summary.closing_equity, summary.closing_cash = record.sequence, record.equity, record.cash
        summary.traded_notional += sum((fill.quantity * fill.price for fill in record.fills), ZERO)
        summary.fees_paid += sum((fill.fee for fill in record.fills), ZERO)
        summary.slippage_paid += sum((fill.quantity * fill.slippage for fill in record.fills), ZERO)
        summary.realised += sum((entry.realised for entry in record.entries), ZERO)
        summary.exposure.closing = exposure
        summary.exposure.highest = max(summary.exposure.highest, exposure)
        if record.equity > 0:
            summary.exposure.highest_share = max(summary.exposure.highest_share, round(float(exposure) / float(record.equity), 6))
        if self._peak > 0:
            summary.max_drawdown = max(summary.max_drawdown, round(float(self._peak - record.equity) / float(self._peak), 6))
        self._judge_data(record)
        durable = CycleDurable(record=record, log_id=cycle.log_id, line=cycle.line, line_hash=cycle.line_hash, duration_s=0.0)
        self._durable.append(durable)
        self._tell(record)

    def _judge_data(self, record: CycleRecord) -> None:
        quality = self.day.summary.data_quality
        for item in record.inputs:
            if isinstance(item, Candle):
                quality.candles += 1
                quality.synthetic_candles += item.synthetic
            elif isinstance(item, Gap):
                quality.gaps += 1
                series = f"{item.instrument} {item.granularity}"
                quality.missing_bars[series] = quality.missing_bars.get(series, 0) + _bars(item)
        quality.data_refusals += sum(verdict.code in _DATA_CODES for verdict in record.verdicts)

    def _tell(self, record: CycleRecord) -> None:
        signals = {signal.id: signal for signal in record.signals}
        for verdict in record.verdicts:
            if verdict.outcome is Outcome.REFUSED and verdict.code is not None:
                signal = signals.get(verdict.signal_id)
                self.day.refusals.append(
                    {
                        "time": iso_utc(record.instant),
                        "strategy": "" if signal is None else signal.strategy,
                        "instrument": "" if signal is None else signal.instrument,
                        "code": verdict.code.value,
                        "rule": verdict.rule,
                    }
                )
        for change in record.risk:
            told = {"time": iso_utc(record.instant), "profile": change.profile, "change": change.change, "rule": change.rule}
            self.day.risk_changes.append(told)
        self.day.summary.risk_events += sum(change.change != "day_rolled" for change in record.risk)


def _bars(gap: Gap) -> int:
    return (gap.end - gap.start) // Series(gap.instrument, gap.granularity).step_ns


def day_of(instant: int) -> date:
    """The UTC day of an instant (ns)."""
    return date(1970, 1, 1) + timedelta(days=instant // DAY_NS)


def local_text(instant_text: str, zone: Any) -> str:
    """`2024-01-31T23:59:59.000000Z` in the time of `zone`, with its distance from UTC."""
    return datetime.fromisoformat(instant_text).astimezone(zone).isoformat(timespec="seconds")
