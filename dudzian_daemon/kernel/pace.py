"""Event time on the monotonic clock: when an input of a virtual instant may be released, and which instant is now."""

from __future__ import annotations

from dudzian_daemon.kernel.clock import Clock


class Pace:
    """`speed` seconds of event time pass in one second; None is as fast as possible."""

    def __init__(self, clock: Clock, speed: float | None) -> None:
        self._clock = clock
        self._speed = speed
        self._anchor: tuple[int, int] | None = None

    def anchor(self, instant: int) -> None:
        """From here on time passes: `instant` is now."""
        self._anchor = (instant, self._clock.monotonic_ns())

    def release_at(self, instant: int) -> int | None:
        """Monotonic time (ns) at which an input of `instant` may be released; None is at once."""
        if self._speed is None or self._anchor is None:
            return None
        return self._anchor[1] + int((instant - self._anchor[0]) / self._speed)

    def command_instant(self, upcoming: int | None) -> int:
        """Where a command belongs that comes now: 0 is just after the last input, where the next one, `upcoming`, is due already."""
        now = self.now()
        return 0 if upcoming is None or now >= upcoming else now

    def now(self) -> int:
        """The virtual instant; 0 when time does not pass by itself."""
        if self._speed is None or self._anchor is None:
            return 0
        return self._anchor[0] + int((self._clock.monotonic_ns() - self._anchor[1]) * self._speed)
