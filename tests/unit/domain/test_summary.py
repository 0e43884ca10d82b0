"""Summaries of cycles and of risk evaluations, against figures worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dudzian_daemon.domain import history
from dudzian_daemon.domain.events import ControllerCycle
from dudzian_daemon.domain.orders import Intent, OrderStatus, Side
from dudzian_daemon.domain.summary import signal_side, summarize_cycles, summarize_evaluations
from tests.unit.domain.cycle_samples import (
    ADJUSTED,
    APPROVED,
    EVENT_S,
    GATE,
    REFUSED,
    UNJUDGED,
    WALL_S,
    cycle,
    evaluation,
    result,
    signal,
)

ALL = history.window(by="wall")


def session() -> list[ControllerCycle]:
    """An order accepted in cycle 1 and filled in 2, two refused in 3, a quiet cycle 4."""
    return [
        cycle(1, [signal("s1")], [result("s1")], duration_s=0.5),
        cycle(2, [], [result("s1", OrderStatus.FILLED)], duration_s=0.25),
        cycle(
            3,
            [signal("s2"), signal("s3", Intent.EXIT)],
            [result("s2", OrderStatus.REJECTED), result("s3", OrderStatus.REJECTED, Side.SELL)],
            duration_s=0.125,
        ),
        cycle(4, duration_s=1.0),
    ]


def test_a_summary_of_cycles() -> None:
    assert summarize_cycles(session(), ALL, limit=32, ttl=10.0) == {
        "total": 4,
        "filters": {"since": None, "until": None, "limit": None, "by": "wall"},
        "config": {"limit": 32, "ttl": 10.0},
        "orders": {"total": 4, "average": 1.0, "min": 0, "max": 2, "distinct": 3},
        "signals": {"total": 3, "average": 0.75, "min": 0, "max": 2, "by_side": {"buy": 2, "sell": 1}},
        "results": {"total": 4, "average": 1.0, "min": 0, "max": 2, "status_counts": {"accepted": 1, "filled": 1, "rejected": 2}},
        "duration": {"total": 1.875, "average": 0.46875, "min": 0.125, "max": 1.0},
        "first_sequence": 1,
        "last_sequence": 4,
        "first_timestamp": WALL_S + 1.0,
        "last_timestamp": WALL_S + 4.0,
    }


@pytest.mark.parametrize("window", [ALL, history.window(limit=0), history.window(since=WALL_S + 99, by="wall")])
def test_a_summary_of_nothing_has_zeros(window: history.Window) -> None:
    summary = summarize_cycles([] if window is ALL else session(), window)
    counts = {"total": 0, "average": 0.0, "min": 0, "max": 0}
    assert summary["total"] == 0
    assert summary["orders"] == {**counts, "distinct": 0}
    assert summary["signals"] == {**counts, "by_side": {}}
    assert summary["results"] == {**counts, "status_counts": {}}
    assert summary["duration"] == {"total": 0.0, "average": 0.0, "min": None, "max": None}
    assert [summary[key] for key in ("first_sequence", "last_sequence", "first_timestamp", "last_timestamp")] == [None] * 4
    assert summary["config"] == {"limit": -1, "ttl": None}


def test_an_order_whose_acceptance_lies_before_the_window_is_still_one() -> None:
    summary = summarize_cycles(session(), history.window(limit=3))
    assert (summary["first_sequence"], summary["orders"]["total"], summary["orders"]["distinct"]) == (2, 3, 3)


def test_timestamps_are_on_the_line_of_the_window() -> None:
    summary = summarize_cycles(session(), history.window(by="instant", limit=2))
    assert (summary["first_timestamp"], summary["last_timestamp"]) == (EVENT_S + 3 * 3600.0, EVENT_S + 4 * 3600.0)


def test_a_summary_takes_a_stream() -> None:
    def stream() -> Iterator[ControllerCycle]:
        yield from session()

    assert summarize_cycles(stream(), ALL) == summarize_cycles(session(), ALL)


@pytest.mark.parametrize(
    ("asked", "became", "side"),
    [
        (signal(), [], "buy"),
        (signal(target=-0.5), [], "sell"),
        (signal(target=0.5), [], "buy"),
        (signal(intent=Intent.EXIT), [result(side=Side.BUY)], "buy"),
        (signal(intent=Intent.EXIT), [], "exit"),
        (signal(intent=Intent.REBALANCE), [result("s2", side=Side.SELL), result(side=Side.SELL)], "sell"),
        (signal(intent=Intent.REBALANCE), [result(quantity="0")], "rebalance"),
    ],
)
def test_the_side_of_a_signal_is_that_of_its_order(asked, became, side) -> None:
    assert signal_side(asked, became) == side


# -- risk evaluations ----------------------------------------------------------------------------------------------


def test_a_summary_of_risk_evaluations() -> None:
    kept = [evaluation(answer, number) for number, answer in enumerate([APPROVED, ADJUSTED, REFUSED, UNJUDGED], 1)]
    kept.append(evaluation(REFUSED, 5, service="OtherGate"))
    gate = {"total": 4, "approved": 2, "rejected": 2, "unknown": 0, "errors": 1, "raw_true": 2, "raw_false": 1, "raw_none": 1}
    other = {"total": 1, "approved": 0, "rejected": 1, "unknown": 0, "errors": 0, "raw_true": 0, "raw_false": 1, "raw_none": 0}
    assert summarize_evaluations(kept, ALL, limit=256, ttl=None) == {
        **{key: gate[key] + other[key] for key in gate},
        "approval_rate": 0.4,
        "error_rate": 0.2,
        "services": {
            "OtherGate": {**other, "approval_rate": 0.0, "error_rate": 0.0},
            GATE: {**gate, "approval_rate": 0.5, "error_rate": 0.25},
        },
        "filters": {"since": None, "until": None, "limit": None, "by": "wall"},
        "config": {"limit": 256, "ttl": None},
        "first_timestamp": WALL_S + 1.0,
        "last_timestamp": WALL_S + 5.0,
    }


def test_a_summary_of_no_risk_evaluations_has_zeros() -> None:
    summary = summarize_evaluations([], ALL)
    counts = ("total", "approved", "rejected", "unknown", "errors", "raw_true", "raw_false", "raw_none")
    assert [summary[key] for key in counts] == [0] * 8
    assert (summary["approval_rate"], summary["error_rate"], summary["services"]) == (0.0, 0.0, {})
    assert (summary["first_timestamp"], summary["last_timestamp"]) == (None, None)
