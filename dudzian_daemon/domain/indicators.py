"""Incremental indicators as plain state: O(1) per candle, exported into checkpoints, equal on every platform.

Sums are exact: each float is scaled by 2**80 into an integer, so a mean depends on the values in the window alone and
not on how long the process has been running. A value is None until its window is full.
"""

from __future__ import annotations

from typing import Final

import msgspec

_SCALE_BITS: Final = 80
_SCALE: Final = 2.0**_SCALE_BITS


class RollingMean(msgspec.Struct):
    """Simple mean of the last `window` values, correctly rounded."""

    window: int
    values: list[float] = []
    cursor: int = 0
    total: int = 0

    def push(self, value: float) -> None:
        """Take the next value (finite)."""
        self.total += int(value * _SCALE)
        if len(self.values) < self.window:
            self.values.append(value)
            return
        self.total -= int(self.values[self.cursor] * _SCALE)
        self.values[self.cursor] = value
        self.cursor = (self.cursor + 1) % self.window

    @property
    def value(self) -> float | None:
        """The mean, or None while the window fills."""
        if len(self.values) < self.window:
            return None
        return self.total / (self.window << _SCALE_BITS)


class RollingExtreme(msgspec.Struct):
    """Highest (`sign` 1.0) or lowest (`sign` -1.0) of the last `window` values, by a monotonic queue of candidates."""

    window: int
    sign: float
    candidates: list[tuple[int, float]] = []
    count: int = 0

    def push(self, value: float) -> None:
        """Take the next value (finite)."""
        scored = value * self.sign
        candidates = self.candidates
        while candidates and candidates[-1][1] <= scored:
            candidates.pop()
        candidates.append((self.count, scored))
        self.count += 1
        if candidates[0][0] < self.count - self.window:
            del candidates[0]

    @property
    def value(self) -> float | None:
        """The extreme, or None while the window fills."""
        if self.count < self.window:
            return None
        return self.candidates[0][1] * self.sign


class Lag(msgspec.Struct):
    """The value `distance` pushes before the latest one."""

    distance: int
    values: list[float] = []
    cursor: int = 0

    def push(self, value: float) -> None:
        """Take the next value."""
        if len(self.values) <= self.distance:
            self.values.append(value)
            return
        self.values[self.cursor] = value
        self.cursor = (self.cursor + 1) % (self.distance + 1)

    @property
    def value(self) -> float | None:
        """The lagged value, or None while there are fewer than `distance` + 1."""
        if len(self.values) <= self.distance:
            return None
        return self.values[self.cursor]


class AverageTrueRange(msgspec.Struct):
    """Simple mean of the true range (row B-03), not Wilder's smoothing; the first candle has no true range."""

    mean: RollingMean
    previous_close: float | None = None

    def push(self, high: float, low: float, close: float) -> None:
        """Take the next candle."""
        if self.previous_close is not None:
            self.mean.push(max(high - low, abs(high - self.previous_close), abs(low - self.previous_close)))
        self.previous_close = close

    @property
    def value(self) -> float | None:
        """The average true range in price units, or None while the window fills."""
        return self.mean.value
