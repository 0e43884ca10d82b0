"""Holds what the process uses against `runtime.resource_limits`: it tells when a budget is nearly used or passed, and stops nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import anyio.to_thread

from dudzian_daemon.adapters.process_usage import Usage
from dudzian_daemon.config.runtime import ResourceLimits
from dudzian_daemon.domain.events import RESOURCE_STATE, ResourceState
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.resources import ResourceUse, judged
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock

PERIOD_SECONDS: Final = 5.0
#: Use is a mean over this long, and nothing is told before so much has been seen: a start, or a busy moment, is no news.
WINDOW_NS: Final = 60 * SECOND_NS
_MB: Final = 1_000_000


class ResourceWatch:
    """Samples by `read`; `uses` is how the budgets stand, empty before the first sample; a rate is known with the second."""

    name = "resource_watch"

    def __init__(self, limits: ResourceLimits, read: Callable[[], Usage], bus: Bus, clock: Clock) -> None:
        self._limits = limits
        self._read = read
        self._bus = bus
        self._clock = clock
        self._samples: deque[tuple[int, Usage]] = deque()
        self._told: dict[str, str] = {}
        self._log = logs.logger("resources")
        self.uses: tuple[ResourceUse, ...] = ()

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            usage = await anyio.to_thread.run_sync(self._read)
            self.take(self._clock.monotonic_ns(), usage)
            await self._clock.sleep(PERIOD_SECONDS)

    def take(self, at_ns: int, usage: Usage) -> None:
        """One sample, at a monotonic instant."""
        samples = self._samples
        samples.append((at_ns, usage))
        while len(samples) > 2 and samples[1][0] <= at_ns - WINDOW_NS:
            samples.popleft()
        self.uses = tuple(self._judged((at_ns - samples[0][0]) / SECOND_NS))
        if at_ns - samples[0][0] >= WINDOW_NS:
            for use in self.uses:
                self._tell(use)

    def _judged(self, seconds: float) -> list[ResourceUse]:
        (_, first), (_, last) = self._samples[0], self._samples[-1]
        used = {
            "cpu_percent": None if not seconds else (last.cpu_seconds - first.cpu_seconds) / seconds * 100,
            "memory_mb": sum(usage.memory_bytes for _, usage in self._samples) / len(self._samples) / _MB,
            "io_read_mb_s": _rate(first.read_bytes, last.read_bytes, seconds),
            "io_write_mb_s": _rate(first.written_bytes, last.written_bytes, seconds),
        }
        threshold = self._limits.headroom_warning_threshold
        return [judged(name, value, getattr(self._limits, name), threshold) for name, value in used.items()]

    def _tell(self, use: ResourceUse) -> None:
        """Once for each change."""
        if use.state == self._told.get(use.name, "ok"):
            return
        self._told[use.name] = use.state
        log = self._log.info if use.state == "ok" else self._log.warning
        log("resource", action=use.state, resource=use.name, used=use.used, limit=use.limit)
        self._bus.publish(RESOURCE_STATE, ResourceState(name=use.name, state=use.state, detail=use.text, used=use.used, limit=use.limit))


def _rate(before: int | None, after: int | None, seconds: float) -> float | None:
    return None if not seconds or before is None or after is None else (after - before) / seconds / _MB
