"""Everything that is measured, side by side with the peers, in one run.

    python benchmarks/compare.py [--peers FOLDER --envs FOLDER] [--quick | --full] [--only w3,w6] [--rounds N] [--no-write]

Runs W1 to W8 and what grows (docs/performance.md says what each is), peers in turn with our side, one process at a time. `--peers` is a
folder of the peers' scripts, `--envs` one of their environments (v-nautilus, v-bt, v-btpy, v-vbt); what is not there is left out and said
so. Prints the goals and the rates; progress is on stderr. The result, with versions and machine, goes to
benchmarks/results/compare-<date>.json; workloads of the same day that were not run this time stay in it, each with its size and commit.
Ratios are of CPU seconds, the median of the ratios of `--rounds` rounds (5; 1 where a round takes minutes). Sizes: `--quick` half a
minute a workload at most, usual a few minutes, `--full` those that the goals are meant for, an hour with all peers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measuring
from goals import goals_of, rate_table, table
from workloads import SIZES, WORKLOADS, Peers


def arguments() -> argparse.Namespace:
    """Of the command line; ends with 2 and a line where they make no sense."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, metavar="FOLDER")
    parser.add_argument("--envs", type=Path, metavar="FOLDER")
    sizes = parser.add_mutually_exclusive_group()
    for size in ("quick", "full"):
        sizes.add_argument(f"--{size}", dest="size", action="store_const", const=size, default="usual")
    parser.add_argument("--only", metavar="W1,W2,...", default=",".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, metavar="N", help="of everything, also of what takes minutes")
    parser.add_argument("--no-write", action="store_true")
    given = parser.parse_args()
    for option in ("peers", "envs"):
        folder = getattr(given, option)
        if folder is not None and not folder.is_dir():
            parser.error(f"--{option}: expected a folder, found {folder}")
    if (given.peers is None) != (given.envs is None):
        parser.error("--peers and --envs: expected both or none")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds: expected at least 1, found {given.rounds}")
    given.only = [name.strip().lower() for name in given.only.split(",")]
    unknown = [name for name in given.only if name not in WORKLOADS]
    if unknown:
        parser.error(f"--only: expected some of {', '.join(WORKLOADS)}, found {', '.join(unknown)}")
    return given


def measured(names: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """The documents of some workloads, each with its size and commit, the time it took and how busy the machine was."""
    size = SIZES[given.size]
    if given.rounds is not None:
        size = size._replace(rounds=given.rounds, long_rounds=given.rounds)
    peers = Peers(given.peers and given.peers.resolve(), given.envs and given.envs.absolute())
    found: dict[str, Any] = {}
    for name in names:
        measuring.say(f"{name}: {(WORKLOADS[name].__doc__ or '').partition(chr(10))[0]}")
        began, load = time.monotonic(), measuring.machine()["load"]
        done = WORKLOADS[name](size, peers)
        run = {"size": given.size, "commit": measuring.commit(), "at": datetime.now(UTC).isoformat(timespec="seconds"), "load_before": load}
        found[name] = {**done, "run": run | {"wall_s": round(time.monotonic() - began)}}
    return found


def earlier(document: Mapping[str, Any]) -> dict[str, Any]:
    """Workloads that ran earlier on the same day."""
    path = measuring.RESULTS / f"compare-{document['date']}.json"
    if not path.exists():
        return {}
    workloads: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["workloads"]
    return workloads


def main() -> int:
    """Measure, keep, print."""
    given = arguments()
    head = measuring.heading("compare") | {"machine": measuring.machine()}
    try:
        found = measured(given.only, given)
    except RuntimeError as failed:
        measuring.say(f"compare: {failed}")
        return 1
    if not given.no_write:
        kept = earlier(head) | found
        path = measuring.keep(head | {"workloads": {name: kept[name] for name in WORKLOADS if name in kept}})
        measuring.say(f"kept in {path.relative_to(measuring.ROOT)}")
    print(table([goal for goal in goals_of(found) if goal.workload in found]))
    if found.keys() & {"w1", "w2", "w3"}:
        print(f"\n{rate_table(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
