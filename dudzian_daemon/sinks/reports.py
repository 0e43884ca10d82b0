"""The session's report: counts, round trips, fees, equity, all recomputed from released cycles; written when the session ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Fill, OrderStatus, Outcome
from dudzian_daemon.domain.records import CycleRecord, PositionChange
from dudzian_daemon.kernel.clock import iso_utc


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """From flat to flat: `profit` is after fees, in the valuation asset; instants in ns."""

    strategy: str
    instrument: str
    opened_at: int
    closed_at: int
    profit: Decimal
    fees: Decimal


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What was still held at the end."""

    strategy: str
    instrument: str
    quantity: Decimal
    cost: Decimal


class SessionReport(msgspec.Struct, kw_only=True):
    """Schema `dudzian.session_report/1`. Amounts are in the valuation asset, `max_drawdown` is a fraction of the highest equity."""

    schema: str = "dudzian.session_report/1"
    environment: str
    log_id: str
    ended: str = ""
    content_chain: str = ""
    cycles: int = 0
    first_instant: int = 0
    last_instant: int = 0
    signals: int = 0
    approved: int = 0
    adjusted: int = 0
    refused: int = 0
    refusal_codes: dict[str, int] = {}
    orders: int = 0
    fills: int = 0
    faults: int = 0
    fees: Decimal = ZERO
    slippage: Decimal = ZERO
    opening_equity: Decimal = ZERO
    closing_equity: Decimal = ZERO
    max_drawdown: float = 0.0
    round_trips: list[RoundTrip] = []
    open_positions: list[OpenPosition] = []

    @property
    def profit(self) -> Decimal:
        """Change of equity over the session."""
        return self.closing_equity - self.opening_equity

    @property
    def winners(self) -> int:
        """Round trips with a profit after fees."""
        return sum(trip.profit > 0 for trip in self.round_trips)


class _Running(msgspec.Struct):
    opened_at: int
    realised: Decimal
    fees: Decimal


class ReportFold:
    """Adds up cycles, in order."""

    def __init__(self, *, environment: str, log_id: str, opening_equity: Decimal) -> None:
        self.report = SessionReport(environment=environment, log_id=log_id, opening_equity=opening_equity, closing_equity=opening_equity)
        self._peak = opening_equity
        self._running: dict[tuple[str, str], _Running] = {}
        self._held: dict[tuple[str, str], PositionChange] = {}

    def add(self, record: CycleRecord) -> None:
        """Count one cycle."""
        report = self.report
        report.cycles += 1
        report.first_instant = report.first_instant or record.instant
        report.last_instant = record.instant
        report.signals += len(record.signals)
        report.faults += len(record.faults)
        outcomes = Counter(verdict.outcome for verdict in record.verdicts)
        report.approved += outcomes[Outcome.APPROVED]
        report.adjusted += outcomes[Outcome.ADJUSTED]
        report.refused += outcomes[Outcome.REFUSED]
        for verdict in record.verdicts:
            if verdict.outcome is Outcome.REFUSED and verdict.code is not None:
                report.refusal_codes[verdict.code] = report.refusal_codes.get(verdict.code, 0) + 1
        report.orders += sum(result.status is OrderStatus.ACCEPTED for result in record.results)
        for fill, change in zip(record.fills, record.positions, strict=True):
            self._add_fill(fill, change)
        self._mark(record.equity)

    def finish(self, *, ended: str, content_chain: str) -> SessionReport:
        """The report as it stands after the last cycle."""
        self.report.ended = ended
        self.report.content_chain = content_chain
        self.report.open_positions = [
            OpenPosition(strategy=change.strategy, instrument=change.instrument, quantity=change.quantity, cost=change.cost)
            for _, change in sorted(self._held.items())
            if change.quantity
        ]
        return self.report

    def _add_fill(self, fill: Fill, change: PositionChange) -> None:
        key = (fill.strategy, fill.instrument)
        before = self._held.get(key)
        self.report.fills += 1
        self.report.fees += fill.fee
        self.report.slippage += fill.slippage * fill.quantity
        running = self._running.setdefault(key, _Running(fill.filled_at, before.realised if before else ZERO, ZERO))
        running.fees += fill.fee
        self._held[key] = change
        if not change.quantity:
            del self._running[key]
            profit = change.realised - running.realised - running.fees
            self.report.round_trips.append(
                RoundTrip(
                    strategy=fill.strategy,
                    instrument=fill.instrument,
                    opened_at=running.opened_at,
                    closed_at=fill.filled_at,
                    profit=profit,
                    fees=running.fees,
                )
            )

    def _mark(self, equity: Decimal) -> None:
        self.report.closing_equity = equity
        self._peak = max(self._peak, equity)
        if self._peak > 0:
            self.report.max_drawdown = max(self.report.max_drawdown, float((self._peak - equity) / self._peak))


class ReportSink:
    """Adds up the cycles of a running session; `write` leaves `<folder>/<name>.json`."""

    name = "report"

    def __init__(self, follower: CycleFollower, *, environment: str, log_id: str, opening_equity: Decimal) -> None:
        self._follower = follower
        self._fold = ReportFold(environment=environment, log_id=log_id, opening_equity=opening_equity)

    @property
    def report(self) -> SessionReport:
        """As far as it has come."""
        return self._fold.report

    async def run(self) -> None:
        """Consume until the bus is closed."""
        async for batch in self._follower.cycles():
            for cycle in batch:
                self._fold.add(cycle.record)

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()

    async def write(self, folder: Path, name: str, *, ended: str, content_chain: str) -> Path:
        """Write the report; an existing one of the same session is replaced."""
        report = self._fold.finish(ended=ended, content_chain=content_chain)
        path = folder / f"{name}.json"
        await anyio.to_thread.run_sync(_store, path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        return path


def _store(path: Path, data: bytes) -> None:
    ensure_dir(path.parent)
    write_atomic(path, data)


def report_lines(report: SessionReport) -> Iterator[str]:
    """The report as text for people."""
    change = report.profit / report.opening_equity * 100 if report.opening_equity else ZERO
    trips, cycles = len(report.round_trips), report.cycles
    verdicts = f"{report.approved} approved, {report.adjusted} adjusted, {report.refused} refused"
    yield f"environment   {report.environment}    session {report.log_id}"
    yield f"period        {_minute(report.first_instant)} to {_minute(report.last_instant)}, {cycles} cycles, ended by {report.ended}"
    yield f"signals       {report.signals}; verdicts: {verdicts} {_codes(report)}"
    yield f"trades        {report.orders} orders, {report.fills} fills, {trips} round trips, {report.winners} of them winners"
    yield f"costs         fees {report.fees:.2f}, slippage {report.slippage:.2f}"
    yield f"equity        {report.opening_equity:.2f} -> {report.closing_equity:.2f} ({change:+.2f} %)"
    yield f"drawdown      {report.max_drawdown * 100:.2f} % at most"
    for position in report.open_positions:
        yield f"still open    {position.instrument.rpartition(':')[2]} {position.quantity.normalize():f} of {position.strategy}"
    yield f"content chain {report.content_chain}"


def _codes(report: SessionReport) -> str:
    return f"({', '.join(f'{code} {count}' for code, count in sorted(report.refusal_codes.items()))})" if report.refusal_codes else ""


def _minute(instant: int) -> str:
    return iso_utc(instant)[:16].replace("T", " ")
