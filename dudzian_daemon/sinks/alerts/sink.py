"""The alerts of a running daemon: made, throttled, routed, kept on disk, delivered by a worker a channel. Never on the trading path.

Cycles come through a follower that misses none, messages of the daemon through a queue that merges. An alert is on disk before
it is sent, and stays there until its channel took it: it is delivered at least once, and a repeat says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.domain import events
from dudzian_daemon.domain.alerts import Alert, AlertCode, alert
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus, QueuedSubscription
from dudzian_daemon.kernel.clock import Clock, iso_utc
from dudzian_daemon.sinks.alerts import audit
from dudzian_daemon.sinks.alerts.book import AlertBook, AlertState, Mark, Tracked, read_book, write_book
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.outbox import Hooks, Outbox, Pauses
from dudzian_daemon.sinks.alerts.routing import Routing
from dudzian_daemon.sinks.alerts.throttle import MERGED, Throttle
from dudzian_daemon.sinks.alerts.watch import merge_key, of_cycle, of_message, worth_tracking

#: Topics of the merging queue.
TOPICS: Final = (
    events.SESSION_STATE,
    events.SESSION_RECOVERED,
    events.SELF_CHECK,
    events.UNIT_STATE,
    events.RESOURCE_STATE,
    events.FEED_ALERT,
    events.SESSION_HEAD,
)
MERGE_KEY: Final = merge_key
#: What is about risk stays open when it is over: a person looks at it and closes it.
BY_PEOPLE: Final = "risk"
#: Between two looks at what was held back; also the longest time for which a mark alone waits for the disk.
TICK_SECONDS: Final = 1.0
#: How long a stop waits for channels that still take alerts; the rest stays on disk.
DRAIN_SECONDS: Final = 1.5

log = logs.logger("alerts")


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says, in the units of its keys; `audit_path` is absolute."""

    routing: Routing
    data_folder: Path
    audit_path: Path
    environment: str
    runbook: str
    check_interval_seconds: int
    health_interval_seconds: int
    retry_seconds: int
    retry_cap_seconds: int
    head_channel: str | None = None
    head_interval_seconds: int = 3_600


class AlertSink:
    """Hosts the channels."""

    name = "alerts"

    def __init__(
        self,
        follower: CycleFollower,
        messages: QueuedSubscription,
        bus: Bus,
        clock: Clock,
        channels: Sequence[OpenChannel],
        settings: AlertSettings,
        throttle: Throttle,
        recorded: int = 0,
    ) -> None:
        """`recorded` is the last cycle of earlier runs: alerts up to there may have been sent by them."""
        self._follower = follower
        self._messages = messages
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._throttle = throttle
        self._recorded = recorded
        self._before = ""
        self._footer = ""
        self._head = events.SessionHead(log_id="", line=0, sequence=0, line_hash="", content="", at=0, signed="")
        self._sent_line = 0
        self._loaded = False
        self.book = AlertBook()
        pauses = Pauses(settings.retry_seconds, settings.retry_cap_seconds)
        hooks = Hooks(self._take_of_channel, self._tell, self._dirty_now)
        self._outbox = Outbox(self.book, bus, clock, channels, settings.routing, pauses, hooks)
        self._wanted = anyio.Event()
        self._dirty = False
        self._lines: list[audit.AuditLine] = []
        self._problems: list[str] = []
        self._incidents: dict[str, Tracked] = {}

    async def run(self) -> None:
        """Work until the bus is closed, then deliver what can be delivered at once; the rest is on disk."""
        if not self._loaded:
            await self._load()
        try:
            async with anyio.create_task_group() as tasks:
                for work in (self._save_when_wanted, self._look_around, self._check_channels, self._report_health, self._send_heads):
                    tasks.start_soon(work, name=f"alerts.{work.__name__.strip('_')}")
                for name in self._outbox.names:
                    tasks.start_soon(self._outbox.deliver, name, name=f"alerts.{name}")
                async with anyio.create_task_group() as sources:
                    sources.start_soon(self._follow_cycles, name="alerts.cycles")
                    sources.start_soon(self._follow_messages, name="alerts.messages")
                self.take(self._throttle.merged(None))
                self._send_head()
                await self._drain()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._save()

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()
        self._messages.end()

    def take(self, alerts: Iterable[Alert], *, sequence: int = 0) -> None:
        """Complete, throttle, track and route alerts; `sequence` is the cycle they come from."""
        for each in alerts:
            self._take_one(self._completed(each, sequence))

    def change(self, beginning: str, state: AlertState, *, operator: str, note: str) -> Tracked:
        """An operator acknowledges or closes an alert. Raises `ConfigError` when there is no such alert, or it is closed."""
        changed = self.book.change(beginning, state, operator=operator, note=note, at=self._clock.wall_ns())
        self._note_incident(changed)
        self._dirty_now()
        return changed

    # -- where alerts come from --------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """The book of earlier runs; one that cannot be read is told and left, and nothing of it is known."""
        try:
            book = await anyio.to_thread.run_sync(read_book, self._settings.data_folder)
        except DudzianError as error:
            log.error("book_unreadable", action="begin_anew", detail=str(error))
        else:
            self.book.take_over(book)
        mark = self.book.mark
        if mark.log_id != self._follower.log_id:
            self.book.mark = mark = Mark(log_id=self._follower.log_id, sequence=self._recorded)
        self._follower.begin_after(mark.sequence)
        self._outbox.restored()
        self._loaded, self._dirty = True, True

    async def _follow_cycles(self) -> None:
        async for batch in self._follower.cycles():
            for cycle in batch:
                self._one_cycle(cycle)
            self.book.mark.sequence = batch[-1].record.sequence
            self._dirty = True

    def _one_cycle(self, cycle: events.CycleDurable) -> None:
        record = cycle.record
        self._footer = f"journal {cycle.log_id} sequence {record.sequence} line {cycle.line} hash {cycle.line_hash}"
        self.take(of_cycle(cycle), sequence=record.sequence)

    async def _follow_messages(self) -> None:
        async for batch in self._messages.batches():
            for _topic, message in batch:
                self.take(of_message(message, before=self._before))
                if isinstance(message, events.SessionHead):
                    self._head = message
                if isinstance(message, events.SessionState):
                    self._before = message.state

    async def _look_around(self) -> None:
        while True:
            await self._clock.sleep(TICK_SECONDS)
            self.take(self._throttle.merged(self._clock.monotonic_ns()))
            if self._dirty:
                self._dirty_now()

    async def _check_channels(self) -> None:
        """Every channel, at the start and each interval."""
        while True:
            await self._outbox.check_all()
            await self._clock.sleep(self._settings.check_interval_seconds)

    async def _report_health(self) -> None:
        """A report each interval, with what the newest checks and deliveries said of the channels."""
        while True:
            await self._clock.sleep(self._settings.health_interval_seconds)
            lines = [f"{name} {health.status}{f' ({health.detail})' if health.detail else ''}" for name, health in self._outbox.snapshot()]
            unclosed = self.book.open()
            critical = sum(each.alert.severity == "critical" for each in unclosed)
            head = f"session {self._before or 'unknown'}, {len(unclosed)} alerts not closed ({critical} critical)"
            context = {name: health.status for name, health in self._outbox.snapshot()}
            title = f"{self._settings.environment} at cycle {self.book.mark.sequence}"
            self.take([alert(AlertCode.HEALTH, title, "\n".join([head, *lines]), subject=self._settings.environment, context=context)])

    async def _send_heads(self) -> None:
        while True:
            await self._clock.sleep(self._settings.head_interval_seconds)
            self._send_head()

    def _send_head(self) -> None:
        """The newest head to its channel, unless that has been given it."""
        head, channel = self._head, self._settings.head_channel
        if channel is None or head.line <= self._sent_line:
            return
        self._sent_line = head.line
        title = f"journal {head.log_id} has line {head.line}, cycle {head.sequence}, at {iso_utc(head.at)}"
        each = self._completed(alert(AlertCode.JOURNAL_HEAD, title, subject=head.log_id), head.sequence)
        self._bus.publish(events.ALERT_RAISED, each)
        if not self._outbox.post(each, [channel]):
            self._tell(each, audit.NO_CHANNEL, "NO_CHANNEL", f"{channel} is not active in {self._settings.environment}")
        self._dirty_now()

    # -- what becomes of one ------------------------------------------------------------------------------------------

    def _completed(self, each: Alert, sequence: int) -> Alert:
        again = "read again from the journal after a restart: it may have come before" if 0 < sequence <= self._recorded else ""
        return msgspec.structs.replace(
            each,
            at=self._clock.wall_ns(),
            log_id=self._follower.log_id,
            sequence=sequence or each.sequence,
            runbook=f"{self._settings.runbook}#{each.code.lower()}",
            repeat=again,
            head=self._head.signed,
            footer=self._footer or f"journal {self._follower.log_id}, no cycle yet",
        )

    def _take_one(self, each: Alert) -> None:
        admitted = self._throttle.admits(each, self._clock.monotonic_ns())
        if each.resolved and each.category != BY_PEOPLE:
            for closed in self.book.resolve(each):
                self._note_incident(closed)
        elif worth_tracking(each) and MERGED not in each.context:  # those were tracked when they were held back
            self._note_incident(self.book.track(each))
        self._dirty = True
        if not admitted:
            self._tell(each, audit.SUPPRESSED, "SUPPRESSED", "within the throttle's window")
            self._publish(each, "suppressed")
            return
        self._bus.publish(events.ALERT_RAISED, each)
        log.info("alert", action="raise", code=each.code, severity=each.severity, title=each.title, id=each.id)
        if not self._outbox.post(each):
            self._tell(each, audit.NO_CHANNEL, "NO_CHANNEL", "no active channel takes this severity")
        self._dirty_now()

    def _take_of_channel(self, each: Alert) -> None:
        """An alert about a channel, from the outbox."""
        self._take_one(self._completed(each, 0))

    def _publish(self, each: Alert, outcome: str) -> None:
        self._bus.publish(events.ALERT_DELIVERY, events.AlertDelivery(channel=audit.SUPPRESSED, outcome=outcome, alert=each))

    def _tell(self, each: Alert, channel: str, status: str, response: str, attempts: int = 0, *, fallback: bool = False) -> None:
        """A line for the audit file, written with the next save."""
        line = audit.audit_line(each, channel, status, response, self._clock.wall_ns(), attempts=attempts, fallback=fallback)
        self._lines.append(line)
        self._dirty = True

    def _note_incident(self, tracked: Tracked) -> None:
        if tracked.alert.severity == "critical":
            self._incidents[tracked.id] = tracked

    # -- the disk -----------------------------------------------------------------------------------------------------

    def _dirty_now(self) -> None:
        self._dirty = True
        self._wanted.set()

    async def _save_when_wanted(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            await self._save()

    async def _save(self) -> None:
        """Book, audit lines and incidents to the disk, then let the workers send. A disk that refuses holds no alert back."""
        if not self._loaded:
            return
        self._dirty = False
        lines, self._lines = self._lines, []
        incidents, self._incidents = list(self._incidents.values()), {}
        posted = self._outbox.posted
        now, settings = self._clock.wall_ns(), self._settings
        work = [partial(write_book, settings.data_folder, msgspec.json.encode(self.book))]
        work += [partial(audit.append_audit, settings.audit_path, lines, now)] if lines else []
        work += [partial(audit.write_incident, settings.data_folder, msgspec.structs.replace(each)) for each in incidents]
        with anyio.CancelScope(shield=True):  # what was taken out of the lists is written, whoever ends this task meanwhile
            problems = await anyio.to_thread.run_sync(_done, work)
        for problem in problems:
            if problem not in self._problems:  # one that lasts is told once
                log.error("not_kept", action="go_on", detail=problem, at=iso_utc(now))
        self._problems = problems
        self._outbox.release(posted)

    async def _drain(self) -> None:
        """Wait for the channels that take alerts, for a short time."""
        async with anyio.create_task_group() as race:

            async def expire() -> None:
                await self._clock.sleep(DRAIN_SECONDS)
                race.cancel_scope.cancel()

            race.start_soon(expire, name="alerts.drain")
            await self._outbox.idle()
            race.cancel_scope.cancel()


def _done(work: Iterable[Callable[[], object]]) -> list[str]:
    """Do each; the problems of those that failed."""
    problems = []
    for each in work:
        try:
            each()
        except DudzianError as error:
            problems.append(str(error))
    return problems
