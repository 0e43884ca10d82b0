"""The days at which a session stands, folded while its journal grows: what is left to read at the end does not depend on its size.

They are two around a midnight: what a stop does just then, or long after the last input, lies in the day that begins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.adapters.journal_reader import Cycle, entries_from
from dudzian_daemon.app.daily_report.day import Day, DayFold, day_of
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.fills import LAST_PRICE
from dudzian_daemon.domain.market import SECOND_NS, Command, Quote
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord


class KeptDay:
    """Reads the session in `folder` on from where it was; it knows of the latest days what `read_day` does, but for the curves before."""

    def __init__(self, folder: Path, *, environment: str, artifact: str, log_id: str, timezone: str) -> None:
        self._folder = folder
        self._environment = environment
        self._artifact = artifact
        self._log_id = log_id
        self._timezone = timezone
        self._segment = 0  # place among the session's files
        self._offset = 0
        self._folds: list[DayFold] = []
        self._last = 0  # instant

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

    def days(self) -> list[Day]:
        """The day at which the session stood before it was stopped, then later ones of more than their first midnight, or with fills.

        To be asked once, when all is read. Raises `ConfigError` where nothing was recorded.
        """
        if not self._folds:
            msg = f"session {self._log_id} has no cycles"
            raise ConfigError(msg)
        first, *later = self._folds
        with exact_money():
            return [fold.finish() for fold in (first, *(each for each in later if each.day.summary.fills or self._is_past_midnight(each)))]

    def _is_past_midnight(self, fold: DayFold) -> bool:
        return fold.day.start <= self._last - SECOND_NS < fold.end

    def _take(self, cycle: Cycle, content: str) -> None:
        self._last = instant = cycle.record.instant
        if not self._folds:
            fold = DayFold(
                environment=self._environment,
                artifact=self._artifact,
                log_id=self._log_id,
                day=day_of(instant),
                timezone=self._timezone,
            )
            self._folds.append(fold)
        elif instant >= self._folds[-1].end:
            self._folds.append(self._folds[-1].followed_by(day_of(instant)))
        *before, fold = self._folds
        fold.add(cycle, content)
        if not _is_of_a_stop(cycle.record):
            self._folds = [*(each for each in before if each.end > instant - SECOND_NS), fold]


def _is_of_a_stop(record: CycleRecord) -> bool:
    """Whether it is the stop itself, or the snapshot that fills what the stop has ordered."""
    return any(
        (isinstance(item, Command) and item.name == "stop") or (isinstance(item, Quote) and item.source == LAST_PRICE)
        for item in record.inputs
    )
