"""The session's report: counts, round trips, fees, equity, all recomputed from released cycles; written when the session ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from textwrap import wrap
from typing import Final

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.adapters.fold_marks import CYCLES, FoldFile
from dudzian_daemon.domain.counts import Counts, decisions_text
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.domain.round_trips import OpenPosition, RoundTrip, RoundTrips, TripsMemory
from dudzian_daemon.kernel.clock import iso_utc

#: Where the texts of the report's lines begin.
_INDENT: Final = 14


class SessionReport(Counts, kw_only=True):
    """Schema `dudzian.session_report/1`. Amounts are in the valuation asset, `max_drawdown` is a fraction of the highest equity."""

    schema: str = "dudzian.session_report/1"
    environment: str
    log_id: str
    ended: str = ""
    content_chain: str = ""
    first_instant: int = 0
    last_instant: int = 0
    fees: Decimal = ZERO
    slippage: Decimal = ZERO
    opening_equity: Decimal = ZERO
    closing_equity: Decimal = ZERO
    max_drawdown: float = 0.0
    round_trips: list[RoundTrip] = msgspec.field(default_factory=list)
    open_positions: list[OpenPosition] = msgspec.field(default_factory=list)

    @property
    def profit(self) -> Decimal:
        """Change of equity over the session."""
        return self.closing_equity - self.opening_equity

    @property
    def winners(self) -> int:
        """Round trips with a profit after fees."""
        return sum(trip.profit > 0 for trip in self.round_trips)


class ReportMemory(msgspec.Struct, frozen=True):
    """A report as far as it has come, and what it needs to go on; `peak` is the highest equity."""

    report: SessionReport
    trips: TripsMemory
    peak: Decimal


class ReportFold:
    """Adds up cycles, in order."""

    def __init__(self, *, environment: str, log_id: str, opening_equity: Decimal) -> None:
        self._trips = RoundTrips()
        self._peak = opening_equity
        self.report = SessionReport(
            environment=environment,
            log_id=log_id,
            opening_equity=opening_equity,
            closing_equity=opening_equity,
            round_trips=self._trips.done,
        )

    def add(self, record: CycleRecord) -> None:
        """Count one cycle."""
        report = self.report
        report.add(record)
        report.first_instant = report.first_instant or record.instant
        report.last_instant = record.instant
        for fill, change in zip(record.fills, record.positions, strict=True):
            report.fees += fill.fee
            report.slippage += fill.slippage * fill.quantity
            self._trips.add(fill, change)
        self._mark(record.equity)

    def export(self) -> ReportMemory:
        """How far it has come."""
        return ReportMemory(self.report, self._trips.export(), self._peak)

    def restore(self, memory: ReportMemory) -> None:
        """Go on where the fold was that said so."""
        self.report, self._peak = memory.report, memory.peak
        self._trips.restore(memory.trips)
        self._trips.done = self.report.round_trips

    def finish(self, *, ended: str, content_chain: str) -> SessionReport:
        """The report as it stands after the last cycle."""
        self.report.ended = ended
        self.report.content_chain = content_chain
        self.report.open_positions = self._trips.still_open()
        return self.report

    def _mark(self, equity: Decimal) -> None:
        self.report.closing_equity = equity
        self._peak = max(self._peak, equity)
        if self._peak > 0:
            self.report.max_drawdown = max(self.report.max_drawdown, float((self._peak - equity) / self._peak))


class ReportSink:
    """Adds up the cycles of a running session; `write` leaves `<folder>/<name>.json`."""

    name = "report"

    def __init__(self, follower: CycleFollower, marks: FoldFile, *, environment: str, log_id: str, opening_equity: Decimal) -> None:
        self._follower = follower
        self._marks = marks
        self._marked = 0
        self._fold = ReportFold(environment=environment, log_id=log_id, opening_equity=opening_equity)
        #: Where the report was written; None before.
        self.path: Path | None = None

    @property
    def report(self) -> SessionReport:
        """As far as it has come."""
        return self._fold.report

    async def run(self) -> None:
        """Consume until the bus is closed, from where an earlier run of the session has kept the fold."""
        if self._follower.sequence == 0:
            kept = await anyio.to_thread.run_sync(self._marks.read, ReportMemory)
            if kept is not None:
                self._marked, memory = kept
                self._fold.restore(memory)
                self._follower.begin_after(self._marked)
        last: CycleDurable | None = None
        async for batch in self._follower.cycles():
            for cycle in batch:
                self._fold.add(cycle.record)
            last = batch[-1]
            if last.record.sequence - self._marked >= CYCLES:
                await self._keep(last)
        if last is not None:
            await self._keep(last)

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()

    async def _keep(self, cycle: CycleDurable) -> None:
        """Keep the fold; where the disk refuses, the next start reads more."""
        self._marked = cycle.record.sequence
        fold = msgspec.Raw(msgspec.json.encode(self._fold.export()))
        with suppress(DudzianError):
            await anyio.to_thread.run_sync(self._marks.write, self._marked, cycle.line_hash, fold)

    async def write(self, folder: Path, name: str, *, ended: str, content_chain: str) -> Path:
        """Write the report; an existing one of the same session is replaced."""
        report = self._fold.finish(ended=ended, content_chain=content_chain)
        path = folder / f"{name}.json"
        await anyio.to_thread.run_sync(_store, path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        self.path = path
        return path


def _store(path: Path, data: bytes) -> None:
    ensure_dir(path.parent)
    write_atomic(path, data)


def report_lines(report: SessionReport, path: Path | None = None, *, width: int = 0) -> Iterator[str]:
    """The report as text for people, and where it was written; with a `width` the lines are wrapped at spaces."""
    for word, text in _entries(report):
        whole = f"{word:<{_INDENT}}{text}"
        indent = " " * _INDENT
        yield from wrap(whole, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) if width else [whole]
    if path is not None:  # in one piece, so that it can be copied
        yield f"{'report':<{_INDENT}}{path}"


def _entries(report: SessionReport) -> Iterator[tuple[str, str]]:
    change = report.profit / report.opening_equity * 100 if report.opening_equity else ZERO
    trips = len(report.round_trips)
    yield "environment", f"{report.environment}, session {report.log_id}"
    yield "period", f"{_minute(report.first_instant)} to {_minute(report.last_instant)}, {report.cycles:,} cycles, ended by {report.ended}"
    yield "signals", decisions_text(report)
    yield "trades", f"{report.orders:,} orders, {report.fills:,} fills, {trips:,} round trips, {report.winners:,} of them winners"
    yield "costs", f"fees {report.fees:,.2f}, slippage {report.slippage:,.2f}"
    yield "equity", f"{report.opening_equity:,.2f} -> {report.closing_equity:,.2f} ({change:+.2f} %)"
    yield "drawdown", f"{report.max_drawdown * 100:.2f} % at most"
    if report.faults:
        yield "faults", f"{report.faults:,} of strategies, on the record"
    for position in report.open_positions:
        yield "still open", f"{position.quantity.normalize():f} {position.instrument} of {position.strategy}"
    yield "content chain", report.content_chain


def _minute(instant: int) -> str:
    return iso_utc(instant)[:16].replace("T", " ")
