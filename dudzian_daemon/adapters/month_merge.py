"""New bars meet the month that is stored: what the month's file will hold then, and how that differs from what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from dudzian_daemon.adapters.candle_files import Bars, MonthKey
from dudzian_daemon.adapters.manifest import Manifest, MonthFile
from dudzian_daemon.adapters.month_files import MonthFiles
from dudzian_daemon.domain.errors import IntegrityError


class Merge(msgspec.Struct, frozen=True):
    """A month as it will be, and how it differs from what is stored."""

    key: MonthKey
    bars: Bars
    added: int
    revised: int
    unchanged: int
    stored: Bars


def merged(files: MonthFiles, manifest: Manifest, key: MonthKey, bars: Bars) -> Merge:
    """The month with these bars, of two for one place the new one. Raises `IntegrityError` for a damaged month that they do not cover."""
    stored = _stored(files, manifest, key, bars)
    added = len(bars.keys() - stored.keys())
    revised = sum(1 for at, values in bars.items() if stored.get(at, values) != values)
    return Merge(key, {**stored, **bars}, added, revised, len(bars) - added - revised, stored)


def replaced(merges: Sequence[Merge]) -> tuple[Bars, Bars]:
    """All bars of the months as they are stored, and as they will be."""
    before = {at: values for merge in merges for at, values in merge.stored.items()}
    return before, {at: values for merge in merges for at, values in merge.bars.items()}


def month_file(manifest: Manifest, merge: Merge, data: bytes, source: str) -> MonthFile:
    """The manifest's row for the month as `data` holds it."""
    series, year, month = merge.key
    before = manifest.current.get(merge.key)
    return MonthFile(
        instrument=series.instrument,
        granularity=series.granularity,
        year=year,
        month=month,
        rows=len(merge.bars),
        first_ms=min(merge.bars),
        last_ms=max(merge.bars),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        source="+".join(sorted({source, *(before.source.split("+") if before else ())})),
    )


def _stored(files: MonthFiles, manifest: Manifest, key: MonthKey, bars: Bars) -> Bars:
    try:
        columns = files.checked(manifest, key)
    except IntegrityError:
        claim = manifest.current.get(key)
        if claim is None or sum(claim.first_ms <= at <= claim.last_ms for at in bars) < claim.rows:
            raise
        return {}
    return {} if columns is None else {at: tuple(values) for at, *values in zip(*columns, strict=True)}
