"""One backfill from plan to outcomes: over the venue, another store, or whatever source is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.venue_gaps import forget_venue_gaps
from dudzian_daemon.app.backfill.fill import Backfill, Manner, SeriesOutcome, Told
from dudzian_daemon.app.backfill.plan import SeriesPlan, Wish, moved_away, planned
from dudzian_daemon.app.backfill.sources import VenuePlace, store_source, venue_source
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.ports import CandleSource
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import SystemClock

#: Below the data folder.
LOG: Final = Path("logs", "backfill.log")

OpenSource = Callable[[], Awaitable[CandleSource]]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The store in `folder`, or without one the environment's venue; seconds between two requests; where its plugin is sought."""

    plugin_folders: Sequence[Path]
    folder: Path | None = None
    throttle_seconds: float = 0.0


def prepared(config: CoreConfig, wish: Wish, store: ParquetCandleStore, *, recheck_gaps: bool) -> tuple[list[SeriesPlan], list[Path]]:
    """The plans once damaged files are out of the way, and where those are now. Raises `ConfigError` for a wish that cannot be."""
    plans = planned(config, wish, store)
    if recheck_gaps:
        forget_venue_gaps(store.root, [plan.series for plan in plans])
    moved = moved_away(store, plans)
    return planned(config, wish, store) if moved or recheck_gaps else plans, moved


def fetched(
    config: CoreConfig,
    environment: str,
    store: ParquetCandleStore,
    plans: Sequence[SeriesPlan],
    data_folder: Path,
    source: Source,
    told: Told,
) -> list[SeriesOutcome]:
    """Fetch what the plans lack, with a log of its own. Blocks. Raises `ConfigError` or `PluginError` for a source that cannot be used."""
    clock = SystemClock()
    manner = Manner(clock, source.throttle_seconds, is_venue=source.folder is None)

    async def opened() -> CandleSource:
        if source.folder is None:
            return await venue_source(config, environment, plans, VenuePlace(source.plugin_folders, data_folder, store, clock))
        return await anyio.to_thread.run_sync(store_source, config, source.folder, config.environment(environment).exchange)

    logs.configure(config.logging.level, json=True, file=data_folder / LOG, quiet=True)
    logs.logger("backfill").info("backfill begins", environment=environment, missing_rows=sum(plan.missing_rows for plan in plans))
    try:
        return anyio.run(filled, config, store, plans, opened, manner, told)
    finally:
        logs.close()


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
