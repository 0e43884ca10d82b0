"""Whether a bar has become dearer, told by instructions instead of seconds: a busy machine cannot disturb the figure.

    python benchmarks/instructions.py [--check | --write] [--clock]

A thousand bars each of W1, of W1 with its lines sealed as the journal does, and of W2 (125 bars of 8 symbols, 4 strategies) run under
valgrind's cachegrind with PYTHONHASHSEED=0; what the same process counts without playing them is taken off. Prints one JSON document,
instructions a bar. `--check` compares with benchmarks/baselines/instructions-<Python>.json and ends with 1 where a figure is more than
2 % above (the same code differs by less than 0.3 % from run to run), `--write` makes that file anew. Counts depend on how the interpreter
was built: the baseline names its build, and `--check` refuses another. Takes about 40 CPU seconds.
Where valgrind is absent, or with `--clock`, a figure is CPU time of the bars over that of a fixed loop of the same kind of work run
between them, median of 9; tolerance 15 %.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import w1
import w2

from dudzian_daemon.adapters.journal_format import LineSealer, encode
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.records import CycleRecord

BARS = 1000
CLOCK_RUNS = 9
TOLERANCES = {"instructions": 0.02, "clock": 0.15}
BASELINE = measuring.ROOT / "benchmarks" / "baselines" / f"instructions-{sys.version_info.major}.{sys.version_info.minor}.json"


class Sealed:
    """A recorder that encodes, chains and signs each cycle and keeps nothing: the journal without its disk."""

    def __init__(self) -> None:
        self._sealer = LineSealer("0" * 32, w1.KEY)

    def store_rows(self, tick: Tick) -> None:
        """There is no history."""

    def append(self, record: CycleRecord) -> None:
        """One cycle."""
        self._sealer.seal(encode(record), b"{}")


def cases() -> dict[str, Callable[[], object]]:
    """What is counted, arranged."""
    rows = w1.candles(w1.prices(BARS))
    (plain, window, store), (sealed, _, _) = w1.arranged(rows), w1.arranged(rows)
    many, all_bars, all_rows = w2.arranged(w2.market(BARS / w2.SYMBOLS / w2.HOURS_A_YEAR))
    return {
        "start": lambda: None,
        "w1": lambda: simulate(plain, [window], store),
        "w1_sealed": lambda: simulate(sealed, [window], store, recorder=Sealed()),
        "w2": lambda: simulate(many, [all_bars], all_rows),
    }


def counted(case: str) -> int:
    """Instructions of a process that plays one case. Raises `RuntimeError` where valgrind did not run it."""
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={os.devnull}"]
    environment = os.environ | {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }  # waiting threads count, too
    done = subprocess.run(
        [*valgrind, sys.executable, __file__, "--play", case], env=environment, capture_output=True, text=True, check=False
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        msg = f"valgrind: expected a count of instructions, found exit {done.returncode}: {done.stderr.strip()[-300:]}"
        raise RuntimeError(msg)
    return int(found[1].replace(",", ""))


def instructions() -> dict[str, float]:
    """Instructions a bar."""
    start = counted("start")
    return {case: round((counted(case) - start) / BARS) for case in cases() if case != "start"}


def loop() -> None:
    """A fixed amount of what a step does: exact decimals, dictionaries, tuples, calls."""
    held, cash = {number: Decimal(number) for number in range(64)}, Decimal(1_000_000)
    for number in range(40_000):
        key = number & 63
        held[key] += Decimal("0.125")
        cash -= held[key] * Decimal("1.0625") - held[key]
        tuple(sorted((key, number % 7)))


def clocked() -> dict[str, float]:
    """CPU time of the bars over that of the loop, bars and loop in turn."""
    found: dict[str, list[float]] = {}
    for _ in range(CLOCK_RUNS):
        for case, play in cases().items():
            if case != "start":
                found.setdefault(case, []).append(cpu_s(play) / cpu_s(loop))
    return {case: round(median(ratios), 3) for case, ratios in found.items()}


def cpu_s(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    gc.collect()
    before = time.process_time()
    call()
    return time.process_time() - before


def build() -> str:
    """Names the interpreter's build."""
    return f"{platform.python_version()}, {platform.python_compiler()}, {' '.join(platform.python_build())}, {platform.machine()}"


def complaints(kind: str, found: Mapping[str, float], baseline: Mapping[str, Any]) -> list[str]:
    """What is dearer than the baseline allows, or why it cannot be told."""
    if baseline["build"] != build():
        return [f"expected the build of {BASELINE.name} ({baseline['build']}), found {build()}; make a baseline of this one with --write"]
    limit = 1.0 + TOLERANCES[kind]
    kept: Mapping[str, float] = baseline[kind]
    return [
        f"{case}: expected at most {kept[case] * limit:,.3f} ({kind} a bar), found {value:,.3f}: {value / kept[case] - 1:+.1%}"
        for case, value in found.items()
        if value > kept[case] * limit
    ]


def main() -> int:
    """Count; print, compare or keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--clock", action="store_true")
    parser.add_argument("--play", choices=("start", "w1", "w1_sealed", "w2"), help="one case, for valgrind")
    given = parser.parse_args()
    if given.play:
        cases()[given.play]()
        return 0
    kind = "clock" if given.clock or shutil.which("valgrind") is None else "instructions"
    found = clocked() if kind == "clock" else instructions()
    print(json.dumps({"build": build(), kind: found}, indent=2))
    if given.write:
        kept = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
        kept = kept if kept.get("build") == build() else {"build": build()}
        BASELINE.parent.mkdir(exist_ok=True)
        BASELINE.write_text(json.dumps(kept | {"commit": measuring.commit(), kind: found}, indent=2) + "\n", encoding="utf-8")
    if not given.check:
        return 0
    return told(kind, found)


def told(kind: str, found: Mapping[str, float]) -> int:
    """Exit code of the check; what is wrong goes to stderr."""
    if not BASELINE.exists():
        measuring.say(f"expected a baseline at {Path(BASELINE).relative_to(measuring.ROOT)}, found none; make one with --write")
        return 1
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    if kind not in baseline:
        measuring.say(f"expected {kind!r} in {BASELINE.name}, found none; make it with --write")
        return 1
    wrong = complaints(kind, found, baseline)
    for line in wrong:
        measuring.say(line)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
