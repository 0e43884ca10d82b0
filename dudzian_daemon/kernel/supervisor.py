"""Hosts named services: restarts what failed, tells how each one is, and stops all of them in stages with budgets.

It knows no particular service and no particular fault: what a fault means is the verdict it was given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from types import TracebackType
from typing import Final, Self

import anyio
import msgspec

from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.kernel.hosting import Action, Hosted, RestartPolicy, StageAction, Task, Verdict, attempt, judge
from dudzian_daemon.kernel.service import Heartbeat, Service, ServiceState, Stoppable, UnitRegistry

__all__ = ["Action", "Health", "RestartPolicy", "Stage", "StageReport", "StopReport", "Supervisor"]

#: How long tasks that overran their budget may take to end once they are cancelled; then the stop goes on without them.
CANCEL_GRACE_SECONDS: Final = 0.5


class Stage(msgspec.Struct, frozen=True):
    """One step of the stop. A durable stage runs in a forced stop too."""

    name: str
    budget_seconds: float
    durable: bool = False


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage went, by names of its members.

    `overran`: not done when the budget was used up, so cancelled. `skipped`: not begun or cut short, because of an overrun
    before it or a forced stop. `failed`: raised. `stuck`: did not even end when cancelled; only the end of the process ends it.
    """

    name: str
    seconds: float
    overran: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()


class StopReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole stop, in the order of its stages."""

    reason: str
    forced: bool
    stages: tuple[StageReport, ...]


class Health(msgspec.Struct, frozen=True):
    """State of a service, seconds since its last beat (None: it never beat) and one line for people."""

    state: ServiceState
    beat_age_seconds: float | None
    detail: str


class Supervisor:
    """An async context that owns the tasks of all services.

    Inside it: `add` services and actions, wait for `stop_requested`, call `stop`. Leaving it cancels whatever still runs and
    waits for that: if the report names something stuck, end the process instead. To be constructed inside the event loop.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        units: UnitRegistry,
        verdict: Verdict,
        stages: Sequence[Stage],
        restart: RestartPolicy | None = None,
    ) -> None:
        self._clock = clock
        self._units = units
        self._verdict = verdict
        self._stages = {stage.name: stage for stage in stages}
        self._members: dict[str, list[Hosted | StageAction]] = {stage.name: [] for stage in stages}
        self._restart = restart or RestartPolicy()
        self._group = anyio.create_task_group()
        self._stop_wanted = anyio.Event()
        self._stopping = False
        self._forced = False
        self._interruptible: anyio.CancelScope | None = None
        self.reason = ""
        #: The first fault that made the daemon stop, for the exit code.
        self.fault: Exception | None = None

    async def __aenter__(self) -> Self:
        """Start hosting."""
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        """Cancel what still runs and wait for its end."""
        self._group.cancel_scope.cancel()
        return await self._group.__aexit__(kind, error, trace)

    def add(
        self,
        service: Service,
        *,
        stage: str,
        heartbeat: Heartbeat | None = None,
        restart: RestartPolicy | None = None,
        essential: bool = False,
    ) -> Heartbeat:
        """Run `service` from now on, to be ended in `stage`; the end of an essential one, good or bad, stops the daemon.

        Raises `ValueError` if its name is alive, `LookupError` for an unknown stage, `RuntimeError` once the stop has begun.
        """
        members = self._members_of(stage)
        self._units.add(service.name)
        for each in self._members.values():  # forget an earlier life of this name
            each[:] = [member for member in each if member.name != service.name]
        hosted = Hosted(service, heartbeat or Heartbeat(self._clock), restart or self._restart, essential=essential)
        members.append(hosted)
        self._group.start_soon(self._host, hosted, name=hosted.name)
        return hosted.heartbeat

    def add_action(self, name: str, action: Callable[[], Awaitable[object]], *, stage: str) -> None:
        """Run `action` in `stage` of the stop, after what was added to that stage before it and before what comes later."""
        self._members_of(stage).append(StageAction(name, action))

    def request_stop(self, reason: str) -> None:
        """Make `stop_requested` return; the first reason counts."""
        self.reason = self.reason or reason
        self._stop_wanted.set()

    async def stop_requested(self) -> str:
        """Wait until somebody or a fault asked for the stop; returns the reason."""
        await self._stop_wanted.wait()
        return self.reason

    async def stop(self) -> StopReport:
        """Go through the stages in order and report. Raises `RuntimeError` if the stop has begun already.

        Members of a stage that stand next to each other and are services end side by side; an action runs alone.
        """
        self._refuse_when_stopping()
        self._stopping = True
        self.request_stop("stop")
        reports = [await self._run_stage(stage) for stage in self._stages.values()]
        return StopReport(reason=self.reason, forced=self._forced, stages=tuple(reports))

    def force(self) -> None:
        """Cut the stop short: what is not durable is cancelled instead of waited for, now and in the stages to come."""
        if not self._forced:
            self._forced = True
            logs.logger("supervisor").warning("stop_forced")
        self.request_stop("forced stop")
        if self._interruptible is not None:
            self._interruptible.cancel()

    def health(self) -> dict[str, Health]:
        """All hosted services by name."""
        hosted = [member for members in self._members.values() for member in members if isinstance(member, Hosted)]
        units = {each.name: self._units[each.name] for each in hosted}
        return {
            each.name: Health(units[each.name].state, each.heartbeat.age_seconds(), units[each.name].detail or each.heartbeat.detail)
            for each in hosted
        }

    def _members_of(self, stage: str) -> list[Hosted | StageAction]:
        self._refuse_when_stopping()
        if stage not in self._members:
            msg = f"no stop stage {stage!r}; there are {list(self._members)}"
            raise LookupError(msg)
        return self._members[stage]

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            msg = "the supervisor is stopping already"
            raise RuntimeError(msg)

    async def _host(self, hosted: Hosted) -> None:
        try:
            with hosted.scope:
                await self._serve(hosted)
        finally:
            self._units.set(hosted.name, ServiceState.FAILED if hosted.failed else ServiceState.STOPPED, hosted.detail)
            hosted.done.set()
            if hosted.essential:
                self.request_stop(f"{hosted.name} ended")

    async def _serve(self, hosted: Hosted) -> None:
        while True:
            self._units.set(hosted.name, ServiceState.RUNNING)
            hosted.detail = ""
            started_ns = self._clock.monotonic_ns()
            error = await attempt(hosted.service.run)
            delay = None if error is None else self._delay_after(hosted, error, self._clock.monotonic_ns() - started_ns)
            if delay is None:
                return
            self._units.set(hosted.name, ServiceState.BACKING_OFF, hosted.detail)
            with hosted.pause():
                await self._clock.sleep(delay)

    def _delay_after(self, hosted: Hosted, error: Exception, ran_ns: int) -> float | None:
        """Seconds until the service is started again, None if it is not."""
        action, cause = judge(error, self._verdict)
        hosted.detail = f"{type(cause).__name__}: {cause}"
        delay = None
        if action is Action.RETRY and not hosted.asked:
            delay = hosted.restarts.delay_seconds(self._clock.monotonic_ns(), ran_ns)
        log = logs.logger("supervisor").bind(service=hosted.name, action=action, exc_info=error)
        if delay is not None:
            if hosted.tells(self._clock.monotonic_ns()):
                log.warning("service_restarts", delay_seconds=delay)
            return delay
        log.error("service_failed")
        hosted.failed = True
        if action is Action.STOP_DAEMON or hosted.essential:
            self.fault = self.fault or error
            self.request_stop(f"{hosted.name} failed: {hosted.detail}")
        return None

    async def _run_stage(self, stage: Stage) -> StageReport:
        started_ns = self._clock.monotonic_ns()
        deadline_ns = started_ns + round(stage.budget_seconds * SECOND_NS)
        members = self._members[stage.name]
        for wave in [list(wave) for _, wave in groupby(members, key=type)]:
            if (self._forced and not stage.durable) or not await self._finish(wave, deadline_ns, durable=stage.durable):
                break
        expired = self._clock.monotonic_ns() >= deadline_ns
        open_members = [member for member in members if not member.ended]
        overran = _names(member for member in open_members if member.asked and expired)
        if overran:
            logs.logger("supervisor").error("stage_overran", stage=stage.name, budget_seconds=stage.budget_seconds, overran=overran)
        await self._cancel(open_members)
        return StageReport(
            name=stage.name,
            seconds=(self._clock.monotonic_ns() - started_ns) / SECOND_NS,
            overran=overran,
            skipped=_names(member for member in open_members if member.name not in overran),
            failed=_names(member for member in members if member.asked and member.failed),
            stuck=_names(member for member in open_members if member.running),
        )

    async def _finish(self, wave: list[Hosted | StageAction], deadline_ns: int, *, durable: bool) -> bool:
        """Ask the members of one wave to end; True if all of them did so before the deadline and before a forced stop."""
        for member in wave:
            if not member.ended:
                self._ask(member)
        await self._wait(wave, deadline_ns, interruptible=not durable)
        return all(member.ended for member in wave)

    def _ask(self, member: Hosted | StageAction) -> None:
        member.asked = True
        if isinstance(member, StageAction):
            self._group.start_soon(self._run_task, member, member.action, name=member.name)
            return
        self._units.set(member.name, ServiceState.STOPPING)
        if isinstance(member.service, Stoppable) and not member.pausing:
            member.stopper = Task(f"{member.name}.stop")
            self._group.start_soon(self._run_task, member.stopper, member.service.stop, name=member.stopper.name)
        else:
            member.scope.cancel()

    async def _run_task(self, task: Task, function: Callable[[], Awaitable[object]]) -> None:
        try:
            with task.scope:
                error = await attempt(function)
                if error is not None:
                    task.failed = True
                    logs.logger("supervisor").error("stop_step_failed", step=task.name, exc_info=error)
        finally:
            task.done.set()

    async def _wait(self, members: Iterable[Task], deadline_ns: int, *, interruptible: bool) -> None:
        async with anyio.create_task_group() as race:
            self._interruptible = race.cancel_scope if interruptible else None
            race.start_soon(self._expire, deadline_ns, race.cancel_scope, name="stage budget")
            for member in members:
                await member.wait()
            race.cancel_scope.cancel()
        self._interruptible = None

    async def _expire(self, deadline_ns: int, scope: anyio.CancelScope) -> None:
        await self._clock.sleep_until(deadline_ns)
        scope.cancel()

    async def _cancel(self, members: list[Hosted | StageAction]) -> None:
        running = [member for member in members if member.running]
        for member in running:
            member.cancel()
        if running:
            deadline_ns = self._clock.monotonic_ns() + round(CANCEL_GRACE_SECONDS * SECOND_NS)
            await self._wait(running, deadline_ns, interruptible=False)


def _names(members: Iterable[Task]) -> tuple[str, ...]:
    return tuple(member.name for member in members)
