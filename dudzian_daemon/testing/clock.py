"""A clock that moves only when a test says so, and one that runs ahead of the machine's."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from dudzian_daemon.kernel.clock import SECOND_NS, SystemClock

#: 2024-01-01T00:00:00Z
START_NS: Final = 1_704_067_200 * SECOND_NS
#: Rounds of the loop without a runnable task until the tasks count as resting; callbacks may still pass work on in between.
_QUIET_ROUNDS: Final = 3
_MOST_ROUNDS: Final = 100_000
#: How long tasks that wait for a worker thread are waited for, by the machine's clock (seconds), and how often that is looked at.
_THREADS_S: Final = 60.0
_THREADS_LOOK_S: Final = 0.0005


class ManualClock:
    """Implements `kernel.clock.Clock` for tests on asyncio: sleepers wake in `advance` and nowhere else."""

    def __init__(self, *, wall_ns: int = START_NS, monotonic_ns: int = 0) -> None:
        self._wall_offset_ns = wall_ns - monotonic_ns
        self._now_ns = monotonic_ns
        self._sleepers: list[tuple[int, int, anyio.Event]] = []
        self._count = 0

    @property
    def sleeping(self) -> int:
        """How many tasks wait on this clock."""
        return len(self._sleepers)

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        return self._now_ns + self._wall_offset_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock's start."""
        return self._now_ns

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward (or back) and wake nobody, as an operator or NTP does."""
        self._wall_offset_ns += round(seconds * SECOND_NS)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`; zero or less only lets other tasks run."""
        await self.sleep_until(self._now_ns + round(seconds * SECOND_NS))

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Wait until the clock was advanced to `monotonic_ns`; the past only lets other tasks run."""
        if monotonic_ns <= self._now_ns:
            await anyio.lowlevel.checkpoint()
            return
        self._count += 1
        sleeper = (monotonic_ns, self._count, anyio.Event())
        heappush(self._sleepers, sleeper)
        try:
            await sleeper[2].wait()
        finally:
            if not sleeper[2].is_set():  # cancelled
                self._sleepers = sorted(each for each in self._sleepers if each is not sleeper)

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`: wake sleepers in the order of their deadlines, each at its own time, and let tasks come to rest.

        A task that sleeps again inside the span is woken again. Raises `RuntimeError` if the tasks never come to rest.
        """
        target_ns = self._now_ns + round(seconds * SECOND_NS)
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target_ns:
            deadline_ns, _, event = heappop(self._sleepers)
            self._now_ns = deadline_ns
            event.set()
            await self.settle()
        self._now_ns = target_ns

    async def settle(self) -> None:
        """Let all other tasks of the loop run until each of them waits for something that is no worker thread.

        A thread takes no time of this clock, so what it is to bring is there before the clock moves on. Raises `RuntimeError` if the tasks
        never come to rest, or a thread does not come back.
        """
        quiet, threads = 0, anyio.to_thread.current_default_thread_limiter()
        for _ in range(_MOST_ROUNDS):
            await anyio.lowlevel.checkpoint()
            if threads.borrowed_tokens:
                await _all_back(threads)
            quiet = 0 if _anyone_runnable() else quiet + 1
            if quiet == _QUIET_ROUNDS:
                return
        msg = f"tasks did not come to rest in {_MOST_ROUNDS} rounds of the loop: one of them spins without waiting for the clock"
        raise RuntimeError(msg)


async def _all_back(threads: anyio.CapacityLimiter) -> None:
    """Wait by the machine's clock until no call of a worker thread is under way."""
    machine = SystemClock()
    until = machine.monotonic_ns() + round(_THREADS_S * SECOND_NS)
    while threads.borrowed_tokens:
        if machine.monotonic_ns() > until:
            msg = f"a worker thread did not come back in {_THREADS_S:g} s of the machine's clock"
            raise RuntimeError(msg)
        await machine.sleep(_THREADS_LOOK_S)


def _anyone_runnable() -> bool:
    this = asyncio.current_task()
    for task in asyncio.all_tasks():
        waiter = getattr(task, "_fut_waiter", None)
        if task is not this and (waiter is None or waiter.done()):
            return True
    return False


class AcceleratedClock:
    """Implements `kernel.clock.Clock`: the machine's time from `wall_ns` on, `speed` times as fast. Equal ones in two processes agree."""

    def __init__(self, speed: float, *, wall_ns: int = START_NS, since_ns: int | None = None) -> None:
        self._real = SystemClock()
        self._speed = speed
        self._since_ns = self._real.monotonic_ns() if since_ns is None else since_ns
        self._wall_ns = wall_ns

    @property
    def since_ns(self) -> int:
        """The machine's monotonic time (ns) at which this clock began."""
        return self._since_ns

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        return self._wall_ns + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock's start."""
        return int((self._real.monotonic_ns() - self._since_ns) * self._speed)

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock."""
        await self._real.sleep(seconds / self._speed)

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Wait until this clock has reached the given value."""
        await self._real.sleep_until(self._since_ns + int(monotonic_ns / self._speed))
