"""Tells the service manager that started us how we are (sd_notify): ready, alive, stopping. Without one nobody is told.

Alive is progress of the process: this task runs on the same loop as everything else, so a loop that hangs sends nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from dudzian_daemon.kernel.clock import Clock

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
#: Signs of life in one watchdog period.
_SIGNS: Final = 3
_STATUS_SECONDS: Final = 30.0


class ServiceManager:
    """One address of a service manager; `status` says in a line what is going on."""

    name = "service_manager"

    def __init__(self, env: Mapping[str, str], clock: Clock, status: Callable[[], str]) -> None:
        self._address = env.get(_SOCKET, "")
        self._clock = clock
        self._scope: anyio.CancelScope | None = None
        self._status = status
        self._period = _seconds(env.get(_WATCHDOG, "")) / _SIGNS or _STATUS_SECONDS

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    async def run(self) -> None:
        """Say that we are ready, then a sign of life before each period ends."""
        self.tell("READY=1")
        with anyio.CancelScope() as self._scope:
            while True:
                self.tell(f"WATCHDOG=1\nSTATUS={self._status()}")
                await self._clock.sleep(self._period)

    async def stop(self) -> None:
        """No further sign."""
        if self._scope is not None:
            self._scope.cancel()

    def stopping(self, reason: str) -> None:
        """Say that an orderly stop has begun."""
        self.tell(f"STOPPING=1\nSTATUS=stopping: {reason}")

    def tell(self, text: str) -> None:
        """Send one message; a manager that does not listen is no fault of ours."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.sendto(text.encode(), address)
            except OSError:
                return


def _seconds(microseconds: str) -> float:
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() else 0.0
