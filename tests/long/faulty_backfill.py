"""Three years of hours under random faults: `nice -n 15 python -m tests.long.faulty_backfill [--days 1096] [--share 0.4] [--output FILE]`.

Every pause and every time limit is the real one. Prints one JSON document, and writes it to FILE. Exit code 1 when the store is not the
truth, a fault is not in the log, a pause was not kept, or a minute saw more than the ceiling.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from dudzian_daemon.kernel.clock import SystemClock
from tests.scenario.faulty_venue import Storm, ceiling, filled

RETRY_AFTER_S = 5


def main() -> int:
    """Run it and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=1096)
    parser.add_argument("--share", type=float, default=0.4, help="of the answers that are wrong")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    clock = SystemClock()
    began = clock.monotonic_ns()
    with tempfile.TemporaryDirectory() as folder:
        found = filled(Path(folder), Storm(said.seed, said.share, RETRY_AFTER_S), days=said.days)
    document = {
        "check": "backfill under faults",
        "date": datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        "python": sys.version.partition(" ")[0],
        "days": said.days,
        "seed": said.seed,
        "runs": found.runs,
        "rows": found.rows,
        "requests": len(found.requests),
        "faults": dict(sorted(found.met.items())),
        "differences_to_the_truth": found.wrong,
        "faults_without_a_log_line": found.unlogged(),
        "requests_before_a_pause_was_over": len(found.too_early()),
        "busiest_minute_weight": found.busiest_minute(),
        "ceiling": ceiling(),
        "second_run": {"requests": found.again_requests, "equal": found.again_equal},
        "log_lines": dict(sorted(Counter(line["event"] for line in found.log).items())),
        "minutes": round((clock.monotonic_ns() - began) / 60e9, 1),
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)
    late = found.too_early() or found.busiest_minute() > ceiling()
    return 1 if found.wrong or found.unlogged() or late or found.again_requests or not found.again_equal else 0


if __name__ == "__main__":
    raise SystemExit(main())
