"""Commits a session's cycles beside it, and releases them to the bus when, and only when, their lines are durable."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio

from dudzian_daemon.domain.cycle_events import Timing, messages
from dudzian_daemon.domain.errors import StorageFull
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.ports import Journal, Released
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock

#: The core may run ahead of the disk by this many journal lines.
MAX_LINES_AHEAD: Final = 512
#: Quiet cycles wait this long for company in their line.
QUIET_SECONDS: Final = 1.0
#: How long the frozen core waits before it asks a full disk again.
FULL_DISK_RETRY_SECONDS: Final = 1.0


class DurableCycles:
    """`sequence` is the last durable cycle; `tell_disk` is given the fault that freezes the core, then None when the disk is well."""

    def __init__(
        self,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        sequence: int,
        observe_commit: Callable[[float], None],
        tell_disk: Callable[[StorageFull | None], None],
    ) -> None:
        self._journal = journal
        self._bus = bus
        self._clock = clock
        self.sequence = sequence
        self._observe_commit = observe_commit
        self._tell_disk = tell_disk
        #: Told after each commit, and with `last` after the last one: where a head is due, it is written.
        self.keep_head: Callable[[bool], Awaitable[None]] = _no_head
        self._timings: deque[tuple[int, Timing]] = deque()
        self._appended = anyio.Event()
        self._released = anyio.Event()
        self._frozen = False

    @property
    def newest(self) -> int:
        """The last cycle that was appended, durable or not."""
        return self._timings[-1][0] if self._timings else self.sequence

    def append(self, record: CycleRecord, timing: Timing, wall: dict[str, Any]) -> None:
        """Give the journal a cycle."""
        self._journal.append(record, wall=wall)
        self._timings.append((record.sequence, timing))
        self._appended.set()

    def commit_soon(self) -> None:
        """The journal was given something else."""
        self._appended.set()

    async def commit_lines(self) -> None:
        """Commit what was appended, and release it, until cancelled."""
        while True:
            await self._appended.wait()
            self._appended = anyio.Event()
            self.release(await self._commit())
            await self.keep_head(False)

    async def _commit(self) -> Sequence[Released]:
        """Commit, however often a full or read-only disk has to be asked; the core is frozen meanwhile."""
        began = self._clock.monotonic_ns()
        while True:
            try:
                released = await self._journal.commit()
            except StorageFull as error:
                if not self._frozen:
                    self._frozen = True
                    self._tell_disk(error)
                await self._clock.sleep(FULL_DISK_RETRY_SECONDS)
            else:
                if self._frozen:
                    self._frozen = False
                    self._tell_disk(None)
                if released:
                    self._observe_commit((self._clock.monotonic_ns() - began) / SECOND_NS)
                return released

    async def close_quiet_lines(self) -> None:
        """Let no quiet cycle wait for longer than a second, until cancelled."""
        while True:
            await self._clock.sleep(QUIET_SECONDS)
            self._journal.flush_quiet()
            self._appended.set()

    def release(self, released: Sequence[Released]) -> None:
        """Publish what has become durable."""
        for cycle in released:
            timing = self._timings.popleft()[1]
            for topic, message in messages(cycle, timing, self._journal.log_id):
                self._bus.publish(topic, message)
            self.sequence = cycle.record.sequence
        self._released.set()
        self._released = anyio.Event()

    async def until(self, sequence: int) -> None:
        """Wait until the cycle is durable."""
        while self.sequence < sequence:
            self._journal.flush_quiet()
            self._appended.set()
            await self._released.wait()

    async def until_disk_takes_lines(self) -> None:
        """Wait while the disk is full."""
        while self._frozen:
            await self._released.wait()

    async def until_room(self) -> None:
        """Wait while the disk is full or too far behind."""
        while self._frozen or self._journal.pending >= MAX_LINES_AHEAD:
            await self._released.wait()


async def _no_head(_last: bool) -> None:
    """For a journal that has none."""
