"""The `Journal` port in memory: durable when the test's clock says so, full or broken when the test says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dudzian_daemon.domain.errors import StorageError
from dudzian_daemon.domain.ports import Released
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import Clock

Line = tuple[CycleRecord, ...]


class MemoryJournal:
    """Every commit takes `delay_s`; the faults in `faults` are raised by the next commits, one each."""

    def __init__(self, clock: Clock, *, delay_s: float = 0.0) -> None:
        self.log_id = "0" * 32
        self.delay_s = delay_s
        self.faults: list[StorageError] = []
        self.lines: list[Line] = []
        self.durable: list[CycleRecord] = []
        self.walls: dict[int, dict[str, Any]] = {}
        self.last_entry: tuple[str, dict[str, Any]] | None = None
        self.most_pending = 0
        self.checkpoints: list[tuple[str, bytes]] = []
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self._clock = clock
        self._durable_lines = 0
        self._quiet: list[CycleRecord] = []

    @property
    def pending(self) -> int:
        return len(self.lines) - self._durable_lines

    @property
    def waiting(self) -> int:
        return len(self._quiet)

    @property
    def durable_sequence(self) -> int:
        return self.durable[-1].sequence if self.durable else 0

    def append(self, record: CycleRecord, *, wall: dict[str, Any]) -> None:
        assert self.last_entry is None
        self.walls[record.sequence] = wall
        if record.quiet:
            self._quiet.append(record)
            return
        self.flush_quiet()
        self._line((record,))

    def append_entry(self, kind: str, d: dict[str, Any], w: dict[str, Any]) -> None:
        self.flush_quiet()
        self.entries.append((kind, w))
        self._line(())

    def append_checkpoint(self, state: bytes, reason: str) -> None:
        self.checkpoints.append((reason, state))
        self.flush_quiet()
        self._line(())

    @property
    def segment_full(self) -> bool:
        return False

    def begin_segment(self) -> None:
        raise NotImplementedError

    def flush_quiet(self) -> None:
        if self._quiet:
            group, self._quiet = tuple(self._quiet), []
            self._line(group)

    async def commit(self) -> Sequence[Released]:
        taken = len(self.lines)
        await self._clock.sleep(self.delay_s)
        if self.faults:
            raise self.faults.pop(0)
        fresh = [(number, record) for number in range(self._durable_lines, taken) for record in self.lines[number]]
        self._durable_lines = taken
        self.durable += [record for _, record in fresh]
        return [Released(record=record, line=number, line_hash=f"{number:064x}") for number, record in fresh]

    async def close(self, kind: str, detail: dict[str, Any], wall: dict[str, Any] | None = None) -> Sequence[Released]:
        self.append_entry(kind, detail, wall or {})
        released = await self.commit()
        self.last_entry = (kind, detail)
        return released

    def _line(self, line: Line) -> None:
        self.lines.append(line)
        self.most_pending = max(self.most_pending, self.pending)
