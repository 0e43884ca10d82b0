"""The workloads W1 to W8 and what grows, as `compare` runs them: our side and, where their environments are given, the peers in turn.

Each side of a workload is a process of its own that says in one line of JSON what it took. A workload answers a document with every
answer it got (`sides`, name to a list, one a round), so that figures can be taken from it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import measuring

Answers = dict[str, list[dict[str, Any]]]
Side = Callable[[], dict[str, Any]]


class Size(NamedTuple):
    """How much is run; `rounds` of what takes seconds, `long_rounds` of what takes minutes."""

    rounds: int
    long_rounds: int
    w1_bars: tuple[int, ...]
    w2_years: float
    events: int
    entries: int
    cycle_bars: int
    cycles: int
    candles: int
    sweep: tuple[int, int]
    growth_bars: tuple[int, ...]


QUICK = Size(1, 1, (5_000,), 0.05, 20_000, 5_000, 5, 40_000, 5_000, (3_000, 20), (5_000, 20_000))
USUAL = Size(5, 1, (100_000,), 1.0, 200_000, 50_000, 60, 1_100_000, 70_128, (20_000, 200), (100_000, 1_000_000))
FULL = Size(5, 3, (100_000, 1_000_000), 8.0, 200_000, 200_000, 240, 1_100_000, 70_128, (100_000, 1_000), (100_000, 1_000_000))
SIZES = {"quick": QUICK, "usual": USUAL, "full": FULL}


class Peers(NamedTuple):
    """A folder of the peers' scripts and one of their environments; without them only our side runs."""

    scripts: Path | None = None
    environments: Path | None = None

    def python(self, environment: str) -> Path | None:
        """The interpreter of one of them, if it is there."""
        if self.environments is None:
            return None
        path = self.environments / environment / "bin" / "python"
        return path if path.exists() else None

    def sides(self, *wanted: tuple[str, str, str, tuple[str, ...]]) -> dict[str, Side]:
        """Of (name, environment, script, arguments) those whose interpreter and script are there."""
        found: dict[str, Side] = {}
        for name, environment, script, arguments in wanted:
            python = self.python(environment)
            if python is None or self.scripts is None or not (self.scripts / script).exists():
                measuring.say(f"  {name}: not run, needs {environment}/bin/python and {script}")
                continue
            found[name] = _peer([str(python), script, *arguments], self.scripts)
        return found


def _peer(command: list[str], folder: Path) -> Side:
    return lambda: measuring.child(command, folder=folder, extra={"PYTHONDONTWRITEBYTECODE": "1"})


def _ours(script: str, *arguments: object) -> Side:
    return lambda: measuring.ours(script, *map(str, arguments))


def in_turn(sides: Mapping[str, Side], rounds: int) -> Answers:
    """All sides once, then all again: what neighbours do to one of them they do to all."""
    answers: Answers = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            measuring.say(f"  round {number + 1} of {rounds}: {name}")
            answers[name].append(side())
    return answers


def w1(size: Size, peers: Peers) -> dict[str, Any]:
    """One symbol, SMA cross."""
    found: dict[str, Any] = {}
    for bars in size.w1_bars:
        sides = {name: _ours("w1", "--bars", bars, "--once", kind) for name, kind in (("ours", "no_journal"), ("ours_journal", "journal"))}
        sides |= peers.sides(
            ("nautilus", "v-nautilus", "w1_nautilus.py", (str(bars),)),
            ("backtesting_py", "v-btpy", "w1_backtesting_py.py", (str(bars),)),
            ("backtrader", "v-bt", "w1_backtrader.py", (str(bars),)),
        )
        answers = in_turn(sides, size.rounds if bars <= 200_000 else size.long_rounds)
        for name in sides.keys() - {"ours", "ours_journal"}:
            _same_work(name, answers[name][0])
        found[str(bars)] = {"sides": answers}
    return found


def w2(size: Size, peers: Peers) -> dict[str, Any]:
    """Eight symbols, four strategies."""
    years = str(size.w2_years)
    sides = {
        "ours": _ours("w2", "--years", years),
        "ours_journal": _ours("w2", "--years", years, "--journal"),
        "ours_twins": _ours("w2", "--years", years, "--twins"),
    }
    sides |= peers.sides(
        ("nautilus", "v-nautilus", "w2_nautilus.py", (years,)),
        ("backtrader", "v-bt", "w2_backtrader.py", (years,)),
    )
    answers = in_turn(sides, size.rounds if size.w2_years <= 1 else size.long_rounds)
    measuring.say("  every decision of step and twins")
    checked = measuring.ours("w2", "--years", years, "--check")
    fills = {name: each[0]["fills"] for name, each in answers.items() if not name.startswith("ours")}
    for name, had in fills.items():
        _same_fills(name, checked["fills"], had)
    return {"years": size.w2_years, "sides": answers, "checked": checked, "fills_of_peers": fills}


def w3(size: Size, peers: Peers) -> dict[str, Any]:
    """The bus, inline and queued."""
    found = {}
    for kind, peer, script_kind, all_subscribers in (
        ("inline", "nautilus", "nautilus", (1, 4, 16)),
        ("queued", "asyncio", "queue", (4, 16)),
    ):
        for subscribers in all_subscribers:
            sides = {"ours": _ours("bus", "--once", kind, subscribers)}
            arguments = (script_kind, str(subscribers), str(size.events if kind == "inline" else size.events // 4))
            sides |= peers.sides((peer, "v-nautilus", "w3_bus.py", arguments))
            found[f"{kind}_{subscribers}"] = {"sides": in_turn(sides, size.rounds)}
    return found


def w4(size: Size, _peers: Peers) -> dict[str, Any]:
    """The journal; its peer is the standard library, in the same process."""
    return measuring.ours("journal", "--entries", str(size.entries), "--runs", str(size.rounds), "--syncs", "100")


def w5(size: Size, peers: Peers) -> dict[str, Any]:
    """Start, idle, and after a million cycles; a live daemon with ccxt and pyarrow."""
    measuring.say("  starts")
    found: dict[str, Any] = {"start": measuring.ours("start", str(size.rounds), "--json")}
    measuring.say("  a live daemon with ccxt and pyarrow")
    found["live"] = measuring.ours("live", "--seconds", "10")
    found["sides"] = in_turn(peers.sides(("nautilus_node", "v-nautilus", "w5_nautilus_node.py", ())), 1)
    measuring.say(f"  {size.cycles:,} cycles")
    every = size.cycles // 11
    found["memory"] = {"every": every, **measuring.ours("growth", "--resident", str(size.cycles), str(every))}
    return found


def w6(size: Size, _peers: Peers) -> dict[str, Any]:
    """The candle store; its peer is pyarrow.dataset, in the same process."""
    return measuring.ours("store", "--candles", str(size.candles))


def w7(size: Size, _peers: Peers) -> dict[str, Any]:
    """A cycle, small and large; but for a quick look also of 1,000 instruments."""
    wide = ["--wide"] if size.rounds > 1 else []
    return measuring.ours("cycle", "--bars", str(size.cycle_bars), "--runs", str(min(3, size.rounds)), *wide)


def w8(size: Size, peers: Peers) -> dict[str, Any]:
    """A sweep by twins."""
    bars, pairs = size.sweep
    python = peers.python("v-vbt")
    arguments = ["--bars", str(bars), "--pairs", str(pairs), "--runs", str(size.long_rounds), *(["--peer", str(python)] if python else [])]
    return measuring.ours("sweep", *arguments)


def growth(size: Size, _peers: Peers) -> dict[str, Any]:
    """CPU time of a bar at few and at many bars."""
    bars = [str(each) for each in size.growth_bars]
    return measuring.ours("growth", "--bars", *bars, "--runs", str(size.long_rounds), "--cycles", "4000")["cpu"] | {
        "bars": size.growth_bars
    }


WORKLOADS: dict[str, Callable[[Size, Peers], dict[str, Any]]] = {
    **{"w1": w1, "w2": w2, "w3": w3, "w4": w4, "w5": w5, "w6": w6, "w7": w7, "w8": w8},
    "growth": growth,
}


def _same_work(name: str, answer: Mapping[str, Any]) -> None:
    """A peer that says what its fills should have been must have had them; one that reports closed trades may lack the open one."""
    wanted, had = answer["ref"], answer["fills"]
    if abs(wanted["fills"] - had) > 1 or abs(wanted["equity"] - answer["equity"]) > 0.02:
        msg = f"{name}: expected {wanted}, found {had} fills and an equity of {answer['equity']}: not the same work"
        raise RuntimeError(msg)


def _same_fills(name: str, ours: Mapping[str, int], theirs: Mapping[str, int]) -> None:
    """Strategy by strategy, but for an order of the last bar and for sums that round otherwise: one in a thousand and one a symbol."""
    apart = {strategy: theirs[strategy] - count for strategy, count in ours.items() if abs(theirs[strategy] - count) > 8 + count // 1000}
    if apart:
        msg = f"{name}: expected the fills of ours ({dict(ours)}), found {dict(theirs)}: not the same work"
        raise RuntimeError(msg)
