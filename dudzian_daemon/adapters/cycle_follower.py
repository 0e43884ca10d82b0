"""Every durable cycle exactly once, in order, for sinks that may fall behind but must not miss any.

The bus queue is the fast path; what its bound dropped is read back from the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.journal_format import segments, split
from dudzian_daemon.adapters.journal_reader import Cycle, cycles_between, entries
from dudzian_daemon.adapters.log_lines import lines_backwards
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.kernel.bus import QueuedSubscription

_AT_ONCE: Final = 256
_NEAR: Final = 20_000


class Mark(msgspec.Struct, frozen=True):
    """How far a projection has come with a session: the last cycle it tells of, and in how many lines."""

    sequence: int = 0
    lines: int = 0


class Left(msgspec.Struct, frozen=True):
    """An earlier session that is closed, the last cycle of it that was told, in how many lines, and the last one there is."""

    folder: Path
    told: Mark
    last: int

    def cycles(self) -> Iterator[CycleDurable]:
        """What is left to tell; of the first cycle the lines up to `told.lines` are told."""
        return missed(self.folder, max(self.told.sequence - 1, 0), self.last)


class CycleFollower:
    """Turns a lossy queue of `CycleDurable` into a complete one, with the help of the session's journal folder.

    It begins after cycle `sequence`; what the journal held up to cycle `recorded` when the process started comes first.
    """

    def __init__(self, queue: QueuedSubscription, journal: Path, *, sequence: int = 0, recorded: int = 0, left: Left | None = None) -> None:
        """`left` is another session of which not all was told when its process ended."""
        self._left = left
        self._queue = queue
        self._journal = journal
        self._recorded = recorded
        self.log_id = journal.name
        self.sequence = sequence

    def begin_after(self, sequence: int) -> None:
        """Leave out the cycles up to this one; to be called before `cycles`."""
        self.sequence = sequence

    def end(self) -> None:
        """Let `cycles` finish after what is queued."""
        self._queue.end()

    async def left(self) -> AsyncIterator[tuple[CycleDurable, int]]:
        """The cycles of the other session that are to be told yet, each with the number of its lines that are told."""
        if self._left is None:
            return
        told, rest = self._left.told, self._left.cycles()
        while batch := await anyio.to_thread.run_sync(lambda: list(islice(rest, _AT_ONCE))):
            for cycle in batch:
                yield cycle, told.lines if cycle.record.sequence == told.sequence else 0

    async def cycles(self) -> AsyncIterator[list[CycleDurable]]:
        """Batches of cycles without a gap, until the bus is closed and the queue is empty."""
        earlier = missed(self._journal, self.sequence, self._recorded)
        while batch := await anyio.to_thread.run_sync(lambda: list(islice(earlier, _AT_ONCE))):
            self.sequence = batch[-1].record.sequence
            yield batch
        async for messages in self._queue.batches():
            complete: list[CycleDurable] = []
            for _topic, message in messages:
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


def missed(folder: Path, sequence: int, recorded: int) -> Iterator[CycleDurable]:
    """What a journal has after cycle `sequence` up to `recorded`: from its end if that is near, else with flat memory from its start."""
    if recorded <= sequence:
        return
    if recorded - sequence <= _NEAR:
        yield from map(durable, cycles_between(folder, sequence + 1, recorded))
        return
    for cycle in (cycle for path in segments(folder) for entry in entries(path) for cycle in entry.cycles()):
        if cycle.record.sequence > recorded:
            return
        if cycle.record.sequence > sequence:
            yield durable(cycle)


class _Told(msgspec.Struct):
    session: str = ""
    sequence: int = 0


def mark(paths: Iterable[Path], log_id: str) -> Mark:
    """How far signed projections of a session have come; each of the files tells of one session after the other."""
    found: Counter[int] = Counter()
    for path in paths:
        lines = lines_backwards(path)
        next(lines)
        for line in lines:
            told = _told(line)
            if not told.session:  # its beginning, or the end of a run
                continue
            if told.session != log_id or told.sequence < max(found, default=0):
                break
            found[told.sequence] += 1
    newest = max(found, default=0)
    return Mark(newest, found[newest]) if newest else Mark()


def _told(line: bytes) -> _Told:
    try:
        return msgspec.json.decode(split(line).d, type=_Told)
    except ValueError:
        return _Told()


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
