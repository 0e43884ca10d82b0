"""The pace of a live session: inputs are released when they come, commands are stamped with the exchange's time."""

from __future__ import annotations

from collections.abc import Callable

from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.pace import Pace


class LivePace(Pace):
    """`command_at` gives the instant of a command that comes now; 0 is just after the last input."""

    def __init__(self, clock: Clock, command_at: Callable[[], int]) -> None:
        super().__init__(clock, None)
        self._command_at = command_at

    def command_instant(self, upcoming: int | None) -> int:
        """The exchange's time; while the session has an input in its hand, just before that."""
        return self._command_at() if upcoming is None else 0
