"""Schedules are a grid in event time: at most once a grid point, only with something new, in the order of priority and name."""

from __future__ import annotations

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, MINUTE_NS
from dudzian_daemon.testing.market import START_NS, schedule
from dudzian_daemon.trading.scheduler import MultiStrategyScheduler
from dudzian_daemon.trading.spec import Schedule
from tests.unit.trading.desk import BTC


def names(due: list[Schedule]) -> list[str]:
    return [each.name for each in due]


def anything(_: Schedule) -> bool:
    return True


def test_schedules_due_at_one_instant_run_by_priority_then_name() -> None:
    plans = (schedule("c", [BTC], priority=50), schedule("b", [BTC]), schedule("a", [BTC]), schedule("z", [BTC], priority=10))
    assert names(MultiStrategyScheduler(plans).due(START_NS, anything)) == ["z", "c", "a", "b"]


def test_a_schedule_runs_once_a_grid_point_and_asking_again_is_no_second_time() -> None:
    scheduler = MultiStrategyScheduler((schedule("a", [BTC], cadence_ns=HOUR_NS),))
    assert names(scheduler.due(START_NS, anything)) == ["a"]
    assert names(scheduler.due(START_NS, anything)) == []
    assert names(scheduler.due(START_NS + HOUR_NS - 1, anything)) == []
    assert names(scheduler.due(START_NS + HOUR_NS, anything)) == ["a"]


def test_the_first_input_after_a_missed_grid_point_makes_it_due() -> None:
    scheduler = MultiStrategyScheduler((schedule("a", [BTC], cadence_ns=HOUR_NS),))
    scheduler.due(START_NS, anything)
    assert names(scheduler.due(START_NS + 3 * HOUR_NS + 7 * MINUTE_NS, anything)) == ["a"]
    assert names(scheduler.due(START_NS + 4 * HOUR_NS, anything)) == ["a"]


def test_without_new_data_a_grid_point_waits() -> None:
    scheduler = MultiStrategyScheduler((schedule("a", [BTC], cadence_ns=DAY_NS),))
    assert names(scheduler.due(START_NS, lambda _: False)) == []
    assert names(scheduler.due(START_NS + HOUR_NS, anything)) == ["a"]
