"""What a channel that hangs costs the cycles, and how long a critical alert takes:

    python benchmarks/alerts.py [--runs 7] [--write]

A month of the demo's candles under a tiny daily limit (a hundred alerts, a third of them critical), as fast as it goes, in turns: with no
channel, with a file, with a webhook that takes the connection and never answers beside one that answers at once. Step times are those
in the journal (member `w`); a critical alert has left when the second webhook has it, counted from the end of its cycle.

Goals: the p99 of the steps beside the hanging channel is at most 10 % above that with none, medians of the runs; no critical alert takes
longer than 5 s. `--write` keeps the document as benchmarks/results/alerts-<date>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
WINDOW = "        - {start: 2024-02-01, end: 2024-03-01, instruments: [ETH_USDT, SOL_USDT], granularity: 1h}\n"
CHANNELS = {"none": "[]", "file": "[file:local]", "hanging": "['webhook:desk', 'webhook:phone']"}
RATIO_GOAL = 1.10
SECONDS_GOAL = 5.0


class Figures(NamedTuple):
    """Microseconds of the steps, CPU seconds of the process, lines of the audit; how many critical alerts came, and after how long."""

    p50_us: float
    p99_us: float
    cpu_s: float
    audit_lines: int
    criticals: int
    slowest_critical_s: float


class Phone:
    """A webhook that answers at once and notes when each critical alert came (wall ns, by the sequence of its cycle)."""

    def __init__(self) -> None:
        self.came: dict[int, int] = {}
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                now = time.time_ns()
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if told["severity"] == "critical" and told.get("sequence"):
                    came.setdefault(told["sequence"], now)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()


def hanging_port() -> int:
    """A port that takes every connection and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            held.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def configured(home: Path, channels: str, hanging: int, answering: int) -> Path:
    """The bundled configuration with the window, the limit and the channels of this benchmark."""
    folder = shutil.copytree(ROOT / "config", home / "config")
    main = folder / "core.yaml"
    text = main.read_text(encoding="utf-8")
    head, _, rest = text.partition("      windows:\n")
    text = f"{head}      windows:\n{WINDOW}    derived_venues:{rest.partition('    derived_venues:')[2]}"
    text = text.replace("alert_channels: [file:local]\n    replay", f"alert_channels: {channels}\n    replay", 1)
    text = text.replace("    max_daily_loss_pct: 0.015", "    max_daily_loss_pct: 0.0001")
    main.write_text(text.replace("metrics_service: {", "metrics_service: {enabled: false, "), encoding="utf-8")
    desk, phone = (f"{{timeout_seconds: 60, parameters: {{url: 'http://127.0.0.1:{port}/'}}}}" for port in (hanging, answering))
    alerts = f"version: 1\nalerts:\n  channels:\n    webhook: {{desk: {desk}, phone: {phone}}}\n"
    (folder / "alerts.yaml").write_text(alerts, encoding="utf-8")
    return main


def measure(channels: str, hanging: int) -> Figures:
    """One run to the end of its data."""
    phone = Phone()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        arguments = [
            "run",
            "--config",
            str(configured(home, channels, hanging, phone.port)),
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
        lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
        raised = len((home / "data" / "logs" / "alerts_audit.jsonl").read_text(encoding="utf-8").splitlines())
    steps = sorted(line["w"]["duration_ns"] / 1_000 for line in lines if "duration_ns" in line["w"])
    ended = {line["d"]["sequence"]: line["w"]["started_ns"] + line["w"]["duration_ns"] for line in lines if line["d"]["kind"] == "cycle"}
    took = [(at - ended[sequence]) / 1e9 for sequence, at in phone.came.items()]
    cuts = quantiles(steps, n=100)
    return Figures(cuts[49], cuts[98], usage.ru_utime + usage.ru_stime, raised, len(took), max(took, default=0.0))


def document(found: dict[str, list[Figures]]) -> dict[str, Any]:
    """The result as it is kept."""
    middle = {name: Figures(*(median(column) for column in zip(*runs, strict=True))) for name, runs in found.items()}
    ratio = middle["hanging"].p99_us / middle["none"].p99_us
    slowest = max(each.slowest_critical_s for each in found["hanging"])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "benchmark": "alerts",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "nice": os.nice(0),
        "runs": len(found["none"]),
        "step_us": {name: {"p50": round(each.p50_us), "p99": round(each.p99_us)} for name, each in middle.items()},
        "p99_us_of_each_run": {name: [round(each.p99_us) for each in runs] for name, runs in found.items()},
        "cpu_s": {name: round(each.cpu_s, 2) for name, each in middle.items()},
        "audit_lines": middle["hanging"].audit_lines,
        "criticals": middle["hanging"].criticals,
        "slowest_critical_s": round(slowest, 3),
        "p99_hanging_over_none": round(ratio, 3),
        "goals": {"p99_hanging_over_none": RATIO_GOAL, "slowest_critical_s": SECONDS_GOAL},
        "reached": ratio <= RATIO_GOAL and slowest <= SECONDS_GOAL and middle["hanging"].criticals > 0,
    }


def main() -> int:
    """Measure in turns and print the document; 1 if a goal is missed."""
    options = argparse.ArgumentParser(description="What a channel that hangs costs the cycles.")
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--write", action="store_true", help="keep the result below benchmarks/results")
    asked = options.parse_args()
    port = hanging_port()
    found: dict[str, list[Figures]] = {name: [] for name in CHANNELS}
    for _ in range(asked.runs):
        for name, channels in CHANNELS.items():
            found[name].append(measure(channels, port))
    answer = document(found)
    text = json.dumps(answer, indent=2)
    sys.stdout.write(text + "\n")
    if asked.write:
        (ROOT / "benchmarks" / "results" / f"alerts-{answer['date']}.json").write_text(text + "\n", encoding="utf-8")
    return int(not answer["reached"])


if __name__ == "__main__":
    sys.exit(main())
