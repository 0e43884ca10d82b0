"""The day's package at the end of a run: what `dudzian daily-report --no-pdf` makes, for the day at which the session has arrived.

A stop around a midnight may leave two: that day's, and that of the day in which the stop has closed positions.

While the session runs its journal is read along, so that a stop has little left to read, however long the session.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER
from dudzian_daemon.app.daily_report.keeping import KeptDay
from dudzian_daemon.app.daily_report.making import Wishes, make_report
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock

#: Between two readings of what the journal has got.
PERIOD_SECONDS: Final = 20.0


class _GivenUpError(Exception):
    """In the thread: nobody waits for the package any more."""


def still_wanted() -> None:
    """Raise where the task that waits for this thread was cancelled; in its own words, since a cancellation belongs to the loop."""
    try:
        anyio.from_thread.check_cancelled()
    except asyncio.CancelledError:
        raise _GivenUpError from None


class DayPackage:
    """Makes it once, and keeps where it lies or why there is none. A stop never fails for it. `run` reads along meanwhile."""

    name = "day_package"

    def __init__(self, prepared: Prepared, clock: Clock) -> None:
        self._prepared = prepared
        self._clock = clock
        self._kept: KeptDay | None = None
        self._paths: list[Path] = []
        self._problem = self._date = ""
        self._log = logs.logger("daemon")

    def follow(self, log_id: str) -> None:
        """Say which session `run` reads."""
        self._kept = self._day_of(log_id)

    def _day_of(self, log_id: str) -> KeptDay:
        prepared = self._prepared
        return KeptDay(
            prepared.data_folder / JOURNAL_FOLDER / prepared.artifact / log_id,
            environment=prepared.environment,
            artifact=prepared.artifact,
            log_id=log_id,
            timezone=prepared.config.reporting.timezone,
        )

    async def run(self) -> None:
        """Read along until cancelled. A journal that cannot be read is told at the stop, which reads on from there."""
        while self._kept is not None:
            await self._clock.sleep(PERIOD_SECONDS)
            with suppress(DudzianError, _GivenUpError):
                await anyio.to_thread.run_sync(self._kept.catch_up, still_wanted)

    async def write(self, log_id: str) -> None:
        """Make the packages of the session's last days. Ends early, with nothing half-written, where the stop's budget is used up."""
        self._problem = "it did not come to its end, the runtime log says why"
        try:
            await anyio.to_thread.run_sync(self._make, log_id)
        except _GivenUpError:
            await anyio.lowlevel.checkpoint()  # raises what the stage has cancelled this task with
            return
        except DudzianError as error:
            self._problem = str(error)
            self._log.error("day_package_failed", action="stop", problem=self._problem)
            return
        self._problem = ""
        for path in self._paths:
            self._log.info("day_package", action="stop", path=str(path))

    def lines(self) -> Iterator[str]:
        """What people are told of it; nothing where none was asked for."""
        yield from (f"{'package':<14}{path}" for path in self._paths)
        if self._problem:
            yield (
                f"dudzian: no package of the day was made: {self._problem}; "
                f"make it with: dudzian daily-report {self._prepared.environment}{self._date} --no-pdf"
            )

    def _make(self, log_id: str) -> None:
        kept, prepared = self._kept or self._day_of(log_id), self._prepared
        kept.catch_up(still_wanted)
        for number, day in enumerate(kept.days()):
            self._date = f" --date {day.summary.report_date}" if number else ""
            wishes = Wishes(found=day, with_pdf=False)
            made = make_report(prepared.config, prepared.data_folder, prepared.environment, wishes, os.environ, still_wanted)
            self._paths.append(Path(made.package))
