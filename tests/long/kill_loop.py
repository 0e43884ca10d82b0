"""The kill loop of the [long] checks: `nice -n 15 python -m tests.long.kill_loop [--kills 1000] [--minutes 60] [--output FILE]`.

Prints one JSON document, and writes it to FILE. Exit code 1 when something was lost, doubled, or came out differently.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from dudzian_daemon.kernel.clock import SystemClock
from tests.integration.killing import KillLoop

#: Seconds until a kill, at most; the mean life of a thousand is half of that and a start.
LIFE_S = 0.8


def main() -> int:
    """Run it and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, default=120.0, help="no further kill after so long")
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    clock = SystemClock()
    began = clock.monotonic_ns()
    with tempfile.TemporaryDirectory() as folder:
        outcome = KillLoop(Path(folder), kills=said.kills, life_s=LIFE_S).run(seconds=said.minutes * 60)
    document = {
        "check": "kill loop",
        "date": datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        "python": sys.version.partition(" ")[0],
        "kills": outcome.kills,
        "wanted": said.kills,
        "during_start": outcome.during_start,
        "acknowledged": outcome.acknowledged,
        "lost": outcome.lost,
        "doubled": outcome.doubled,
        "tracebacks": outcome.tracebacks,
        "content_chain_equal": outcome.content_chain_equal,
        "projections_equal": outcome.projections_equal,
        "recoveries": len(outcome.recovery_s),
        "recovery_s": {
            "p50": round(outcome.percentile(0.5), 3),
            "p99": round(outcome.percentile(0.99), 3),
            "max": round(outcome.percentile(1.0), 3),
        },
        "minutes": round((clock.monotonic_ns() - began) / 60e9, 1),
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)
    sound = outcome.content_chain_equal and outcome.projections_equal and not (outcome.lost or outcome.doubled or outcome.tracebacks)
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
