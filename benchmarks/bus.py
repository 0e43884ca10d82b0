"""Events per CPU second through the bus, for 1, 4 and 16 subscribers, inline and queued: `python benchmarks/bus.py [repeats]`,
and as one line of JSON, of one run: `python benchmarks/bus.py --once inline|queued SUBSCRIBERS`.

An event is a dict of eight fields, a handler adds one of them to a counter; queued subscribers hold 1,024 messages and
the publisher lets them run every 256 events, so that nothing is dropped. Best of `repeats` (default 5).
"""

from __future__ import annotations

import gc
import json
import sys
from time import process_time
from typing import Any

import anyio
import anyio.lowlevel

from dudzian_daemon.kernel.bus import Bus, Policy, QueuedSubscription

TOPIC = "auto_trader.controller_cycle"
DELIVERIES = 400_000
EVENTS: list[dict[str, Any]] = [
    {"seq": i, "ts": 1_700_000_000 + i, "strategy": "trend", "symbol": "BTC/USDT", "side": "buy", "orders": 2, "ms": 1.25, "status": "ok"}
    for i in range(1000)
]


class Counter:
    """What a subscriber does with an event."""

    def __init__(self) -> None:
        self.orders = 0

    def handle(self, _topic: str, event: dict[str, Any]) -> None:
        """Count inline."""
        self.orders += event["orders"]

    async def consume(self, queue: QueuedSubscription) -> None:
        """Count batch by batch."""
        async for batch in queue.batches():
            for _, event in batch:
                self.orders += event["orders"]


def inline(subscribers: int) -> float:
    """Events per CPU second, handlers called inside `publish`."""
    bus, counters = Bus(), [Counter() for _ in range(subscribers)]
    for number, counter in enumerate(counters):
        bus.subscribe(TOPIC, counter.handle, name=f"inline{number}")
    events = DELIVERIES // subscribers
    publish = bus.publish
    gc.collect()
    started = process_time()
    for i in range(events):
        publish(TOPIC, EVENTS[i % 1000])
    spent = process_time() - started
    _check(counters, events)
    return events / spent


async def queued(subscribers: int) -> float:
    """Events per CPU second until every consumer has seen all of them."""
    bus, counters = Bus(), [Counter() for _ in range(subscribers)]
    events = DELIVERIES // subscribers
    gc.collect()
    async with anyio.create_task_group() as consumers:
        for number, counter in enumerate(counters):
            queue = bus.subscribe_queued(TOPIC, name=f"queued{number}", size=1024, policy=Policy.DROP_OLDEST)
            consumers.start_soon(counter.consume, queue)
        started = process_time()
        for i in range(events):
            bus.publish(TOPIC, EVENTS[i % 1000])
            if not i & 255:
                await anyio.lowlevel.checkpoint()
        bus.close()
    spent = process_time() - started
    _check(counters, events)
    return events / spent


def main(repeats: int) -> None:
    """Print one line per case."""
    for subscribers in (1, 4, 16):
        _report("inline", subscribers, max(inline(subscribers) for _ in range(repeats)))
    for subscribers in (1, 4, 16):
        _report("queued", subscribers, max(anyio.run(queued, subscribers) for _ in range(repeats)))


def _check(counters: list[Counter], events: int) -> None:
    if any(counter.orders != 2 * events for counter in counters):
        msg = f"expected {2 * events} orders per subscriber, found {[counter.orders for counter in counters]}"
        raise RuntimeError(msg)


def _report(kind: str, subscribers: int, rate: float) -> None:
    sys.stdout.write(f"{kind:7} {subscribers:3} subscribers {rate:12,.0f} events per CPU s\n")


def once(kind: str, subscribers: int) -> None:
    """One run."""
    rate = inline(subscribers) if kind == "inline" else anyio.run(queued, subscribers)
    print(json.dumps({"kind": kind, "subscribers": subscribers, "events_per_cpu_s": round(rate)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        once(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
