"""The watchdog: who blocks is named once, the limit is told once, and time in which nobody ran blames nobody."""

from __future__ import annotations

import threading

import pytest

from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.kernel.stacks import LONGEST_STACK, LONGEST_TEXT, stack_of, told
from dudzian_daemon.kernel.watchdog import Call, Stall, Watchdog
from dudzian_daemon.testing.clock import ManualClock


class Watched:
    """A thread by its calls, as the test says, and what the watchdog said of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.call: Call | None = None
        self.late: list[Stall] = []
        self.over: list[Stall] = []
        self.dog = Watchdog(
            self.clock, lambda: self.call, warn_seconds=0.5, limit_seconds=3.0, on_late=self.late.append, on_limit=self.over.append
        )

    async def look(self, *seconds: float) -> None:
        for each in seconds:
            await self.clock.advance(each)
            self.dog.look()


async def test_a_call_that_does_not_come_back_is_named_once_and_then_given_up() -> None:
    watched = Watched()
    watched.call = Call(7, "slow[BTC]")
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
        watched.call = Call(number, "busy[BTC]")
        await watched.look(0.4)
    watched.call = None
    await watched.look(*[0.4] * 20)
    assert (watched.late, watched.over) == ([], [])


async def test_the_next_call_is_named_anew() -> None:
    watched = Watched()
    for number in range(2):
        watched.call = Call(number, "slow[BTC]")
        await watched.look(*[0.2] * 5)
    assert len(watched.late) == 2


async def test_a_process_that_was_stopped_for_an_hour_blames_nobody() -> None:
    watched = Watched()
    watched.call = Call(1, "innocent[BTC]")
    await watched.look(0.2, 0.2, 3600.0)
    assert watched.over == []
    watched.call = None
    await watched.look(0.2)
    assert watched.over == []


def test_the_thread_names_who_blocks_the_watched_one() -> None:
    named = threading.Event()
    stalls: list[Stall] = []

    def on_late(stall: Stall) -> None:
        stalls.append(stall)
        named.set()

    def blocking_call() -> bool:
        return named.wait(10.0)

    call = Call(1, "slow[BTC]")
    with Watchdog(SystemClock(), lambda: call, warn_seconds=0.05, limit_seconds=600, on_late=on_late, on_limit=print):
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
