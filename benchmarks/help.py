"""CPU seconds of every `--help`, groups' commands included: `python benchmarks/help.py [--runs 5] [--write]`.

Goal: 0.4 CPU seconds, user and system, median of the runs, for each. Byte code is kept and written by a first round that does not count.
`--write` keeps the document as benchmarks/results/help-<date>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from statistics import median

from dudzian_daemon.cli.main import COMMANDS_PACKAGE, command_names

ROOT = Path(__file__).parents[1]
GOAL_CPU_S = 0.4


def commands() -> list[tuple[str, ...]]:
    """Every command line that takes --help: dudzian itself, each command, each command of a group."""
    found: list[tuple[str, ...]] = [()]
    for name in command_names():
        found.append((name,))
        group = getattr(import_module(f"{COMMANDS_PACKAGE}.{name.replace('-', '_')}"), "app", None)
        inner = [] if group is None else group.registered_commands
        found.extend((name, each.name or each.callback.__name__.replace("_", "-")) for each in inner)
    return found


def cpu_seconds(arguments: tuple[str, ...], home: Path) -> float:
    """What one `--help` costs."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "dudzian_daemon", *arguments, "--help"]
    child = subprocess.Popen(command, env=kept | {"HOME": str(home)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, (arguments, child.stderr and child.stderr.read())
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure in turns, print the document; 1 if one command misses the goal."""
    options = argparse.ArgumentParser(description="CPU seconds of every --help.")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--write", action="store_true", help="keep the result below benchmarks/results")
    asked = options.parse_args()
    costs: dict[tuple[str, ...], list[float]] = {each: [] for each in commands()}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(asked.runs + 1):
            for each, seconds in costs.items():
                seconds.append(cpu_seconds(each, Path(home)))
    middle = {" ".join(("dudzian", *each)): round(median(seconds[1:]), 3) for each, seconds in costs.items()}
    slowest = max(middle, key=lambda name: middle[name])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    answer = {
        "benchmark": "help",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "runs": asked.runs,
        "commands": len(middle),
        "slowest": {slowest: middle[slowest]},
        "cpu_s": middle,
        "goals": {"cpu_s": GOAL_CPU_S},
        "reached": middle[slowest] <= GOAL_CPU_S,
    }
    text = json.dumps(answer, indent=2)
    sys.stdout.write(text + "\n")
    if asked.write:
        (ROOT / "benchmarks" / "results" / f"help-{answer['date']}.json").write_text(text + "\n", encoding="utf-8")
    return int(not answer["reached"])


if __name__ == "__main__":
    sys.exit(main())
