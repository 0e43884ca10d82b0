"""Typed messages on dotted topics, in one process and one event loop: publish/subscribe and ask/answer.

It knows no message and no topic. It is not thread-safe: publish from the loop's thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio

from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.subscription import (
    INLINE,
    Envelope,
    FifoSubscription,
    Handler,
    KeyedSubscription,
    MergeKey,
    Message,
    Policy,
    QueuedSubscription,
    Subscriber,
    SubscriberStatistics,
    Subscription,
)

__all__ = ["INLINE", "Bus", "Envelope", "Handler", "Policy", "QueuedSubscription", "SubscriberStatistics", "Subscription"]

#: `(name, topic, error, quarantined)`
FaultCallback = Callable[[str, str, Exception, bool], object]
#: Who gets the messages of one topic.
Route = tuple[tuple[QueuedSubscription, ...], tuple[Subscription, ...]]

#: Routes are remembered per topic; a publisher that invents topics without end only makes the table start again.
_MOST_ROUTES: Final = 4096
_TOPIC: Final = re.compile(r"[^.*]+(\.[^.*]+)*")
_PATTERN: Final = re.compile(r"\*|[^.*]+(\.[^.*]+)*(\.\*)?")


class Bus:
    """Synchronous publish to inline and queued subscribers; one answering handler per endpoint.

    Queues take a message before inline handlers run, so that for them a message comes before those it caused. Inline
    handlers run in the order of subscription, and nested publishes run at once. A handler that fails `quarantine_after`
    times in a row gets nothing more until it subscribes again; `on_fault(name, topic, error, quarantined)` hears of
    every fault.
    """

    __slots__ = ("_answers", "_blocking", "_closed", "_on_fault", "_quarantine_after", "_room", "_routes", "_subscribers", "unreported")

    def __init__(self, *, quarantine_after: int = 10, on_fault: FaultCallback | None = None) -> None:
        self._subscribers: dict[str, Subscriber] = {}
        self._routes: dict[str, Route] = {}
        self._answers: dict[str, Callable[[Message], Any]] = {}
        self._quarantine_after = quarantine_after
        self._on_fault = on_fault
        self._blocking: tuple[QueuedSubscription, ...] = ()
        self._room: anyio.Event | None = None
        self._closed = False
        #: Faults that were counted but could be neither logged nor called back.
        self.unreported = 0

    def publish(self, topic: str, message: Message) -> None:
        """Give `message` to every subscriber of `topic`; faults of subscribers stay theirs.

        Raises `RuntimeError`, before anyone got the message, if a queue with policy `block` is full.
        """
        queues, targets = self._routes.get(topic) or self._resolve(topic)
        if queues:
            self._enqueue((topic, message), queues)
        for target in targets:
            handler = target.handler
            try:
                handler(topic, message)
            except Exception as error:  # noqa: BLE001 - fence "bus subscriber": its fault must not reach publisher and neighbours
                self._contain(target, topic, error)
            else:
                target.accepted += 1

    def subscribe(self, pattern: str, handler: Handler, *, name: str) -> Subscription:
        """Call `handler(topic, message)` inside `publish`; `pattern` is a topic, `prefix.*` or `*`.

        Raises `ValueError` for a malformed pattern or a name in use.
        """
        subscription = Subscription(name, (_checked(pattern),), handler, self._remove)
        self._add(subscription)
        return subscription

    def subscribe_queued(
        self,
        patterns: str | Sequence[str],
        *,
        name: str,
        size: int,
        policy: Policy,
        merge_key: MergeKey | None = None,
    ) -> QueuedSubscription:
        """Queue at most `size` messages for a consumer that takes them in batches; `merge_key` belongs to policy `merge`.

        Raises `ValueError` for a malformed pattern, a name in use, a size below 1 or a `merge_key` that does not fit the policy.
        """
        if size < 1 or (merge_key is None) is (policy is Policy.MERGE):
            msg = f"bus queue {name!r}: expected size >= 1 and a merge_key with policy merge only, found size {size}, policy {policy}"
            raise ValueError(msg)
        wanted = tuple(_checked(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))
        options = {"size": size, "policy": policy, "on_close": self._remove, "on_taken": self._freed}
        queue: QueuedSubscription
        if policy in (Policy.LATEST, Policy.MERGE):
            queue = KeyedSubscription(name, wanted, merge_key=merge_key, **options)
        else:
            queue = FifoSubscription(name, wanted, **options)
        self._add(queue)
        if self._closed:
            queue.end()
        return queue

    async def room(self, messages: int = 1) -> None:
        """Wait until every queue with policy `block` has room for `messages` more; returns at once if there is.

        Publish right after it, without another await in between. Raises `ValueError` if a queue could never hold so many.
        """
        while tight := [queue for queue in self._blocking if queue.size - queue.depth < messages]:
            if any(queue.size < messages for queue in tight):
                msg = f"bus: room for {messages} messages was asked for, found block queues of {[queue.size for queue in tight]}"
                raise ValueError(msg)
            if self._room is None:
                self._room = anyio.Event()
            await self._room.wait()

    def answer(self, endpoint: str, handler: Callable[[Message], Any]) -> Callable[[], None]:
        """Make `handler` the one that answers `endpoint`; returns what withdraws it. Raises `ValueError` if there is one."""
        if endpoint in self._answers:
            msg = f"bus endpoint {endpoint!r} is answered already"
            raise ValueError(msg)
        self._answers[endpoint] = handler

        def withdraw() -> None:
            if self._answers.get(endpoint) is handler:
                del self._answers[endpoint]

        return withdraw

    def ask(self, endpoint: str, message: Message) -> Any:
        """The handler's answer (an awaitable if it is async); its faults reach the caller. Raises `LookupError` if nobody answers."""
        handler = self._answers.get(endpoint)
        if handler is None:
            msg = f"nobody answers bus endpoint {endpoint!r}; there are {sorted(self._answers)}"
            raise LookupError(msg)
        return handler(message)

    def close(self) -> None:
        """End the queues: consumers get what is queued, then their iteration ends; later messages count as dropped there."""
        self._closed = True
        for subscription in self._subscribers.values():
            if isinstance(subscription, QueuedSubscription):
                subscription.end()
        self._changed()

    def statistics(self) -> dict[str, SubscriberStatistics]:
        """Counts per subscriber name."""
        return {name: subscription.statistics() for name, subscription in self._subscribers.items()}

    def _enqueue(self, envelope: Envelope, queues: tuple[QueuedSubscription, ...]) -> None:
        if self._blocking:
            _require_room(envelope[0], queues)
        for queue in queues:
            put = queue.put
            try:
                put(envelope)
            except Exception as error:  # noqa: BLE001 - fence "bus subscriber": a merge key is the subscriber's code too
                self._contain(queue, envelope[0], error)
            else:
                queue.accepted += 1
                if queue.wake is not None:
                    queue.wake_up()

    def _add(self, subscription: Subscriber) -> None:
        if subscription.name in self._subscribers:
            msg = f"bus subscriber {subscription.name!r} exists already"
            raise ValueError(msg)
        self._subscribers[subscription.name] = subscription
        self._changed()

    def _remove(self, subscription: Subscriber) -> None:
        if self._subscribers.get(subscription.name) is subscription:
            del self._subscribers[subscription.name]
            self._changed()

    def _changed(self) -> None:
        queues = [each for each in self._subscribers.values() if isinstance(each, QueuedSubscription)]
        self._blocking = () if self._closed else tuple(queue for queue in queues if queue.policy is Policy.BLOCK)
        self._routes.clear()
        self._freed()

    def _freed(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set()

    def _resolve(self, topic: str) -> Route:
        if _TOPIC.fullmatch(topic) is None:
            msg = f"expected a topic to publish on, found {topic!r}"
            raise ValueError(msg)
        takers = [each for each in self._subscribers.values() if _matches(each.patterns, topic)]
        queues = tuple(each for each in takers if isinstance(each, QueuedSubscription))
        handlers = tuple(each for each in takers if isinstance(each, Subscription))
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[topic] = queues, handlers
        return queues, handlers

    def _contain(self, subscription: Subscriber, topic: str, error: Exception) -> None:
        quarantined = subscription.count_fault() >= self._quarantine_after
        if quarantined:
            subscription.quarantine()
        try:
            logs.logger("bus").error("subscriber_fault", subscriber=subscription.name, topic=topic, quarantined=quarantined, exc_info=error)
            if self._on_fault is not None:
                self._on_fault(subscription.name, topic, error, quarantined)
        except Exception:  # noqa: BLE001 - fence "bus subscriber": nor must a report that fails (close to the recursion limit)
            self.unreported += 1


def _require_room(topic: str, queues: tuple[QueuedSubscription, ...]) -> None:
    for queue in queues:
        if queue.policy is Policy.BLOCK and queue.depth >= queue.size:
            msg = f"bus queue {queue.name!r} is full ({queue.size}, policy block): await bus.room() before publishing {topic!r}"
            raise RuntimeError(msg)


def _checked(pattern: str) -> str:
    if _PATTERN.fullmatch(pattern) is None:
        msg = f"expected a topic, `prefix.*` or `*`, found {pattern!r}"
        raise ValueError(msg)
    return pattern


def _matches(patterns: tuple[str, ...], topic: str) -> bool:
    return any(p in ("*", topic) or (p.endswith(".*") and topic.startswith(p[:-1])) for p in patterns)
