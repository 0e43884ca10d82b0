"""W8: 1,000 pairs of windows of the SMA cross on the bars of W1, by the vectorised twin, and the best of them through the step.

    python benchmarks/sweep.py [--bars 10000] [--pairs 100] [--runs 3] [--peer PYTHON] [--write]

Prints one JSON document: bars times pairs per CPU second of the twins (columns and indicators made anew in each run), with every figure
that `dudzian sweep --fast` ranks by, and seconds of the event-driven run of the best pair, whose decisions must equal its twin's. `--peer`
names an interpreter that has vectorbt: its second call on the same bars and pairs, in batches, with the same
number of fills in all, but for means that are equal in decimals (`ties`; the peer rounds its sums otherwise).
Goal: `ratio` to it >= 0.5, better 1. The whole of W8 is `--bars 100000 --pairs 1000`.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import measuring
import numpy as np
import w1
from sma_cross import CASH, CrossParams, SmaCross
from unlimited import FREE

from dudzian_daemon.adapters.candle_columns import Columns
from dudzian_daemon.api.strategy import Candle
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.app.sweep.estimate import Costs, curve_of, decisions_of, figures_of_curves
from dudzian_daemon.app.sweep.trials import Decision
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.market import preset, schedule, spec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window

GOAL_RATIO = 0.5
COSTS = Costs(fee=float(w1.FEE), slippage=0.0, allocation=1.0, position_size=0.1, opening=float(CASH))
PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd, vectorbt as vbt
data = np.load(sys.argv[1])
pairs = [tuple(each) for each in json.loads(sys.argv[2])]
index = pd.date_range("2010-01-01", periods=len(data["close"]), freq="h")
close, opened = pd.Series(data["close"], index), pd.Series(data["open"], index)

def go():
    fills = 0
    means = {window: close.rolling(window).mean().to_numpy() for window in sorted({each for pair in pairs for each in pair})}
    for start in range(0, len(pairs), 50):
        held = np.array([means[fast] > means[slow] + 1e-9 for fast, slow in pairs[start:start + 50]]).T
        held = np.vstack([np.zeros((1, held.shape[1]), bool), held[:-1]])
        portfolio = vbt.Portfolio.from_signals(close, entries=held, exits=~held, price=opened, size=1, fees=0.001, init_cash=1_000_000,
                                               freq="1h")
        portfolio.sharpe_ratio()
        fills += int(portfolio.orders.count().sum())
    return fills

go()
before = time.process_time()
fills = go()
print(json.dumps({"cpu_s": time.process_time() - before, "fills": fills, "version": vbt.__version__}))
"""


def pairs_of(count: int) -> list[tuple[int, int]]:
    """The first of 1,000: 25 fast windows times 40 slow ones, spread over both."""
    every = [(fast, slow) for fast in range(5, 55, 2) for slow in range(60, 260, 5)]
    return every[:: max(1, len(every) // count)][:count]


def twins(rows: list[Candle], pairs: list[tuple[int, int]]) -> tuple[float, dict[tuple[int, int], Any], int]:
    """CPU seconds, figures by pair, fills in all."""
    gc.collect()
    before = time.process_time()
    columns = Columns(rows)
    found, fills = {}, 0
    for fast, slow in pairs:
        turns = SmaCross(CrossParams(fast=fast, slow=slow)).signals_vectorised(columns.from_candle(slow - 1))
        curve = curve_of(columns, turns, COSTS)
        fills += len([turn for turn in turns if turn.candle + 1 < len(rows)])
        found[fast, slow] = figures_of_curves([curve], COSTS, len(rows))
    return time.process_time() - before, found, fills


def step(rows: list[Candle], pair: tuple[int, int]) -> tuple[float, list[Decision]]:
    """CPU seconds and decisions of the pair through the product's step, as `dudzian sweep` plays a winner."""
    strategy = SmaCross(CrossParams(fast=pair[0], slow=pair[1]))
    session = spec(
        {"cross": strategy},
        [schedule("cross", [w1.BTC])],
        [w1.BTC],
        profiles={"balanced": FREE},
        preset=preset(taker_fee=w1.FEE, slippage_bps=Decimal(0)),
        opening_balance=Decimal(CASH),
    )
    with exact_money():
        core = Core(session)
    kept = Kept()
    gc.collect()
    before = time.process_time()
    simulate(core, [Window(w1.START, rows[-1].end, {w1.SERIES: pair[1]})], w1.Memory({w1.SERIES: rows}), recorder=kept)
    return time.process_time() - before, kept.decisions


class Kept:
    """A recorder of decisions alone."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def store_rows(self, tick: object) -> None:
        """There is no history."""

    def append(self, record: CycleRecord) -> None:
        """One cycle."""
        self.decisions += [Decision(each.instant, each.instrument, each.intent.value, each.target or 0.0) for each in record.signals]


def ties(rows: list[Candle], pairs: list[tuple[int, int]]) -> int:
    """Candles at which the means are equal in decimals, and the fast one is above by a rounding: not above, for the peer."""
    columns = Columns(rows)
    differences = (columns.mean(fast) - columns.mean(slow) for fast, slow in pairs)
    return sum(int(((each > 0) & (each <= 1e-9)).sum()) for each in differences)


def peer(python: str, columns: dict[str, Any], pairs: list[tuple[int, int]]) -> dict[str, Any]:
    """CPU seconds and fills of vectorbt's second call."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bars.npz"
        np.savez(path, **columns)
        done = subprocess.run([python, "-c", PEER, str(path), json.dumps(pairs)], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measured(bars: int, count: int, runs: int, python: str | None) -> dict[str, Any]:
    """All of it, twins and peer in turn."""
    columns = w1.prices(bars)
    rows, pairs = w1.candles(columns), pairs_of(count)
    ours: list[float] = []
    theirs: list[float] = []
    version, doubtful = None, ties(rows, pairs)
    for _ in range(runs):
        seconds, figures, fills = twins(rows, pairs)
        ours.append(seconds)
        if python is not None:
            answer = peer(python, columns, pairs)
            assert abs(answer["fills"] - fills) <= 2 * doubtful, f"vectorbt: expected {fills} fills, found {answer['fills']}"
            theirs.append(answer["cpu_s"])
            version = answer["version"]
    best = max(pairs, key=lambda pair: figures[pair].statistics.sharpe or 0.0)
    seconds, decisions = step(rows, best)
    turns = SmaCross(CrossParams(fast=best[0], slow=best[1])).signals_vectorised(Columns(rows, best[1] - 1))
    assert decisions == decisions_of(Columns(rows), turns, w1.BTC.key), "twin and step decide differently"
    ratio = statistics.median(theirs) / statistics.median(ours) if theirs else None
    return {
        "bars": bars,
        "pairs": len(pairs),
        "runs": runs,
        "fills": fills,
        "ties": doubtful,
        "best": {"fast": best[0], "slow": best[1], "sharpe": figures[best].statistics.sharpe, "decisions": len(decisions)},
        "twin_cpu_s": [round(each, 3) for each in ours],
        "twin_bar_pairs_per_cpu_s": round(bars * len(pairs) / statistics.median(ours)),
        "step_bars_per_cpu_s": round(bars / seconds),
        "vectorbt": version,
        "vectorbt_cpu_s": [round(each, 3) for each in theirs],
        "ratio": None if ratio is None else round(ratio, 3),
        "goal_ratio": GOAL_RATIO,
        "reached": None if ratio is None else ratio >= GOAL_RATIO,
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    document = measuring.heading("sweep") | measured(given.bars, given.pairs, given.runs, given.peer)
    print(json.dumps(document, indent=2))
    if given.write:
        measuring.keep(document)


if __name__ == "__main__":
    main()
