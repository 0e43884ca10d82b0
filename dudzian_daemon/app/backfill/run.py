"""One backfill from plan to outcomes, over whatever source is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.app.backfill.fill import Backfill, Manner, SeriesOutcome, Told
from dudzian_daemon.app.backfill.plan import SeriesPlan
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.ports import CandleSource

OpenSource = Callable[[], Awaitable[CandleSource]]


async def filled(
    config: CoreConfig, store: ParquetCandleStore, plans: Sequence[SeriesPlan], open_source: OpenSource, manner: Manner, told: Told
) -> list[SeriesOutcome]:
    """Open the source, fill, close it whatever happens. Nothing is opened where nothing is missing."""
    if not any(plan.holes for plan in plans):
        return [_idle(plan) for plan in plans]
    source = await open_source()
    try:
        return await Backfill(config, store, source, manner, told).run(plans)
    finally:
        await source.close()


def _idle(plan: SeriesPlan) -> SeriesOutcome:
    return SeriesOutcome(
        symbol=plan.symbol,
        interval=plan.series.granularity,
        venue=plan.venue,
        status="up_to_date",
        requests=0,
        fetched=0,
        added=0,
        revised=0,
        venue_gap_rows=0,
        left_rows=0,
    )
