"""The start races of the [long] checks: `nice -n 15 python -m tests.long.start_races [--races 200] [--output FILE]`.

Prints one JSON document, and writes it to FILE. Exit code 1 when a race was not won by exactly one start.
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
from tests.integration.daemon_process import short_config
from tests.integration.racing import Races, race


def main() -> int:
    """Run them and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--races", type=int, default=200)
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    clock, races = SystemClock(), Races()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config = short_config(home)
        for number in range(said.races):
            race(home, config, number, races)
    document = {
        "check": "start races",
        "date": datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        "python": sys.version.partition(" ")[0],
        "races": races.races,
        "exactly_one_ran": races.won,
        "wrong": races.wrong,
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)
    return 0 if races.won == said.races else 1


if __name__ == "__main__":
    raise SystemExit(main())
