"""Scheduler telemetry: a line per run of a schedule in `audit/metrics/telemetry.jsonl` (docs/reference/telemetry.md).

A projection: each line names the journal line it was made from; it is behind the journal, never holds it back, and is completed
from it at the next start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower, durable
from dudzian_daemon.adapters.fold_marks import CYCLES, FoldFile
from dudzian_daemon.adapters.journal_reader import cycles_between, entries, sessions
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import DudzianError, Permanent, StorageFull
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.sinks.telemetry.runs import MeterMemory, RunMeter, SchedulerSet, ScheduleRun, encoded, read_run

#: How long the sink waits before it asks a full disk again.
FULL_DISK_RETRY_SECONDS: Final = 1.0
#: Lines written at once when the file is completed.
_AT_ONCE: Final = 1_000
_LAST: Final = 2**63


class TelemetrySink:
    """Appends the runs of durable cycles; the journal of `artifact` below the data folder `root` completes the file at the start."""

    name = "telemetry"

    def __init__(
        self, follower: CycleFollower, file: LineFile, known: SchedulerSet, clock: Clock, *, root: Path, artifact: str, marks: FoldFile
    ) -> None:
        self._follower = follower
        self._marks = marks
        self._marked = 0
        self._file = file
        self._known = known
        self._clock = clock
        self._root = root
        self._artifact = artifact
        self._meter = RunMeter(known)
        self._late: set[str] = set()
        self._after = 0
        self._log = logs.logger("telemetry")

    async def run(self) -> None:
        """Complete the file, then consume until the bus is closed."""
        await self._complete()
        if self._follower.sequence == 0:
            await anyio.to_thread.run_sync(self._restore)
        last: CycleDurable | None = None
        async for batch in self._follower.cycles():
            last = batch[-1]
            runs = [run for cycle in batch for run in self._meter.take(cycle) if run.sequence > self._after]
            if runs:
                await self._append(runs)
                self._warn(runs)
            if last.record.sequence - self._marked >= CYCLES:
                await self._keep(last)
        if last is not None:
            await self._keep(last)

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()

    async def _append(self, runs: list[ScheduleRun]) -> None:
        """Append, waiting while the disk is full. Raises `Permanent` when it fails: the file is behind then, and the session goes on."""
        while True:
            try:
                await anyio.to_thread.run_sync(self._file.append, encoded(runs))
            except StorageFull:  # read-only ones among them
                await self._clock.sleep(FULL_DISK_RETRY_SECONDS)
            except DudzianError as error:
                msg = f"the scheduler telemetry stays behind the journal: {error}"
                raise Permanent(msg) from error
            else:
                return

    def _restore(self) -> None:
        """Go on where an earlier run has kept the meter, if all the runs it had made are in the file."""
        kept = self._marks.read(MeterMemory)
        if kept is not None and kept[1].told <= self._after:
            self._marked, memory = kept
            self._meter.restore(self._follower.log_id, memory)
            self._follower.begin_after(self._marked)

    async def _keep(self, cycle: CycleDurable) -> None:
        """Keep the meter; where the disk refuses, the next start reads more."""
        self._marked = cycle.record.sequence
        fold = msgspec.Raw(msgspec.json.encode(self._meter.export()))
        with suppress(DudzianError):
            await anyio.to_thread.run_sync(self._marks.write, self._marked, cycle.line_hash, fold)

    def _warn(self, runs: list[ScheduleRun]) -> None:
        """One warning when a schedule begins to drift beyond its limit, one line when it is in time again."""
        for run in runs:
            if run.drift_exceeded and run.schedule not in self._late:
                self._late.add(run.schedule)
                limit_s = self._known.max_drift_seconds[run.schedule]
                facts = {"schedule": run.schedule, "run": run.run_id, "drift_ms": round(run.drift_ms, 3), "drifts": run.drifts}
                self._log.warning("schedule_drift", action="count", max_drift_seconds=limit_s, **facts)
            elif not run.drift_exceeded and run.schedule in self._late:
                self._late.remove(run.schedule)
                self._log.info("schedule_in_time", schedule=run.schedule, run=run.run_id, drifts=run.drifts)

    async def _complete(self) -> None:
        """Append what earlier sessions have in their journals and not here, before anything else: who comes after marks them as told.

        What cannot be read is named and left.
        """
        await anyio.to_thread.run_sync(self._file.cut_torn_tail)
        missing = self._missing()
        count = 0
        try:
            while lines := await anyio.to_thread.run_sync(lambda: list(islice(missing, _AT_ONCE))):
                await self._append(lines)
                count += len(lines)
        except DudzianError as error:
            self._log.warning("telemetry_not_completed", reason=str(error), lines=count)
        if count:
            self._log.info("telemetry_completed", lines=count)

    def _missing(self) -> Iterator[ScheduleRun]:
        """Runs after the last line of this environment, of its session and of those that were born after it."""
        mark = next((run for run in map(read_run, self._file.backwards()) if run is not None and self._is_ours(run)), None)
        if mark is None:
            return
        if mark.session == self._follower.log_id:  # resumed: what is missing comes with its own cycles
            self._after = mark.sequence
        found = sessions(self._root, self._artifact)
        last = next((number for number, session in enumerate(found) if session.log_id == mark.session), None)
        if last is None:
            return
        for session in reversed([each for each in found[: last + 1] if each.log_id != self._follower.log_id]):
            after = mark.sequence if session.log_id == mark.session else 0
            if any(cycle.record.due for cycle in cycles_between(session.folder, after + 1, _LAST)):
                yield from self._runs_of(session.segments, after)

    def _runs_of(self, segments: Iterable[Path], after: int) -> Iterator[ScheduleRun]:
        meter = RunMeter(self._known)
        for path in segments:
            for entry in entries(path):
                for cycle in entry.cycles():
                    yield from (run for run in meter.take(durable(cycle)) if run.sequence > after)

    def _is_ours(self, run: ScheduleRun) -> bool:
        return run.environment == self._known.environment and not run.dry_run
