"""The table and the picture of docs/performance.md from a result of `compare`.

    python benchmarks/plot.py [RESULT] [--png FILE]

Without RESULT the newest benchmarks/results/compare-*.json. Writes docs/images/performance.svg, and in docs/performance.md what stands
between the two comments that name this script: the rates of all sides, the goals and where and when each was measured. `--png` draws the
picture there as well, to be looked at. Needs the extra `reports`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring
from goals import Goal, goals_of, rate_table, rates, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCUMENT = measuring.ROOT / "docs" / "performance.md"
PICTURE = measuring.ROOT / "docs" / "images" / "performance.svg"
BEGIN, END = "<!-- made by benchmarks/plot.py -->", "<!-- until here -->"
COLOURS = {"goal": "#1a7f37", "pass": "#0969da", "not reached": "#cf222e"}
OURS, THEIRS = "#0969da", "#8c959f"


def text(document: Mapping[str, Any]) -> str:
    """What the document shows, as Markdown."""
    workloads = document["workloads"]
    where = document["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in where["libraries"].items())
    lines = [
        f"{document['date']}, Python {document['python']}, {document['cpus']} cores of {where['processor']} (shared with other work), "
        f"{where['memory_gb']} GB, {where['system']}; {libraries}.",
        "",
        table(goals_of(workloads)),
        "",
        rate_table(workloads),
    ]
    lines += ["", "| workload | size | commit | load before (1, 5, 15 min) | took, s |", "|---|---|---|---|---|"]
    for name, found in workloads.items():
        run = found["run"]
        lines.append(f"| {name} | {run['size']} | {run['commit']} | {', '.join(map(str, run['load_before']))} | {run['wall_s']} |")
    return "\n".join(lines)


def draw(document: Mapping[str, Any], picture: Path) -> None:
    """Rates of W1 and W2 above, all goals below."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    goals = [goal for goal in goals_of(document["workloads"]) if goal.measured is not None and goal.measured[0] > 0 and goal.aim > 0]
    races = {name: sides for name, sides in rates(document["workloads"]).items() if name.startswith(("W1", "W2"))}
    bars = sum(map(len, races.values())) + len(races)
    with mpl.rc_context({"svg.hashsalt": "performance", "font.size": 9}):
        figure = Figure(figsize=(9, 1.2 + 0.24 * (bars + len(goals)) + 0.8), layout="constrained")
        upper, lower = figure.subplots(2, 1, height_ratios=[max(bars, 3), max(len(goals), 3)])
        _draw_rates(upper, races)
        _draw_goals(lower, goals)
        picture.parent.mkdir(exist_ok=True)
        figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None, dpi=110)


def _draw_rates(axes: Axes, races: Mapping[str, Mapping[str, tuple[float, float, float, int]]]) -> None:
    place, places, names = 0, [], []
    for race, sides in races.items():
        for side, (middle, least, most, _) in sorted(sides.items(), key=lambda each: -each[1][0]):
            colour = OURS if side.startswith("ours") else THEIRS
            axes.plot([least, most], [place, place], color=colour, linewidth=2)
            axes.plot(middle, place, "o", color=colour)
            axes.text(most * 1.1, place, f"{middle:,.0f}", va="center", fontsize=8)
            places.append(place)
            names.append(f"{race.partition(':')[0]}  {side}")
            place += 1
        place += 1
    axes.set_yticks(places, names)
    axes.set_ylim(place - 1.4, -0.6)
    axes.margins(x=0.2)
    _logarithmic(axes, "bars per CPU second (line: least to most; blue: ours)")


def _draw_goals(axes: Axes, goals: Sequence[Goal]) -> None:
    def beyond(goal: Goal, value: float) -> float:
        return value / goal.passes if goal.at_least else goal.passes / value

    for place, goal in enumerate(goals):
        if goal.measured is None:
            continue
        middle, least, most = (beyond(goal, value) for value in goal.measured)
        axes.plot([least, most], [place, place], color=COLOURS[goal.verdict], linewidth=2)
        axes.plot(middle, place, "o", color=COLOURS[goal.verdict])
        axes.plot(beyond(goal, goal.aim), place, "|", color="#24292f", markersize=11)
    axes.axvline(1.0, color="#24292f", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(goals)), [f"{goal.name}  {goal.what}" for goal in goals])
    axes.set_ylim(len(goals) - 0.4, -0.6)
    _logarithmic(axes, "times better than the pass mark (| goal; red: not reached)")


def _logarithmic(axes: Axes, label: str) -> None:
    """Plain numbers, a grid at 1, 2, 5, 10, ..."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", which="major", color="#d0d7de")
    axes.set_axisbelow(True)
    axes.set_xlabel(label)


def main() -> int:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?")
    parser.add_argument("--png", type=Path)
    given = parser.parse_args()
    if find_spec("matplotlib") is None:
        measuring.say('plot: needs matplotlib, found none installed; install it with: pip install "dudzian[reports]"')
        return 2
    kept = sorted(measuring.RESULTS.glob("compare-*.json"))
    path = given.result or (kept[-1] if kept else None)
    if path is None or not path.is_file():
        measuring.say(
            f"plot: expected a result of compare.py, found no file {path or 'compare-*.json'}; make one with: python benchmarks/compare.py"
        )
        return 2
    document = json.loads(path.read_text(encoding="utf-8"))
    draw(document, PICTURE)
    if given.png:
        draw(document, given.png)
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text(document)}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
