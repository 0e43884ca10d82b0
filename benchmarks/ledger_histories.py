"""[long] Random histories of a whole account, exact to the last digit against a second account of plain Fractions.

    python benchmarks/ledger_histories.py [--histories 10000] [--write]

Runs the state machine of tests/unit/trading/test_ledger_machine.py (orders, partial fills, cancels, marks, days, funding, clock
jumps, kill and recover) and prints one JSON document; `--write` keeps it as benchmarks/results/ledger-histories-<date>.json.
Exit code 1 with the shortest history found when one does not add up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.unit.trading import test_ledger_machine as machine  # noqa: E402 - the repository's root is put on the path above


def counted(histories: int) -> dict[str, Any]:
    """Run them; how many of each thing happened in all."""
    happened: Counter[str] = Counter()

    class Counting(machine.AccountMachine):
        def teardown(self) -> None:
            super().teardown()
            happened["histories"] += 1
            happened["cycles"] += len(self.records)
            for record in self.records:
                happened.update(f"entries_{entry.kind}" for entry in record.entries)
                happened.update(f"orders_{result.status}" for result in record.results)
                happened.update(f"risk_{change.change}" for change in record.risk)
            happened["recoveries"] += self.recoveries

    began = time.process_time()
    machine.histories(histories, kind=Counting)
    return {"cpu_s": round(time.process_time() - began, 1), **dict(sorted(happened.items()))}


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="keep the result below benchmarks/results")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    now = datetime.now(UTC)
    document = {"benchmark": "ledger_histories", "date": f"{now:%Y-%m-%d}", "commit": commit, "n": options.histories, "exact": True}
    text = json.dumps(document | counted(options.histories), indent=2)
    print(text)
    if options.write:
        folder = ROOT / "benchmarks" / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"ledger-histories-{now:%Y-%m-%d}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
