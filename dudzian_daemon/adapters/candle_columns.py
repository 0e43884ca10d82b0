"""Candles as columns, with the indicators of the api over all of them at once, value for value: numpy, the extra `research`.

Sums are made of the same scaled integers as those of `domain.indicators` (as Python integers, in arrays of objects), so means and
deviations are the same floats; what follows are single operations of IEEE 754. Each indicator is made once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import reduce
from importlib.util import find_spec
from operator import or_
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, Candle

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Wholes = npt.NDArray[np.int64]

T = TypeVar("T")

_SCALE_BITS: Final = 80
_SCALE: Final = 2.0**_SCALE_BITS


def require_numpy() -> None:
    """Raise `ConfigError` if it is not installed."""
    if find_spec("numpy") is None:
        msg = "--fast needs numpy, found none installed; install it with: pip install 'dudzian[research]', or leave --fast away"
        raise ConfigError(msg)


class Columns:
    """`domain.twins.CandleColumns` over these candles; `ends` are the ends of the bars (ns)."""

    def __init__(self, candles: Sequence[Candle], first: int = 0) -> None:
        import numpy as np

        self.first = first
        self.ends: Wholes = np.array([candle.end for candle in candles], dtype=np.int64)
        self.open: Numbers = np.array([candle.open for candle in candles])
        self.high: Numbers = np.array([candle.high for candle in candles])
        self.low: Numbers = np.array([candle.low for candle in candles])
        self.close: Numbers = np.array([candle.close for candle in candles])
        self.volume: Numbers = np.array([candle.volume for candle in candles])
        self._made: dict[tuple[str, int], Any] = {}

    def from_candle(self, first: int) -> Columns:
        """The same columns, indicators included, for a strategy that decides from candle number `first` on."""
        other = copy(self)
        other.first = first
        return other

    @property
    def day_ends(self) -> Wholes:
        """Numbers of the last candles of each UTC day; one that ends at midnight is of the day before."""
        import numpy as np

        def made() -> Wholes:
            days = (self.ends - 1) // DAY_NS
            return np.append(np.flatnonzero(np.diff(days)), len(days) - 1)

        return self._once("day_ends", 0, made)

    def lagged(self, values: Numbers, distance: int) -> Numbers:
        """The value `distance` candles before."""
        import numpy as np

        shifted = np.full(len(values), np.nan)
        if distance < len(values):
            shifted[distance:] = values[: len(values) - distance]
        return shifted

    def mean(self, window: int) -> Numbers:
        """Of the closes."""
        return self._once("mean", window, lambda: self._means("closes", window))

    def highest(self, window: int) -> Numbers:
        """Of the highs."""
        return self._once("highest", window, lambda: _extremes(self.high, window))

    def lowest(self, window: int) -> Numbers:
        """Of the lows."""
        return self._once("lowest", window, lambda: -_extremes(-self.low, window))

    def true_range_mean(self, window: int) -> Numbers:
        """Mean of the true ranges, which the first candle lacks."""
        import numpy as np

        return self._once("true_range_mean", window, lambda: np.concatenate(([np.nan], self._means("ranges", window)))[: len(self.close)])

    def zscore(self, window: int) -> Numbers:
        """Distance of the close from the mean of the closes in deviations; NaN where all are equal."""
        import numpy as np

        def made() -> Numbers:
            totals, spread = self._spread("closes", window)
            result = np.full(len(self.close), np.nan)
            if len(totals):
                distance = (window * self._scaled("closes")[window - 1 :] - totals).astype(float)
                with np.errstate(all="ignore"):
                    result[window - 1 :] = np.where(spread > 0, distance / np.sqrt(spread.astype(float)), np.nan)
            return result

        return self._once("zscore", window, made)

    def volatility(self, window: int) -> Numbers:
        """Population deviation of the last `window` returns."""
        import numpy as np

        def made() -> Numbers:
            _totals, spread = self._spread("returns", window)
            result = np.full(len(self.close), np.nan)
            if len(spread):
                result[window:] = np.sqrt(_quotients(spread, window**2, 2 * self._bits("returns")))
            return result

        return self._once("volatility", window, made)

    # -- sums of scaled integers ---------------------------------------------------------------------------------------

    def _once(self, name: str, window: int, make: Callable[[], T]) -> T:
        if (name, window) not in self._made:
            self._made[name, window] = make()
        found: T = self._made[name, window]
        return found

    def _values(self, name: str) -> Numbers:
        import numpy as np

        if name == "closes":
            return self.close
        before = self.close[:-1]
        if name == "returns":
            return self.close[1:] / before - 1.0
        high, low = self.high[1:], self.low[1:]
        return np.maximum(high - low, np.maximum(np.abs(high - before), np.abs(low - before)))

    def _scaled(self, name: str) -> npt.NDArray[np.object_]:
        return self._wholes(name)[0]

    def _bits(self, name: str) -> int:
        """The scaled values are whole multiples of 2 to the minus this."""
        return self._wholes(name)[1]

    def _wholes(self, name: str) -> tuple[npt.NDArray[np.object_], int]:
        """The scaled values without the zero bits that all of them end in, which changes no quotient, and how many bits are left."""
        import numpy as np

        def made() -> tuple[npt.NDArray[np.object_], int]:
            scaled = [int(value * _SCALE) for value in self._values(name).tolist()]
            common = reduce(or_, scaled, 0)
            zeros = min((common & -common).bit_length() - 1, _SCALE_BITS) if common else 0
            return np.array([value >> zeros for value in scaled], dtype=object), _SCALE_BITS - zeros

        return self._once(f"wholes {name}", 0, made)

    def _sums(self, name: str, power: int = 1) -> npt.NDArray[np.object_]:
        """Sums of the first 0, 1, 2, ... scaled values, or of their squares."""
        import numpy as np

        return self._once(f"sums {name}", power, lambda: np.concatenate(([0], np.cumsum(self._scaled(name) ** power))))

    def _means(self, name: str, window: int) -> Numbers:
        import numpy as np

        sums = self._sums(name)
        result = np.full(len(sums) - 1, np.nan)
        if window < len(sums):
            result[window - 1 :] = _quotients(sums[window:] - sums[:-window], window, self._bits(name))
        return result

    def _spread(self, name: str, window: int) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Of every full window the total, and the variance times window squared, both scaled."""
        sums, squares = self._sums(name), self._sums(name, 2)
        if window >= len(sums):
            return sums[:0], sums[:0]
        totals = sums[window:] - sums[:-window]
        return totals, window * (squares[window:] - squares[:-window]) - totals * totals


def _quotients(wholes: npt.NDArray[np.object_], divisor: int, bits: int) -> Numbers:
    """Each one over `divisor` times 2 to the `bits`, rounded once: Python's division rounds, a power of two does not."""
    import numpy as np

    rounded: Numbers = (wholes / divisor).astype(float)
    return np.ldexp(rounded, -bits)


def _extremes(values: Numbers, window: int) -> Numbers:
    """Highest of each full window: of two runs of maxima, forwards and backwards in blocks of the window, the higher one."""
    import numpy as np

    count = len(values)
    result = np.full(count, np.nan)
    if window > count:
        return result
    blocks = np.append(values, np.full(-count % window, -np.inf)).reshape(-1, window)
    forwards = np.maximum.accumulate(blocks, axis=1).ravel()
    backwards = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    result[window - 1 :] = np.maximum(backwards[: count - window + 1], forwards[window - 1 : count])
    return result
