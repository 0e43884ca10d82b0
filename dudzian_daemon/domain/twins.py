"""What a vectorised twin of a strategy gets and gives: all candles at once, every decision at once.

A twin (`signals_vectorised` of a strategy plugin) is for sweeps alone: it ranks, `decide` trades. It must decide what `decide` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from dudzian_daemon.domain.orders import Intent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]


class Turn(msgspec.Struct, frozen=True):
    """A decision at the close of candle number `candle`, which fills at the open of the next one; `target` as in `Signal`."""

    candle: int
    intent: Intent
    target: float | None = None


class CandleColumns(Protocol):
    """The candles of one series without a hole, oldest first, one number a candle; nothing is decided before candle number `first`.

    The indicators are those of the api, value for value, each after its candle and NaN where theirs is None.
    """

    first: int
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    volume: Numbers

    def lagged(self, values: Numbers, distance: int) -> Numbers:
        """The value `distance` candles before (`Lag`)."""
        ...

    def mean(self, window: int) -> Numbers:
        """Of the closes (`RollingMean`)."""
        ...

    def highest(self, window: int) -> Numbers:
        """Of the highs (`RollingExtreme`)."""
        ...

    def lowest(self, window: int) -> Numbers:
        """Of the lows (`RollingExtreme`)."""
        ...

    def true_range_mean(self, window: int) -> Numbers:
        """`AverageTrueRange`."""
        ...

    def zscore(self, window: int) -> Numbers:
        """Of the closes (`ZScore`)."""
        ...

    def volatility(self, window: int) -> Numbers:
        """Deviation of the last `window` returns, per bar (`RealisedVolatility`)."""
        ...


class Twin(Protocol):
    """A strategy of one instrument and one series that has one."""

    def signals_vectorised(self, candles: CandleColumns) -> Sequence[Turn]:
        """Every decision from `candles.first` on, flat at first, each entry filled at the next open. Raises nothing of its own."""
        ...
