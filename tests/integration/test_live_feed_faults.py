"""The live feed, real client and loopback exchange: server errors at a close cost tries that are counted, and no candle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import stamina
from prometheus_client import CollectorRegistry

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, digest_rows
from dudzian_daemon.adapters.venue_calls import ATTEMPTS
from dudzian_daemon.app.live import StoredLive, feed_metrics
from dudzian_daemon.app.venues import Venues
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.market import MINUTE_NS, Candle, Gap, Series, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.services.live.feed import FeedPlan, LiveFeed
from dudzian_daemon.testing.clock import START_NS, ManualClock
from dudzian_daemon.testing.exchange import LoopbackExchange
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from tests.scenario.made_venue import BTC, spec_of

pytestmark = pytest.mark.integration

MINUTES = Series(BTC, "1m")


def feed_of(folder: Path, url: str, driver: Driver, clock: ManualClock) -> LiveFeed:
    config = load(None, env={}, cli={"environments.binance_paper.adapter_settings.base_url": url}).config
    store = ParquetCandleStore(folder / "store")
    venues = Venues(config, "binance_paper", [bundled("plugins")], folder, store, clock)
    plan = FeedPlan(needs={MINUTES: 5}, instruments=[BTC], clock_venue="binance", quote_seconds=30, pushed=False)
    return LiveFeed(plan, venues, driver, clock, Bus(), digest_rows, StoredLive(store))


async def test_three_server_errors_at_a_close_cost_three_counted_tries_and_no_candle(tmp_path: Path) -> None:
    spec, clock = await anyio.to_thread.run_sync(spec_of, tmp_path), ManualClock()
    with exact_money():
        driver = Driver(Core(spec))
    inputs: list[object] = []
    async with LoopbackExchange(clock) as exchange:
        feed = await anyio.to_thread.run_sync(feed_of, tmp_path, exchange.url, driver, clock)

        async def take() -> None:
            async for tick in feed.items():
                if isinstance(tick, Tick):
                    with exact_money():
                        list(driver.advance(tick))
                    inputs.extend(tick.inputs)

        async def until(done: Callable[[], bool], *, step_s: float = 0.0) -> None:
            with anyio.fail_after(60):
                while not done():
                    await clock.advance(step_s)
                    for _ in range(20):  # what is on its way over the loopback arrives
                        await anyio.lowlevel.checkpoint()

        def ends() -> list[int]:
            return [item.end for item in inputs if isinstance(item, Candle)]

        with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                tasks.start_soon(take)
                await until(lambda: feed.now() > 0)
                await until(lambda: len(ends()) == 1, step_s=1)
                exchange.requests.clear()
                exchange.fail("status", "klines", times=3)
                await until(lambda: len(ends()) == 3, step_s=1)
                asked = [request.fault for request in exchange.asked("klines")]
                (shared,) = feed.venues().values()
                registry = CollectorRegistry()
                registry.register(feed_metrics(feed))
                counted = registry.get_sample_value("dudzian_venue_requests_failed_total", {"venue": "binance", "fault": "VenueDown"})
                tasks.cancel_scope.cancel()
    assert ends() == [START_NS + n * MINUTE_NS for n in (1, 2, 3)]
    assert not [item for item in inputs if isinstance(item, Gap)]
    assert asked[:4] == ["status", "status", "status", ""]
    assert shared.failures == {"VenueDown": 3}
    assert counted == 3
