"""Rounds of the garbage collector, for a process that runs for months.

What a lost connection leaves behind (client, socket, buffers, the exception with its frames) holds itself in a ring, which only a full
round of the collector frees. By itself Python makes one when the objects have grown by a quarter, which with modules of ccxt's size is
days of lost connections, and it then looks through all of them, for a tenth of a second.
"""

from __future__ import annotations

import gc
from typing import Final

from dudzian_daemon.adapters.platform import give_back_memory
from dudzian_daemon.kernel.clock import Clock

#: How often a round is made (seconds). It looks through what came since the start, in a millisecond; an outage leaves much behind.
COLLECT_S: Final = 10.0
#: What is loaded late (the candle store's library, streams) is set aside too, once so many seconds have passed.
LATE_S: Final = 60.0


class Collector:
    """Makes no round before `set_aside` was called: until then it would be a long one."""

    name = "collector"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._aside = False

    def set_aside(self) -> None:
        """What there is by now stays for good, and is looked through no more. Call it when all is loaded; it takes a tenth of a second."""
        gc.collect()
        gc.freeze()
        give_back_memory()
        self._aside = True

    async def run(self) -> None:
        """A round every ten seconds until cancelled; the first one sets aside what has been loaded late."""
        while not self._aside:
            await self._clock.sleep(COLLECT_S)
        await self._clock.sleep(LATE_S)
        self.set_aside()
        while True:
            await self._clock.sleep(COLLECT_S)
            gc.collect()
