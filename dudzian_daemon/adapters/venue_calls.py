"""Calls to a venue: within its budget, repeated where that helps, given up in time.

What kind of fault is repeated stands in the faults themselves (`venue_answers`). Short waits between tries are stamina's, with jitter;
the pauses a venue asks for are the budget's. A venue that fails again and again is left alone for a while by the breaker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
import stamina
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from dudzian_daemon.adapters.venue_answers import Throttled, VenueDown
from dudzian_daemon.adapters.venue_budget import RequestBudget
from dudzian_daemon.domain.errors import AdapterError, Retryable
from dudzian_daemon.domain.venues import VenueProfile
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock

#: Tries of a call, and seconds between them: doubled each time up to the longest, with as much jitter on top.
ATTEMPTS: Final = 4
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 8.0
JITTER_S: Final = 0.5
#: Failures in a row after which a venue is left alone, and for how many seconds.
BREAKER_FAILURES: Final = 8
BREAKER_SECONDS: Final = 20.0
#: Of our own around one request, above the client's: a client that never comes back is given up too.
DEADLINE_S: Final = 30.0

T = TypeVar("T")

stamina.instrumentation.set_on_retry_hooks(())  # every fault is logged and counted here, with the venue's name


class CircuitOpen(VenueDown):
    """The venue failed too often in a row and is not asked for the moment; no request went out."""


class Shared:
    """What all clients of one venue in this process have in common."""

    def __init__(self, profile: VenueProfile, clock: Clock) -> None:
        self.profile = profile
        self.clock = clock
        self.budget = RequestBudget(profile.name, profile.weight_limit, clock)
        self.breakers = AsyncCircuitBreakerFactory(default_threshold=BREAKER_FAILURES, default_ttl=BREAKER_SECONDS)
        #: Rows refused since the start, by reason, and failed requests by kind of fault.
        self.refused_rows: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        #: Monotonic time (ns) since when every request has failed; None while the venue answers.
        self.down_since: int | None = None
        #: Told of every request that the venue did not answer, and when it answers (again): reachable, fault, text.
        self.on_state: Callable[[bool, str, str], None] = lambda _reachable, _fault, _text: None
        #: Whether the venue answered its last request; None before the first.
        self.reachable: bool | None = None
        #: The venue's time minus our monotonic clock's, as last measured; up to then by our wall clock.
        self.offset_ns = clock.wall_ns() - clock.monotonic_ns()
        self._log = logs.logger("venue")

    def now_ns(self) -> int:
        """The venue's time; our wall clock may jump meanwhile."""
        return self.clock.monotonic_ns() + self.offset_ns

    def answered(self) -> None:
        """The venue is there."""
        self.down_since = None
        if self.reachable is not True:
            self.reachable = True
            self.on_state(True, "", "")

    def silent(self, fault: str, text: str) -> None:
        """A request got no answer."""
        self.reachable = False
        self.down_since = self.clock.monotonic_ns() if self.down_since is None else self.down_since
        self.on_state(False, fault, text)

    async def call(self, name: str, ask: Callable[[], Awaitable[T]], *, background: bool) -> T:
        """What `ask` gives, within the budget and tried again where that helps; `name` is the kind of request that it costs."""
        async for attempt in stamina.retry_context(
            on=_again, attempts=ATTEMPTS, timeout=None, wait_initial=FIRST_WAIT_S, wait_max=LONGEST_WAIT_S, wait_jitter=JITTER_S
        ):
            with attempt:
                return await self._try(name, ask, background=background)
        raise AssertionError  # the last attempt has returned or raised

    async def _try(self, name: str, ask: Callable[[], Awaitable[T]], *, background: bool) -> T:
        await self.budget.take(self.profile.weights.get(name, 1), background=background)
        breaker = await self.breakers.get_breaker(self.profile.name, exclude=[(AdapterError, _answered), anyio.get_cancelled_exc_class()])
        try:
            async with breaker:
                with anyio.fail_after(DEADLINE_S):
                    result = await ask()
        except OpenedState:
            msg = f"{self.profile.name}: not asked for {BREAKER_SECONDS:g} s after {BREAKER_FAILURES} failures in a row"
            raise CircuitOpen(msg) from None
        except TimeoutError:
            self.failed(VenueDown.__name__)
            msg = f"{self.profile.name} {name}: no answer in {DEADLINE_S:g} s"
            raise VenueDown(msg) from None
        except AdapterError as error:
            if isinstance(error, Throttled):
                self.budget.pause(error.pause_s, str(error))
            self.failed(type(error).__name__, error)
            raise
        self.answered()
        return result

    def failed(self, kind: str, error: Exception | None = None) -> None:
        """Count and tell a request that failed so; the venue is there if it was its answer."""
        text = str(error or "no answer in time")
        self.failures[kind] += 1
        self._log.warning("venue_fault", action="try_again", venue=self.profile.name, fault=kind, text=text)
        if error is not None and _answered(error):
            self.answered()
        else:
            self.silent(kind, text)


def _again(error: Exception) -> bool | float:
    """Whether to try again: at once behind a pause, since the budget waits for its end; never while the breaker is open."""
    if isinstance(error, Throttled):
        return 0.0
    return isinstance(error, Retryable) and not isinstance(error, CircuitOpen)


def _answered(error: BaseException) -> bool:
    """The venue is there, whatever it said."""
    return not isinstance(error, VenueDown)
