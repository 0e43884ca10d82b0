"""What the start of a long session costs its report: `python benchmarks/folds.py [cycles]`, with and without a kept fold (CPU seconds)."""

from __future__ import annotations

import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import anyio

from dudzian_daemon.adapters.cycle_follower import CycleFollower, durable
from dudzian_daemon.adapters.fold_marks import FoldFile
from dudzian_daemon.adapters.journal_reader import latest_cycles
from dudzian_daemon.domain.events import CYCLE_DURABLE
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.sinks.reports import ReportSink
from tests.unit.adapters.journal_samples import KEY, fill_cycle, quiet_cycle, write_session

CYCLES = 100_000
#: Every so many cycles hold a fill, as in the demo.
PER_FILL = 40


def start(folder: Path, journal: Path, cycles: int) -> float:
    """CPU seconds of a report that takes the session up."""
    bus = Bus()
    queue = bus.subscribe_queued(CYCLE_DURABLE, name="report", size=16, policy=Policy.DROP_OLDEST)
    follower = CycleFollower(queue, journal, recorded=cycles)
    sink = ReportSink(
        follower, FoldFile(folder, "report", journal, KEY), environment="demo", log_id=journal.name, opening_equity=Decimal(10_000)
    )
    (last,) = latest_cycles(journal, 1)

    async def run() -> None:
        bus.publish(CYCLE_DURABLE, durable(last))
        await sink.stop()
        await sink.run()

    before = time.process_time()
    anyio.run(run)
    spent = time.process_time() - before
    assert sink.report.cycles == cycles, sink.report.cycles
    return spent


def main() -> None:
    """Print one line."""
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else CYCLES
    with tempfile.TemporaryDirectory() as home:
        root = Path(home)
        records = (fill_cycle(number) if number % PER_FILL == 0 else quiet_cycle(number) for number in range(1, cycles + 1))
        journal = write_session(root, records, end=None).parent
        anew = start(root / "folds", journal, cycles)
        kept = start(root / "folds", journal, cycles)
        print(f"{cycles:,} cycles: {anew:.2f} s without a kept fold, {kept:.3f} s with one ({anew / kept:.0f} times)")


if __name__ == "__main__":
    main()
