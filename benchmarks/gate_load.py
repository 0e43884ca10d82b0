"""[long] The gate under twice the highest rate of orders that the shipped controls allow, for ten minutes of input time.

    python benchmarks/gate_load.py [--seconds 600] [--write]

120 orders a second (market, limit, IOC, bracket, reductions; one in twelve is nonsense) go through the real core beside a quote a second,
once under the shipped order rates and once with rates that let all of them be judged on size. Prints one JSON document and `--write`
keeps it as benchmarks/results/gate-load-<date>.json: orders, outcomes, orders and fills without an approval before them (goal 0), and the
CPU time of a judgement (goal: p99 < 1 ms). Exit code 1 if a goal is missed.
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

from dudzian_daemon.domain.risk import OrderControls  # noqa: E402 - the repository's root is put on the path above
from tests.scenario.load import Load  # noqa: E402 - as above

WIDE = OrderControls(
    strategy_orders_per_second=10_000,
    strategy_orders_per_minute=1_000_000,
    total_orders_per_second=10_000,
    total_orders_per_minute=1_000_000,
    duplicate_window_ns=0,
    repeated_executions=1_000_000,
)
RATE = 2 * OrderControls().total_orders_per_second


def measured(seconds: int, controls: OrderControls) -> dict[str, Any]:
    """One run: what was decided, what went past the gate, and how long a judgement took."""
    load = Load(controls)
    took: list[int] = []
    judge = load.core.gate.judge

    def timed(group: Any) -> Any:
        before = time.thread_time_ns()
        answer = judge(group)
        took.append(time.thread_time_ns() - before)
        return answer

    load.core.gate.judge = timed  # type: ignore[method-assign] # the stopwatch stands around the gate itself
    began = time.process_time()
    load.run(seconds, rate=RATE)
    took.sort()
    return {
        "orders": load.sent,
        "judged": len(took),
        "outcomes": dict(sorted(Counter(str(verdict.outcome) for verdict in load.verdicts).items())),
        "codes": dict(sorted(Counter(str(verdict.code) for verdict in load.verdicts if verdict.code).items())),
        "fills": len(load.fills),
        "unchecked": len(load.unchecked()),
        "judge_us": {name: round(took[int(len(took) * share)] / 1e3, 1) for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))},
        "cpu_s": round(time.process_time() - began, 1),
    }


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="of input time")
    parser.add_argument("--write", action="store_true", help="keep the result below benchmarks/results")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    now = datetime.now(UTC)
    runs = {"shipped_rates": measured(options.seconds, OrderControls()), "wide_rates": measured(options.seconds, WIDE)}
    document = {
        "benchmark": "gate_load",
        "date": f"{now:%Y-%m-%d}",
        "commit": commit,
        "seconds": options.seconds,
        "orders_per_second": RATE,
    }
    text = json.dumps(document | runs, indent=2)
    print(text)
    if options.write:
        (ROOT / "benchmarks" / "results" / f"gate-load-{now:%Y-%m-%d}.json").write_text(text + "\n", encoding="utf-8")
    raise SystemExit(any(run["unchecked"] or run["judge_us"]["p99"] >= 1000 for run in runs.values()))


if __name__ == "__main__":
    main()
