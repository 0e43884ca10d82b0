"""W5: the time of one cycle, from a tick to its record, in one process.

    python benchmarks/cycle.py [--bars 240] [--runs 3] [--wide] [--write] [--profile small|large|wide]

Two sessions on seeded hourly candles of coins at two venues, the second one a little off the first, under limits that nothing
reaches: `large` runs 100 strategies on 50 instruments, 25 of each bundled plugin with parameters of their own (the arbitrage on
the 25 pairs): 4,375 units; `small` runs one of each on 8 instruments; `wide`, which takes minutes and is run where it is asked for,
10 on 1,000 instruments: 9,000 units, 48 hours. Prints one JSON document: p50, p99 and the largest wall
time in ms of `step` for every tick that was a cycle, of `append` (its journal line encoded, chained and sealed; no sync) and of
both together, and of both in CPU time, which neighbours on the machine disturb less, over `--bars` hours after the warm-up (`small`: at
least 1,000). Each figure is that of the session, of `--runs`, which neighbours disturbed least. A cycle waits for nothing, so on a machine
of its own `cycle` is `cycle_cpu`; goals, by `cycle_cpu`: `large` p99 under 250 ms, `small` under 1 ms. `small_synced` adds the sync of
each cycle, beside that of a bare write to the same disk; goal: p99 at most 3 ms over it.
`--write` keeps the document as benchmarks/results/cycle-<date>.json; `--profile` adds where the time of one session goes.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import measuring
import msgspec
import psutil
from unlimited import FREE, FREE_RATES

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.domain.market import HOUR_NS, Candle, Instrument, Series, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.testing.market import candles, instrument, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import Schedule, SessionSpec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.timeline import candle_ticks

ROOT = Path(__file__).resolve().parents[1]
KEY = SigningKey(id="benchmark", secret=b"k" * 32, source="benchmark")
VENUES = ("binance", "kraken")
#: All windows are at most this long.
WARM_UP = 110
#: Hours of `small`, which are cheap: a p99 needs more than a hundred cycles.
LEAST_SMALL = 1000
#: Parameters of number `n` of each plugin; number 0 has those of the demo, as far as hourly candles can serve them.
PARAMETERS: dict[str, Any] = {
    "daily_trend": lambda n: {"fast_ma": 25 - n % 20, "slow_ma": 100 - n, "breakout_lookback": 55 - n, "min_momentum": 0.001},
    "mean_reversion": lambda n: {"lookback": 96 - n, "entry_zscore": 2.4 - n * 0.02, "exit_zscore": 0.35, "max_holding_period": 24},
    "volatility_target": lambda n: {"lookback": 60 - n, "rebalance_threshold": 0.25, "floor_volatility": 0.015},
    "cross_exchange_arbitrage": lambda n: {"spread_entry": 0.0025 + n * 0.00005, "spread_exit": 0.0006, "max_open_seconds": 43_200},
}


class Size(NamedTuple):
    """Coins (each at two venues), strategies, shared out among the plugins, and the goal for p99 in ms."""

    coins: int
    strategies: int
    goal_ms: float


SIZES = {"small": Size(4, 4, 1.0), "large": Size(25, 100, 250.0), "wide": Size(500, 10, 250.0)}
WIDE_BARS = 48


class Timed(NamedTuple):
    """Milliseconds of one cycle: wall time of its two parts, CPU time of both; where it is synced, of that and of a bare sync after it."""

    step: float
    append: float
    cpu: float
    sync: float = 0.0
    bare: float = 0.0


def market(coins: int, bars: int) -> dict[Series, list[Candle]]:
    """A seeded walk a coin at the first venue, and the same within 0.4 % at the second."""
    rows: dict[Series, list[Candle]] = {}
    for number in range(coins):
        random = Random(number)
        close, walk, mirror = 100.0, [], []
        for bar in range(bars):
            opened = close
            close *= 1.0 + random.gauss((0.0005, -0.0005, 0.0)[bar // 60 % 3], 0.006)
            high, low = max(opened, close) * (1.0 + abs(random.gauss(0.0, 0.002))), min(opened, close) * 0.998
            basis = 1.0 + random.uniform(-0.004, 0.004)
            walk.append((opened, high, low, close))
            mirror.append((opened * basis, high * 1.004, low * 0.996, close * basis))
        for venue, made in zip(VENUES, (walk, mirror), strict=True):
            series = Series(f"{venue}:COIN{number}/USDT", "1h")
            rows[series] = with_volume(candles(series, made))
    return rows


def with_volume(made: Sequence[Candle]) -> list[Candle]:
    """Enough traded for every strategy."""
    return [msgspec.structs.replace(candle, volume=1e6 / candle.close) for candle in made]


def session(size: Size) -> SessionSpec:
    """The strategies, each on all instruments and by itself."""
    fine = {"lot_size": Decimal("0.00001"), "min_quantity": Decimal("0.00001")}
    pairs = [[instrument(f"COIN{number}", venue=venue, **fine) for venue in VENUES] for number in range(size.coins)]
    traded = [each for pair in pairs for each in pair]
    strategies: dict[str, Strategy] = {}
    for place, (plugin, parameters) in enumerate(PARAMETERS.items()):
        maker: Any = load_plugin("strategies", plugin, [ROOT / "plugins"]).plugin
        for number in range((size.strategies + len(PARAMETERS) - 1 - place) // len(PARAMETERS)):
            strategies[f"{plugin}_{number}"] = maker(msgspec.convert(parameters(number), maker.Params))
    return spec(
        strategies,
        [plan(name, traded, len(strategies)) for name in strategies],
        traded,
        profiles={"balanced": FREE},
        controls=FREE_RATES,
        opening_balance=Decimal(10**9),
        allow_short=True,
        leverage=Decimal(3),
    )


def plan(strategy: str, traded: Sequence[Instrument], strategies: int) -> Schedule:
    """Every hour, an equal share of the account."""
    share = (Decimal(1) / (2 * strategies * len(traded))).quantize(Decimal("0.00000001"))
    return schedule(strategy, traded, allocation=share, max_signals=1000)


def cycles(size: Size, bars: int, *, sync: bool = False) -> Iterator[Timed]:
    """Play the market; time every cycle after the warm-up."""
    rows = market(size.coins, WARM_UP + bars)
    with exact_money(), tempfile.TemporaryDirectory() as folder:
        driver = Driver(Core(session(size)))
        ticks = list(candle_ticks(rows))
        warm_at = next(iter(rows.values()))[WARM_UP - 1].end
        journal = SessionJournal.create(Path(folder), "cycle", KEY, clock=SystemClock())
        gc.collect()
        gc.freeze()  # the candles that the benchmark itself keeps must not slow the collector down
        for tick in ticks:
            timed = one(driver, journal, tick)
            if timed is not None and tick.instant > warm_at:
                yield with_sync(timed, journal, Path(folder), bare_first=bool(tick.instant // HOUR_NS % 2)) if sync else timed
        gc.unfreeze()
        journal.abandon()


def one(driver: Driver, journal: SessionJournal, tick: Tick) -> Timed | None:
    """Time of one tick; None if it was no cycle."""
    cpu, before = time.thread_time_ns(), time.perf_counter_ns()
    records = list(driver.advance(tick))
    stepped = time.perf_counter_ns()
    for record in records:
        journal.append(record, wall={"started_at": 1_700_000_000.25, "host": "benchmark"})
    appended = time.perf_counter_ns()
    cpu = time.thread_time_ns() - cpu
    return Timed((stepped - before) / 1e6, (appended - stepped) / 1e6, cpu / 1e6) if records else None


def with_sync(timed: Timed, journal: SessionJournal, folder: Path, *, bare_first: bool) -> Timed:
    """The cycle with its sync and a bare one, which of them comes first in turns: the second finds a disk that the first has settled."""
    if bare_first:
        bare = bare_sync(folder)
        return timed._replace(sync=committed(journal), bare=bare)
    return timed._replace(sync=committed(journal), bare=bare_sync(folder))


def committed(journal: SessionJournal) -> float:
    """Milliseconds until the cycle is on the disk; nothing else runs meanwhile."""
    before = time.perf_counter_ns()
    journal.flush_quiet()
    journal.commit_now()
    return (time.perf_counter_ns() - before) / 1e6


def bare_sync(folder: Path) -> float:
    """Milliseconds that the disk takes for a line of a cycle by itself."""
    descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    os.write(descriptor, b"x" * 650)
    before = time.perf_counter_ns()
    sync(descriptor)
    spent = time.perf_counter_ns() - before
    os.close(descriptor)
    return spent / 1e6


def synced(size: Size, bars: int, runs: int) -> dict[str, Any]:
    """Percentiles of a cycle with its sync beside those of a bare sync, so that both meet the same disk."""
    rounds = [list(cycles(size, bars, sync=True)) for _ in range(runs)]
    whole = percentiles([[timed.step + timed.append + timed.sync for timed in found] for found in rounds])
    bare = percentiles([[timed.bare for timed in found] for found in rounds])
    over = {f"over_bare_{share}_ms": round(whole[share] - bare[share], 3) for share in ("p50", "p99")}
    return {"cycles": len(rounds[0]), "cycle_synced": whole, "bare_sync": bare, **over}


def summary(size: Size, bars: int, runs: int) -> dict[str, Any]:
    """Percentiles by part, and whether the goal is reached."""
    rounds = [list(cycles(size, bars)) for _ in range(runs)]
    parts: dict[str, Callable[[Timed], float]] = {
        "step": lambda timed: timed.step,
        "append": lambda timed: timed.append,
        "cycle": lambda timed: timed.step + timed.append,
        "cycle_cpu": lambda timed: timed.cpu,
    }
    found = {name: percentiles([list(map(part, timed)) for timed in rounds]) for name, part in parts.items()}
    return {"cycles": len(rounds[0]), **found, "goal_p99_ms": size.goal_ms, "reached": found["cycle_cpu"]["p99"] < size.goal_ms}


def percentiles(rounds: Sequence[list[float]]) -> dict[str, float]:
    """In ms, each the least of the rounds."""
    ordered = [sorted(values) for values in rounds]
    last = len(ordered[0]) - 1
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(min(values[int(last * share)] for values in ordered), 3) for name, share in shares.items()}


def profiled(size: Size, bars: int) -> str:
    """Where the time of one session goes."""
    return measuring.profiled(lambda: list(cycles(size, bars)), 30)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=240)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--profile", choices=SIZES)
    given = parser.parse_args()
    if given.profile:
        print(profiled(SIZES[given.profile], given.bars))
        return
    document = {
        **measuring.heading("cycle"),
        "load_average": round(psutil.getloadavg()[0], 2),
        "bars": given.bars,
        "runs": given.runs,
        "small": summary(SIZES["small"], max(given.bars, LEAST_SMALL), given.runs),
        "small_synced": synced(SIZES["small"], max(given.bars, LEAST_SMALL // 2), given.runs),
        "large": summary(SIZES["large"], given.bars, given.runs),
        **({"wide": summary(SIZES["wide"], WIDE_BARS, given.runs)} if given.wide else {}),
    }
    print(json.dumps(document, indent=2))
    if given.write:
        measuring.keep(document)


if __name__ == "__main__":
    main()
