"""The loopback exchange in a process of its own, on a clock that another process moves: `python -m tests.long.far_exchange --seed N`.

The first line on standard output is a JSON object with `url` of the exchange and `port` of the control connection. There each line that
comes, `{"now_ns": ..., "calm": ...}`, moves the clock; its answer, `{"heard": ..., "met": ...}`, goes out once all tasks rest.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from random import Random
from typing import Final

import anyio
import orjson
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from dudzian_daemon.kernel.clock import SECOND_NS
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.exchange import LoopbackExchange
from dudzian_daemon.testing.exchange_faults import Fault, FaultKind
from tests.long.shared_clock import LINE_BYTES, STEP_S

CUT_SHARE: Final = 0.01
FAULT_SHARE: Final = 0.05
OUTAGE_SHARE: Final = 0.0005
KINDS: Final[tuple[FaultKind, ...]] = ("status", "reset", "truncated", "html", "empty", "nan", "duplicate", "disorder")


class Weather:
    """What goes wrong when, by a seeded draw: outages of three to nine minutes, single faults in between; nothing once it is calm."""

    def __init__(self, clock: ManualClock, exchange: LoopbackExchange, seed: int) -> None:
        self._clock = clock
        self._exchange = exchange
        self._random = Random(seed)
        self._away_until = 0
        self.calm = True
        self.heard = 0
        self.met: Counter[str] = Counter()

    def __call__(self, _path: str) -> Fault | None:
        """For `LoopbackExchange.draw`."""
        self.heard += 1
        self._exchange.requests.clear()
        if self.calm:
            return None
        if self._clock.monotonic_ns() < self._away_until:
            self.met["away"] += 1
            return Fault("status")
        if self._random.random() < FAULT_SHARE:
            kind = self._random.choice(KINDS)
            self.met[kind] += 1
            return Fault(kind)
        return None

    async def run(self) -> None:
        """Cut sockets and begin outages, step by step."""
        while True:
            await self._clock.sleep(STEP_S)
            if self.calm:
                continue
            if self._random.random() < CUT_SHARE:
                self.met["cut"] += len(self._exchange.sockets)
                await self._exchange.cut()
            if self._random.random() < OUTAGE_SHARE:
                self.met["outages"] += 1
                self._away_until = self._clock.monotonic_ns() + self._random.randrange(180, 540) * SECOND_NS


async def serve(seed: int) -> None:
    """Until the control connection ends."""
    clock = ManualClock()
    exchange = LoopbackExchange(clock)
    exchange.push_seconds, exchange.push_clock = STEP_S, clock
    exchange.draw = weather = Weather(clock, exchange, seed)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with exchange, listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        sys.stdout.buffer.write(orjson.dumps({"url": exchange.url, "port": port}) + b"\n")
        sys.stdout.flush()
        tasks.start_soon(weather.run)

        async def controlled(control: SocketStream) -> None:
            await obey(control, clock, weather)
            tasks.cancel_scope.cancel()

        await listener.serve(controlled)


async def obey(control: SocketStream, clock: ManualClock, weather: Weather) -> None:
    """Move the clock as the other side says."""
    lines = BufferedByteReceiveStream(control)
    while True:
        try:
            said = orjson.loads(await lines.receive_until(b"\n", LINE_BYTES))
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            return
        weather.calm = said["calm"]
        await clock.advance((said["now_ns"] - clock.monotonic_ns()) / SECOND_NS)
        await clock.settle()
        await control.send(orjson.dumps({"heard": weather.heard, "met": weather.met}) + b"\n")


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=6)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a socket that was cut is no news here
    anyio.run(serve, parser.parse_args().seed)


if __name__ == "__main__":
    main()
