"""Incremental indicators as plain state: O(1) per candle, exported into checkpoints, equal on every platform.

Sums are exact (to 2**-80): each float is scaled by 2**80 into an integer, so a mean depends on the values in the window alone and
not on how long the process has been running. A value is None until its window is full, which means "no decision".
What is pushed is finite; `RollingDeviation` and what is built on it, and `Ema`, take another number (told by
`value - value`) as the end of their history and fill their window anew.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from dudzian_daemon.domain.market import DAY_NS, GRANULARITIES

#: Markets that never close: a year is 365 days of 24 hours.
YEAR_NS: Final = 365 * DAY_NS

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
        values, cursor = self.values, self.cursor
        if len(values) < self.window:
            values.append(value)
            self.total += int(value * _SCALE)
            return
        self.total += int(value * _SCALE) - int(values[cursor] * _SCALE)
        values[cursor] = value
        self.cursor = (cursor + 1) % self.window

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
    """Simple mean of the true range, not Wilder's smoothing; the first candle has no true range."""

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


class RollingDeviation(msgspec.Struct):
    """Population mean, variance and standard deviation of the last `window` values; exactly 0 where all are equal.

    Sums of the scaled values and of their squares are exact; mean and variance are rounded once.
    """

    window: int
    values: list[float] = []
    cursor: int = 0
    total: int = 0
    squares: int = 0

    def push(self, value: float) -> None:
        """Take the next value; one that is not finite empties the window."""
        if value - value != 0.0:
            self.clear()
            return
        values, cursor, scaled = self.values, self.cursor, int(value * _SCALE)
        if len(values) < self.window:
            values.append(value)
            self.total += scaled
            self.squares += scaled * scaled
            return
        dropped = int(values[cursor] * _SCALE)
        self.total += scaled - dropped
        self.squares += (scaled - dropped) * (scaled + dropped)
        values[cursor] = value
        self.cursor = (cursor + 1) % self.window

    def clear(self) -> None:
        """Forget all values."""
        self.values = []
        self.cursor = self.total = self.squares = 0

    @property
    def mean(self) -> float | None:
        """The mean, or None while the window fills."""
        return self.total / (self.window << _SCALE_BITS) if len(self.values) == self.window else None

    @property
    def variance(self) -> float | None:
        """The mean squared distance from the mean, or None while the window fills."""
        return self._spread / (self.window**2 << 2 * _SCALE_BITS) if len(self.values) == self.window else None

    @property
    def value(self) -> float | None:
        """The standard deviation, or None while the window fills."""
        variance = self.variance
        return None if variance is None else math.sqrt(variance)

    @property
    def zscore(self) -> float | None:
        """Distance of the latest value from the mean in standard deviations; None while the window fills or when all are equal."""
        spread = self._spread
        if len(self.values) < self.window or spread == 0:
            return None
        return (self.window * int(self.values[self.cursor - 1] * _SCALE) - self.total) / math.sqrt(spread)

    @property
    def _spread(self) -> int:
        """Variance times window squared, scaled twice; never negative."""
        return self.window * self.squares - self.total * self.total


class ZScore(msgspec.Struct):
    """How many population standard deviations the latest value lies from the mean of the last `window` values, itself included."""

    sample: RollingDeviation

    def push(self, value: float) -> None:
        """Take the next value."""
        self.sample.push(value)

    @property
    def value(self) -> float | None:
        """The z-score, or None while the window fills and where all values are equal."""
        return self.sample.zscore


class RealisedVolatility(msgspec.Struct):
    """Population standard deviation of the last simple returns, as many as the window of `returns`; needs one close more."""

    returns: RollingDeviation
    previous_close: float | None = None

    def push(self, close: float) -> None:
        """Take the next close; one that is not finite and above 0 starts over."""
        if not 0.0 < close < math.inf:
            self.clear()
            return
        if self.previous_close is not None:
            self.returns.push(close / self.previous_close - 1.0)
        self.previous_close = close

    def clear(self) -> None:
        """Forget all closes."""
        self.returns.clear()
        self.previous_close = None

    @property
    def value(self) -> float | None:
        """The deviation of one bar's return as a ratio, or None while the window fills."""
        return self.returns.value

    def annualised(self, bars_per_year: float) -> float | None:
        """The deviation of a year's return: that of a bar times the square root of the bars in a year."""
        per_bar = self.returns.value
        return None if per_bar is None else per_bar * math.sqrt(bars_per_year)


class Ema(msgspec.Struct):
    """Exponential mean with factor 2 / (window + 1), seeded with the simple mean of the first `window` values.

    The window is that of `seed`. Unlike the others it remembers everything since its first value.
    """

    seed: RollingMean
    value: float | None = None

    def push(self, value: float) -> None:
        """Take the next value; one that is not finite starts over."""
        if value - value != 0.0:
            self.seed, self.value = RollingMean(self.seed.window), None
        elif self.value is None:
            self.seed.push(value)
            self.value = self.seed.value
        else:
            self.value += 2.0 / (self.seed.window + 1.0) * (value - self.value)


def bars_per_year(granularity: str) -> float:
    """How many bars a year of 365 days has. Raises `KeyError` for a granularity that is none."""
    return YEAR_NS / GRANULARITIES[granularity]
