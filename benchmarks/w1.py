"""W1: one symbol, SMA 20/50 long or flat, 1 unit, 0.1 % fee, seeded synthetic bars, through the product's own backtest loop.

    python benchmarks/w1.py [--bars 20000] [--runs 3] [--write] [--profile]

Prints one JSON document: median bars per CPU second of `app.backtest.simulate`, without a journal and with one (signed, in a
temporary folder), and of backtesting.py on the same bars, in turn; fills and equity of all three equal a vectorised reference,
else it fails. Reading and making candles is not timed. Goal at 100,000 bars: `ratio` >= 1.5 to backtesting.py.
`--write` keeps the document as benchmarks/results/w1-<date>.json; `--profile` prints where the time goes instead.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import json
import os
import platform
import pstats
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import backtesting
import numpy as np
import pandas as pd
from anyio.from_thread import start_blocking_portal
from sma_cross import CASH, CrossParams, SmaCross

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.api.strategy import Candle, Series
from dudzian_daemon.app.backtest.journal import JournalRecorder
from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.domain.market import HOUR_NS, SECOND_NS
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.testing.market import instrument, limits, preset, schedule, spec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window

ROOT = Path(__file__).parents[1]
GOAL_RATIO = 1.5
FEE, FAST, SLOW = Decimal("0.001"), 20, 50
BTC = instrument("BTC", lot_size=Decimal(1), min_quantity=Decimal(1))
VOLUME = 1000.0  # a unit is far less than the share of a bar that one order may have
SERIES = Series(BTC.key, "1h")
START = 1_262_304_000 * SECOND_NS
KEY = SigningKey(id="benchmark", secret=b"k" * 32, source="benchmark")


class Memory:
    """A candle store that is a list."""

    def __init__(self, candles: list[Candle]) -> None:
        self._candles = candles

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        """The bars inside; there is none before the first."""
        first, after = max(0, (start - START) // series.step_ns), max(0, (end - START) // series.step_ns)
        return self._candles[first:after]


def prices(bars: int) -> dict[str, Any]:
    """Seeded bars: a mean-reverting log price around 100, small gaps at the open, two decimals."""
    random = np.random.default_rng(7)
    level, levels = 0.0, []
    for shock in random.normal(0.0, 0.008, bars).tolist():
        level = level * 0.9995 + shock
        levels.append(level)
    close = np.round(100.0 * np.exp(np.array(levels)), 2)
    before = np.concatenate(([100.0], close[:-1]))
    opened = np.round(before * (1.0 + random.normal(0.0, 0.0005, bars)), 2)
    high = np.round(np.maximum(opened, close) * (1.0 + np.abs(random.normal(0.0, 0.002, bars))), 2)
    low = np.round(np.minimum(opened, close) * (1.0 - np.abs(random.normal(0.0, 0.002, bars))), 2)
    return {"open": opened, "high": high, "low": low, "close": close}


def candles(columns: dict[str, Any]) -> list[Candle]:
    """The bars as the store would give them."""
    rows = zip(*(columns[name].tolist() for name in ("open", "high", "low", "close")), strict=True)
    ends = [START + (number + 1) * HOUR_NS for number in range(len(columns["close"]))]
    return [
        Candle(end, BTC.key, "1h", end, opened, high, low, close, 1000.0)
        for end, (opened, high, low, close) in zip(ends, rows, strict=True)
    ]


def reference(columns: dict[str, Any], *, sold: bool = True) -> dict[str, float]:
    """Number of fills and final equity, vectorised; what is held at the end is `sold` at the last close, or valued at it."""
    close, opened = columns["close"], columns["open"]
    sums = np.cumsum(np.concatenate(([0.0], close)))
    means = [(sums[window:] - sums[:-window]) / window for window in (FAST, SLOW)]
    target = np.concatenate((np.zeros(SLOW - 1), means[0][SLOW - FAST :] > means[1] + 1e-9))
    changes = np.flatnonzero(np.diff(np.concatenate(([0.0], target))))
    changes = changes[changes + 1 < target.size]
    sides = np.where(target[changes] == 1.0, 1.0, -1.0)
    paid = opened[changes + 1]
    held = float(sides.sum())
    if held and sold:
        sides, paid, held = np.append(sides, -1.0), np.append(paid, close[-1]), 0.0
    value = held * float(close[-1])
    return {"fills": int(paid.size), "equity": round(CASH + value - float((sides * paid).sum()) - float(FEE) * float(paid.sum()), 2)}


def core() -> Core:
    """A session of one strategy, one instrument, no limits."""
    free = limits(
        max_daily_loss_pct=Decimal(1),
        max_position_pct=Decimal(1),
        max_leverage=Decimal(1000),
        max_open_positions=1_000_000,
        hard_drawdown_pct=Decimal(1),
    )
    session = spec(
        {"cross": SmaCross(CrossParams(fast=FAST, slow=SLOW))},
        [schedule("cross", [BTC])],
        [BTC],
        profiles={"balanced": free},
        preset=preset(taker_fee=FEE, slippage_bps=Decimal(0)),
        opening_balance=Decimal(CASH),
    )
    with exact_money():
        return Core(session)


def bare(rows: list[Candle]) -> tuple[float, dict[str, float]]:
    """CPU seconds and outcome without a journal."""
    session, window = core(), window_of(rows)
    gc.collect()
    before = time.process_time()
    done = simulate(session, [window], Memory(rows))
    return time.process_time() - before, outcome(done)


def recorded(rows: list[Candle]) -> tuple[float, dict[str, float]]:
    """The same with a signed journal."""
    session, window = core(), window_of(rows)
    with tempfile.TemporaryDirectory() as folder, start_blocking_portal() as portal:
        journal = SessionJournal.create(Path(folder), "w1", KEY, clock=SystemClock())
        recorder = JournalRecorder(journal, portal, SystemClock())
        gc.collect()
        before = time.process_time()
        done = simulate(session, [window], Memory(rows), recorder=recorder)
        recorder.close("closed", "end_of_data")
        return time.process_time() - before, outcome(done)


def outcome(done: Performance) -> dict[str, float]:
    """Number of fills and final equity, to the cent."""
    return {"fills": done.counts.fills, "equity": round(float(done.total.daily[-1]), 2)}


class PeerCross(backtesting.Strategy):
    """The same in the words of backtesting.py."""

    def init(self) -> None:
        """Columns first."""
        self.fast, self.slow = (
            self.I(lambda close, window=window: pd.Series(close).rolling(window).mean(), self.data.Close) for window in (FAST, SLOW)
        )

    def next(self) -> None:
        """Bar by bar."""
        if self.fast[-1] > self.slow[-1] + 1e-9:
            if not self.position:
                self.buy(size=1)
        elif self.position:
            self.position.close()


def peer(rows: list[Candle]) -> tuple[float, dict[str, float]]:
    """backtesting.py, which values at the last close what it still holds."""
    frame = pd.DataFrame({name.title(): [getattr(row, name) for row in rows] for name in ("open", "high", "low", "close", "volume")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = backtesting.Backtest(frame, PeerCross, cash=CASH, commission=float(FEE))
        gc.collect()
        before = time.process_time()
        done = engine.run()
    fills = 2 * int(done["# Trades"]) + int(done["_strategy"].position.size)
    return time.process_time() - before, {"fills": fills, "equity": round(float(done["Equity Final [$]"]), 2)}


def window_of(rows: list[Candle]) -> Window:
    """All of it, without history."""
    return Window(START, rows[-1].end, {SERIES: SLOW})


def profiled(rows: list[Candle]) -> str:
    """Where the time goes, without a journal."""
    session, profile = core(), cProfile.Profile()
    profile.runcall(simulate, session, [window_of(rows)], Memory(rows))
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(40)
    return text.getvalue()


KINDS: dict[str, Callable[[list[Candle]], tuple[float, dict[str, float]]]] = {
    "no_journal": bare,
    "journal": recorded,
    "backtesting_py": peer,
}


def measured(bars: int, runs: int) -> dict[str, Any]:
    """All kinds in turn, so that all meet the same neighbours."""
    columns = prices(bars)
    rows = candles(columns)
    expected = {name: reference(columns, sold=name != "backtesting_py") for name in KINDS}
    speeds: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(runs):
        for name, run in KINDS.items():
            seconds, found = run(rows)
            assert found == expected[name], f"{name}: expected {expected[name]}, found {found}"
            speeds[name].append(bars / seconds)
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    ratio = medians["no_journal"] / medians["backtesting_py"]
    return {
        "bars": bars,
        "runs": runs,
        "result": expected["no_journal"],
        "bars_per_cpu_s": {name: rate(each) for name, each in speeds.items()},
        "ratio": round(ratio, 3),
        "goal_ratio": GOAL_RATIO,
        "reached": ratio >= GOAL_RATIO,
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if given.profile:
        print(profiled(candles(prices(given.bars))))
        return
    today = datetime.now(UTC).date().isoformat()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    heading = {"benchmark": "w1", "date": today, "commit": commit, "python": platform.python_version(), "cpus": os.cpu_count()}
    text = json.dumps(heading | measured(given.bars, given.runs), indent=2)
    print(text)
    if given.write:
        folder = ROOT / "benchmarks" / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"w1-{today}.json").write_text(text + "\n", encoding="utf-8")


def rate(speeds: list[float]) -> dict[str, int]:
    """Median and range."""
    return {"median": round(statistics.median(speeds)), "least": round(min(speeds)), "most": round(max(speeds))}


if __name__ == "__main__":
    main()
