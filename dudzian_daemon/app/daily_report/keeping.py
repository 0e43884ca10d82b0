"""The day at which a session stands, folded while its journal grows: what is left to read at the end does not depend on its size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.adapters.journal_reader import Cycle, entries_from
from dudzian_daemon.app.daily_report.day import Day, DayFold, day_of
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.money import exact_money


class KeptDay:
    """Reads the session in `folder` on from where it was; it knows of the latest day what `read_day` does, but for the curves before."""

    def __init__(self, folder: Path, *, environment: str, artifact: str, log_id: str, timezone: str) -> None:
        self._folder = folder
        self._environment = environment
        self._artifact = artifact
        self._log_id = log_id
        self._timezone = timezone
        self._segment = 0  # place among the session's files
        self._offset = 0
        self._fold: DayFold | None = None
        self._before: DayFold | None = None

    def catch_up(self, still_wanted: Callable[[], object]) -> None:
        """Read what was added; blocks. What `still_wanted` raises between two lines ends it there. Raises `IntegrityError`."""
        files = segments(self._folder)
        while self._segment < len(files):
            with exact_money():
                for entry, end in entries_from(files[self._segment], self._offset):
                    still_wanted()
                    for cycle in entry.cycles():
                        self._take(cycle, entry.seal.content)
                    self._offset = end
            if self._segment + 1 == len(files):
                return
            self._segment, self._offset = self._segment + 1, 0

    def day(self) -> Day:
        """The latest day that is more than the midnight at which it begins. To be asked once, when all is read. Raises `ConfigError`."""
        fold = self._fold if self._before is None else self._before
        if fold is None:
            msg = f"session {self._log_id} has no cycles"
            raise ConfigError(msg)
        with exact_money():
            return fold.finish()

    def _take(self, cycle: Cycle, content: str) -> None:
        instant = cycle.record.instant
        if self._fold is None:
            self._fold = DayFold(
                environment=self._environment,
                artifact=self._artifact,
                log_id=self._log_id,
                day=day_of(instant),
                timezone=self._timezone,
            )
        elif instant >= self._fold.end:
            self._before, self._fold = self._fold, self._fold.followed_by(day_of(instant))
        self._fold.add(cycle, content)
        if self._before is not None and self._before.end <= instant - SECOND_NS:
            self._before = None
