"""What the process uses of its budgets, and how that is judged."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

State = Literal["ok", "near", "over"]

#: Units for people, by the key in `runtime.resource_limits`; `latency_ms` is that of a load test.
UNITS: Final = {"cpu_percent": "% of a core", "memory_mb": "MB", "io_read_mb_s": "MB/s", "io_write_mb_s": "MB/s", "latency_ms": "ms"}


class ResourceUse(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is the key in `runtime.resource_limits`; `used` is a mean of the last minute in its unit, None where it is not known.

    `warn_at` is the share of `limit` from which `state` is `near`; from the limit itself on it is `over`.
    """

    name: str
    used: float | None
    limit: float
    warn_at: float
    state: State

    @property
    def text(self) -> str:
        """For people: `memory_mb 143.2 of 2048 MB`."""
        used = "unknown" if self.used is None else f"{self.used:.1f}"
        return f"{self.name} {used} of {self.limit:g} {UNITS[self.name]}"


def judged(name: str, used: float | None, limit: float, threshold: float) -> ResourceUse:
    """The use of a budget; `threshold` is the share of it at which to warn."""
    warn_at, used = round(limit * threshold, 3), None if used is None else round(used, 3)
    state: State = "ok"
    if used is not None and used >= warn_at:
        state = "over" if used >= limit else "near"
    return ResourceUse(name=name, used=used, limit=limit, warn_at=warn_at, state=state)
