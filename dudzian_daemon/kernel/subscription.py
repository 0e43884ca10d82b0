"""What the bus holds per subscriber: an inline handler, or a bounded queue with a stated policy and one wake-up.

Made by `Bus.subscribe` and `Bus.subscribe_queued` only; knows no message and no topic.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from enum import StrEnum
from typing import Any, Final

import anyio
import anyio.lowlevel
import msgspec

Message = Any
Envelope = tuple[str, Message]
Handler = Callable[[str, Message], object]
MergeKey = Callable[[Message], Hashable]

INLINE: Final = "inline"


class Policy(StrEnum):
    """What a full queue does; with `block` it is the publisher who waits (`Bus.room`)."""

    DROP_OLDEST = "drop_oldest"
    LATEST = "latest"
    MERGE = "merge"
    BLOCK = "block"


class SubscriberStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the subscription was made; a queue was offered exactly `delivered + dropped + depth` messages.

    `merged` of those that were dropped had a newer message of the same key in their place, `late` ones came after the subscriber had
    ended: no full queue has lost them.
    """

    delivered: int
    faults: int
    dropped: int
    depth: int
    policy: str
    quarantined: bool
    merged: int = 0
    late: int = 0

    @property
    def lost(self) -> int:
        """How many messages a full queue has lost."""
        return self.dropped - self.merged - self.late


class Subscriber:
    """What is the same for both kinds: the name, what it follows, and the counts."""

    __slots__ = ("_at_fault", "_on_close", "_streak", "accepted", "faults", "name", "patterns", "quarantined")

    def __init__(self, name: str, patterns: tuple[str, ...], on_close: Callable[[Subscriber], None]) -> None:
        self.name = name
        self.patterns = patterns
        self.accepted = 0
        self.faults = 0
        self.quarantined = False
        self._on_close = on_close
        self._streak = 0
        self._at_fault = 0

    def close(self) -> None:
        """Stop receiving, at once: a publish in progress passes by. Closing twice is harmless."""
        self.mute()
        self._on_close(self)

    def quarantine(self) -> None:
        """Receive nothing more, at once, but stay in the statistics."""
        self.quarantined = True
        self.mute()

    def mute(self) -> None:
        """Let everything pass by, uncounted."""
        raise NotImplementedError

    def count_fault(self) -> int:
        """Count one fault and return how many there were since the subscriber last succeeded."""
        self._streak = self._streak + 1 if self.accepted == self._at_fault else 1
        self._at_fault = self.accepted
        self.faults += 1
        return self._streak

    def statistics(self) -> SubscriberStatistics:
        """The counts of this subscriber."""
        raise NotImplementedError


class Subscription(Subscriber):
    """A handler that is called inside `publish`."""

    __slots__ = ("handler",)

    def __init__(self, name: str, patterns: tuple[str, ...], handler: Handler, on_close: Callable[[Subscriber], None]) -> None:
        super().__init__(name, patterns, on_close)
        self.handler = handler

    def mute(self) -> None:
        """Let everything pass by, uncounted."""
        self.handler = self._pass_by

    def statistics(self) -> SubscriberStatistics:
        """The counts of this subscriber."""
        return SubscriberStatistics(
            delivered=self.accepted, faults=self.faults, dropped=0, depth=0, policy=INLINE, quarantined=self.quarantined
        )

    def _pass_by(self, _topic: str, _message: Message) -> None:
        self.accepted -= 1  # the publish in progress is about to count it


class QueuedSubscription(Subscriber):
    """A bounded queue and one wake-up: its single consumer takes everything that is there as one batch.

    Every message it was offered is delivered, waits, or was dropped; so the drops need no counting when they happen.
    """

    __slots__ = ("_ended", "_on_taken", "_waiting", "delivered", "late", "merged", "policy", "put", "size", "wake")

    def __init__(
        self,
        name: str,
        patterns: tuple[str, ...],
        *,
        size: int,
        policy: Policy,
        on_close: Callable[[Subscriber], None],
        on_taken: Callable[[], None],
    ) -> None:
        super().__init__(name, patterns, on_close)
        self.put: Callable[[Envelope], object] = self._refuse
        self.size = size
        self.policy = policy
        self.delivered = self.merged = self.late = 0
        self.wake: anyio.Event | None = None
        self._on_taken = on_taken
        self._ended = False
        self._waiting = False

    @property
    def depth(self) -> int:
        """How many messages wait."""
        raise NotImplementedError

    @property
    def dropped(self) -> int:
        """How many messages the policy dropped or replaced by newer ones, or came after the end; exact."""
        return self.accepted - self.delivered - self.depth

    def take(self) -> list[Envelope]:
        """Everything queued so far, oldest first, without waiting; empty if there is nothing."""
        batch = self._empty()
        self.delivered += len(batch)
        self._on_taken()
        return batch

    async def drain(self) -> list[Envelope]:
        """Wait until something is queued and return all of it, oldest first; an empty list means closed and delivered.

        A wait that is cancelled loses nothing. Raises `RuntimeError` if another task already waits on this queue.
        """
        if self._waiting:
            msg = f"bus queue {self.name!r} has a consumer already"
            raise RuntimeError(msg)
        if self.depth:
            await anyio.lowlevel.checkpoint()
        while not self.depth and not self._ended:
            self.wake = anyio.Event()
            self._waiting = True
            try:
                await self.wake.wait()
            finally:
                self._waiting = False
                self.wake = None
        return self.take()

    async def batches(self) -> AsyncIterator[list[Envelope]]:
        """Batch after batch until the subscription or the bus is closed and the rest was delivered."""
        while batch := await self.drain():
            yield batch

    def close(self) -> None:
        """Stop receiving; the consumer still gets what is queued, then its iteration ends."""
        super().close()
        self._ended = True
        self.wake_up()

    def end(self) -> None:
        """Count as dropped what comes from now on, and let the consumer finish."""
        self.put = self._refuse
        self._ended = True
        self.wake_up()

    def mute(self) -> None:
        """Let everything pass by, uncounted."""
        self.put = self._pass_by

    def wake_up(self) -> None:
        """Wake the consumer, once."""
        wake, self.wake = self.wake, None
        if wake is not None:
            wake.set()

    def statistics(self) -> SubscriberStatistics:
        """The counts of this subscriber."""
        return SubscriberStatistics(
            delivered=self.delivered,
            faults=self.faults,
            dropped=self.dropped,
            depth=self.depth,
            policy=self.policy,
            quarantined=self.quarantined,
            merged=self.merged,
            late=self.late,
        )

    def _empty(self) -> list[Envelope]:
        raise NotImplementedError

    def _refuse(self, _envelope: Envelope) -> None:
        """Keep nothing: accepted and neither delivered nor waiting, it counts as dropped."""
        self.late += 1

    def _pass_by(self, _envelope: Envelope) -> None:
        self.accepted -= 1  # the publish in progress is about to count it


class FifoSubscription(QueuedSubscription):
    """`drop_oldest`, and `block`, whose publisher is refused before it could come to a drop."""

    __slots__ = ("_items",)

    def __init__(self, name: str, patterns: tuple[str, ...], **options: Any) -> None:
        super().__init__(name, patterns, **options)
        self._items: deque[Envelope] = deque(maxlen=self.size)
        self.put = self._items.append

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self._items)

    def _empty(self) -> list[Envelope]:
        batch = list(self._items)
        self._items.clear()
        return batch


class KeyedSubscription(QueuedSubscription):
    """`latest` and `merge`: the newest message per key, in the order of these newest ones; a replaced message is dropped."""

    __slots__ = ("_items", "_key")

    def __init__(self, name: str, patterns: tuple[str, ...], *, merge_key: MergeKey | None, **options: Any) -> None:
        super().__init__(name, patterns, **options)
        self._items: OrderedDict[Hashable, Envelope] = OrderedDict()
        self._key = merge_key
        self.put = self._replace

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self._items)

    def _replace(self, envelope: Envelope) -> None:
        items = self._items
        key = envelope[0] if self._key is None else self._key(envelope[1])
        if key in items:
            items.move_to_end(key)
            self.merged += 1
        elif len(items) == self.size:
            items.popitem(last=False)
        items[key] = envelope

    def _empty(self) -> list[Envelope]:
        batch = list(self._items.values())
        self._items.clear()
        return batch
