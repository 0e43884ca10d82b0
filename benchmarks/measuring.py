"""What the benchmarks share: the head of a result, medians with their range, children that answer in JSON, and where results are kept."""

from __future__ import annotations

import cProfile
import io
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIBRARIES = ("msgspec", "anyio", "numpy", "pyarrow")


def heading(benchmark: str) -> dict[str, Any]:
    """What a result says of itself: which code, on which day, on what."""
    today = datetime.now(UTC).date().isoformat()
    return {"benchmark": benchmark, "date": today, "commit": commit(), "python": platform.python_version(), "cpus": os.cpu_count()}


def machine() -> dict[str, Any]:
    """The processor, its memory in GB, the system, the libraries, and how busy it is (1, 5 and 15 minutes)."""
    return {
        "processor": processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}".strip(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "load": [round(each, 2) for each in psutil.getloadavg()],
    }


def processor() -> str:
    """Its name as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    """Of the checkout; `-dirty` where something in it is changed, empty where it is none."""
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median and range."""
    found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, digits) if digits else round(value) for name, value in found.items()}


def child(command: Sequence[str], *, folder: Path = ROOT, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a child says in JSON, as a whole or in its last line. Raises `RuntimeError` with the child's last words."""
    environment = os.environ | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"} | dict(extra or {})
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout if done.stdout.startswith("{\n") else done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        msg = f"{' '.join(map(str, command))}: expected JSON, found exit {done.returncode} and: {' / '.join(words)}"
        raise RuntimeError(msg) from None
    return answer


def ours(script: str, *arguments: str) -> dict[str, Any]:
    """What one of these scripts says, run by this interpreter."""
    return child([sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), *arguments])


def profiled(call: Callable[[], object], lines: int = 40) -> str:
    """Where the time of a call goes: shares of the modules, by their own time, and the functions that take most themselves."""
    profile, text = cProfile.Profile(), io.StringIO()
    profile.runcall(call)
    stats = pstats.Stats(profile, stream=text)
    own: dict[str, float] = {}
    for (path, _, _), (_, _, spent, _, _) in stats.stats.items():
        module = Path(path).stem if path.endswith(".py") else "(built-in functions)"
        own[module] = own.get(module, 0.0) + spent
    whole = sum(own.values())
    for module, spent in sorted(own.items(), key=lambda each: -each[1])[:20]:
        text.write(f"{spent / whole:7.1%} {module}\n")
    stats.strip_dirs().sort_stats("tottime").print_stats(lines)
    return text.getvalue()


def say(text: str) -> None:
    """Progress goes where results do not."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def keep(document: Mapping[str, Any]) -> Path:
    """Write a result as benchmarks/results/<benchmark>-<date>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{document['benchmark']}-{document['date']}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path
