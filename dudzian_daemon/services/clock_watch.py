"""Watches the wall clock of the machine: a jump is put on the record once, and only then does the daemon's own clock follow it.

Event time knows nothing of it: instants of inputs never fall, and days roll by them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dudzian_daemon.domain.events import CLOCK_JUMP, ClockJump
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import SECOND_NS, Anchored

#: How often the two clocks are compared.
PERIOD_SECONDS: Final = 1.0


class ClockWatch:
    """`record` puts an entry (kind, `d`, `w`) into the session's journal."""

    name = "clock_watch"

    def __init__(self, clock: Anchored, bus: Bus, record: Callable[[str, dict[str, Any], dict[str, Any]], object]) -> None:
        self._clock = clock
        self._bus = bus
        self._record = record
        self._log = logs.logger("clock")

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            await self._clock.sleep(PERIOD_SECONDS)
            jump_ns = self._clock.check()
            if jump_ns is not None:
                self._tell(jump_ns)

    def _tell(self, jump_ns: int) -> None:
        at = self._clock.wall_ns()
        self._record("clock_jump", {}, {"at": at, "jump_ns": jump_ns})
        self._log.warning("clock_jump", action="follow", seconds=round(jump_ns / SECOND_NS, 3))
        self._bus.publish(CLOCK_JUMP, ClockJump(at=at, jump_ns=jump_ns))
