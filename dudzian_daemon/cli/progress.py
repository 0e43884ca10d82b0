"""How far a long command has come, told to a person on stderr: what, bar, count of total, rate, time passed, time to go.

Nothing is told where stderr is no terminal. Where a terminal takes no escape codes (NO_COLOR, TERM=dumb) there is a line now and then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dudzian_daemon.cli.output import note
from dudzian_daemon.kernel.clock import Clock, SystemClock

if TYPE_CHECKING:
    from rich.progress import Progress, Task

_BETWEEN_LINES_NS: Final = 10 * 10**9
_NARROWEST: Final = 8
_WIDEST: Final = 40


class Teller:
    """Is told how far the work has come, and what is at work; shows it. Without a `Progress` it keeps silent."""

    def __init__(self, progress: Progress | None, what: str, unit: str, total: float | None, lines: _Lines | None) -> None:
        self._progress = progress
        self._unit = unit
        self._lines = lines
        if progress is not None:
            self._task = progress.add_task(what, total=total, count="0", rate="")

    def at(self, done: float, total: float | None = None, what: str | None = None) -> None:
        """So much of it is done, in all."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total, description=what)
            self._show(self._progress)

    def advance(self, by: float, what: str | None = None) -> None:
        """So much more of it is done."""
        if self._progress is not None:
            self._progress.update(self._task, advance=by, description=what)
            self._show(self._progress)

    def _show(self, progress: Progress) -> None:
        task = progress.tasks[self._task]
        progress.update(self._task, count=_count(task, self._unit), rate=_rate(task, self._unit))
        if self._lines is not None:
            self._lines.tell(task)


class _Lines:
    """A line of the task, at most one every ten seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_ns = clock.monotonic_ns()

    def tell(self, task: Task) -> None:
        now = self._clock.monotonic_ns()
        if now - self._told_ns < _BETWEEN_LINES_NS:
            return
        self._told_ns = now
        rest = "" if task.time_remaining is None else f"about {task.time_remaining:,.0f} s to go"
        note(", ".join(part for part in (f"{task.description} {task.fields['count']}", task.fields["rate"], rest) if part))


@contextmanager
def progress(what: str, unit: str, total: float | None = None, *, shown: bool = True, clock: Clock | None = None) -> Iterator[Teller]:
    """Tell of a work of `total` units while the block runs; afterwards the bar is gone. `unit` is a plural, `bytes` get their prefixes."""
    if not shown or not sys.stderr.isatty():
        yield Teller(None, what, unit, total, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, table_column=Column(min_width=_NARROWEST, max_width=_WIDEST)),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    plain = bool(os.environ.get("NO_COLOR")) or not console.is_interactive
    with Progress(*columns, console=console, transient=True, disable=plain) as bar:
        yield Teller(bar, what, unit, total, _Lines(clock or SystemClock()) if plain else None)


def _count(task: Task, unit: str) -> str:
    if unit == "bytes":
        from rich.filesize import decimal

        return decimal(int(task.completed)) + ("" if task.total is None else f"/{decimal(int(task.total))}")
    return f"{task.completed:,.0f}" + ("" if task.total is None else f"/{task.total:,.0f}")


def _rate(task: Task, unit: str) -> str:
    if task.speed is None:
        return ""
    if unit == "bytes":
        from rich.filesize import decimal

        return f"{decimal(int(task.speed))}/s"
    return f"{task.speed:,.{1 if task.speed < 100 else 0}f} {unit}/s"
