"""The walk of the [long] checks: `nice -n 15 python -m tests.long.fault_walk [--visits 3] [--actions exit,eio] [--output FILE]`.

A short session meets each fault at each visit of each fault point that it passes, the first few of every point, and is started again
until it is through: then every log is intact, and the session has decided what it decides undisturbed. Says each case as soon as it is
done, prints one JSON document, and writes it to FILE. Exit code 1 when a case ended otherwise, or with a traceback.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from shutil import rmtree

from dudzian_daemon.adapters.log_report import Completeness, Integrity
from dudzian_daemon.kernel.clock import SystemClock
from tests.integration.daemon_process import Child, Ended, report, short_config, verdicts

#: How a process may end that meets a disk fault or is ended: in order, with a line on what is wrong, or at once.
ENDINGS = frozenset({0, 1, 2, 137})
MOST_STARTS = 4
#: Points that mark where a start or a stop is, and no call of the disk: a process may end there, and meets no error.
PHASES = ("run.", "stop.", "feed.")
#: Short ones, so that the points where a new one begins are passed.
SEGMENTS = ("  metrics_service: {", "  journal: {segment_lines: 20}\n  metrics_service: {")


def run(home: Path, faults: str) -> tuple[Ended, Counter[str]]:
    """One process, and how often it passed which point."""
    config = home / "config" / "core.yaml"
    if not config.exists():
        short_config(home, journal=SEGMENTS)
    said = ("run", "--data-dir", home / "data", "--config", config, "--no-ui", "--speed", "max")
    with Child(home, *said, faults=faults) as child:
        ended = child.end()
    return ended, Counter(child.points.rest().split())


def problems(home: Path, fault: str, content: str) -> Iterator[str]:
    """What is wrong after a session met `fault` and was started again until it was through."""
    for number in count(1):
        ended, passed = run(home, fault if number == 1 else "none=trace")
        if number == 1 and not passed[fault.partition("=")[0]]:
            yield "the point was not passed"
        if ended.code not in ENDINGS or "\nTraceback" in f"\n{ended.err}":
            yield f"start {number} ended with {ended.code}: {ended.err[-300:]}"
        if ended.code == 0:
            break
        if number == MOST_STARTS:
            yield f"not through after {number} starts: {ended.err[-300:]}"
            return
    # A folder whose first line was never written is no session yet: `verify-decision-log` passes it over.
    found = [each for each in verdicts(home) if each.entries or each.integrity is not Integrity.UNREADABLE]
    yield from (f"{each.log}: {each.integrity} {each.reason}" for each in found if each.integrity is not Integrity.INTACT)
    closed = [each.content for each in found if each.completeness is Completeness.CLOSED]
    if set(closed) != {content}:
        yield f"expected sessions with the content chain {content}, found {closed}"


def main() -> int:
    """Walk and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--actions", default="exit,eio,enospc,erofs")
    parser.add_argument("--visits", type=int, default=3)
    parser.add_argument("--points", help="only those that begin so")
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    wrong: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, passed = run(folder / "undisturbed", "none=trace")
        content = str(report(folder / "undisturbed" / "data")["content_chain"])
        points = {point: visits for point, visits in sorted(passed.items()) if point.startswith(said.points or "")}
        cases = [
            f"{point}={action}@{visit}"
            for action in said.actions.split(",")
            for point, visits in points.items()
            for visit in range(1, min(visits, said.visits) + 1)
            if action == "exit" or not point.startswith(PHASES)
        ]
        for number, case in enumerate(cases, start=1):
            home = folder / f"case-{number}"
            if found := list(problems(home, case, content)):
                wrong[case] = found
            sys.stderr.write(f"{number}/{len(cases)} {case}: {found or 'ok'}\n")
            rmtree(home)
    document = {
        "check": "fault walk",
        "date": datetime.fromtimestamp(SystemClock().wall_ns() / 1e9, UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        "python": sys.version.partition(" ")[0],
        "points": points,
        "cases": len(cases),
        "wrong": wrong,
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
