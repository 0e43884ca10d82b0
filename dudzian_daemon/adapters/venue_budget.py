"""The request budget of one venue's host: all clients of the process share it, and what runs in the background yields.

A call takes its weight before it goes out. The rate is a leaky bucket; pauses that a venue asks for hold everybody, on the injected clock.
"""

from __future__ import annotations

from typing import Final

from aiolimiter import AsyncLimiter

from dudzian_daemon.domain.venues import VenueProfile
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import SECOND_NS, Clock

#: The share of a venue's limit that we take at most, and the share of that which is left to the background.
CEILING: Final = 0.7
BACKGROUND_SHARE: Final = 0.5
#: The most of it that requests for books may take.
BOOK_SHARE: Final = 0.5
_MINUTE_S: Final = 60.0
#: A burst of a sixth and five sixths as a steady rate: no minute ever sees more than the ceiling.
_BURST: Final = 6.0


class RequestBudget:
    """`weight_limit` is what the venue allows an address in a minute; at least 12."""

    def __init__(self, name: str, weight_limit: int, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self.ceiling = weight_limit * CEILING
        self._live = _bucket(self.ceiling)
        self._background = _bucket(self.ceiling * BACKGROUND_SHARE)
        self._paused_until = 0
        #: Weight taken since the start, and how often a pause was begun.
        self.taken = 0
        self.pauses = 0
        self._log = logs.logger("venue_budget")

    async def take(self, weight: int, *, background: bool = False) -> None:
        """Wait until the weight may be spent; pauses count for everybody, half of the ceiling is out of the background's reach."""
        if background:
            await self._background.acquire(min(weight, self._background.max_rate))
        await self._live.acquire(min(weight, self._live.max_rate))
        while (until := self._paused_until) > self._clock.monotonic_ns():
            await self._clock.sleep_until(until)
        self.taken += weight

    def pause(self, seconds: float, why: str) -> None:
        """Nobody asks the venue before `seconds` have passed."""
        until = self._clock.monotonic_ns() + round(seconds * SECOND_NS)
        if until > self._paused_until:
            self._paused_until = until
            self.pauses += 1
            self._log.warning("venue_pause", action="wait", venue=self._name, seconds=round(seconds, 3), reason=why)

    def observe(self, used: int | None) -> None:
        """What the venue counts itself, other programs of this address included: at the ceiling we wait for its next minute."""
        if used is not None and used >= self.ceiling:
            passed_s = self._clock.wall_ns() % round(_MINUTE_S * SECOND_NS) / SECOND_NS
            self.pause(_MINUTE_S - passed_s, f"{used} of the minute's weight used, our ceiling is {self.ceiling:.0f}")

    @property
    def paused_s(self) -> float:
        """Seconds until the venue may be asked again."""
        return max(0.0, (self._paused_until - self._clock.monotonic_ns()) / SECOND_NS)


def book_spacing_s(profile: VenueProfile) -> float:
    """Seconds between two requests for a book, where books are asked for: then they leave half of the ceiling to everything else."""
    return profile.weights.get("book", 1) * _MINUTE_S / (profile.weight_limit * CEILING * BOOK_SHARE)


def _bucket(ceiling: float) -> AsyncLimiter:
    burst = max(ceiling / _BURST, 1.0)
    return AsyncLimiter(burst, burst / (ceiling * (1 - 1 / _BURST)) * _MINUTE_S)
