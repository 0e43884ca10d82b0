"""The watchdog: who blocks is named once, the limit is told once, and time in which nobody ran blames nobody."""

from __future__ import annotations

import threading

import msgspec
import pytest

from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.kernel.stacks import LONGEST_STACK, LONGEST_TEXT, stack_of, told
from dudzian_daemon.kernel.watchdog import Call, Limits, Stall, Watchdog
from dudzian_daemon.testing.clock import ManualClock


class Watched:
    """A thread by its calls, as the test says, and what the watchdog said of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.call: Call | None = None
        self.late: list[Stall] = []
        self.over: list[Stall] = []
        self.spent: list[Stall] = []
        self.limits = Limits(warn_seconds=0.5, limit_seconds=3.0, budget_seconds=20.0)
        self.dog = Watchdog(
            self.clock,
            lambda: self.call,
            lambda: self.limits,
            on_late=self.late.append,
            on_budget=self.spent.append,
            on_limit=self.over.append,
        )

    async def look(self, *seconds: float) -> None:
        for each in seconds:
            await self.clock.advance(each)
            self.dog.look()

    async def calls(self, name: str, seconds: float, count: int) -> None:
        """So many calls one after the other, each as long."""
        number = 0 if self.call is None else self.call.number
        for each in range(1, count + 1):
            self.call = Call(number + each, f"{name}[BTC]", name)
            await self.look(*[0.2] * round(seconds / 0.2))


async def test_a_call_that_does_not_come_back_is_named_once_and_then_given_up() -> None:
    watched = Watched()
    watched.call = Call(7, "slow[BTC]", "slow")
    await watched.look(0.2, 0.2, 0.2)
    assert watched.late == []  # first seen at the first look, so 0.4 s old
    await watched.look(0.2)
    assert [stall.name for stall in watched.late] == ["slow[BTC]"]
    assert watched.late[0].seconds == pytest.approx(0.6)
    assert "test_watchdog.py" in watched.late[0].stack
    await watched.look(*[0.2] * 11)
    assert (len(watched.late), watched.over) == (1, [])
    await watched.look(0.2, 0.2, 0.2)
    assert (len(watched.late), len(watched.over)) == (1, 1)
    assert watched.over[0].seconds == pytest.approx(3.0)


async def test_many_short_calls_are_no_long_one() -> None:
    watched = Watched()
    for number in range(100):
        watched.call = Call(number, "busy[BTC]", "busy")
        await watched.look(0.4)
    watched.call = None
    await watched.look(*[0.4] * 20)
    assert (watched.late, watched.over) == ([], [])


async def test_the_next_call_is_named_anew() -> None:
    watched = Watched()
    for number in range(2):
        watched.call = Call(number, "slow[BTC]", "slow")
        await watched.look(*[0.2] * 5)
    assert len(watched.late) == 2


async def test_a_process_that_was_stopped_for_an_hour_blames_nobody() -> None:
    watched = Watched()
    watched.call = Call(1, "innocent[BTC]", "innocent")
    await watched.look(0.2, 0.2, 3600.0)
    assert watched.over == []
    watched.call = None
    await watched.look(0.2)
    assert watched.over == []


async def test_slow_calls_use_up_the_budget_of_their_owner_together() -> None:
    watched = Watched()
    await watched.calls("slow", 2.0, 5)
    await watched.calls("other", 2.0, 5)
    assert watched.spent == []
    await watched.calls("slow", 2.0, 7)
    assert [(stall.name, stall.owner) for stall in watched.spent] == [("slow[BTC]", "slow")]
    assert watched.spent[0].seconds == pytest.approx(20.0)
    await watched.calls("slow", 2.0, 10)
    assert len(watched.spent) == 1  # it begins anew
    await watched.calls("slow", 2.0, 1)
    assert len(watched.spent) == 2
    assert watched.over == []


async def test_the_budget_is_for_a_minute_and_for_calls_that_a_look_can_see() -> None:
    watched = Watched()
    for _ in range(20):
        await watched.calls("now and then", 2.0, 1)  # 1.8 s of it seen to go by, 9 times a minute
        watched.call = None
        await watched.look(*[0.2] * 22)
    await watched.calls("quick", 0.2, 1000)
    assert watched.spent == []


async def test_who_keeps_the_thread_from_answering_is_over_once() -> None:
    watched = Watched()
    await watched.calls("slow", 2.0, 3)
    watched.limits = msgspec.structs.replace(watched.limits, answer_seconds=5.0)
    await watched.calls("slow", 2.0, 2)
    assert watched.over == []  # what went by before it was asked does not count
    await watched.calls("quick", 0.2, 10)
    assert [(stall.name, stall.owner) for stall in watched.over] == [("slow[BTC]", "slow")]
    assert watched.over[0].seconds == pytest.approx(5.0)


async def test_an_answer_ends_the_wait_and_many_quick_calls_blame_nobody() -> None:
    watched = Watched()
    asked = msgspec.structs.replace(watched.limits, answer_seconds=5.0)
    for _ in range(3):
        watched.limits = asked
        await watched.calls("quick", 0.2, 20)
        watched.limits = msgspec.structs.replace(asked, answer_seconds=None)
        await watched.look(0.2)
    watched.limits = asked
    watched.call = None
    await watched.look(*[0.2] * 100)
    assert watched.over == []  # it was busy with something of its own
    await watched.calls("quick", 0.2, 25)
    assert [(stall.name, stall.owner) for stall in watched.over] == [("quick[BTC]", "")]


def test_the_thread_names_who_blocks_the_watched_one() -> None:
    named = threading.Event()
    stalls: list[Stall] = []

    def on_late(stall: Stall) -> None:
        stalls.append(stall)
        named.set()

    def blocking_call() -> bool:
        return named.wait(60.0)

    call, limits = Call(1, "slow[BTC]", "slow"), Limits(warn_seconds=0.05, limit_seconds=600.0, budget_seconds=60.0)
    with Watchdog(SystemClock(), lambda: call, lambda: limits, on_late=on_late, on_budget=print, on_limit=print):
        assert blocking_call()
    assert (len(stalls), stalls[0].name) == (1, "slow[BTC]")
    assert "in blocking_call" in stalls[0].stack
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


class Rude(Exception):
    """Does not even let itself be shown."""

    def __str__(self) -> str:
        msg = "no"
        raise RuntimeError(msg)


def test_an_exception_is_told_whatever_it_does() -> None:
    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise Rude

    with pytest.raises(Rude) as caught:
        deep(100)
    detail = told(caught.value)
    assert "Rude" in detail.text and "raise Rude" in detail.stack
    long = told(ValueError("x" * 100_000))
    assert (len(long.text), len(long.stack) <= LONGEST_STACK) == (LONGEST_TEXT, True)


def test_a_thread_that_has_ended_has_no_stack() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert stack_of(thread.ident or 0) == ""
