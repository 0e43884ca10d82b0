"""Every durable cycle exactly once, in order, for sinks that may fall behind but must not miss any.

The bus queue is the fast path; what its bound dropped is read back from the journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread

from dudzian_daemon.adapters.journal_reader import Cycle, cycles_between
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.kernel.bus import QueuedSubscription


class CycleFollower:
    """Turns a lossy queue of `CycleDurable` into a complete one, with the help of the session's journal folder."""

    def __init__(self, queue: QueuedSubscription, journal: Path) -> None:
        self._queue = queue
        self._journal = journal
        self.log_id = journal.name
        self.sequence = 0

    def end(self) -> None:
        """Let `cycles` finish after what is queued."""
        self._queue.end()

    async def cycles(self) -> AsyncIterator[list[CycleDurable]]:
        """Batches of cycles without a gap, until the bus is closed and the queue is empty."""
        async for batch in self._queue.batches():
            complete: list[CycleDurable] = []
            for _topic, message in batch:
                if not isinstance(message, CycleDurable) or message.record.sequence <= self.sequence:
                    continue
                if message.record.sequence > self.sequence + 1:
                    complete += await anyio.to_thread.run_sync(self._read_back, self.sequence + 1, message.record.sequence - 1)
                complete.append(message)
                self.sequence = message.record.sequence
            if complete:
                yield complete

    def _read_back(self, first: int, last: int) -> list[CycleDurable]:
        return [durable(cycle) for cycle in cycles_between(self._journal, first, last)]


def durable(cycle: Cycle) -> CycleDurable:
    """A cycle read from a journal as the message it was when it was released."""
    late_ns = cycle.wall.get("late_ns")
    return CycleDurable(
        record=cycle.record,
        log_id=cycle.log_id,
        line=cycle.line,
        line_hash=cycle.line_hash,
        duration_s=cycle.wall.get("duration_ns", 0) / 1e9,
        late_s=None if late_ns is None else late_ns / 1e9,
    )
