"""Judges the candle rows of a venue: what may be believed becomes a candle, everything else is refused with its reason.

The venue's clock decides what is closed. Rows that are still forming are left out without a word: every venue sends one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.market import Candle, Series

_MS_NS: Final = 1_000_000
_FIELDS: Final = 6


class RowFault(StrEnum):
    """Why a row is no candle of the series."""

    MALFORMED = "malformed"
    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    HIGH_LOW = "high_low"
    OFF_GRID = "off_grid"
    INTERVAL = "interval"
    FUTURE = "future"
    DUPLICATE = "duplicate"
    CONTRADICTION = "contradiction"


class RefusedRow(msgspec.Struct, frozen=True):
    """A row as it came, in text, and what is wrong with it."""

    fault: RowFault
    row: str


class Judged(msgspec.Struct, frozen=True):
    """Sound candles, oldest first, none twice; and what was refused."""

    candles: list[Candle]
    refused: list[RefusedRow]

    @property
    def faults(self) -> Counter[str]:
        """How many rows were refused, by reason."""
        return Counter(str(each.fault) for each in self.refused)


def judge_rows(rows: Iterable[Any], series: Series, since_ns: int, until_ns: int, now_ns: int) -> Judged:
    """The closed candles of rows [start in ms, open, high, low, close, volume] that lie in [`since_ns`, `until_ns`).

    Two different rows of one start are both refused: nobody can say which one is true, and asking again may.
    """
    candles: dict[int, Candle] = {}
    refused: list[RefusedRow] = []
    contradicted: set[int] = set()
    rows = list(rows)
    whole = _other_interval(rows, series.step_ns)
    for row in rows:
        fault = RowFault.INTERVAL if whole else _fault(row, series.step_ns, now_ns)
        if fault is not None:
            refused.append(RefusedRow(fault, repr(row)[:200]))
            continue
        candle = _candle(row, series)
        start = candle.end - series.step_ns
        if start < since_ns or candle.end > until_ns or candle.end > now_ns:
            continue
        known = candles.setdefault(candle.end, candle)
        if known is not candle:
            same = known == candle
            refused.append(RefusedRow(RowFault.DUPLICATE if same else RowFault.CONTRADICTION, repr(row)[:200]))
            if not same:
                contradicted.add(candle.end)
    return Judged([candles[end] for end in sorted(candles) if end not in contradicted], refused)


def _fault(row: Any, step_ns: int, now_ns: int) -> RowFault | None:
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) < _FIELDS or type(row[0]) is not int:
        return RowFault.MALFORMED
    values = row[1:_FIELDS]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return RowFault.MALFORMED
    if not all(isfinite(value) for value in values):
        return RowFault.NOT_FINITE
    opened, high, low, closed, volume = values
    if min(opened, high, low, closed) <= 0 or volume < 0:
        return RowFault.NOT_POSITIVE
    if high < max(opened, closed, low) or low > min(opened, closed):
        return RowFault.HIGH_LOW
    start = row[0] * _MS_NS
    if start % step_ns:
        return RowFault.OFF_GRID
    return RowFault.FUTURE if start > now_ns else None


def _other_interval(rows: Sequence[Any], step_ns: int) -> bool:
    """Most rows follow each other faster than the series does: candles of another length, some of which lie on our grid by chance."""
    starts = sorted({row[0] * _MS_NS for row in rows if isinstance(row, Sequence) and row and type(row[0]) is int})
    steps = [after - before for before, after in pairwise(starts)]
    return len(steps) > 1 and sum(step < step_ns for step in steps) * 2 > len(steps)


def _candle(row: Sequence[Any], series: Series) -> Candle:
    end = row[0] * _MS_NS + series.step_ns
    opened, high, low, closed, volume = (float(value) for value in row[1:_FIELDS])
    return Candle(end, series.instrument, series.granularity, end, opened, high, low, closed, volume)
