"""W2: 8 symbols, 4 strategies, 8 years of hours (561,024 bars), 0.1 % fee, seeded synthetic bars, through the product's own backtest loop.

    python benchmarks/w2.py [--years 1] [--journal | --twins] [--check] [--profile]

Prints one JSON line: bars per CPU second of `app.backtest.simulate`, or with the journal on, or of the strategies' vectorised twins with
the figures that `dudzian sweep --fast` ranks by; peak memory, fills of each strategy and profit. Reading and making candles is not timed.
`--check` plays it through the step and by the twins, and fails unless every decision is equal; `--profile` prints where the time goes.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import measuring
import w1
from unlimited import FREE, FREE_RATES
from w2_strategies import CASH, STRATEGIES

from dudzian_daemon.adapters.candle_columns import Columns
from dudzian_daemon.api.strategy import Candle, Series
from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.app.sweep.estimate import Costs, curve_of, decisions_of, figures_of_curves
from dudzian_daemon.app.sweep.trials import Decision
from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.market import instrument, preset, schedule, spec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window

SYMBOLS = 8
HOURS_A_YEAR = 365.25 * 24
FIRST_SEED = 100
LOT = Decimal("0.1")
COINS = [instrument(f"COIN{number}", lot_size=LOT, min_quantity=LOT) for number in range(SYMBOLS)]
COSTS = Costs(fee=float(w1.FEE), slippage=0.0, allocation=1.0, position_size=0.1, opening=float(CASH))

Rows = Mapping[Series, list[Candle]]


def market(years: float) -> dict[Series, list[Candle]]:
    """The bars of each symbol."""
    all_series = [Series(coin.key, "1h") for coin in COINS]
    bars = int(HOURS_A_YEAR * years)
    return {series: w1.candles(w1.prices(bars, FIRST_SEED + number), series) for number, series in enumerate(all_series)}


def core() -> Core:
    """A session of the four strategies on all symbols, no limits."""
    session = spec(
        {name: maker() for name, maker in STRATEGIES.items()},
        [schedule(name, COINS, max_signals=1000) for name in STRATEGIES],
        COINS,
        profiles={"balanced": FREE},
        controls=FREE_RATES,
        preset=preset(taker_fee=w1.FEE, slippage_bps=Decimal(0)),
        opening_balance=Decimal(CASH),
    )
    with exact_money():
        return Core(session)


def arranged(rows: Rows) -> tuple[Core, Window, w1.Memory]:
    """The session, all bars without history, and the store they are in."""
    warm_up = max(maker.warm_up for maker in STRATEGIES.values())
    (end,) = {each[-1].end for each in rows.values()}
    return core(), Window(w1.START, end, dict.fromkeys(rows, warm_up)), w1.Memory(dict(rows))


def outcome(done: Performance) -> dict[str, Any]:
    """Fills and profit in all; what is held at the end was sold at the last close."""
    return {"fills": done.counts.fills, "profit": round(float(done.total.daily[-1]) - CASH, 2)}


def twins(rows: Rows) -> tuple[float, dict[str, Any]]:
    """CPU seconds of all decisions and the figures of each strategy."""
    gc.collect()
    before = time.process_time()
    curves: dict[str, list[Any]] = {name: [] for name in STRATEGIES}
    for each in rows.values():
        columns = Columns(each)
        for name, maker in STRATEGIES.items():
            turns = maker().signals_vectorised(columns.from_candle(maker.warm_up - 1))
            curves[name].append(curve_of(columns, turns, COSTS))
    bars = sum(map(len, rows.values()))
    figures = [figures_of_curves(found, COSTS, bars) for found in curves.values()]
    return time.process_time() - before, {"fills": sum(found.fills for found in figures)}


class Kept:
    """A recorder of decisions, and of fills on bars up to `end`."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.decisions: dict[tuple[str, str], list[Decision]] = defaultdict(list)
        self.fills: Counter[str] = Counter()

    def store_rows(self, tick: Tick) -> None:
        """There is no history."""

    def append(self, record: CycleRecord) -> None:
        """One cycle."""
        for each in record.signals:
            said = Decision(each.instant, each.instrument, each.intent.value, each.target or 0.0)
            self.decisions[each.strategy, each.instrument].append(said)
        self.fills.update(fill.strategy for fill in record.fills if fill.filled_at < self._end)


def checked(rows: Rows) -> dict[str, Any]:
    """Fills of each strategy, and how many decisions step and twins do not share."""
    session, window, store = arranged(rows)
    kept, differing, decided = Kept(window.end), 0, 0
    simulate(session, [window], store, recorder=kept)
    for series, each in rows.items():
        columns = Columns(each)
        for name, maker in STRATEGIES.items():
            turns = maker().signals_vectorised(columns.from_candle(maker.warm_up - 1))
            wanted, said = Counter(decisions_of(columns, turns, series.instrument)), Counter(kept.decisions[name, series.instrument])
            differing += ((wanted - said) + (said - wanted)).total()
            decided += said.total()
    return {"fills": {name: kept.fills[name] for name in STRATEGIES}, "decisions": decided, "differing": differing}


def profiled(rows: Rows) -> str:
    """Where the time goes, without a journal."""
    session, window, store = arranged(rows)
    return measuring.profiled(lambda: simulate(session, [window], store))


def timed(rows: Rows, kind: str) -> dict[str, Any]:
    """Bars per CPU second and what came of it."""
    if kind == "twins":
        seconds, found = twins(rows)
    else:
        seconds, done = (w1.journalled if kind == "journal" else w1.played)(*arranged(rows))
        found = outcome(done)
    bars = sum(map(len, rows.values()))
    return {"bars": bars, "run_cpu_s": round(seconds, 3), "bars_per_cpu_s": round(bars / seconds), **found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=float, default=1.0)
    kinds = parser.add_mutually_exclusive_group()
    for kind in ("journal", "twins", "check", "profile"):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, default="bare")
    given = parser.parse_args()
    rows = market(given.years)
    if given.kind == "profile":
        print(profiled(rows))
        return
    found = checked(rows) if given.kind == "check" else timed(rows, given.kind)
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    print(json.dumps({"kind": given.kind, **found, "peak_rss_mb": peak_mb}))


if __name__ == "__main__":
    main()
