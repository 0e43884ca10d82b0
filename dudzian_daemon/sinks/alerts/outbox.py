"""Deliveries: a worker a channel, the most severe first; what fails goes to a fallback at once and is tried again with growing pauses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import anyio
import msgspec

from dudzian_daemon.domain import events
from dudzian_daemon.domain.alerts import Alert, AlertCode, alert
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.sinks.alerts.book import AlertBook, ChannelHealth, Delivery
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.routing import Routing

#: Alerts whose channels are remembered, for the choice of a fallback.
_MOST_CARRIED: Final = 4_096
_REPEAT: Final = "sent again after a restart: it may have come before"


class Tell(Protocol):
    """Writes a line of the audit."""

    def __call__(self, each: Alert, channel: str, status: str, response: str, attempts: int = 0, *, fallback: bool = False) -> None: ...


class Hooks(msgspec.Struct, frozen=True):
    """What the outbox calls: `raised` takes an alert about a channel, `tell` writes the audit, `changed` asks for a save of the book."""

    raised: Callable[[Alert], None]
    tell: Tell
    changed: Callable[[], None]


class Pauses(msgspec.Struct, frozen=True):
    """For how long a failing channel is left alone: at first, doubled with each failure, at most."""

    first_seconds: float
    cap_seconds: float


class Outbox:
    """What is posted waits in the book until `release` says that it is on disk."""

    def __init__(
        self, book: AlertBook, bus: Bus, clock: Clock, channels: Sequence[OpenChannel], routing: Routing, pauses: Pauses, hooks: Hooks
    ) -> None:
        self._book = book
        self._bus = bus
        self._clock = clock
        self._channels = {channel.name: channel for channel in channels}
        self._routing = routing
        self._pauses = pauses
        self._hooks = hooks
        self._pause: dict[str, float] = {}
        self._not_before: dict[str, int] = {}
        self._pausing: dict[str, anyio.CancelScope] = {}
        self._carried: OrderedDict[str, set[str]] = OrderedDict()
        self._woken = {name: anyio.Event() for name in self._channels}
        self._moved = anyio.Event()
        self._busy: set[str] = set()
        self._on_disk = 0
        #: Deliveries made so far.
        self.posted = 0

    @property
    def names(self) -> list[str]:
        """The channels."""
        return list(self._channels)

    def restored(self) -> None:
        """What an earlier run left: deliveries to channels that are gone are given up, the others may be repeats."""
        self._book.channels = {name: self._book.channels.get(name, ChannelHealth()) for name in self._channels}
        for delivery in list(self._book.waiting):
            if delivery.channel not in self._channels:
                self._give_up(delivery, "the channel is not active any more")
            else:
                delivery.alert = msgspec.structs.replace(delivery.alert, repeat=_REPEAT)
                delivery.number = 0
                self._carry(delivery)
        for name in self._channels:
            self._woken[name].set()

    def post(self, each: Alert, only: Sequence[str] | None = None) -> bool:
        """Give the alert to its channels, or to `only` these; False if there is none. A failing channel's stand-in gets it at once."""
        targets = self._routing.targets(each) if only is None else [name for name in only if name in self._channels]
        deliveries = [Delivery(alert=each, channel=name) for name in targets]
        for delivery in deliveries:
            self._put(delivery)
        for name, delivery in zip(targets, deliveries, strict=True):
            if self._book.channels[name].status == "error":
                self._tell_failure(delivery, self._book.channels[name].detail)
        return bool(targets)

    def release(self, posted: int) -> None:
        """What was posted up to this number is on disk, or the disk refuses: it may be sent."""
        self._on_disk = max(self._on_disk, posted)
        for event in self._woken.values():
            event.set()

    async def deliver(self, name: str) -> None:
        """The worker of one channel."""
        while True:
            await self._woken[name].wait()
            self._woken[name] = anyio.Event()
            while self._next(name) is not None:
                with anyio.CancelScope() as self._pausing[name]:
                    await self._clock.sleep_until(self._not_before.get(name, 0))
                delivery = self._next(name)
                if delivery is not None:
                    await self._try(name, delivery)

    async def check_all(self) -> None:
        """Check every channel, side by side; each as long as its deadline."""
        async with anyio.create_task_group() as tasks:
            for name in self._channels:
                tasks.start_soon(self._check, name, name=f"alerts.{name}.check")

    async def idle(self) -> None:
        """Wait until nothing waits for a channel that takes alerts."""
        while any(self._book.channels[each.channel].status != "error" for each in self._book.waiting) or self._busy:
            await self._moved.wait()

    def snapshot(self) -> Iterator[tuple[str, ChannelHealth]]:
        """Every channel and how it is."""
        yield from self._book.channels.items()

    # -- one delivery -------------------------------------------------------------------------------------------------

    async def _try(self, name: str, delivery: Delivery) -> None:
        self._busy.add(name)
        try:
            attempt = await self._channels[name].send(delivery.alert, self._clock)
        finally:
            self._busy.discard(name)
        delivery.attempts += 1
        if attempt.outcome == "later":
            pause = self._pause[name] = min(self._pause.get(name, self._pauses.first_seconds / 2) * 2, self._pauses.cap_seconds)
            self._not_before[name] = self._clock.monotonic_ns() + round(pause * SECOND_NS)
            self._failing(name, attempt.detail, delivery)
            return
        self._book.done(delivery)
        if attempt.outcome == "ok":
            self._done(delivery, "OK", attempt.detail, "sent")
            self._working(name, "")
        elif attempt.outcome == "offline":
            self._done(delivery, "OFFLINE", attempt.detail, "offline")
            self._set(name, "offline", attempt.detail)
        else:
            self._failing(name, attempt.detail, delivery)

    async def _check(self, name: str) -> None:
        attempt = await self._channels[name].check(self._clock)
        if attempt.outcome == "ok":
            self._working(name, attempt.detail, checked=True)
        elif attempt.outcome == "offline":
            self._set(name, "offline", attempt.detail, checked=True)
        else:
            self._failing(name, attempt.detail, checked=True)

    def _failing(self, name: str, detail: str, delivery: Delivery | None = None, *, checked: bool = False) -> None:
        """The first failure in a row is an alert; what the channel did not take, or has waiting, goes to a stand-in."""
        was_failing = self._book.channels[name].status == "error"
        self._set(name, "error", detail, checked=checked)
        waiting = [each for each in self._book.waiting if each.channel == name]
        if delivery is not None:
            for each in (delivery, *waiting):
                self._tell_failure(each, detail)
        if not was_failing:
            body = f"{detail}; {len(waiting)} waiting on disk" if waiting else detail
            self._raise(name, f"{name} does not take alerts", body)
        self._hooks.changed()

    def _working(self, name: str, detail: str, *, checked: bool = False) -> None:
        was_failing = self._book.channels[name].status == "error"
        self._pause.pop(name, None)
        self._not_before.pop(name, None)
        if name in self._pausing:
            self._pausing[name].cancel()
        self._set(name, "ok", detail, checked=checked)
        if was_failing:
            self._raise(name, f"{name} takes alerts again", "", resolved=True)
        self._hooks.changed()

    def _raise(self, name: str, title: str, body: str, *, resolved: bool = False) -> None:
        code = AlertCode.ALERT_CHANNEL_FAIL
        self._hooks.raised(alert(code, title, body, subject=name, context={"channel": name}, resolved=resolved))

    def _tell_failure(self, delivery: Delivery, detail: str) -> None:
        """Once a delivery: the line of the audit, the message, and the stand-in."""
        if delivery.told:
            return
        delivery.told = True
        self._done(delivery, "ERROR", detail, "failed")
        failing = {name for name, health in self._book.channels.items() if health.status == "error"}
        carried = self._carried.setdefault(delivery.alert.key, set())
        name = self._routing.stand_in(failing | carried | {delivery.channel, _own(delivery.alert)})
        if name is not None:
            carried.add(name)
            self._put(Delivery(alert=delivery.alert, channel=name, fallback=True))

    def _done(self, delivery: Delivery, status: str, detail: str, outcome: str) -> None:
        self._hooks.tell(delivery.alert, delivery.channel, status, detail, delivery.attempts, fallback=delivery.fallback)
        message = events.AlertDelivery(channel=delivery.channel, outcome=outcome, alert=delivery.alert, attempts=delivery.attempts)
        self._bus.publish(events.ALERT_DELIVERY, message)
        self._hooks.changed()

    # -- what waits ---------------------------------------------------------------------------------------------------

    def _put(self, delivery: Delivery) -> None:
        self.posted += 1
        delivery.number = self.posted
        self._carry(delivery)
        given_up = self._book.wait(delivery)
        if given_up is not None:
            self._done(given_up, "GIVEN_UP", "too many alerts wait", "given_up")

    def _carry(self, delivery: Delivery) -> None:
        self._carried.setdefault(delivery.alert.key, set()).add(delivery.channel)
        while len(self._carried) > _MOST_CARRIED:
            self._carried.popitem(last=False)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        self._book.done(delivery)
        self._done(delivery, "GIVEN_UP", why, "given_up")

    def _next(self, name: str) -> Delivery | None:
        """The next delivery of the channel, if it is on disk."""
        delivery = self._book.next_for(name)
        return delivery if delivery is not None and delivery.number <= self._on_disk else None

    def _set(self, name: str, status: str, detail: str, *, checked: bool = False) -> None:
        now, health = self._clock.wall_ns(), self._book.channels[name]
        since = health.since if health.status == status else now
        checked_at = now if checked else health.checked_at
        self._book.channels[name] = msgspec.convert(
            {"status": status, "detail": detail, "since": since, "checked_at": checked_at}, ChannelHealth
        )
        waiting = sum(each.channel == name for each in self._book.waiting)
        message = events.AlertChannelState(channel=name, status=status, detail=detail, waiting=waiting, checked=checked)
        self._bus.publish(events.ALERT_CHANNEL, message)
        self._move()

    def _move(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()


def _own(each: Alert) -> str:
    return each.subject if each.code is AlertCode.ALERT_CHANNEL_FAIL else ""
