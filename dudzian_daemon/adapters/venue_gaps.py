"""What a venue said it has no candles of, by series: the time before a listing, an outage, the end of a market.

One JSON file beside the manifest, under a digest of its own, so that a backfill does not ask again and a coverage report
tells a hole at the venue from one in the store. Deleting the file is safe: the next backfill asks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_files import MS, content_of
from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import Series
from dudzian_daemon.domain.spans import Span, joined

FILE_NAME: Final = "venue_gaps.json"

#: By `instrument granularity`: pairs of first open and end, in ms.
_Rows = dict[str, list[tuple[int, int]]]


class _File(msgspec.Struct, frozen=True):
    sha256: str
    series: _Rows


def load_venue_gaps(root: Path) -> dict[Series, list[Span]]:
    """What the venue lacks of each series, oldest first; empty without the file. Raises `IntegrityError` if it was altered."""
    path = root / FILE_NAME
    data = content_of(path)
    if data is None:
        return {}
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.DecodeError as error:
        raise _damaged(path, str(error)) from error
    if file.sha256 != _digest(file.series):
        raise _damaged(path, "its digest differs")
    return {Series(*name.split(" ", 1)): [Span(start * MS, end * MS) for start, end in rows] for name, rows in file.series.items()}


def add_venue_gaps(root: Path, more: Mapping[Series, Iterable[Span]]) -> None:
    """Remember more of them, durably; nothing is written when all were known."""
    known = load_venue_gaps(root)
    _write(root, known, {**known, **{series: joined([*known.get(series, ()), *spans]) for series, spans in more.items()}})


def forget_venue_gaps(root: Path, series: Iterable[Series]) -> None:
    """Forget those of `series`, so that the next backfill asks the venue again."""
    known, gone = load_venue_gaps(root), set(series)
    _write(root, known, {each: spans for each, spans in known.items() if each not in gone})


def _write(root: Path, before: Mapping[Series, list[Span]], after: Mapping[Series, list[Span]]) -> None:
    if after == before:
        return
    rows: _Rows = {
        f"{series.instrument} {series.granularity}": [(span.start // MS, span.end // MS) for span in after[series]]
        for series in sorted(after)
        if after[series]
    }
    ensure_dir(root)
    write_atomic(root / FILE_NAME, msgspec.json.encode(_File(_digest(rows), rows)) + b"\n")


def _digest(rows: _Rows) -> str:
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()


def _damaged(path: Path, found: str) -> IntegrityError:
    return IntegrityError(f"{path} is not what was written ({found}): delete it; the next `dudzian backfill` asks the venue again")
