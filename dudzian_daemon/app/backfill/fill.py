"""The paging loop: ask the venue for each hole, store every page at once, ask again for what lacks, remember what it does not have.

It can be stopped at any moment and run again: what was stored is no hole any more. Bars that do not come are asked for twice more,
together with bars beside them that do, before they count as the venue's own gap: an answer may have lost some. Those at the end of the
window never count, since they may still come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, WriteReport
from dudzian_daemon.adapters.series_audit import iso_second
from dudzian_daemon.adapters.venue_gaps import add_venue_gaps
from dudzian_daemon.app.backfill.markets import MarketSpan, market_spans
from dudzian_daemon.app.backfill.plan import SeriesPlan
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import AdapterError, Permanent
from dudzian_daemon.domain.market import Candle
from dudzian_daemon.domain.ports import CandleSource
from dudzian_daemon.domain.spans import Span, without
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.logs import logger

Status = Literal["complete", "up_to_date", "incomplete", "failed"]

#: Bars asked for in one call; a venue that gives fewer is asked more often.
PAGE_ROWS: Final = 1000
#: How often bars that lack are asked for again before the venue counts as not having them.
_CONFIRMATIONS: Final = 2
_LOGGED: Final = ("status", "requests", "fetched", "added", "revised", "venue_gap_rows", "left_rows")

_log: Final = logger("backfill")


class Manner(msgspec.Struct, frozen=True):
    """Seconds between two requests, the clock to wait on, and whether what the source lacks is lacking at the venue."""

    clock: Clock
    throttle_seconds: float = 0.0
    is_venue: bool = True


class SeriesOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one series. `venue_gap_rows` are bars that the venue does not have, `left_rows` what may still come."""

    symbol: str
    interval: str
    venue: str
    status: Status
    requests: int
    fetched: int
    added: int
    revised: int
    venue_gap_rows: int
    left_rows: int
    error: str = ""


class Told(Protocol):
    """Is told how many bars of the plan are settled, as they are."""

    def __call__(self, plan: SeriesPlan, rows: int) -> None: ...


class _Tally:
    """Counters of one series while it is filled."""

    def __init__(self) -> None:
        self.requests = self.fetched = 0
        self.written = WriteReport()
        self.gaps: list[Span] = []

    def wrote(self, report: WriteReport) -> None:
        before = self.written
        self.written = WriteReport(added=before.added + report.added, revised=before.revised + report.revised)


class Backfill:
    """Fills planned series from one source, one after the other."""

    def __init__(self, config: CoreConfig, store: ParquetCandleStore, source: CandleSource, manner: Manner, told: Told) -> None:
        self._config = config
        self._store = store
        self._source = source
        self._manner = manner
        self._told = told

    async def run(self, plans: Sequence[SeriesPlan]) -> list[SeriesOutcome]:
        """Fill all; what failed and may succeed is tried once more at the end. Raises nothing of the venue's: see `SeriesOutcome.error`."""
        outcomes: dict[SeriesPlan, SeriesOutcome] = {}
        again = []
        for plan in plans:
            outcomes[plan], retry = await self._tried(plan)
            if retry:
                again.append(plan)
        for plan in again:
            outcomes[plan], _ = await self._tried(plan)
        return list(outcomes.values())

    async def _tried(self, plan: SeriesPlan) -> tuple[SeriesOutcome, bool]:
        tally = _Tally()
        try:
            left = await self._fill(plan, tally)
        except AdapterError as error:
            _log.error("series failed", series=_name(plan), error=str(error), requests=tally.requests)
            return _outcome(plan, tally, "failed", 0, str(error)), not isinstance(error, Permanent)
        status: Status = "up_to_date" if not plan.holes else "incomplete" if left else "complete"
        outcome = _outcome(plan, tally, status, left // plan.series.step_ns)
        _log.info("series done", series=_name(plan), **{key: getattr(outcome, key) for key in _LOGGED})
        return outcome, False

    async def _fill(self, plan: SeriesPlan, tally: _Tally) -> int:
        """Fill every hole; length (ns) of what may still come."""
        left = 0
        for hole in plan.holes:
            for market in market_spans(self._config, plan.symbol, plan.venue, hole):
                lacking = await self._fetch(plan, market, tally)
                if self._manner.is_venue:
                    lacking = [each for span in lacking for each in await self._asked_again(plan, MarketSpan(market.symbol, span), tally)]
                left += sum(span.length_ns for span in lacking)
            self._told(plan, hole.length_ns // plan.series.step_ns)
        return left

    async def _fetch(self, plan: SeriesPlan, market: MarketSpan, tally: _Tally) -> list[Span]:
        """Page through a span, storing each page; what did not come."""
        step, end = plan.series.step_ns, market.span.end
        came: list[Span] = []
        cursor = market.span.start
        while cursor < end:
            rows = await self._page(plan, market.symbol, Span(cursor, end), tally)
            if not rows:
                break
            tally.fetched += len(rows)
            tally.wrote(await anyio.to_thread.run_sync(self._write, plan, rows))
            came += [Span(row.end - step, row.end) for row in rows]
            cursor = rows[-1].end
        return without(market.span, came)

    async def _asked_again(self, plan: SeriesPlan, market: MarketSpan, tally: _Tally) -> list[Span]:
        """Ask for what lacks together with its neighbours; what still does not come beside them, each time, the venue does not have.

        Returns what may still come: the end of the window, and whatever the venue gave no neighbour of.
        """
        lacking, unproven = [market.span], list[Span]()
        bars = market.span.length_ns // plan.series.step_ns
        _log.warning("bars lack", series=_name(plan), since=iso_second(market.span.start), bars=bars, action="ask again")
        for _ in range(_CONFIRMATIONS):
            came, proven = await self._look(plan, market, tally)
            lacking = [left for each in lacking for left in without(each, came)]
            unproven += without(market.span, proven)
        gaps = [part for span in lacking if span.end != plan.window.end for part in without(span, unproven)]
        await self._remember(plan, gaps, tally)
        return [left for span in lacking for left in without(span, gaps)]

    async def _look(self, plan: SeriesPlan, market: MarketSpan, tally: _Tally) -> tuple[list[Span], list[Span]]:
        """Page through a span and its neighbours, storing what comes: which bars came, and which parts an answer had a bar beside."""
        step, span = plan.series.step_ns, market.span
        came: list[Span] = []
        cursor = span.start
        while cursor < span.end:
            around = Span(max(cursor - step, 0), min(span.end + step, plan.window.end))
            rows = await self._page(plan, market.symbol, around, tally)
            if not rows:
                return came, [Span(span.start, cursor)]
            wanted = [row for row in rows if cursor < row.end <= span.end]
            tally.fetched += len(wanted)
            tally.wrote(await anyio.to_thread.run_sync(self._write, plan, wanted))
            came += [Span(row.end - step, row.end) for row in wanted]
            cursor = rows[-1].end if rows[-1].end > cursor else span.end  # after the bar before, nothing follows
        return came, [span]

    async def _page(self, plan: SeriesPlan, symbol: str, span: Span, tally: _Tally) -> list[Candle]:
        if tally.requests and self._manner.throttle_seconds:
            await self._manner.clock.sleep(self._manner.throttle_seconds)
        tally.requests += 1
        found = await self._source.candles(symbol, plan.series.granularity, span.start, span.end, PAGE_ROWS)
        step = plan.series.step_ns
        rows = {row.end: row for row in found if span.start <= row.end - step and row.end <= span.end and row.end % step == 0}
        _log.debug("page", series=_name(plan), market=symbol, since=iso_second(span.start), rows=len(rows))
        return [msgspec.structs.replace(rows[end], instrument=plan.series.instrument) for end in sorted(rows)]

    def _write(self, plan: SeriesPlan, rows: Sequence[Candle]) -> WriteReport:
        return self._store.write(plan.series, rows, source=plan.venue)

    async def _remember(self, plan: SeriesPlan, spans: Sequence[Span], tally: _Tally) -> None:
        if not spans:
            return
        tally.gaps += spans
        await anyio.to_thread.run_sync(add_venue_gaps, self._store.root, {plan.series: spans})
        for span in spans:
            _log.info("the venue has no candles", series=_name(plan), since=iso_second(span.start), until=iso_second(span.end))


def _outcome(plan: SeriesPlan, tally: _Tally, status: Status, left_rows: int, error: str = "") -> SeriesOutcome:
    return SeriesOutcome(
        symbol=plan.symbol,
        interval=plan.series.granularity,
        venue=plan.venue,
        status=status,
        requests=tally.requests,
        fetched=tally.fetched,
        added=tally.written.added,
        revised=tally.written.revised,
        venue_gap_rows=sum(span.length_ns for span in tally.gaps) // plan.series.step_ns,
        left_rows=left_rows,
        error=error,
    )


def _name(plan: SeriesPlan) -> str:
    return f"{plan.series.instrument} {plan.series.granularity}"
