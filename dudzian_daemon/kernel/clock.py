"""The only module that reads clocks. Everything else is given a `Clock`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

SECOND_NS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Wall time to name moments, monotonic time to measure and wait."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may jump."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since an unspecified start; never falls."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of monotonic time; zero or less only lets other tasks run."""
        ...

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Wait until `monotonic_ns()` has reached the given value; the past only lets other tasks run."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC by the machine's wall clock."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds of the machine's monotonic clock."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`; zero or less only lets other tasks run."""
        from anyio import sleep  # commands that only read the time do not pay for the loop

        await sleep(max(seconds, 0.0))

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Wait until `monotonic_ns()` has reached the given value; the past only lets other tasks run."""
        await self.sleep((monotonic_ns - time.monotonic_ns()) / SECOND_NS)
        while (rest := monotonic_ns - time.monotonic_ns()) > 0:  # timers of the loop are coarser than the clock
            await self.sleep(rest / SECOND_NS)


class Anchored:
    """A `Clock` whose wall time cannot jump by itself: the wall at the anchor plus the monotonic time since.

    `check` compares it with the real wall clock, so that a jump becomes something one can record; one task may call it.
    """

    def __init__(self, clock: Clock, *, tolerance_ns: int = SECOND_NS) -> None:
        self._clock = clock
        self._tolerance_ns = tolerance_ns
        self._offset_ns = clock.wall_ns() - clock.monotonic_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; falls only in a `check` that returned a negative jump."""
        return self._clock.monotonic_ns() + self._offset_ns

    def monotonic_ns(self) -> int:
        """As the clock below it."""
        return self._clock.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """As the clock below it."""
        await self._clock.sleep(seconds)

    async def sleep_until(self, monotonic_ns: int) -> None:
        """As the clock below it."""
        await self._clock.sleep_until(monotonic_ns)

    def check(self) -> int | None:
        """If the wall clock went away by more than the tolerance, anchor anew and return by how many nanoseconds, else None."""
        jump_ns = self._clock.wall_ns() - self.wall_ns()
        if abs(jump_ns) <= self._tolerance_ns:
            return None
        self._offset_ns += jump_ns
        return jump_ns


def file_stamp(wall_ns: int) -> str:
    """`20240131T235959Z`, for the name of a file."""
    return f"{_EPOCH + timedelta(seconds=wall_ns // SECOND_NS):%Y%m%dT%H%M%SZ}"


def iso_utc(wall_ns: int) -> str:
    """`2024-01-31T23:59:59.123456Z` for nanoseconds since 1970-01-01 UTC; what is below a microsecond is cut off."""
    return (_EPOCH + timedelta(microseconds=wall_ns // 1000)).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
