"""W1: one symbol, SMA 20/50 long or flat, 1 unit, 0.1 % fee, seeded synthetic bars, through the product's own backtest loop.

    python benchmarks/w1.py [--bars 20000] [--runs 3] [--write] [--profile] [--once KIND]

Prints one JSON document: median bars per CPU second of `app.backtest.simulate`, without a journal and with one (signed, in a
temporary folder), and of backtesting.py on the same bars, in turn; fills and equity of all three equal a vectorised reference,
else it fails. Reading and making candles is not timed. Goal at 100,000 bars: `ratio` >= 1.5 to backtesting.py.
`--write` keeps the document as benchmarks/results/w1-<date>.json; `--profile` prints where the time goes instead,
`--once` one line of JSON of one run of one kind.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from anyio.from_thread import start_blocking_portal
from sma_cross import CASH, CrossParams, SmaCross
from unlimited import FREE

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.api.strategy import Candle, Series
from dudzian_daemon.app.backtest.journal import JournalRecorder
from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.testing.market import instrument, preset, schedule, spec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window

GOAL_RATIO = 1.5
FEE, FAST, SLOW = Decimal("0.001"), 20, 50
BTC = instrument("BTC", lot_size=Decimal(1), min_quantity=Decimal(1))
VOLUME = 1000.0  # a unit is far less than the share of a bar that one order may have
SERIES = Series(BTC.key, "1h")
START = 1_262_304_000 * SECOND_NS
MOST_HOURS = 200_000
KEY = SigningKey(id="benchmark", secret=b"k" * 32, source="benchmark")


class Memory:
    """A candle store that is lists."""

    def __init__(self, rows: Mapping[Series, list[Candle]]) -> None:
        self._rows = rows

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        """The bars inside; there is none before the first."""
        first, after = max(0, (start - START) // series.step_ns), max(0, (end - START) // series.step_ns)
        return self._rows[series][first:after]


def prices(bars: int, seed: int = 7) -> dict[str, Any]:
    """Seeded bars: a mean-reverting log price around 100, small gaps at the open, two decimals."""
    random = np.random.default_rng(seed)
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


def series_for(bars: int) -> Series:
    """Hours, or minutes where that many hours would outlast the calendar of the peers."""
    return SERIES if bars <= MOST_HOURS else Series(BTC.key, "1m")


def candles(columns: dict[str, Any], series: Series = SERIES) -> list[Candle]:
    """The bars as the store would give them."""
    rows = zip(*(columns[name].tolist() for name in ("open", "high", "low", "close")), strict=True)
    ends = [START + (number + 1) * series.step_ns for number in range(len(columns["close"]))]
    return [
        Candle(end, series.instrument, series.granularity, end, opened, high, low, close, VOLUME)
        for end, (opened, high, low, close) in zip(ends, rows, strict=True)
    ]


def reference(columns: dict[str, Any], *, sold: bool = True) -> dict[str, float]:
    """Number of fills and final equity, vectorised; what is held at the end is `sold` at the last close, or valued at it."""
    close, opened = columns["close"], columns["open"]
    target = np.concatenate((np.zeros(SLOW - 1), _above(close)))
    changes = np.flatnonzero(np.diff(np.concatenate(([0.0], target))))
    changes = changes[changes + 1 < target.size]
    sides = np.where(target[changes] == 1.0, 1.0, -1.0)
    paid = opened[changes + 1]
    held = float(sides.sum())
    if held and sold:
        sides, paid, held = np.append(sides, -1.0), np.append(paid, close[-1]), 0.0
    value = held * float(close[-1])
    return {"fills": int(paid.size), "equity": round(CASH + value - float((sides * paid).sum()) - float(FEE) * float(paid.sum()), 2)}


def _above(close: Any) -> Any:
    """Where the fast mean is above the slow one, in whole cents: running sums of floats are off after millions of bars.

    Where the two are level, 215 times in 10,000,000 bars, it is for the floats nearest to those cents to say.
    """
    sums = np.concatenate(([0], np.cumsum(np.rint(close * 100.0).astype(np.int64))))
    fast, slow = (sums[window:] - sums[:-window] for window in (FAST, SLOW))
    lead = SLOW * fast[SLOW - FAST :] - FAST * slow
    above = lead > 0
    for place in np.flatnonzero(lead == 0).tolist():
        newest = close[place : place + SLOW].tolist()
        above[place] = _mean(newest[-FAST:]) > _mean(newest)
    return above


def _mean(values: list[float]) -> float:
    return float(sum(map(Fraction, values)) / len(values))


def core(granularity: str = SERIES.granularity) -> Core:
    """A session of one strategy, one instrument, no limits."""
    session = spec(
        {"cross": SmaCross(CrossParams(fast=FAST, slow=SLOW))},
        [schedule("cross", [BTC], granularity=granularity)],
        [BTC],
        profiles={"balanced": FREE},
        preset=preset(taker_fee=FEE, slippage_bps=Decimal(0)),
        opening_balance=Decimal(CASH),
    )
    with exact_money():
        return Core(session)


def bare(rows: list[Candle]) -> tuple[float, dict[str, float]]:
    """CPU seconds and outcome without a journal."""
    seconds, done = played(*arranged(rows))
    return seconds, outcome(done)


def recorded(rows: list[Candle]) -> tuple[float, dict[str, float]]:
    """The same with a signed journal."""
    seconds, done = journalled(*arranged(rows))
    return seconds, outcome(done)


def arranged(rows: list[Candle]) -> tuple[Core, Window, Memory]:
    """A session, the window of all bars without history, and the store they are in."""
    series = Series(rows[0].instrument, rows[0].granularity)
    return core(series.granularity), Window(START, rows[-1].end, {series: SLOW}), Memory({series: rows})


def played(session: Core, window: Window, store: Memory) -> tuple[float, Performance]:
    """CPU seconds of the backtest's own loop, and what it found."""
    gc.collect()
    before = time.process_time()
    done = simulate(session, [window], store)
    return time.process_time() - before, done


def journalled(session: Core, window: Window, store: Memory) -> tuple[float, Performance]:
    """The same with every cycle signed, chained, and synced by groups to a file in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder, start_blocking_portal() as portal:
        journal = SessionJournal.create(Path(folder), "benchmark", KEY, clock=SystemClock())
        recorder = JournalRecorder(journal, portal, SystemClock())
        gc.collect()
        before = time.process_time()
        done = simulate(session, [window], store, recorder=recorder)
        recorder.close("closed", "end_of_data")
        return time.process_time() - before, done


def outcome(done: Performance) -> dict[str, float]:
    """Number of fills and final equity, to the cent."""
    return {"fills": done.counts.fills, "equity": round(float(done.total.daily[-1]), 2)}


def peer(rows: list[Candle]) -> tuple[float, dict[str, float]]:
    """backtesting.py, which values at the last close what it still holds."""
    import backtesting
    import pandas as pd

    class Cross(backtesting.Strategy):
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

    frame = pd.DataFrame({name.title(): [getattr(row, name) for row in rows] for name in ("open", "high", "low", "close", "volume")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = backtesting.Backtest(frame, Cross, cash=CASH, commission=float(FEE))
        gc.collect()
        before = time.process_time()
        done = engine.run()
    fills = 2 * int(done["# Trades"]) + int(done["_strategy"].position.size)
    return time.process_time() - before, {"fills": fills, "equity": round(float(done["Equity Final [$]"]), 2)}


def profiled(rows: list[Candle]) -> str:
    """Where the time goes, without a journal."""
    session, window, store = arranged(rows)
    return measuring.profiled(lambda: simulate(session, [window], store))


KINDS: dict[str, Callable[[list[Candle]], tuple[float, dict[str, float]]]] = {
    "no_journal": bare,
    "journal": recorded,
    "backtesting_py": peer,
}


def once(bars: int, kind: str) -> dict[str, Any]:
    """One run of one kind, and the most memory this process had."""
    columns = prices(bars)
    seconds, found = KINDS[kind](candles(columns, series_for(bars)))
    expected = reference(columns, sold=kind != "backtesting_py")
    assert found == expected, f"{kind}: expected {expected}, found {found}"
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return {
        "kind": kind,
        "bars": bars,
        "run_cpu_s": round(seconds, 3),
        "bars_per_cpu_s": round(bars / seconds),
        **found,
        "peak_rss_mb": peak_mb,
    }


def measured(bars: int, runs: int) -> dict[str, Any]:
    """All kinds in turn, so that all meet the same neighbours."""
    columns = prices(bars)
    rows = candles(columns, series_for(bars))
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
        "bars_per_cpu_s": {name: measuring.spread(each, 0) for name, each in speeds.items()},
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
    parser.add_argument("--once", choices=KINDS)
    given = parser.parse_args()
    if given.profile:
        print(profiled(candles(prices(given.bars), series_for(given.bars))))
        return
    if given.once:
        print(json.dumps(once(given.bars, given.once)))
        return
    document = measuring.heading("w1") | measured(given.bars, given.runs)
    print(json.dumps(document, indent=2))
    if given.write:
        measuring.keep(document)


if __name__ == "__main__":
    main()
