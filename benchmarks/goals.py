"""The goals of speed, each with what has to be passed, what is aimed at, and the figure that a result has for it; the rates behind them.

A figure is the median over rounds of the ratio within a round, with the least and the most; `>=` goals are how many times as fast as the
peer, `<=` goals shares or plain measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

#: Cycles after which memory is not to grow any more.
SETTLED = 100_000


class Goal(NamedTuple):
    """`at_least`: more is better. `measured` is (median, least, most), or None where it was not run."""

    workload: str
    what: str
    unit: str
    passes: float
    aim: float
    at_least: bool
    measured: tuple[float, float, float] | None

    @property
    def name(self) -> str:
        """Of the workload, as it is written."""
        return self.workload.upper() if self.workload.startswith("w") else self.workload

    @property
    def verdict(self) -> str:
        """`goal`, `pass`, `not reached` or `not run`."""
        if self.measured is None:
            return "not run"
        value = self.measured[0]
        if self._holds(value, self.aim):
            return "goal"
        return "pass" if self._holds(value, self.passes) else "not reached"

    def _holds(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


def goals_of(workloads: Mapping[str, Mapping[str, Any]]) -> list[Goal]:
    """Every goal, in the order of the workloads, with its figure where that was run."""
    return [*_w1(workloads.get("w1", {})), *_w2(workloads.get("w2", {})), *_w3(workloads.get("w3", {})), *_rest(workloads)]


def _w1(found: Mapping[str, Any]) -> Iterator[Goal]:
    sizes = sorted({*found} - {"run"}, key=int) or ["100000"]
    for bars in sizes:
        sides = found.get(bars, {}).get("sides", {})
        for side, text, naut, btpy in (("ours", "", (8, 15), (1.5, 2.5)), ("ours_journal", ", journal on", (4, 6), (0.7, 1.1))):
            for peer, name, limits in (("nautilus", "NautilusTrader", naut), ("backtesting_py", "backtesting.py", btpy)):
                ratio = ratios(sides, side, peer, "bars_per_cpu_s")
                yield Goal("w1", f"{int(bars):,} bars{text}, against {name}", "x", *limits, at_least=True, measured=ratio)


def _w2(found: Mapping[str, Any]) -> Iterator[Goal]:
    sides, differing = found.get("sides", {}), found.get("checked", {}).get("differing")
    years = found.get("years", 8)
    for peer, name in (("nautilus", "NautilusTrader"), ("backtrader", "backtrader")):
        ratio = ratios(sides, "ours", peer, "bars_per_cpu_s")
        yield Goal("w2", f"8 x 4, {counted(years, 'year')}, against {name}", "x", 8, 15, at_least=True, measured=ratio)
    memory = ratios(sides, "ours", "nautilus", "peak_rss_mb")
    yield Goal("w2", "peak memory, share of NautilusTrader's", "x", 0.4, 0.3, at_least=False, measured=memory)
    twins = ratios(sides, "ours_twins", "nautilus", "bars_per_cpu_s") if differing == 0 else None
    yield Goal("w2", "by vectorised twins, decisions equal, against NautilusTrader", "x", 25, 60, at_least=True, measured=twins)


def _w3(found: Mapping[str, Any]) -> Iterator[Goal]:
    for case, passes, aim in (("inline_1", 3, 5), ("inline_4", 2, 3), ("inline_16", 1.3, 1.8), ("queued_4", 2, 3), ("queued_16", 2, 3)):
        kind, subscribers = case.split("_")
        peer, name = ("nautilus", "NautilusTrader's") if kind == "inline" else ("asyncio", "asyncio.Queue")
        ratio = ratios(found.get(case, {}).get("sides", {}), "ours", peer, "events_per_cpu_s")
        yield Goal(
            "w3", f"bus, {kind}, {counted(int(subscribers), 'subscriber')}, against {name}", "x", passes, aim, at_least=True, measured=ratio
        )


def _rest(workloads: Mapping[str, Mapping[str, Any]]) -> Iterator[Goal]:
    w5, w7 = workloads.get("w5", {}), workloads.get("w7", {})
    start = w5.get("start", {}).get("dudzian run, up to the candles", {})
    rows: list[tuple[str, str, str, float, float, bool, float | None]] = [
        ("w4", "journal append, against json and hmac.new", "x", 1.8, 2.5, True, workloads.get("w4", {}).get("append_ratio")),
        ("w5", "start, up to the candles", "CPU s", 0.4, 0.3, False, start.get("cpu_s")),
        ("w5", "resident memory of it", "MB", 60, 50, False, start.get("rss_mb")),
        ("w5", "resident memory with ccxt and pyarrow, live", "MB", 170, 170, False, w5.get("live", {}).get("rss_mb")),
        ("w6", "90 days of a symbol, share of pyarrow.dataset's", "x", 0.25, 0.15, False, workloads.get("w6", {}).get("range_ratio")),
        ("w7", "cycle of 8 x 4, p99, no sync", "ms", 2, 1, False, w7.get("small", {}).get("cycle_cpu", {}).get("p99")),
        (
            "w7",
            "cycle of 8 x 4 with its sync, p99 over a bare sync's",
            "ms",
            5,
            3,
            False,
            w7.get("small_synced", {}).get("over_bare_p99_ms"),
        ),
        ("w7", "cycle of 50 x 100 (4,375 units), p99", "ms", 250, 250, False, w7.get("large", {}).get("cycle_cpu", {}).get("p99")),
        ("w7", "cycle of 1,000 x 10 (9,000 units), p99", "ms", 250, 100, False, w7.get("wide", {}).get("cycle_cpu", {}).get("p99")),
        ("w8", "sweep by twins, against vectorbt's second call", "x", 0.5, 1, True, workloads.get("w8", {}).get("ratio")),
        ("growth", "CPU time of a bar, most bars over fewest, less one", "", 0.1, 0.02, False, workloads.get("growth", {}).get("growth")),
        ("w5", "memory, slope a million cycles after the first 100,000", "", 0.01, 0.001, False, slope(w5.get("memory", {}))),
    ]
    for *head, value in rows:
        yield Goal(*head, measured=None if value is None else (value, value, value))


def slope(memory: Mapping[str, Any]) -> float | None:
    """Growth of the resident memory per million cycles, from the first figure to the last; None where that is too short to tell."""
    found: Sequence[float] = memory.get("rss_mb", ())
    if memory.get("every", 0) < SETTLED:
        return None
    return round((found[-1] / found[0] - 1.0) / ((len(found) - 1) * memory["every"] / 1e6), 4) if len(found) > 1 else None


def ratios(sides: Mapping[str, Sequence[Mapping[str, Any]]], ours: str, peer: str, key: str) -> tuple[float, float, float] | None:
    """Median, least and most of ours over the peer's, round by round."""
    if not sides.get(ours) or not sides.get(peer):
        return None
    found = [mine[key] / theirs[key] for mine, theirs in zip(sides[ours], sides[peer], strict=True)]
    return round(median(found), 3), round(min(found), 3), round(max(found), 3)


def counted(number: float, noun: str) -> str:
    """`1 year`, `8 years`."""
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def table(goals: Sequence[Goal]) -> str:
    """The goals as Markdown."""
    lines = ["| workload | what | pass | goal | measured (least-most) | verdict |", "|---|---|---|---|---|---|"]
    for goal in goals:
        sign = "at least" if goal.at_least else "at most"
        unit = f" {goal.unit}" if goal.unit not in {"", "x"} else goal.unit
        found = "-"
        if goal.measured is not None:
            middle, least, most = goal.measured
            found = f"{middle:.3g}{unit}" + (f" ({least:.3g}-{most:.3g})" if least != most else "")
        lines.append(f"| {goal.name} | {goal.what} | {sign} {goal.passes:g}{unit} | {goal.aim:g}{unit} | {found} | {goal.verdict} |")
    return "\n".join(lines)


def rates(workloads: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, tuple[float, float, float, int]]]:
    """Of each race the rates of each side per CPU second: median, least, most, and the number of rounds."""
    races: dict[str, Mapping[str, Sequence[Mapping[str, Any]]]] = {}
    for bars, found in workloads.get("w1", {}).items():
        if bars != "run":
            races[f"W1, {int(bars):,} bars: bars"] = found["sides"]
    if "w2" in workloads:
        races[f"W2, 8 x 4, {counted(workloads['w2']['years'], 'year')}: bars"] = workloads["w2"]["sides"]
    for case, found in workloads.get("w3", {}).items():
        if case != "run":
            kind, subscribers = case.split("_")
            races[f"W3, {kind}, {counted(int(subscribers), 'subscriber')}: events"] = found["sides"]
    return {name: {side: _rate(answers) for side, answers in sides.items() if answers} for name, sides in races.items()}


def rate_table(workloads: Mapping[str, Mapping[str, Any]]) -> str:
    """The rates as Markdown."""
    lines = ["| race, per CPU second | side | median (least-most) | rounds |", "|---|---|---|---|"]
    for race, sides in rates(workloads).items():
        for side, (middle, least, most, rounds) in sides.items():
            lines.append(f"| {race} | {side} | {middle:,.0f} ({least:,.0f}-{most:,.0f}) | {rounds:.0f} |")
    return "\n".join(lines)


def _rate(answers: Sequence[Mapping[str, Any]]) -> tuple[float, float, float, int]:
    key = next(name for name in ("bars_per_cpu_s", "events_per_cpu_s") if name in answers[0])
    found = [each[key] for each in answers]
    return median(found), min(found), max(found), len(found)
