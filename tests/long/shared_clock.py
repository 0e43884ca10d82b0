"""A clock that moves that of an exchange in another process along, and lets what the two say to each other arrive before it moves on."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import orjson
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from dudzian_daemon.testing.clock import ManualClock

#: The most bytes of a line of the control connection.
LINE_BYTES: Final = 65_536
#: Seconds between two pushed quotes, and two draws of what goes wrong.
STEP_S: Final = 5.0


class SharedClock(ManualClock):
    """Comes to rest when neither process has anything left to do."""

    def __init__(self, control: SocketStream, url: str) -> None:
        super().__init__()
        self._control = control
        self._lines = BufferedByteReceiveStream(control)
        self._told_ns = 0
        self._heard = -1
        self.url = url
        self.calm = True
        #: What went wrong so far, by kind.
        self.met: dict[str, int] = {}

    async def settle(self) -> None:
        """As `ManualClock.settle`, in both processes: until the exchange has heard nothing new since it was last at this instant."""
        resting = False
        while not resting:
            await super().settle()
            now_ns, heard = self.monotonic_ns(), await self._tell()
            resting = now_ns == self._told_ns and heard == self._heard
            self._told_ns, self._heard = now_ns, heard

    async def _tell(self) -> int:
        """How many requests the exchange has heard."""
        await self._control.send(orjson.dumps({"now_ns": self.monotonic_ns(), "calm": self.calm}) + b"\n")
        answer: dict[str, Any] = orjson.loads(await self._lines.receive_until(b"\n", LINE_BYTES))
        self.met = answer["met"]
        return int(answer["heard"])


@asynccontextmanager
async def far_exchange(seed: int) -> AsyncIterator[SharedClock]:
    """The exchange runs inside, at the clock's `url`; it ends with the control connection."""
    command = [sys.executable, "-m", "tests.long.far_exchange", "--seed", str(seed)]
    async with await anyio.open_process(command, stdin=None, stderr=None) as process:
        assert process.stdout is not None
        place = orjson.loads(await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", LINE_BYTES))
        async with await anyio.connect_tcp("127.0.0.1", place["port"]) as control:
            yield SharedClock(control, place["url"])
