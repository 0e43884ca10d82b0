"""The walk of the [long] checks: `nice -n 15 python -m tests.long.fault_walk [--visits 3] [--actions exit,eio] [--output FILE]`.

Four commands that write (a short session, the archiving of its journal a month later, the filling of a candle store, a session of so many
instruments that their prices go onto the tape) meet each fault at each visit of each fault point that they pass, the first few of every
point, and are started again until they are through: then every log is intact, sessions have decided what they decide undisturbed, and a
store holds what it holds undisturbed, to the byte. Says each case as soon as it is done, prints one JSON document, and writes it to FILE.
Exit code 1 when a case ended otherwise, or with a traceback.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree
from typing import Final, NamedTuple

from dudzian_daemon.adapters.files import sha256_file
from dudzian_daemon.adapters.log_report import Completeness, Integrity
from dudzian_daemon.adapters.manifest import FILE_NAME, load_manifest
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.trading.content import INLINE_INPUTS
from tests.integration import later_daemon
from tests.integration.daemon_process import Child, Ended, short_config, verdicts, write_config

#: How a process may end that meets a disk fault or is ended: in order, with a line on what is wrong, or at once.
ENDINGS: Final = frozenset({0, 1, 2, 137})
MOST_STARTS: Final = 4
#: Points that mark where a start or a stop is, and no call of the disk: a process may end there, and meets no error.
PHASES: Final = ("run.", "stop.", "feed.")
#: Short ones, so that the points where a new one begins are passed.
SEGMENTS: Final = ("  metrics_service: {", "  journal: {segment_lines: 20}\n  metrics_service: {")
STORE: Final = "data/var/data/binance_paper"
BUCKET: Final = "LTC_USDT, MATIC_USDT]"
#: So many more that a day's opens and closes are more than a line takes.
MADE_UP: Final = [f"M{number:02}" for number in range(INLINE_INPUTS // 2)]
RULES: Final = 'tick_size: "0.001", lot_size: "0.001", min_quantity: "0.001", min_notional: "5"'


class Scenario(NamedTuple):
    """A command on copies of a home, the points that it walks (all that begin so), and what of the home must be as it is undisturbed."""

    name: str
    home: Path
    said: tuple[str, ...]
    points: str
    seen: Callable[[Path], object]
    program: tuple[str, ...] = ("-m", "dudzian_daemon")

    def run(self, home: Path, faults: str) -> tuple[Ended, Counter[str]]:
        """One process, and how often it passed which point."""
        with Child(home, *self.said, faults=faults, program=self.program) as child:
            ended = child.end()
        return ended, Counter(child.points.rest().split())

    def copied(self, home: Path) -> Path:
        """The home made anew at `home`."""
        return copytree(self.home, home, ignore=ignore_patterns("trace-*"))

    def problems(self, home: Path, fault: str, undisturbed: object) -> Iterator[str]:
        """What is wrong after the command met `fault` and was started again until it was through."""
        for number in count(1):
            ended, passed = self.run(home, fault if number == 1 else "none=trace")
            if number == 1 and not passed[fault.partition("=")[0]]:
                yield "the point was not passed"
            if ended.code not in ENDINGS or "\nTraceback" in f"\n{ended.err}":
                yield f"start {number} ended with {ended.code}: {ended.err[-300:]}"
            if ended.code == 0:
                break
            if number == MOST_STARTS:
                yield f"not through after {number} starts: {ended.err[-300:]}"
                return
        if (found := self.seen(home)) != undisturbed:
            yield f"expected {undisturbed}, found {found}"


def decided(home: Path) -> tuple[list[str], set[str]]:
    """Logs that are not intact, and the content chains of the sessions that are closed."""
    # A folder whose first line was never written is no session yet: `verify-decision-log` passes it over.
    found = [each for each in verdicts(home) if each.entries or each.integrity is not Integrity.UNREADABLE]
    broken = [f"{each.log}: {each.integrity} {each.reason}" for each in found if each.integrity is not Integrity.INTACT]
    return broken, {each.content for each in found if each.completeness is Completeness.CLOSED}


def archived(home: Path) -> tuple[object, set[str]]:
    """What was decided, and what the files of the journal are."""
    return decided(home), {path.suffix for path in home.glob("data/data/journal/*/*/*")}


def stored(home: Path) -> tuple[object, dict[str, str]]:
    """The claims of a candle store's manifest, and every other file of the store with its digest."""
    root, manifest = home / STORE, load_manifest(home / STORE)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != FILE_NAME]
    return (manifest.current, manifest.intended), {str(path.relative_to(root)): sha256_file(path) for path in files}


def many_instruments(home: Path) -> None:
    """A configuration of the core set with `MADE_UP` among the instruments of its volatility target."""
    names = "".join(f", {name}_USDT" for name in MADE_UP)
    port = ("metrics_service: {", "metrics_service: {enabled: false, ")
    write_config(home, port=port, bucket=(BUCKET, f"{BUCKET[:-1]}{names}]"))
    path = home / "config" / "instruments.yaml"
    more = "".join(
        f"  {name}_USDT:\n    base: {name}\n    quote: USDT\n    venues: {{binance: {{symbol: {name}USDT, {RULES}}}}}\n" for name in MADE_UP
    )
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + more, encoding="utf-8")


def scenarios(folder: Path) -> Iterator[tuple[Scenario, Counter[str], object]]:
    """Each with the points it passes undisturbed and what is seen then; where it went undisturbed is where another one begins."""
    places = ("--data-dir", "data", "--config", "config/core.yaml")
    session = Scenario("session", folder / "short", ("run", *places, "--no-ui", "--speed", "max"), "", decided)
    short_config(session.home, journal=SEGMENTS)
    month_later = ("31", "journal", "archive", *places[:2])
    archive = Scenario("archive", folder / "session", month_later, "", archived, (later_daemon.__file__,))
    store = Scenario("store", folder / "many", ("seed-paper-cache", *places, "--granularity", "1d", "--days", "5"), "", stored)
    many_instruments(store.home)
    tape = Scenario("tape", folder / "store", ("run", "-e", "binance_paper", *places, "--no-ui", "--speed", "max"), "tape.", decided)
    for scenario in (session, archive, store, tape):
        home = scenario.copied(folder / scenario.name)
        ended, passed = scenario.run(home, "none=trace")
        assert ended.code == 0, ended
        yield (
            scenario,
            Counter({point: passed[point] for point in sorted(passed) if point.startswith(scenario.points)}),
            scenario.seen(home),
        )


def cases(points: Counter[str], actions: list[str], most: int) -> Iterator[str]:
    """Every fault to meet."""
    for action in actions:
        for point, visits in points.items():
            if action == "exit" or not point.startswith(PHASES):
                yield from (f"{point}={action}@{visit}" for visit in range(1, min(visits, most) + 1))


def main() -> int:
    """Walk and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--actions", default="exit,eio,enospc,erofs")
    parser.add_argument("--visits", type=int, default=3)
    parser.add_argument("--points", default="", help="only those that begin so")
    parser.add_argument("--scenarios", default="session,archive,store,tape")
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    walked: dict[str, dict[str, int]] = {}
    wrong: dict[str, list[str]] = {}
    done = 0
    with tempfile.TemporaryDirectory() as name:
        for scenario, passed, undisturbed in scenarios(Path(name)):
            if scenario.name not in said.scenarios.split(","):
                continue
            points = Counter({point: visits for point, visits in passed.items() if point.startswith(said.points)})
            walked[scenario.name] = dict(points)
            for case in cases(points, said.actions.split(","), said.visits):
                home = scenario.copied(Path(name) / "case")
                if found := list(scenario.problems(home, case, undisturbed)):
                    wrong[f"{scenario.name}: {case}"] = found
                done += 1
                sys.stderr.write(f"{done} {scenario.name}: {case}: {found or 'ok'}\n")
                rmtree(home)
    document = {
        "check": "fault walk",
        "date": datetime.fromtimestamp(SystemClock().wall_ns() / 1e9, UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        "python": sys.version.partition(" ")[0],
        "points": walked,
        "cases": done,
        "wrong": wrong,
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
