"""Closed candles of a running feed, before they are in a month file: one small file of lines per series and UTC day.

`<store>/_live/<venue>/<BASE_QUOTE>/<granularity>/YYYY-MM-DD.jsonl`; every line is chained to the one before by a digest and
synced before `append` returns. A line that a crash tore is cut off; any other damage is an `IntegrityError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_files import MS, Bars, by_month, content_of, folder_of
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import DAY_NS, Candle, Series

FOLDER: Final = "_live"
_DIGITS: Final = 16


class _Line(msgspec.Struct, frozen=True, array_like=True):
    digest: str
    source: str
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Tail(msgspec.Struct):
    """What an append has to know of a day file: its length in bytes, the last digest, and which bars are in it.

    `places` has a bit for each bar of the day: a set of their opens would grow to a tenth of a megabyte in the course of a day.
    """

    path: Path
    length: int
    digest: str
    places: int


class LiveDay(msgspec.Struct, frozen=True):
    """One day file: bars by open in ms as they were appended first, and who gave them."""

    path: Path
    bars: Bars
    sources: tuple[str, ...]
    last_digest: str


class LiveCandles:
    """The day files below a store's root. One process appends to a series; any may read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tails: dict[Series, _Tail] = {}

    def append(self, series: Series, candle: Candle, *, source: str) -> bool:
        """Add a closed candle, durably; False if its bar is there already, which then stays as it is.

        Raises `Permanent` for a candle that cannot be true.
        """
        ((_, bars),) = by_month(series, [candle]).items()
        ((open_ms, values),) = bars.items()
        path = self._path(series, open_ms * MS)
        tail = self._tail(series, path)
        place = _place(series, open_ms)
        if tail.places & place:
            return False
        line = _Line(_digest(tail.digest, source, open_ms, values), source, open_ms, *values)
        data = msgspec.json.encode(line) + b"\n"
        LineFile(path).append(data, sync=True)
        tail.places |= place
        tail.digest, tail.length = line.digest, tail.length + len(data)
        return True

    def _tail(self, series: Series, path: Path) -> _Tail:
        """The end of a day file: as this process left it, or read anew where its length is another. A torn line is cut off."""
        known = self._tails.get(series)
        if known is None or known.path != path or known.length != (path.stat().st_size if path.exists() else 0):
            LineFile(path).cut_torn_tail()
            day = self.day(path)
            length = path.stat().st_size if path.exists() else 0
            known = self._tails[series] = _Tail(path, length, day.last_digest, _places(series, day.bars))
        return known

    def days(self, series: Series) -> list[LiveDay]:
        """All day files of a series, oldest first."""
        folder = self._folder(series)
        return [self.day(path) for path in sorted(folder.glob("*.jsonl"))] if folder.is_dir() else []

    def bars(self, series: Series) -> Bars:
        """All bars of a series by open in ms."""
        return {at: values for day in self.days(series) for at, values in day.bars.items()}

    def series(self) -> Iterator[Series]:
        """Every series that has a day file."""
        for folder in sorted({path.parent for path in (self._root / FOLDER).glob("*/*/*/*.jsonl")}):
            venue, pair, granularity = folder.parts[-3:]
            yield Series(f"{venue}:{pair.replace('_', '/')}", granularity)

    @property
    def used(self) -> bool:
        """Whether there is any day file."""
        return next(self.series(), None) is not None

    def paths(self, series: Series) -> list[Path]:
        """The day files of a series, whatever is in them."""
        return sorted(self._folder(series).glob("*.jsonl"))

    def _folder(self, series: Series) -> Path:
        return folder_of(self._root / FOLDER, series)

    def _path(self, series: Series, opened: int) -> Path:
        from dudzian_daemon.adapters.series_audit import iso_second

        return self._folder(series) / f"{iso_second(opened // DAY_NS * DAY_NS)[:10]}.jsonl"

    def day(self, path: Path) -> LiveDay:
        """One day file. Raises `IntegrityError` naming the line that is not what was written."""
        digest, bars, sources = "", Bars(), set[str]()
        for number, line in enumerate((content_of(path) or b"").split(b"\n")[:-1], 1):
            try:
                found = msgspec.json.decode(line, type=_Line)
            except msgspec.DecodeError as error:
                raise _damaged(path, number, str(error)) from error
            values = (found.open, found.high, found.low, found.close, found.volume)
            digest = _digest(digest, found.source, found.open_ms, values)
            if digest != found.digest:
                raise _damaged(path, number, "its digest differs")
            bars.setdefault(found.open_ms, values)
            sources.add(found.source)
        return LiveDay(path, bars, tuple(sorted(sources)), digest)


def _place(series: Series, open_ms: int) -> int:
    """The bit of a bar in its day."""
    return 1 << open_ms * MS % DAY_NS // series.step_ns


def _places(series: Series, opens: Iterable[int]) -> int:
    """The bits of these bars (opens in ms)."""
    found = 0
    for open_ms in opens:
        found |= _place(series, open_ms)
    return found


def _digest(before: str, source: str, open_ms: int, values: tuple[float, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode([before, source, open_ms, *values])).hexdigest()[:_DIGITS]


def _damaged(path: Path, number: int, found: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is not what was written: line {number}, {found}; `dudzian backfill` moves it away and fetches its day again"
    )
