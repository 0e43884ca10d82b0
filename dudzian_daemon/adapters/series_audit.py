"""One series of a store, looked at file by file: which bars are there, which are not, which files are not what was written.

Unlike a read it goes on after a damaged file. Every call blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from dudzian_daemon.adapters.candle_files import MS
from dudzian_daemon.adapters.manifest import MonthFile
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.spans import Span, joined, within, without


class AuditedStore(Protocol):
    """What is asked of a store."""

    def files(self, series: Series) -> Sequence[MonthFile]: ...

    def live(self, series: Series) -> Sequence[Candle]: ...

    def read_month(self, file: MonthFile) -> Sequence[Candle]: ...

    def verify_month(self, file: MonthFile) -> None: ...


class SeriesAudit(msgspec.Struct, frozen=True):
    """`stored` are the bars that are there, in whole bars; `damaged` says what is wrong with a file, a line each."""

    series: Series
    stored: tuple[Span, ...]
    damaged: tuple[str, ...]

    @property
    def first_open(self) -> int | None:
        """Open of the oldest bar, ns; None if there is none."""
        return self.stored[0].start if self.stored else None

    @property
    def last_end(self) -> int | None:
        """End of the newest bar, ns; None if there is none."""
        return self.stored[-1].end if self.stored else None

    def rows(self, window: Span) -> int:
        """Bars that are there in the window."""
        return sum(span.length_ns for span in within(window, self.stored)) // self.series.step_ns

    def holes(self, window: Span, known: Iterable[Span] = ()) -> list[Span]:
        """Bars of the window that are not there and not `known` to be nowhere, oldest first. The window lies on the bars' grid."""
        return without(window, [*self.stored, *known])


def audited(store: AuditedStore, series: Series) -> SeriesAudit:
    """Look at all files of the series, checking the bytes of each."""
    runs: list[Span] = []
    damaged: list[str] = []
    for file in store.files(series):
        try:
            runs += _runs(store, series, file)
        except IntegrityError as error:
            damaged.append(str(error))
    try:
        runs += _spans(series, store.live(series))
    except IntegrityError as error:
        damaged.append(str(error))
    return SeriesAudit(series, tuple(joined(runs)), tuple(damaged))


def on_grid(series: Series, span: Span) -> Span:
    """The whole bars that lie in the span."""
    step = series.step_ns
    start = -(-span.start // step) * step
    return Span(start, max(start, span.end // step * step))


def iso_second(instant: int) -> str:
    """`2024-01-31T23:59:00Z` for ns since 1970."""
    return datetime.fromtimestamp(instant // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _runs(store: AuditedStore, series: Series, file: MonthFile) -> list[Span]:
    """A month without holes is told by its manifest row once its bytes are proved; another one is read."""
    whole = Span(file.first_ms * MS, file.last_ms * MS + series.step_ns)
    if file.rows == whole.length_ns // series.step_ns:
        store.verify_month(file)
        return [whole]
    return _spans(series, store.read_month(file))


def _spans(series: Series, candles: Iterable[Candle]) -> list[Span]:
    return [Span(candle.end - series.step_ns, candle.end) for candle in candles]
