"""The day's package at the end of a run: what `dudzian daily-report --no-pdf` makes, for the day at which the session has arrived."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from dudzian_daemon.app.daily_report.making import Wishes, make_report
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel import logs


class _GivenUpError(Exception):
    """In the thread: nobody waits for the package any more."""


def still_wanted() -> None:
    """Raise where the task that waits for this thread was cancelled; in its own words, since a cancellation belongs to the loop."""
    try:
        anyio.from_thread.check_cancelled()
    except asyncio.CancelledError:
        raise _GivenUpError from None


class DayPackage:
    """Makes it once, and keeps where it lies or why there is none. A stop never fails for it."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._path: Path | None = None
        self._problem = ""
        self._log = logs.logger("daemon")

    async def write(self, log_id: str) -> None:
        """Make the package of the session. Ends early, with nothing written, where the stop's budget is used up."""
        self._problem = "it did not come to its end, the runtime log says why"
        try:
            made = await anyio.to_thread.run_sync(self._make, log_id)
        except _GivenUpError:
            await anyio.lowlevel.checkpoint()  # raises what the stage has cancelled this task with
            return
        except DudzianError as error:
            self._problem = str(error)
            self._log.error("day_package_failed", action="stop", problem=self._problem)
            return
        self._path, self._problem = made, ""
        self._log.info("day_package", action="stop", path=str(made))

    def lines(self) -> Iterator[str]:
        """What people are told of it; nothing where none was asked for."""
        if self._path is not None:
            yield f"{'package':<14}{self._path}"
        if self._problem:
            yield (
                f"dudzian: no package of the day was made: {self._problem}; "
                f"make it with: dudzian daily-report {self._prepared.environment} --no-pdf"
            )

    def _make(self, log_id: str) -> Path:
        wishes = Wishes(session=log_id, with_pdf=False)
        prepared = self._prepared
        made = make_report(prepared.config, prepared.data_folder, prepared.environment, wishes, os.environ, still_wanted)
        return Path(made.package)
