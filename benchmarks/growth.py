"""What grows with the length of a session: CPU time of a bar, and memory.

    python benchmarks/growth.py [--bars 100000 1000000] [--runs 3] [--cycles 1100000] [--write]

Prints one JSON document. `cpu`: microseconds a bar of W1 (no journal) at each number of bars, each run in a process of its own and in
turn; `growth` is the median at the most bars over that at the fewest, less one. Goal: at most 0.1 from 100,000 to 10,000,000 bars, which
take 4 GB and half an hour of CPU with three runs: `--bars 100000 10000000`. `memory`: one process steps W1's session through `--cycles`
cycles, journal on, nothing kept of them; resident MB at every tenth of a million, and `slope` from the first of these to the last, per
million cycles. Goal: under 0.01. `--write` keeps the document as benchmarks/results/growth-<date>.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import measuring
import psutil
import w1
from anyio.from_thread import start_blocking_portal

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.api.strategy import Candle
from dudzian_daemon.app.backtest.journal import JournalRecorder
from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.timeline import candle_ticks

MB = 1_000_000
EVERY = 100_000
CHUNK = 10_000


def endless() -> Iterator[Tick]:
    """Bars like those of W1, made as they are wanted."""
    random, level, close = Random(7), 0.0, 100.0
    for first in count(0, CHUNK):
        made = []
        for number in range(first, first + CHUNK):
            level = level * 0.9995 + random.gauss(0.0, 0.008)
            opened, close = close, round(100.0 * 2.718281828459045**level, 2)
            end = w1.START + (number + 1) * w1.SERIES.step_ns
            made.append(
                Candle(end, w1.BTC.key, w1.SERIES.granularity, end, opened, max(opened, close), min(opened, close), close, w1.VOLUME)
            )
        yield from candle_ticks({w1.SERIES: made})


def resident(cycles: int, every: int = EVERY) -> list[float]:
    """MB after each `every` cycles, the collector having run."""
    process, found, done = psutil.Process(), [], 0
    with exact_money(), tempfile.TemporaryDirectory() as folder, start_blocking_portal() as portal:
        journal = SessionJournal.create(Path(folder), "benchmark", w1.KEY, clock=SystemClock())
        recorder, driver = JournalRecorder(journal, portal, SystemClock()), Driver(w1.core())
        for tick in endless():
            for record in driver.advance(tick):
                recorder.append(record)
                done += 1
                if done % every == 0:
                    gc.collect()
                    found.append(round(process.memory_info().rss / MB, 2))
            if done >= cycles:
                break
        recorder.close("closed", "end_of_data")
    return found


def memory(cycles: int) -> dict[str, Any]:
    """The figures and their slope, of a process of its own."""
    every = min(EVERY, cycles // 4)
    found = measuring.ours("growth", "--resident", str(cycles), str(every))["rss_mb"]
    millions = (len(found) - 1) * every / 1e6
    return {"cycles": cycles, "every": every, "rss_mb": found, "slope": round((found[-1] / found[0] - 1.0) / millions, 4)}


def cpu(sizes: list[int], runs: int) -> dict[str, Any]:
    """Microseconds a bar at each size, in turn."""
    found: dict[int, list[float]] = {bars: [] for bars in sizes}
    for number in range(runs):
        for bars in sizes:
            measuring.say(f"growth: run {number + 1} of {runs}, {bars:,} bars")
            found[bars].append(measuring.ours("w1", "--bars", str(bars), "--once", "no_journal")["run_cpu_s"] / bars * 1e6)
    growth = median(found[max(sizes)]) / median(found[min(sizes)]) - 1.0
    return {"runs": runs, "us_a_bar": {str(bars): measuring.spread(each) for bars, each in found.items()}, "growth": round(growth, 3)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=1_100_000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--resident", type=int, nargs=2, metavar=("CYCLES", "EVERY"), help="only the memory, of this process")
    given = parser.parse_args()
    if given.resident:
        print(json.dumps({"rss_mb": resident(*given.resident)}))
        return
    document = measuring.heading("growth") | {"cpu": cpu(given.bars, given.runs), "memory": memory(given.cycles)}
    print(json.dumps(document, indent=2))
    if given.write:
        measuring.keep(document)


if __name__ == "__main__":
    main()
