"""Which schedules are due: a grid on UTC in event time, never a poll.

A schedule is due at the first tick at or after a grid point that brings it new data; it runs at most once per grid point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dudzian_daemon.trading.spec import Schedule


class MultiStrategyScheduler:
    """Schedules in the order in which they run at one instant: (priority, name)."""

    def __init__(self, schedules: tuple[Schedule, ...]) -> None:
        self.schedules = tuple(sorted(schedules, key=lambda schedule: (schedule.priority, schedule.name)))
        self._ran = {schedule.name: -1 for schedule in schedules}

    def export(self) -> dict[str, int]:
        """The last grid point at which each schedule ran, by name; -1 before the first."""
        return dict(self._ran)

    def restore(self, ran: Mapping[str, int]) -> None:
        """Go on from these grid points; schedules that are not named start anew."""
        self._ran |= {name: point for name, point in ran.items() if name in self._ran}

    def due(self, instant: int, has_new_data: Callable[[Schedule], bool]) -> list[Schedule]:
        """The schedules due at `instant`; asking moves them past their grid point."""
        due = []
        for schedule in self.schedules:
            point = instant // schedule.cadence_ns
            if point > self._ran[schedule.name] and has_new_data(schedule):
                self._ran[schedule.name] = point
                due.append(schedule)
        return due
