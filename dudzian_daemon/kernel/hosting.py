"""The supervisor's view of one task: its scope, its end, its restarts. Used by `supervisor` only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import anyio
import msgspec

from dudzian_daemon.kernel.clock import SECOND_NS
from dudzian_daemon.kernel.service import Heartbeat, Service


class Action(StrEnum):
    """What a fault asks for, mildest first."""

    RETRY = "retry"
    STOP_SERVICE = "stop_service"
    STOP_DAEMON = "stop_daemon"


#: How long a fault that comes again is not told again; the unit's restarts are counted all the same.
SAME_FAULT_NS: Final = 60 * SECOND_NS

Verdict = Callable[[Exception], Action]
_SEVERITY: Final = {action: rank for rank, action in enumerate(Action)}


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Waits of `first_seconds` doubling up to `cap_seconds`, from the start again after `healthy_seconds` of running.

    More than `most_restarts` within `window_seconds` and the service fails; None never gives up.
    """

    first_seconds: float = 1.0
    cap_seconds: float = 60.0
    healthy_seconds: float = 60.0
    most_restarts: int | None = 30
    window_seconds: float = 3600.0


class Restarts:
    """The restarts of one service, counted against its policy."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._next_seconds = policy.first_seconds
        self._recent: deque[int] = deque(maxlen=policy.most_restarts)

    def delay_seconds(self, now_ns: int, ran_ns: int) -> float | None:
        """How long to wait before the next start, after a run of `ran_ns`; None if there were too many restarts."""
        policy = self._policy
        if len(self._recent) == policy.most_restarts and self._within_window(now_ns):
            return None
        if policy.most_restarts is not None:
            self._recent.append(now_ns)
        if ran_ns >= policy.healthy_seconds * SECOND_NS:
            self._next_seconds = policy.first_seconds
        delay = min(self._next_seconds, policy.cap_seconds)
        self._next_seconds = min(delay * 2, policy.cap_seconds)
        return delay

    def _within_window(self, now_ns: int) -> bool:
        return not self._recent or now_ns - self._recent[0] <= self._policy.window_seconds * SECOND_NS


class Task:
    """A named task that can be cancelled alone and waited for by many."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()
        self.failed = False
        #: Whether the stop has begun to end it.
        self.asked = False

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs, nor will."""
        return self.done.is_set()

    @property
    def running(self) -> bool:
        """Whether something of it runs."""
        return not self.ended

    def cancel(self) -> None:
        """Cancel all of it."""
        self.scope.cancel()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await self.done.wait()


class StageAction(Task):
    """Something the stop does, rather than ends."""

    def __init__(self, name: str, action: Callable[[], Awaitable[object]]) -> None:
        super().__init__(name)
        self.action = action

    @property
    def running(self) -> bool:
        """Whether it was begun and has not ended."""
        return self.asked and not self.ended


class Hosted(Task):
    """A service, with the task that asks it to stop while there is one."""

    def __init__(self, service: Service, heartbeat: Heartbeat, policy: RestartPolicy, *, essential: bool) -> None:
        super().__init__(service.name)
        self.service = service
        self.heartbeat = heartbeat
        self.restarts = Restarts(policy)
        self.essential = essential
        self.stopper: Task | None = None
        self.detail = ""
        self.pausing = False
        self._told: tuple[str, int] | None = None

    @property
    def ended(self) -> bool:
        """Whether neither the service nor its stop call runs."""
        return super().ended and (self.stopper is None or self.stopper.ended)

    def tells(self, now_ns: int) -> bool:
        """Whether its fault is told: another one at once, the same one again once in a minute."""
        if self._told is not None and self._told[0] == self.detail and now_ns - self._told[1] < SAME_FAULT_NS:
            return False
        self._told = (self.detail, now_ns)
        return True

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Mark the time between a fault and the next start, in which there is nothing that could be asked to stop."""
        self.pausing = True
        try:
            yield
        finally:
            self.pausing = False

    def cancel(self) -> None:
        """Cancel the service and its stop call."""
        super().cancel()
        if self.stopper is not None:
            self.stopper.cancel()

    async def wait(self) -> None:
        """Wait until the service and its stop call have ended."""
        await super().wait()
        if self.stopper is not None:
            await self.stopper.wait()


def judge(error: Exception, verdict: Verdict) -> tuple[Action, Exception]:
    """The severest verdict on the fault, or on any member if it is a group, and the member that brought it."""
    if isinstance(error, ExceptionGroup):
        return max((judge(member, verdict) for member in error.exceptions), key=lambda judged: _SEVERITY[judged[0]])
    return verdict(error), error


async def attempt(function: Callable[[], Awaitable[object]]) -> Exception | None:
    """Await what the supervisor hosts and return its fault, None if it ended well; cancellation passes through.

    A `CancelledError` that nobody asked for (a library let its own out) is a fault: as a cancellation it would take down
    the whole task group.
    """
    task = asyncio.current_task()
    try:
        await function()
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
        return RuntimeError("ended by a CancelledError although nobody cancelled it")
    except Exception as error:  # noqa: BLE001 - fence "service restart": what to do about a fault is decided in one place
        return error
    return None
