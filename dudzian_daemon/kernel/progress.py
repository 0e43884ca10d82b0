"""Which loops of the process are alive: each says by when it will have come round again; one that has not is stuck."""

from __future__ import annotations

from typing import Final

from dudzian_daemon.kernel.clock import SECOND_NS, Clock

#: What a loop may take longer than it said, in seconds: a busy machine is no fault of its own.
SLACK_SECONDS: Final = 60.0


class Progress:
    """`expect` in every round; what ends says `done`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, int] = {}

    def expect(self, name: str, within_seconds: float) -> None:
        """The loop comes round within that time, or a little later."""
        self._until[name] = self._clock.monotonic_ns() + round((within_seconds + SLACK_SECONDS) * SECOND_NS)

    def done(self) -> None:
        """No loop is awaited any more."""
        self._until.clear()

    def stuck(self) -> list[str]:
        """The loops that are overdue, one line each."""
        now = self._clock.monotonic_ns()
        return [
            f"{name} has made no progress for {(now - until) / SECOND_NS + SLACK_SECONDS:.0f} s"
            for name, until in self._until.items()
            if now > until
        ]
