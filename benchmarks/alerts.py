"""What a channel that hangs costs the cycles: `python benchmarks/alerts.py [repeats]`.

A month of the demo's candles under a tiny daily limit (a hundred alerts, a third of them critical), as fast as it goes, in turns: with no
channel, with a file, with a webhook that takes the connection and never answers. Step times are those in the journal (member `w`).
Goal: the p99 of the steps with the hanging channel is less than 10 % above that with none. Of `repeats` runs (default 5) the least counts:
what other processes take from a step is no cost of a channel.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WINDOW = "        - {start: 2024-02-01, end: 2024-03-01, instruments: [ETH_USDT, SOL_USDT], granularity: 1h}\n"
CHANNELS = {"none": "[]", "file": "[file:local]", "hanging": "['webhook:desk', file:local]"}
GOAL = 1.10


class Figures(NamedTuple):
    """Microseconds of the steps, CPU seconds of the process, alerts raised."""

    p50_us: float
    p99_us: float
    cpu_s: float
    alerts: int


def hanging_port() -> int:
    """A port that takes every connection and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            held.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def configured(home: Path, channels: str, port: int) -> Path:
    """The bundled configuration with the window, the limit and the channels of this benchmark."""
    folder = shutil.copytree(ROOT / "config", home / "config")
    main = folder / "core.yaml"
    text = main.read_text(encoding="utf-8")
    head, _, rest = text.partition("      windows:\n")
    text = f"{head}      windows:\n{WINDOW}    derived_venues:{rest.partition('    derived_venues:')[2]}"
    text = text.replace("alert_channels: [file:local]\n    replay", f"alert_channels: {channels}\n    replay", 1)
    text = text.replace("    max_daily_loss_pct: 0.015", "    max_daily_loss_pct: 0.0001")
    main.write_text(text.replace("metrics_http: {", "metrics_http: {enabled: false, "), encoding="utf-8")
    desk = f"{{timeout_seconds: 60, parameters: {{url: 'http://127.0.0.1:{port}/'}}}}"
    (folder / "alerts.yaml").write_text(f"version: 1\nalerts:\n  channels:\n    webhook: {{desk: {desk}}}\n", encoding="utf-8")
    return main


def measure(channels: str, port: int) -> Figures:
    """One run to the end of its data."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        arguments = [
            "run",
            "--config",
            str(configured(home, channels, port)),
            "--data-dir",
            str(home / "data"),
            "--speed",
            "max",
            "--no-ui",
        ]
        environment = os.environ | {"HOME": str(home), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
        command = [sys.executable, "-m", "dudzian_daemon", *arguments]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, child.returncode
        (journal,) = (home / "data").glob("data/journal/*/*/*.jsonl")
        walls = [json.loads(line)["w"] for line in journal.read_text(encoding="utf-8").splitlines()]
        steps = sorted(wall["duration_ns"] / 1_000 for wall in walls if "duration_ns" in wall)
        cuts = quantiles(steps, n=100)
        raised = len((home / "data" / "logs" / "alerts_audit.jsonl").read_text(encoding="utf-8").splitlines())
        return Figures(cuts[49], cuts[98], usage.ru_utime + usage.ru_stime, raised)


def main(repeats: int) -> int:
    """Measure in turns, print the least of each figure; 1 if the goal is missed."""
    port = hanging_port()
    found: dict[str, list[Figures]] = {name: [] for name in CHANNELS}
    for _ in range(repeats):
        for name, channels in CHANNELS.items():
            found[name].append(measure(channels, port))
    least = {name: Figures(*(min(column) for column in zip(*runs, strict=True))) for name, runs in found.items()}
    print(f"{'channel':<10} {'p50 us':>8} {'p99 us':>8} {'CPU s':>6} {'audit lines':>12}")
    for name, each in least.items():
        print(f"{name:<10} {each.p50_us:>8.0f} {each.p99_us:>8.0f} {each.cpu_s:>6.2f} {each.alerts:>12.0f}")
    ratio = least["hanging"].p99_us / least["none"].p99_us
    print(f"p99 with a hanging channel / with none: {ratio:.3f} (goal < {GOAL})")
    return int(ratio >= GOAL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
