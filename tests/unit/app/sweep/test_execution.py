"""Tasks at an executor: the order of their outcomes, what is under way at once, what is cancelled, and who may be the executor."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dudzian_daemon.app.sweep.execution import InThisProcess, completed, local_executor
from dudzian_daemon.domain.errors import ConfigError, DudzianError


def square(number: int) -> int:
    return number * number


def die(_number: int) -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    return 0


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ConfigError("three")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_are_in_the_order_of_the_tasks(workers: int) -> None:
    told: dict[int, int] = {}
    with local_executor(workers) as executor:
        assert completed(executor, square, range(9), 4, told.__setitem__) == [n * n for n in range(9)]
    assert told == {n: n * n for n in range(9)}


def test_any_executor_of_futures_will_do_and_is_given_no_more_than_the_backlog() -> None:
    class Counting(ThreadPoolExecutor):
        def __init__(self) -> None:
            super().__init__(2)
            self.given = self.most = 0

        def submit(self, *arguments: object, **named: object) -> Future:
            self.given += 1
            self.most = max(self.most, self.given)
            return super().submit(*arguments, **named)  # type: ignore[arg-type]  # as above

    with Counting() as executor:
        seen: list[int] = []

        def take(number: int, _outcome: int) -> None:
            executor.given -= 1
            seen.append(number)

        completed(executor, square, range(40), 5, take)
    assert executor.most <= 5
    assert sorted(seen) == list(range(40))


def test_what_came_before_a_failure_was_told() -> None:
    told: list[int] = []
    with pytest.raises(ConfigError, match="three"):
        completed(InThisProcess(), fail_at_three, range(9), 1, lambda number, _outcome: told.append(number))
    assert told == [0, 1, 2]


@pytest.mark.skipif(os.name == "nt", reason="ends a process by a signal")
def test_a_dead_worker_is_one_line() -> None:
    with local_executor(2) as executor, pytest.raises(DudzianError, match="a worker process has died"):
        completed(executor, die, [1], 4)


def test_interrupted_it_takes_what_is_under_way_and_begins_nothing_more() -> None:
    begun = threading.Barrier(3)
    told: list[int] = []

    def work(number: int) -> int:
        if number in (1, 2):
            begun.wait(60)
        return number

    def take(number: int, _outcome: int) -> None:
        told.append(number)
        if number == 0:
            begun.wait(60)  # two are under way, two wait
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
        completed(executor, work, range(9), 5, take)
    assert told[0] == 0
    assert set(told) <= {0, 1, 2, 3, 4}
    assert {1, 2} <= set(told)
