from __future__ import annotations

from threading import Event

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.kernel.clock import SECOND_NS, Anchored, Clock, SystemClock, iso_utc
from dudzian_daemon.testing.clock import ManualClock


async def test_the_system_clock_sleeps_no_less_than_asked() -> None:
    clock: Clock = SystemClock()
    deadline_ns = clock.monotonic_ns() + 2_000_000
    await clock.sleep_until(deadline_ns)
    assert clock.monotonic_ns() >= deadline_ns
    await clock.sleep(-1)
    assert clock.wall_ns() > 1_700_000_000 * SECOND_NS


@pytest.mark.parametrize("jump", [1.5, -90.0])
def test_an_anchored_clock_reports_a_jump_of_the_wall_once_and_follows_it(jump: float) -> None:
    clock = ManualClock()
    anchored = Anchored(clock)
    before_ns = anchored.wall_ns()
    clock.jump_wall(jump)
    assert anchored.wall_ns() == before_ns
    assert anchored.check() == round(jump * SECOND_NS)
    assert anchored.wall_ns() == clock.wall_ns()
    assert anchored.check() is None


async def test_an_anchored_clock_moves_with_monotonic_time_and_ignores_what_is_within_its_tolerance() -> None:
    clock = ManualClock()
    anchored = Anchored(clock)
    before_ns = anchored.wall_ns()
    await clock.advance(10)
    clock.jump_wall(1.0)
    assert anchored.check() is None
    assert anchored.wall_ns() - before_ns == 10 * SECOND_NS
    clock.jump_wall(0.25)
    assert anchored.check() == 1_250_000_000


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_709_164_800_000_001_999, "2024-02-29T00:00:00.000001Z"),
    ],
)
def test_iso_utc(wall_ns: int, text: str) -> None:
    assert iso_utc(wall_ns) == text


@given(naps=st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=4), min_size=1, max_size=5), steps=st.integers(1, 9))
def test_sleepers_wake_in_deadline_order_at_their_own_time_however_the_clock_is_advanced(naps: list[list[int]], steps: int) -> None:
    async def play() -> None:
        clock, woken = ManualClock(), list[tuple[int, int]]()

        async def nap(sleeper: int) -> None:
            for seconds in naps[sleeper]:
                await clock.sleep(seconds)
                woken.append((clock.monotonic_ns() // SECOND_NS, sleeper))

        async with anyio.create_task_group() as group:
            for sleeper in range(len(naps)):
                group.start_soon(nap, sleeper)
            for _ in range(28 // steps + 1):
                await clock.advance(steps)
        expected = [(sum(mine[: n + 1]), sleeper) for sleeper, mine in enumerate(naps) for n in range(len(mine))]
        assert sorted(woken) == sorted(expected)
        assert [at for at, _ in woken] == sorted(at for at, _ in woken)
        assert clock.sleeping == 0

    anyio.run(play)


async def test_a_manual_clock_waits_for_long_chains_of_tasks_to_come_to_rest() -> None:
    clock, arrived = ManualClock(), list[int]()
    events = [anyio.Event() for _ in range(200)]

    async def pass_on(position: int) -> None:
        await events[position].wait()
        if position + 1 < len(events):
            events[position + 1].set()
        else:
            arrived.append(clock.monotonic_ns())

    async def start() -> None:
        await clock.sleep(5)
        events[0].set()

    async with anyio.create_task_group() as group:
        for position in range(len(events)):
            group.start_soon(pass_on, position)
        group.start_soon(start)
        await clock.advance(8)
    assert arrived == [5 * SECOND_NS]
    assert clock.monotonic_ns() == 8 * SECOND_NS


async def test_what_a_worker_thread_brings_is_there_before_the_clock_moves_on() -> None:
    clock, brought = ManualClock(), list[tuple[int, int]]()

    async def ask_again_and_again() -> None:
        for number in range(3):
            await clock.sleep(5)
            slow = Event()
            await anyio.to_thread.run_sync(slow.wait, 0.02)
            brought.append((number, clock.monotonic_ns()))

    async with anyio.create_task_group() as group:
        group.start_soon(ask_again_and_again)
        await clock.advance(14)
        assert brought == [(0, 5 * SECOND_NS), (1, 10 * SECOND_NS)]
        await clock.advance(1)
    assert brought[2:] == [(2, 15 * SECOND_NS)]


async def test_a_cancelled_sleeper_is_forgotten_and_the_past_does_not_wait() -> None:
    clock = ManualClock(monotonic_ns=7)
    async with anyio.create_task_group() as group:
        for seconds in (3, 1, 2):
            group.start_soon(clock.sleep, seconds)
        await clock.settle()
        assert clock.sleeping == 3
        group.cancel_scope.cancel()
    assert clock.sleeping == 0
    await clock.sleep(0)
    await clock.sleep_until(3)
    assert clock.monotonic_ns() == 7
