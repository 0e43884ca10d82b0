from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus, Envelope, Policy
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.kernel.conftest import LogLines


def recording(into: list[Envelope]) -> Callable[[str, Any], None]:
    return lambda topic, message: into.append((topic, message))


def failing(error: BaseException) -> Callable[[str, Any], None]:
    def handler(_topic: str, _message: Any) -> None:
        raise error

    return handler


async def settled() -> None:
    await ManualClock().settle()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("order.fill", ["order.fill"]),
        ("order.*", ["order.fill", "order.result", "order.leg.fill"]),
        ("*", ["order", "order.fill", "order.result", "order.leg.fill", "orders.fill", "risk"]),
    ],
)
def test_patterns_choose_topics(pattern: str, expected: list[str]) -> None:
    bus, inline = Bus(), list[Envelope]()
    bus.subscribe(pattern, recording(inline), name="inline")
    queue = bus.subscribe_queued(["unused.*", pattern, pattern], name="queued", size=100, policy=Policy.DROP_OLDEST)
    for topic in ("order", "order.fill", "order.result", "order.leg.fill", "orders.fill", "risk"):
        bus.publish(topic, topic.upper())
    assert inline == queue.take() == [(topic, topic.upper()) for topic in expected]


@pytest.mark.parametrize("pattern", ["", "*.fill", "order*", "order.", ".order", "order..fill", "order.*.fill", "**", "order.**"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    bus = Bus()
    with pytest.raises(ValueError, match="expected a topic"):
        bus.subscribe(pattern, recording([]), name="a")
    with pytest.raises(ValueError, match="expected a topic"):
        bus.subscribe_queued([pattern], name="a", size=1, policy=Policy.LATEST)
    with pytest.raises(ValueError, match="expected a topic"):
        bus.publish(pattern, None)


def test_handlers_run_in_the_order_of_subscription_and_nested_publishes_at_once() -> None:
    bus, seen = Bus(), list[tuple[str, str]]()

    def first(topic: str, _message: Any) -> None:
        seen.append(("first", topic))
        bus.publish("effect", None)

    bus.subscribe("cause", first, name="first")
    bus.subscribe("*", lambda topic, _: seen.append(("second", topic)), name="second")
    bus.publish("cause", None)
    assert seen == [("first", "cause"), ("second", "effect"), ("second", "cause")]


def test_a_queue_gets_a_cause_before_its_effect_although_it_subscribed_last() -> None:
    bus = Bus()
    bus.subscribe("cause", lambda *_: bus.publish("effect", None), name="inline")
    queue = bus.subscribe_queued("*", name="queue", size=10, policy=Policy.DROP_OLDEST)
    bus.publish("cause", None)
    assert [topic for topic, _ in queue.take()] == ["cause", "effect"]


def test_subscribing_in_a_handler_counts_from_the_next_publish() -> None:
    bus, late = Bus(), list[Envelope]()

    def subscribe_once(_topic: str, message: int) -> None:
        if message == 0:
            bus.subscribe("t", recording(late), name="late")

    bus.subscribe("t", subscribe_once, name="early")
    for number in range(3):
        bus.publish("t", number)
    assert late == [("t", 1), ("t", 2)]


def test_closing_in_a_handler_holds_for_the_publish_in_progress() -> None:
    bus, seen = Bus(), list[Envelope]()

    def close_others(_topic: str, _message: Any) -> None:
        later.close()
        queue.close()

    bus.subscribe("t", close_others, name="closer")
    later = bus.subscribe("t", recording(seen), name="later")
    queue = bus.subscribe_queued("t", name="queue", size=3, policy=Policy.DROP_OLDEST)
    bus.publish("t", 1)
    bus.publish("t", 2)
    assert seen == []
    assert queue.take() == [("t", 1)]
    assert list(bus.statistics()) == ["closer"]


def test_a_name_is_taken_until_it_is_closed() -> None:
    bus = Bus()
    first = bus.subscribe("t", recording([]), name="a")
    with pytest.raises(ValueError, match="'a' exists already"):
        bus.subscribe_queued("t", name="a", size=1, policy=Policy.LATEST)
    first.close()
    second = bus.subscribe("t", recording([]), name="a")
    first.close()
    bus.publish("t", None)
    assert second.statistics().delivered == 1


@pytest.mark.parametrize("error", [ValueError("no"), RecursionError("deep"), MemoryError(), ExceptionGroup("many", [OSError()])])
def test_a_fault_stays_with_its_subscriber(error: Exception, log_lines: LogLines) -> None:
    heard: list[tuple[str, str, Exception, bool]] = []
    bus, seen = Bus(on_fault=lambda *fault: heard.append(fault)), list[Envelope]()
    bus.subscribe("t", failing(error), name="bad")
    bus.subscribe("t", recording(seen), name="good")
    bus.publish("t", 7)
    assert seen == [("t", 7)]
    assert heard == [("bad", "t", error, False)]
    bad = bus.statistics()["bad"]
    assert (bad.delivered, bad.faults, bad.quarantined, bad.policy) == (0, 1, False, "inline")
    (line,) = log_lines()
    assert (line["event"], line["subscriber"], line["topic"]) == ("subscriber_fault", "bad", "t")
    assert type(error).__name__ in line["exception"]


def test_a_real_recursion_is_contained() -> None:
    bus, seen = Bus(), list[Envelope]()
    bus.subscribe("loop", lambda topic, message: bus.publish(topic, message + 1), name="loop")
    bus.subscribe("after", recording(seen), name="after")
    bus.publish("loop", 0)
    bus.publish("after", 0)
    assert bus.statistics()["loop"].faults >= 1
    assert seen == [("after", 0)]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_tasks_or_processes_is_never_swallowed(error: BaseException) -> None:
    bus = Bus()
    bus.subscribe("t", failing(error), name="bad")
    with pytest.raises(type(error)):
        bus.publish("t", None)
    assert bus.statistics()["bad"].faults == 0


@given(outcomes=st.lists(st.booleans(), max_size=40), limit=st.integers(1, 4))
def test_quarantine_comes_exactly_after_the_stated_faults_in_a_row(outcomes: list[bool], limit: int) -> None:
    logs.configure("CRITICAL")
    verdicts: list[bool] = []
    bus = Bus(quarantine_after=limit, on_fault=lambda *fault: verdicts.append(fault[3]))
    bus.subscribe("t", lambda _, good: None if good else 1 / 0, name="s")
    neighbour = bus.subscribe("t", recording([]), name="neighbour")
    streak = calls = good_calls = 0
    for good in outcomes:
        bus.publish("t", good)
        if streak < limit:
            calls += 1
            good_calls += good
            streak = 0 if good else streak + 1
    counts = bus.statistics()["s"]
    assert (counts.delivered, counts.faults) == (good_calls, calls - good_calls)
    assert counts.quarantined is (streak == limit)
    assert verdicts.count(True) == counts.quarantined
    assert neighbour.statistics().delivered == len(outcomes)


def test_a_quarantined_subscriber_may_come_back_under_its_name() -> None:
    bus, seen = Bus(quarantine_after=1), list[Envelope]()
    bad = bus.subscribe("t", failing(ValueError()), name="a")
    bus.publish("t", 1)
    bad.close()
    bus.subscribe("t", recording(seen), name="a")
    bus.publish("t", 2)
    assert seen == [("t", 2)]


def test_a_fault_of_the_fault_callback_hurts_nobody_and_is_counted() -> None:
    bus, seen = Bus(on_fault=lambda *_: 1 / 0), list[Envelope]()
    bus.subscribe("t", failing(ValueError()), name="bad")
    bus.subscribe("t", recording(seen), name="good")
    bus.publish("t", 1)
    assert (len(seen), bus.unreported) == (1, 1)


def test_faults_published_on_the_bus_end_with_the_quarantine_of_who_fails_on_them_too() -> None:
    def on_fault(name: str, *_: object) -> None:
        bus.publish("daemon.fault", name)

    bus = Bus(quarantine_after=3, on_fault=on_fault)
    bus.subscribe("*", failing(ValueError()), name="bad")
    bus.publish("t", None)
    counts = bus.statistics()["bad"]
    assert (counts.faults, counts.delivered, counts.quarantined) == (3, 0, True)


def test_a_failing_merge_key_is_the_fault_of_its_subscriber() -> None:
    bus, seen = Bus(), list[Envelope]()
    queue = bus.subscribe_queued("t", name="q", size=4, policy=Policy.MERGE, merge_key=lambda message: message["key"])
    bus.subscribe("t", recording(seen), name="good")
    bus.publish("t", {})
    bus.publish("t", {"key": []})
    bus.publish("t", {"key": 1})
    assert len(seen) == 3
    counts = queue.statistics()
    assert (counts.faults, counts.depth, counts.dropped) == (2, 1, 0)


@pytest.mark.parametrize(
    ("size", "policy", "merge_key"), [(0, Policy.LATEST, None), (1, Policy.MERGE, None), (1, Policy.BLOCK, lambda message: message)]
)
def test_queues_that_make_no_sense_are_refused(size: int, policy: Policy, merge_key: Callable[[Any], Any] | None) -> None:
    with pytest.raises(ValueError, match="expected size >= 1 and a merge_key with policy merge only"):
        Bus().subscribe_queued("t", name="q", size=size, policy=policy, merge_key=merge_key)


class Model:
    """The four policies said once more, slowly: what waits, and what was dropped."""

    def __init__(self, policy: Policy, size: int) -> None:
        self.policy, self.size = policy, size
        self.waiting: list[Envelope] = []
        self.dropped = self.merged = 0

    def publish(self, topic: str, message: int) -> bool:
        if self.policy is Policy.BLOCK and len(self.waiting) == self.size:
            return False
        if self.policy in (Policy.LATEST, Policy.MERGE):
            same = [each for each in self.waiting if self._key(each) == self._key((topic, message))]
            self.waiting = [each for each in self.waiting if each not in same]
            self.dropped += len(same)
            self.merged += len(same)
        if len(self.waiting) == self.size:
            del self.waiting[0]
            self.dropped += 1
        self.waiting.append((topic, message))
        return True

    def _key(self, envelope: Envelope) -> object:
        return envelope[0] if self.policy is Policy.LATEST else envelope[1] % 5


ACTIONS = st.lists(st.one_of(st.sampled_from(["a.x", "a.y", "a.z"]), st.just("take")), max_size=80)


@given(actions=ACTIONS, size=st.integers(1, 6), policy=st.sampled_from(Policy))
def test_every_queue_keeps_its_policy_and_counts_exactly(actions: list[str], size: int, policy: Policy) -> None:
    bus, model, inline = Bus(), Model(policy, size), list[Envelope]()
    key = (lambda message: message % 5) if policy is Policy.MERGE else None
    queue = bus.subscribe_queued("a.*", name="q", size=size, policy=policy, merge_key=key)
    bus.subscribe("*", recording(inline), name="inline")
    offered = delivered = 0
    for number, action in enumerate(actions):
        if action == "take":
            batch = queue.take()
            assert batch == model.waiting
            model.waiting = []
            delivered += len(batch)
        elif model.publish(action, number):
            bus.publish(action, number)
            offered += 1
        else:
            with pytest.raises(RuntimeError, match=r"bus queue 'q' is full .* await bus.room\(\)"):
                bus.publish(action, number)
        counts = queue.statistics()
        assert (counts.delivered, counts.dropped, counts.depth) == (delivered, model.dropped, len(model.waiting))
        assert (counts.merged, counts.lost) == (model.merged, model.dropped - model.merged)
        assert counts.delivered + counts.dropped + counts.depth == offered == len(inline)


@given(seed=st.lists(st.integers(0, 3), min_size=1, max_size=60), size=st.integers(1, 5), policy=st.sampled_from(Policy))
def test_random_interleavings_of_tasks_lose_nothing_uncounted(seed: list[int], size: int, policy: Policy) -> None:
    async def play() -> None:
        bus, got = Bus(), list[Envelope]()
        key = (lambda message: message % 2) if policy is Policy.MERGE else None
        queue = bus.subscribe_queued("*", name="q", size=size, policy=policy, merge_key=key)

        async def produce(first: int) -> None:
            for number, pause in enumerate(seed):
                await bus.room()
                bus.publish(f"t.{pause}", first + number)
                for _ in range(pause):
                    await anyio.lowlevel.checkpoint()

        async def consume() -> None:
            async for batch in queue.batches():
                got.extend(batch)
                for _ in range(seed[len(got) % len(seed)]):
                    await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            async with anyio.create_task_group() as producers:
                producers.start_soon(produce, 0)
                producers.start_soon(produce, 1000)
            bus.close()
        counts = queue.statistics()
        assert counts.delivered == len(got) == len({message for _, message in got})
        assert counts.delivered + counts.dropped == 2 * len(seed)
        for first in (0, 1000):
            mine = [message for _, message in got if first <= message < first + 1000]
            assert mine == sorted(mine)
        if policy is Policy.BLOCK:
            assert counts.dropped == 0

    anyio.run(play)


async def test_a_batch_is_all_that_is_there_and_close_ends_after_the_rest() -> None:
    bus, batches = Bus(), list[list[int]]()
    queue = bus.subscribe_queued("t", name="q", size=10, policy=Policy.DROP_OLDEST)

    async def consume() -> None:
        async for batch in queue.batches():
            batches.append([message for _, message in batch])

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        await anyio.lowlevel.checkpoint()
        for number in range(3):
            bus.publish("t", number)
        await settled()
        bus.publish("t", 3)
        bus.close()
        bus.publish("t", 4)
    assert batches == [[0, 1, 2], [3]]
    assert queue.dropped == 1
    assert queue.statistics().lost == 0, "nobody was there any more"
    assert await queue.drain() == []


async def test_a_late_subscriber_of_a_closed_bus_ends_at_once() -> None:
    bus = Bus()
    bus.close()
    queue = bus.subscribe_queued("t", name="q", size=1, policy=Policy.BLOCK)
    bus.publish("t", 1)
    await bus.room(5)
    assert await queue.drain() == []
    assert queue.dropped == 1
    assert queue.statistics().lost == 0, "nobody was there any more"


@pytest.mark.parametrize("publish_first", [True, False])
async def test_a_cancelled_wait_loses_nothing(publish_first: bool) -> None:
    bus, got = Bus(), list[Envelope]()
    queue = bus.subscribe_queued("t", name="q", size=10, policy=Policy.DROP_OLDEST)

    async def consume() -> None:
        async for batch in queue.batches():
            got.extend(batch)

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        await settled()
        if publish_first:
            bus.publish("t", 1)
        group.cancel_scope.cancel()
        if not publish_first:
            bus.publish("t", 1)
    assert got + queue.take() == [("t", 1)]


async def test_a_consumer_that_feeds_itself_lets_others_run_and_can_be_cancelled() -> None:
    bus = Bus()
    queue = bus.subscribe_queued("t", name="q", size=1, policy=Policy.LATEST)

    async def feed_itself() -> None:
        async for _ in queue.batches():
            bus.publish("t", None)

    bus.publish("t", None)
    async with anyio.create_task_group() as group:
        group.start_soon(feed_itself)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert queue.delivered > 1


async def test_a_queue_has_one_consumer() -> None:
    queue = Bus().subscribe_queued("t", name="q", size=1, policy=Policy.LATEST)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.drain)
        await settled()
        with pytest.raises(RuntimeError, match="'q' has a consumer already"):
            await queue.drain()
        group.cancel_scope.cancel()


async def test_room_waits_for_the_fullest_blocking_queue() -> None:
    bus, rooms = Bus(), list[str]()
    slow = bus.subscribe_queued("t", name="slow", size=2, policy=Policy.BLOCK)
    fast = bus.subscribe_queued("t", name="fast", size=4, policy=Policy.BLOCK)

    async def wait(messages: int) -> None:
        await bus.room(messages)
        rooms.append(f"room for {messages}")

    bus.publish("t", 1)
    await wait(1)
    async with anyio.create_task_group() as group:
        group.start_soon(wait, 2)
        await settled()
        fast.take()
        await settled()
        assert rooms == ["room for 1"]
        slow.take()
    assert rooms == ["room for 1", "room for 2"]
    with pytest.raises(ValueError, match=r"room for 3 messages .* \[2\]"):
        await bus.room(3)


async def test_closing_a_full_blocking_queue_frees_the_publisher() -> None:
    bus = Bus()
    queue = bus.subscribe_queued("t", name="q", size=1, policy=Policy.BLOCK)
    bus.publish("t", 1)
    async with anyio.create_task_group() as group:
        group.start_soon(bus.room)
        await settled()
        queue.close()
    bus.publish("t", 2)
    assert await queue.drain() == [("t", 1)]
    assert await queue.drain() == []


def test_a_refused_publish_reaches_nobody() -> None:
    bus, seen = Bus(), list[Envelope]()
    bus.subscribe("*", recording(seen), name="inline")
    other = bus.subscribe_queued("*", name="other", size=9, policy=Policy.DROP_OLDEST)
    bus.subscribe_queued("t", name="block", size=1, policy=Policy.BLOCK)
    bus.publish("t", 1)
    with pytest.raises(RuntimeError, match="'block' is full"):
        bus.publish("t", 2)
    bus.publish("elsewhere", 3)
    assert seen == other.take() == [("t", 1), ("elsewhere", 3)]


async def test_ask_has_one_handler_and_an_answer() -> None:
    bus = Bus()

    async def double(message: int) -> int:
        return message * 2

    with pytest.raises(LookupError, match="nobody answers bus endpoint 'twice'"):
        bus.ask("twice", 1)
    withdraw = bus.answer("twice", double)
    assert await bus.ask("twice", 21) == 42
    with pytest.raises(ValueError, match="answered already"):
        bus.answer("twice", double)
    withdraw()
    bus.answer("twice", failing(ZeroDivisionError("mine")).__get__("twice"))
    withdraw()
    with pytest.raises(ZeroDivisionError, match="mine"):
        bus.ask("twice", 1)


def test_many_topics_do_not_grow_the_table_without_end() -> None:
    bus, seen = Bus(), list[Envelope]()
    bus.subscribe("*", recording(seen), name="all")
    for number in range(10_000):
        bus.publish(f"t.{number}", number)
    assert len(seen) == 10_000
    assert len(bus._routes) <= 4096
