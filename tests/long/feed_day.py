"""A day of the live feed with lost connections: `nice -n 15 python -m tests.long.feed_day [--hours 24] [--output FILE]`.

The real client, feed, barrier, core and candle store against the loopback exchange, which runs in a process of its own (so that what it
keeps and logs is not counted as ours) and on the same `ManualClock`: the two clocks move together. Sockets are cut, answers are
wrong and the venue is away for minutes, again and again. Waits that the product makes on the machine's clock (between tries, while the
breaker rests) are made short, since a simulated day takes minutes. Prints one JSON document, and writes it to FILE. Exit code 1 when a
candle was missed, a descriptor or task is left, or memory grows by 1 % a day or more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
import anyio.to_thread
import psutil
import stamina

from dudzian_daemon.adapters import venue_budget, venue_calls
from dudzian_daemon.adapters.candle_store import ParquetCandleStore, digest_rows
from dudzian_daemon.adapters.platform import share_one_heap
from dudzian_daemon.app.live import StoredLive
from dudzian_daemon.app.venues import Venues
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.market import Candle, Gap, Series, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.services.collector import Collector
from dudzian_daemon.services.live.feed import FeedPlan, LiveFeed
from dudzian_daemon.testing.exchange_market import MARKETS
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from tests.long.shared_clock import STEP_S, SharedClock, far_exchange
from tests.scenario.faulty_venue import candles
from tests.scenario.made_venue import spec_of

assert sys.platform != "win32", "descriptors as POSIX has them"

INSTRUMENTS: Final = ("binance:BTC/USDT", "binance:ETH/USDT")
NEEDS: Final = {Series(name, granularity): 5 for name in INSTRUMENTS for granularity in ("1m", "1h", "1d")}
SAMPLE_S: Final = 300.0


class Taken:
    """Steps the core and keeps figures of what came, not what came."""

    def __init__(self, feed: LiveFeed, driver: Driver) -> None:
        self._feed = feed
        self._driver = driver
        self.ends: dict[Series, tuple[int, int, int]] = {}
        self.kinds: Counter[str] = Counter()
        self.gaps = 0

    async def run(self) -> None:
        async for item in self._feed.items():
            with exact_money():
                if isinstance(item, Tick):
                    self._look(item)
                    list(self._driver.advance(item))

    def _look(self, tick: Tick) -> None:
        for item in tick.inputs:
            self.kinds[type(item).__name__] += 1
            self.gaps += isinstance(item, Gap)
            if isinstance(item, Candle):
                series = Series(item.instrument, item.granularity)
                first, count, _ = self.ends.get(series, (item.end, 0, 0))
                self.ends[series] = (first, count + 1, item.end)

    def missed(self) -> dict[str, int]:
        """Candles between the first and the last of each series that did not come; none is good."""
        lacking = {series: (last - first) // series.step_ns + 1 - count for series, (first, count, last) in self.ends.items()}
        return {f"{series.instrument} {series.granularity}": bars for series, bars in lacking.items() if bars}


async def day(folder: Path, hours: float, seed: int) -> dict[str, Any]:
    """One run; its figures."""
    bus, process = Bus(), psutil.Process()
    spec = await anyio.to_thread.run_sync(spec_of, folder)
    with exact_money():
        driver = Driver(Core(spec))
    store = ParquetCandleStore(folder / "store")
    samples: list[tuple[float, int]] = []
    async with far_exchange(seed) as clock:
        before = process.num_fds(), len(asyncio.all_tasks())
        venues = await anyio.to_thread.run_sync(opener, folder, clock.url, store, clock)
        plan = FeedPlan(needs=NEEDS, instruments=list(INSTRUMENTS), clock_venue="binance", quote_seconds=STEP_S, pushed=True)
        feed = LiveFeed(plan, venues, driver, clock, bus, digest_rows, StoredLive(store))
        taken, collector = Taken(feed, driver), Collector(clock)
        feed.on_loaded = collector.set_aside
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collector.run)
            tasks.start_soon(feed.run)
            tasks.start_soon(taken.run)
            while not feed.now():
                await clock.settle()
            clock.calm = False
            for step in range(round(hours * 3600 / STEP_S)):
                await clock.advance(STEP_S)
                if step * STEP_S % SAMPLE_S == 0:
                    samples.append((step * STEP_S / 3600, process.memory_info().rss))
            clock.calm = True
            for _ in range(60):
                await clock.advance(STEP_S)
            tasks.cancel_scope.cancel()
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        after = process.num_fds(), len(asyncio.all_tasks())
    differing = await anyio.to_thread.run_sync(differences, store, taken)
    return figures(clock.met, taken, samples, before, after, differing)


def opener(folder: Path, url: str, store: ParquetCandleStore, clock: SharedClock) -> Venues:
    """The venues, at the loopback exchange; quotes are pushed."""
    settings = {"base_url": url, "streams": True}
    flags = {f"environments.binance_paper.adapter_settings.{name}": value for name, value in settings.items()}
    return Venues(load(None, env={}, cli=flags).config, "binance_paper", [bundled("plugins")], folder, store, clock)


def differences(store: ParquetCandleStore, taken: Taken) -> list[str]:
    """Series whose stored candles are not those of the venue."""
    found = []
    for series, (first, _, last) in taken.ends.items():
        base = series.instrument.partition(":")[2].partition("/")[0]
        market = next(each for each in MARKETS if each.base == base)
        since = first - series.step_ns
        if store.read(series, since, last) != candles(market, series, since, last):
            found.append(f"{series.instrument} {series.granularity}")
    return found


def slope_percent_a_day(samples: list[tuple[float, int]]) -> float:
    """Growth of memory by least squares over the samples after the first hour, in percent of their mean."""
    kept = [(hour, rss) for hour, rss in samples if hour >= 1]
    mean_hour, mean_rss = (sum(values) / len(kept) for values in zip(*kept, strict=True))
    over = sum((hour - mean_hour) * (rss - mean_rss) for hour, rss in kept)
    under = sum((hour - mean_hour) ** 2 for hour, _ in kept)
    return float(over / under * 24 / mean_rss * 100)


def figures(
    met: dict[str, int],
    taken: Taken,
    samples: list[tuple[float, int]],
    before: tuple[int, int],
    after: tuple[int, int],
    differing: list[str],
) -> dict[str, Any]:
    """What is told, and what the exit code is made of."""
    rss = [value / 1e6 for _, value in samples]
    return {
        "faults": dict(sorted(met.items())),
        "inputs": dict(sorted(taken.kinds.items())),
        "candles_missed": taken.missed(),
        "gaps": taken.gaps,
        "stored_otherwise": differing,
        "descriptors": {"before": before[0], "after": after[0]},
        "tasks": {"before": before[1], "after": after[1]},
        "rss_mb": {"first": round(rss[0], 1), "last": round(rss[-1], 1), "most": round(max(rss), 1)},
        "rss_mb_by_hour": [round(value, 1) for value in rss[:: round(3600 / SAMPLE_S)]],
        "rss_samples": len(rss),
        "rss_slope_percent_a_day": round(slope_percent_a_day(samples), 2),
    }


def main() -> int:
    """Run it and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    venue_calls.BREAKER_SECONDS = 0.005  # type: ignore[misc] # seconds of the machine's clock, in which simulated minutes pass
    venue_budget.CEILING = 1000.0  # type: ignore[misc] # the limit is one of real minutes
    share_one_heap()
    clock = SystemClock()
    began = clock.monotonic_ns()
    with tempfile.TemporaryDirectory() as folder, stamina.set_testing(True, attempts=venue_calls.ATTEMPTS, cap=True):
        logs.configure("ERROR", json=True, file=Path(folder) / "log", quiet=True)
        found = anyio.run(day, Path(folder), said.hours, said.seed)
    document = {
        "check": "a day of the live feed",
        "date": datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        "python": sys.version.partition(" ")[0],
        "hours": said.hours,
        "seed": said.seed,
        **found,
        "minutes": round((clock.monotonic_ns() - began) / 60e9, 1),
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)
    left = found["descriptors"]["after"] > found["descriptors"]["before"] or found["tasks"]["after"] > found["tasks"]["before"]
    grows = found["rss_slope_percent_a_day"] >= 1.0
    return 1 if found["candles_missed"] or found["gaps"] or found["stored_otherwise"] or left or grows else 0


if __name__ == "__main__":
    raise SystemExit(main())
