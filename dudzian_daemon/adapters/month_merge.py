"""New bars meet the month that is stored: what the month's file will hold then, and how that differs from what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from dudzian_daemon.adapters.candle_files import NO_COLUMNS, Bars, Columns, MonthKey, bars_at, joined
from dudzian_daemon.adapters.manifest import Manifest, MonthFile
from dudzian_daemon.adapters.month_files import MonthFiles
from dudzian_daemon.domain.errors import IntegrityError


class Merge(msgspec.Struct, frozen=True):
    """A month as it will be, the new bars it is made with, and the stored values that give way to some of them."""

    key: MonthKey
    columns: Columns
    bars: Bars
    replaced: Bars
    added: int

    @property
    def changed(self) -> int:
        """New bars that make a difference."""
        return self.added + len(self.replaced)


def merged(files: MonthFiles, manifest: Manifest, key: MonthKey, bars: Bars) -> Merge:
    """The month with these bars, of two for one place the new one. Raises `IntegrityError` for a damaged month that they do not cover."""
    stored = _stored(files, manifest, key, bars)
    there = bars_at(stored, bars.keys())
    replaced = {at: values for at, values in there.items() if values != bars[at]}
    added = len(bars) - len(there)
    return Merge(key, joined(stored, bars) if added or replaced else stored, bars, replaced, added)


def replaced(merges: Sequence[Merge]) -> tuple[Bars, Bars]:
    """The values that give way in these months, and those they give way to."""
    before = {at: values for merge in merges for at, values in merge.replaced.items()}
    return before, {at: merge.bars[at] for merge in merges for at in merge.replaced}


def month_file(manifest: Manifest, merge: Merge, data: bytes, source: str) -> MonthFile:
    """The manifest's row for the month as `data` holds it."""
    series, year, month = merge.key
    before, times = manifest.current.get(merge.key), merge.columns[0]
    return MonthFile(
        instrument=series.instrument,
        granularity=series.granularity,
        year=year,
        month=month,
        rows=len(times),
        first_ms=times[0],
        last_ms=times[-1],
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        source="+".join(sorted({source, *(before.source.split("+") if before else ())})),
    )


def _stored(files: MonthFiles, manifest: Manifest, key: MonthKey, bars: Bars) -> Columns:
    try:
        columns = files.checked(manifest, key)
    except IntegrityError:
        claim = manifest.current.get(key)
        if claim is None or sum(claim.first_ms <= at <= claim.last_ms for at in bars) < claim.rows:
            raise
        return NO_COLUMNS
    return NO_COLUMNS if columns is None else columns
