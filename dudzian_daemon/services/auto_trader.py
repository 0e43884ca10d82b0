"""AutoTrader, the public face of a running session: the latest controller cycles as copies, safe to read from any thread."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.events import CONTROLLER_CYCLE, ControllerCycle
from dudzian_daemon.kernel.bus import Bus

DEFAULT_HISTORY: Final = 32


class AutoTrader:
    """Keeps the newest durable cycles; subscribes to the bus and writes nothing."""

    def __init__(self, bus: Bus, *, history: int = DEFAULT_HISTORY) -> None:
        self._cycles: deque[ControllerCycle] = deque(maxlen=history)
        self._lock = Lock()
        bus.subscribe(CONTROLLER_CYCLE, self._on_cycle, name="auto_trader")

    def get_last_controller_cycle(self) -> dict[str, Any] | None:
        """The latest durable cycle as a dict of its own (rows A-03, E-01), None before the first."""
        with self._lock:
            return msgspec.to_builtins(self._cycles[-1]) if self._cycles else None

    def _on_cycle(self, _topic: str, cycle: ControllerCycle) -> None:
        with self._lock:
            self._cycles.append(cycle)
