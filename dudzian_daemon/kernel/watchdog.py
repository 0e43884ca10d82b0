"""A thread that looks at another one: which call it is in, and since when. It knows no strategy; what to do about it is given.

Only time in which the watchdog itself ran counts, so that a machine that slept or a process that was stopped blames nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Self

import msgspec

from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.kernel.stacks import stack_of

POLL_SECONDS: Final = 0.2
#: The most that one look adds to the age of a call.
_MOST_PER_LOOK_NS: Final = SECOND_NS


class Call(msgspec.Struct, frozen=True):
    """One call of foreign code: its number tells it from the call before."""

    number: int
    name: str


class Stall(msgspec.Struct, frozen=True):
    """A call that does not come back: for how long it was watched, and where it is."""

    name: str
    seconds: float
    stack: str


class Watchdog:
    """A context. Tells `on_late` once per call that runs for `warn_seconds`, and `on_limit` once it has run for `limit_seconds`.

    Both are called in the watchdog's thread. `running` says what the watched thread is in, None between calls.
    """

    def __init__(
        self,
        clock: Clock,
        running: Callable[[], Call | None],
        *,
        warn_seconds: float,
        limit_seconds: float,
        on_late: Callable[[Stall], object],
        on_limit: Callable[[Stall], object],
    ) -> None:
        self._clock = clock
        self._running = running
        self._warn_ns = round(warn_seconds * SECOND_NS)
        self._limit_ns = round(limit_seconds * SECOND_NS)
        self._on_late = on_late
        self._on_limit = on_limit
        self._watched = threading.get_ident()
        self._seen: Call | None = None
        self._age_ns = 0
        self._looked_ns = clock.monotonic_ns()
        self._told = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Look at the calling thread from now on, a few times a second."""
        self._watched = threading.get_ident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more; returns when the thread has ended."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """One look."""
        call, now = self._running(), self._clock.monotonic_ns()
        passed, self._looked_ns = min(now - self._looked_ns, _MOST_PER_LOOK_NS), now
        if call is None or call != self._seen:
            self._seen, self._age_ns, self._told = call, 0, 0
            return
        self._age_ns += passed
        for stage, limit_ns, tell in ((1, self._warn_ns, self._on_late), (2, self._limit_ns, self._on_limit)):
            if self._told < stage and self._age_ns >= limit_ns:
                self._told = stage
                tell(Stall(call.name, self._age_ns / SECOND_NS, stack_of(self._watched)))

    def _work(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self.look()
