"""Where a backfill gets its candles: the environment's venue through its exchange plugin, or another candle store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.manifest import SEEDED
from dudzian_daemon.app.backfill.markets import market_spans
from dudzian_daemon.app.backfill.plan import SeriesPlan
from dudzian_daemon.app.venues import Venues
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.ports import MarketData
from dudzian_daemon.kernel.clock import Clock


class VenuePlace(msgspec.Struct, frozen=True):
    """Where plugins are sought and refused rows kept, the store that an offline venue reads, and the clock."""

    folders: Sequence[Path]
    data_folder: Path
    store: ParquetCandleStore
    clock: Clock


class StoredSource:
    """Implements `domain.ports.CandleSource` over a candle store, say a copy from another machine.

    `names` are the symbols under which renamed markets (BASE/QUOTE) are stored.
    """

    def __init__(self, store: ParquetCandleStore, venue: str, names: Mapping[str, str]) -> None:
        self._store = store
        self._venue = venue
        self._names = names

    async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
        """Stored candles of the span, at most `limit`."""
        series = Series(f"{self._venue}:{self._names.get(symbol, symbol)}", granularity)
        return (await anyio.to_thread.run_sync(self._store.read, series, since_ns, until_ns))[:limit]

    async def close(self) -> None:
        """Nothing is open."""


def store_source(config: CoreConfig, folder: Path, venue: str) -> StoredSource:
    """Candles of the store in `folder`. Raises `ConfigError` where there is none, or one with made-up candles."""
    store = ParquetCandleStore(folder, read_only=True)
    if store.sources == {SEEDED}:
        msg = f"--from-store {folder}: expected candles of a venue, found seeded ones"
        raise ConfigError(msg)
    renamed = [entry for entry in config.instruments.values() if entry.renamed_to is not None]
    names = {f"{entry.renamed_to.base}/{entry.quote}": f"{entry.base}/{entry.quote}" for entry in renamed if entry.renamed_to}
    return StoredSource(store, venue, names)


class VenueSource:
    """Implements `domain.ports.CandleSource` over the environment's venue; its budget gives way to live feeds of this process."""

    def __init__(self, venues: Venues, data: MarketData) -> None:
        self._venues = venues
        self._data = data

    async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
        """See `domain.ports.MarketData.candles`."""
        return await self._data.candles(symbol, granularity, since_ns, until_ns, limit)

    async def close(self) -> None:
        """End all connections."""
        await self._venues.close()


async def venue_source(config: CoreConfig, environment: str, plans: Sequence[SeriesPlan], place: VenuePlace) -> VenueSource:
    """The environment's venue, opened for the markets of the plans. Raises `ConfigError` or `PluginError` for one that cannot be used."""
    exchange = config.environment(environment).exchange
    venues = Venues(config, environment, place.folders, place.data_folder, place.store, place.clock)
    symbols = {market.symbol for plan in plans for hole in plan.holes for market in market_spans(config, plan.symbol, plan.venue, hole)}
    return VenueSource(venues, await venues.open(exchange, sorted(symbols), background=True))
