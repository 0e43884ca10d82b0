"""Opens real clients of the loopback exchange for tests; tries are made without waiting in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import stamina

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.venue_calls import ATTEMPTS, Shared
from dudzian_daemon.adapters.venue_data import VenueData
from dudzian_daemon.app.venues import Venues
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.exchange import LoopbackExchange

#: What `opened` gives to a test.
Opened = tuple[LoopbackExchange, VenueData, Shared]


@asynccontextmanager
async def opened(
    folder: Path,
    venue: str = "binance",
    *,
    symbols: tuple[str, ...] = ("BTC/USDT",),
    clock: Clock | None = None,
    before: Callable[[LoopbackExchange], object] = lambda _exchange: None,
    **settings: Any,
) -> AsyncIterator[Opened]:
    """The exchange, a client of `venue` that talks to it, and what the venue's clients share."""
    clock = clock or ManualClock()
    async with LoopbackExchange(clock) as exchange:
        before(exchange)
        venues = await anyio.to_thread.run_sync(_venues, folder, {"base_url": exchange.url} | settings, clock)
        with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
            data = await venues.open(venue, symbols)
            try:
                yield exchange, data, venues.known()[venue]
            finally:
                await venues.close()


def _venues(folder: Path, settings: dict[str, Any], clock: Clock) -> Venues:
    logs.logger("venues")  # loads the library here, off the loop, as the start of the daemon does
    flags = {f"environments.binance_paper.adapter_settings.{name}": value for name, value in settings.items()}
    config = load(None, env={}, cli=flags).config
    return Venues(config, "binance_paper", [bundled("plugins")], folder, ParquetCandleStore(folder / "store"), clock)
