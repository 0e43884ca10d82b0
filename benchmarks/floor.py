"""What a bar of W1 costs before any core has seen it: the strategy called for each bar, the bar as ticks, the record of a cycle.

And beside it `orders`: what the core takes for the cycles with a signal or a fill, a few of a hundred, shared out among all bars.

    python benchmarks/floor.py [--bars 40000] [--runs 5]

Prints one JSON document: microseconds of CPU a bar, the least of `--runs`, each part by itself and all of them together.
What a core may take is what a goal leaves of them (docs/decisions/0016-what-a-bar-costs.md).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

import measuring
import w1
from sma_cross import CrossParams, SmaCross

from dudzian_daemon.domain.market import Candle, Phase
from dudzian_daemon.domain.money import ZERO, exact_money
from dudzian_daemon.domain.ports import MarketView, Position
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.timeline import candle_ticks


def strategy(rows: Sequence[Candle]) -> None:
    """Two rolling means and one comparison a bar, on a view that is made once."""
    crossing = SmaCross(CrossParams(fast=20, slow=50))
    state, view = crossing.new_state(), MarketView(instant=1, candles={}, positions={w1.SERIES.instrument: Position()})
    for candle in rows:
        crossing.on_candle(state, candle)
        crossing.decide(state, view)


def ticks(rows: Sequence[Candle]) -> None:
    """An open print and a close a bar."""
    for _ in candle_ticks({w1.SERIES: rows}):
        pass


def record(rows: Sequence[Candle]) -> None:
    """A quiet cycle a bar."""
    for candle in rows:
        CycleRecord(
            sequence=1,
            instant=candle.end,
            phase=int(Phase.CLOSE),
            due=(),
            inputs=(candle,),
            signals=(),
            verdicts=(),
            results=(),
            fills=(),
            positions=(),
            risk=(),
            strategies=(),
            faults=(),
            entries=(),
            cash=ZERO,
            equity=ZERO,
        )


def orders(rows: Sequence[Candle], runs: int) -> float:
    """Microseconds a bar that cycles with a signal or a fill take, by the wall: a clock of CPU time is dear to ask at each tick."""
    took = []
    for _ in range(runs):
        driver, spent = Driver(w1.core()), 0
        with exact_money():
            for tick in candle_ticks({w1.SERIES: rows}):
                before = time.perf_counter_ns()
                records = list(driver.advance(tick))
                if any(record.signals or record.fills for record in records):
                    spent += time.perf_counter_ns() - before
        took.append(spent)
    return min(took) / len(rows) / 1e3


def least(part: Callable[[Sequence[Candle]], None], rows: Sequence[Candle], runs: int) -> float:
    """Microseconds a bar."""
    took = []
    for _ in range(runs):
        before = time.process_time()
        part(rows)
        took.append(time.process_time() - before)
    return min(took) / len(rows) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    rows = w1.candles(w1.prices(given.bars))
    parts = {part.__name__: least(part, rows, given.runs) for part in (strategy, ticks, record)}
    found = {name: round(us, 2) for name, us in {**parts, "together": sum(parts.values()), "orders": orders(rows, given.runs)}.items()}
    print(json.dumps({**measuring.heading("floor"), "bars": given.bars, "us_a_bar": found}, indent=2))


if __name__ == "__main__":
    main()
