"""CPU seconds and memory of a start: `python benchmarks/start.py [repeats] [--json]`.

Goals: 0.4 CPU seconds, 60 MB before the candle store is opened.

`run` is measured where the first candles are about to be read (fault point `feed.warm_up`): journal and port are open by
then and `started` was said. Byte code is kept, and written by a first round that does not count. Median of `repeats` (default 7).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import sleep
from typing import NamedTuple

import psutil

MB = 1_000_000
POINT = "feed.warm_up"


class Cost(NamedTuple):
    """CPU seconds, user and system, and megabytes that are resident."""

    cpu_s: float
    rss_mb: float


def command(*arguments: str) -> Callable[[Path], Cost]:
    """What a command costs from its start to its end, and the most memory it had."""

    def measure(home: Path) -> Cost:
        child = subprocess.Popen(_line(*arguments), env=_environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / MB)

    return measure


def start(home: Path) -> Cost:
    """What `dudzian run` costs up to the moment at which it would read candles."""
    trace = home / "trace"
    faults = {"DUDZIAN_FAULTS": f"{POINT}=pause", "DUDZIAN_FAULTS_TRACE": str(trace)}
    line = _line("run", "--data-dir", str(home / "data"), "--metrics-port", "0")
    with subprocess.Popen(line, env=_environment(home) | faults, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while not (trace.exists() and POINT in trace.read_text()):
            sleep(0.005)
        process = psutil.Process(child.pid)
        spent, memory = process.cpu_times(), process.memory_info()
        child.send_signal(signal.SIGTERM)
        Path(f"{trace}.go").touch()
    return Cost(spent.user + spent.system, memory.rss / MB)


def _line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dudzian_daemon", *arguments]


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"HOME": str(home), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


ROWS = {
    "dudzian --help": command("--help"),
    "dudzian validate-config": command("validate-config"),
    "dudzian run --dry-run": command("run", "--dry-run"),
    "dudzian run, up to the candles": start,
}


def measured(repeats: int) -> dict[str, Cost]:
    """Medians, after a round that does not count."""
    medians = {}
    for name, measure in ROWS.items():
        costs = []
        for _ in range(repeats + 1):
            with tempfile.TemporaryDirectory() as folder:
                costs.append(measure(Path(folder)))
        medians[name] = Cost(*(median(column) for column in zip(*costs[1:], strict=True)))
    return medians


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("repeats", type=int, nargs="?", default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measured(given.repeats)
    if given.json:
        print(json.dumps({name: {"cpu_s": round(cost.cpu_s, 3), "rss_mb": round(cost.rss_mb, 1)} for name, cost in found.items()}))
        return
    print(f"{'median of ' + str(given.repeats):32} {'CPU s':>7} {'RSS MB':>7}")
    for name, cost in found.items():
        print(f"{name:32} {cost.cpu_s:7.3f} {cost.rss_mb:7.1f}")


if __name__ == "__main__":
    main()
