"""What the online self-check of the account costs: the cheap part per cycle, and a full fold.

    python benchmarks/self_check.py [--hours 20000] [--runs 5]

Prints one JSON document: microseconds of CPU per cycle (median of the runs; goal < 1,000), its share of the step, and the
milliseconds of a fold of all entries.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.trading.invariants import Fold, SelfCheck, differences
from dudzian_daemon.trading.timeline import candle_ticks
from tests.unit.trading.desk import BTC, BTC_1H, desk, enter, flat_hours, hour, leave


def run(hours: int) -> dict[str, float]:
    """A session that trades every other hour."""
    script: dict[int, list[Signal]] = {hour(number): [enter() if number % 4 == 1 else leave()] for number in range(1, hours, 2)}
    session = desk(script)
    check = SelfCheck(session.core.spec.instruments, {("told", BTC.key): "balanced"})
    looked, entries, cycles = 0, [], 0
    began = time.process_time_ns()
    with exact_money():
        for tick in candle_ticks({BTC_1H: flat_hours(hours)}, session.core.execution_series):
            for record in session.driver.advance(tick):
                before = time.process_time_ns()
                found = check.look(record, session.core.ledger)
                looked += time.process_time_ns() - before
                assert not found, found
                cycles += 1
                entries += record.entries
        whole = time.process_time_ns() - began
        before = time.process_time_ns()
        fold = Fold()
        found = [each for entry in entries for each in fold.add(entry)] + differences(fold.state(), session.core.ledger.state())
        folded = time.process_time_ns() - before
    assert not found
    return {
        "cycles": cycles,
        "entries": len(entries),
        "check_us_per_cycle": looked / cycles / 1e3,
        "share_of_step": looked / (whole - looked),
        "fold_ms": folded / 1e6,
    }


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    runs = [run(options.hours) for _ in range(options.runs)]
    print(json.dumps({"benchmark": "self_check"} | {key: round(statistics.median(each[key] for each in runs), 3) for key in runs[0]}))


if __name__ == "__main__":
    main()
