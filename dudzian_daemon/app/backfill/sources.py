"""Where a backfill gets its candles: the environment's venue through its exchange plugin, or another candle store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import anyio.to_thread

from dudzian_daemon.adapters.candle_store import SEEDED, ParquetCandleStore
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Series


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


def venue_source(exchange: str) -> NoReturn:
    """The venue itself. Raises `ConfigError`: no exchange plugin ships with this version."""
    msg = f"exchange {exchange!r} cannot be asked by this version; give candles of another store: --from-store DIR"
    raise ConfigError(msg)
