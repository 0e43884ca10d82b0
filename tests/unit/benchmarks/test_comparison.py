"""What the benchmarks conclude from their figures, and that both sides of W2 do the same work."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a script's definitions, as if started in its folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def sides(**rates: list[int]) -> dict[str, Any]:
    return {name: [{"bars_per_cpu_s": rate, "peak_rss_mb": 100.0} for rate in found] for name, found in rates.items()}


def verdicts(script: Any, workloads: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    return {goal.what: (goal.verdict, goal.measured) for goal in script("goals")["goals_of"](workloads)}


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds(script: Any) -> None:
    raced = sides(ours=[80, 300, 90], nautilus=[10, 20, 10], backtesting_py=[100, 200, 100])
    found = verdicts(script, {"w1": {"100000": {"sides": raced}}})
    assert found["100,000 bars, against NautilusTrader"] == ("pass", (9.0, 8.0, 15.0))
    assert found["100,000 bars, against backtesting.py"] == ("not reached", (0.9, 0.8, 1.5))
    assert found["100,000 bars, journal on, against NautilusTrader"] == ("not run", None)


def test_less_is_better_where_a_goal_is_a_share(script: Any) -> None:
    found = verdicts(script, {"w6": {"range_ratio": 0.15}, "w7": {"large": {"cycle_cpu": {"p99": 251.0}}}})
    assert found["90 days of a symbol, share of pyarrow.dataset's"][0] == "goal"
    assert found["cycle of 50 x 100 (4,375 units), p99"][0] == "not reached"


def test_twins_that_decide_otherwise_are_no_figure(script: Any) -> None:
    raced = sides(ours=[10], ours_twins=[70], nautilus=[1])
    name = "by vectorised twins, decisions equal, against NautilusTrader"
    assert verdicts(script, {"w2": {"sides": raced, "checked": {"differing": 0}}})[name][0] == "goal"
    assert verdicts(script, {"w2": {"sides": raced, "checked": {"differing": 1}}})[name][0] == "not run"


def test_memory_of_a_session_that_has_not_settled_is_no_figure(script: Any) -> None:
    slope = script("goals")["slope"]
    assert slope({"every": 100_000, "rss_mb": [100.0, 100.2, 100.5]}) == pytest.approx(0.025)
    assert slope({"every": 1000, "rss_mb": [100.0, 150.0]}) is None


def test_step_and_twins_of_w2_take_every_decision_alike(script: Any) -> None:
    made = script("w2")
    found = made["checked"](made["market"](0.03))
    assert found["differing"] == 0
    assert min(found["fills"].values()) > 5


def test_a_peer_with_other_fills_has_not_done_the_same_work(script: Any) -> None:
    made = script("workloads")
    made["_same_fills"]("peer", {"trend": 1571}, {"trend": 1579})
    with pytest.raises(RuntimeError, match="not the same work"):
        made["_same_fills"]("peer", {"trend": 1571}, {"trend": 1590})
    answer = {"fills": 455, "equity": 999_953.0, "ref": {"fills": 455, "equity": 999_953.0}}
    made["_same_work"]("peer", answer)
    with pytest.raises(RuntimeError, match="not the same work"):
        made["_same_work"]("peer", answer | {"equity": 999_950.0})


def test_a_bar_that_became_dearer_is_a_complaint_and_another_build_is_no_baseline(script: Any) -> None:
    made = script("instructions")
    baseline = {"build": made["build"](), "instructions": {"w1": 1000, "w2": 1000}}
    assert made["complaints"]("instructions", {"w1": 1019, "w2": 500}, baseline) == []
    (dearer,) = made["complaints"]("instructions", {"w1": 1021, "w2": 1000}, baseline)
    assert dearer.startswith("w1: expected at most 1,020.000") and dearer.endswith("+2.1%")
    (other,) = made["complaints"]("instructions", {"w1": 1}, baseline | {"build": "another"})
    assert "--write" in other
