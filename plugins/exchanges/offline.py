"""The candle store as a venue: what was fetched before is served again, and nothing else exists. It has no host at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from dudzian_daemon.api.exchange import (
    GRANULARITIES,
    CandleStore,
    Permanent,
    Series,
    TopOfBook,
    VenueAccess,
    VenueMarket,
    VenueProfile,
)

_MS_NS = 1_000_000


class OfflineSource:
    """Candles of `venue:BASE/QUOTE`, whose key is the symbol here; no quotes, books or markets."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store

    async def candle_rows(self, symbol: str, granularity: str, since_ms: int, until_ms: int, limit: int) -> Sequence[Any]:
        """Stored candles of the span, at most `limit`."""
        series = Series(symbol, granularity)
        found = self._store.read(series, since_ms * _MS_NS, until_ms * _MS_NS)[:limit]
        return [[(row.end - series.step_ns) // _MS_NS, row.open, row.high, row.low, row.close, row.volume] for row in found]

    async def market_rows(self) -> Sequence[VenueMarket]:
        """None: a store knows no rules."""
        return ()

    async def tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        """None: a store holds candles only."""
        return ()

    async def depth(self, symbol: str, levels: int) -> tuple[Sequence[Any], Sequence[Any], int]:
        """Raises `Permanent`: a store holds candles only."""
        msg = f"offline: expected a venue with order books, found the candle store, asked for {symbol}"
        raise Permanent(msg)

    async def time_ms(self) -> int:
        """Raises `Permanent`: a store has no clock."""
        msg = "offline: expected a venue with a clock, found the candle store"
        raise Permanent(msg)

    async def close(self) -> None:
        """Nothing is open."""


class Offline:
    """No host, so no limit that could matter."""

    profile: ClassVar = VenueProfile(
        name="offline", hosts=(), granularities=tuple(GRANULARITIES), candles_per_call=10_000, weight_limit=60_000
    )

    def source(self, access: VenueAccess) -> OfflineSource:
        """Reads the store."""
        return OfflineSource(access.store)


PLUGIN = Offline
