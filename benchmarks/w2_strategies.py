"""The four strategies of W2 as plugins, each with a vectorised twin: units held after a bar's close, between 0 and 1 in tenths.

`Trend`: one unit while SMA(20) > SMA(50). `Reversion`: one unit from a z-score(48) below -2 until it is above 0. `Volatility`: 0.005 over
the deviation of the last 48 log returns, at most one unit, moved when it is off by 0.2 or more. `Breakout`: one unit from a close above
the highest high of the 48 bars before until one below the lowest low of the 24 bars before.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import msgspec

from dudzian_daemon.api.strategy import (
    Candle,
    CandleColumns,
    Intent,
    MarketView,
    RollingDeviation,
    RollingExtreme,
    RollingMean,
    Series,
    SeriesNeed,
    Signal,
    Turn,
)

#: Opening balance, in the quote asset. A target is worth half a lot more than the units it is for, and rounded down to the lot.
CASH = 1_000_000
HALF_A_LOT = 0.05
FAST, SLOW, WINDOW, SHORT = 20, 50, 48, 24
DEVIATIONS, VOLATILITY, STEP, LEAST = 2.0, 0.005, 0.2 - 1e-9, 1e-9
#: Of the integers that `RollingDeviation` sums.
SCALE_BITS = 80


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What they do is what W2 says."""


class Means(msgspec.Struct):
    """Of `Trend`."""

    fast: RollingMean
    slow: RollingMean
    close: float = 0.0


class Sample(msgspec.Struct):
    """Of closes or of returns."""

    sample: RollingDeviation
    close: float = 0.0


class Channel(msgspec.Struct):
    """Of `Breakout`: `upper` and `lower` are of the bars before the latest."""

    highest: RollingExtreme
    lowest: RollingExtreme
    upper: float | None = None
    lower: float | None = None
    close: float = 0.0


class Units(ABC):
    """A strategy that says how many units it wants; one of them trades one instrument."""

    Params = NoParams
    legs = 1
    takes_quotes = False
    warm_up: ClassVar[int]

    def __init__(self, params: NoParams | None = None) -> None:
        self.params = params or NoParams()

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The instrument's own candles."""
        return (SeriesNeed(Series(instruments[0], granularity), self.warm_up),)

    def on_gap(self, *_: object, **__: object) -> bool:
        """A hole makes every window meaningless: start over."""
        return True

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        """From the units held to the units wanted."""
        ((name, position),) = view.positions.items()
        held = position.quantity
        wanted = self.wanted(state, held)
        if wanted == held:
            return ()
        intent = _intent(held, wanted)
        return (Signal(instrument=name, intent=intent, reason="units", target=_target(intent, wanted, state.close)),)

    def signals_vectorised(self, candles: CandleColumns) -> Sequence[Turn]:
        """What `decide` says of all candles."""
        import numpy as np

        units = self.all_wanted(candles)
        units[: candles.first] = 0.0
        before = np.concatenate(([0.0], units[:-1]))
        turns = []
        for place in (units != before).nonzero()[0].tolist():
            intent = _intent(float(before[place]), float(units[place]))
            turns.append(Turn(place, intent, _target(intent, float(units[place]), float(candles.close[place]))))
        return turns

    @abstractmethod
    def new_state(self) -> Any:
        """Empty windows."""

    @abstractmethod
    def on_candle(self, state: Any, candle: Candle) -> None:
        """Advance by one candle."""

    @abstractmethod
    def wanted(self, state: Any, held: float) -> float:
        """Units, where all windows are full."""

    @abstractmethod
    def all_wanted(self, candles: CandleColumns) -> Any:
        """Units after each candle."""


class Trend(Units):
    """Two means."""

    warm_up = SLOW

    def new_state(self) -> Means:
        """Empty windows."""
        return Means(RollingMean(FAST), RollingMean(SLOW))

    def on_candle(self, state: Means, candle: Candle) -> None:
        """Advance both."""
        state.fast.push(candle.close)
        state.slow.push(candle.close)
        state.close = candle.close

    def wanted(self, state: Means, held: float) -> float:
        """In while the fast one is above."""
        fast, slow = state.fast.value, state.slow.value
        return held if fast is None or slow is None else float(fast > slow)

    def all_wanted(self, candles: CandleColumns) -> Any:
        """The same of all candles."""
        return (candles.mean(FAST) > candles.mean(SLOW)).astype(float)


class Reversion(Units):
    """A z-score."""

    warm_up = WINDOW

    def new_state(self) -> Sample:
        """An empty window."""
        return Sample(RollingDeviation(WINDOW))

    def on_candle(self, state: Sample, candle: Candle) -> None:
        """Advance by a close."""
        state.sample.push(candle.close)
        state.close = candle.close

    def wanted(self, state: Sample, held: float) -> float:
        """In far below the mean, out above it."""
        score = state.sample.zscore
        if score is None:
            return held
        return float(score <= 0.0) if held else float(score < -DEVIATIONS)

    def all_wanted(self, candles: CandleColumns) -> Any:
        """The same of all candles."""
        scores = candles.zscore(WINDOW)
        return _latched(scores < -DEVIATIONS, scores > 0.0)


class Volatility(Units):
    """A deviation of log returns."""

    warm_up = WINDOW + 1

    def new_state(self) -> Sample:
        """An empty window."""
        return Sample(RollingDeviation(WINDOW))

    def on_candle(self, state: Sample, candle: Candle) -> None:
        """Advance by a return."""
        if state.close:
            state.sample.push(math.log(candle.close / state.close))
        state.close = candle.close

    def wanted(self, state: Sample, held: float) -> float:
        """The target, once it is far enough from what is held."""
        return _sized(state.sample.value, held)

    def all_wanted(self, candles: CandleColumns) -> Any:
        """The same of all candles; what is held depends on what was, candle by candle."""
        import numpy as np

        deviations = _deviations([math.log(close / before) for before, close in pairwise(candles.close.tolist())], WINDOW)
        targets = np.floor(np.minimum(1.0, VOLATILITY / np.maximum(deviations, LEAST)) * 10.0 + 0.5) / 10.0
        held, units = 0.0, [0.0] * WINDOW
        for wanted in targets.tolist():
            if abs(wanted - held) >= STEP:
                held = wanted
            units.append(held)
        return np.array(units[: len(candles.close)])


class Breakout(Units):
    """A channel of highs and lows."""

    warm_up = WINDOW + 1

    def new_state(self) -> Channel:
        """An empty channel."""
        return Channel(RollingExtreme(WINDOW, 1.0), RollingExtreme(SHORT, -1.0))

    def on_candle(self, state: Channel, candle: Candle) -> None:
        """Advance by a candle."""
        state.upper, state.lower = state.highest.value, state.lowest.value
        state.highest.push(candle.high)
        state.lowest.push(candle.low)
        state.close = candle.close

    def wanted(self, state: Channel, held: float) -> float:
        """In above the channel, out below it."""
        if state.upper is None or state.lower is None:
            return held
        return float(state.close >= state.lower) if held else float(state.close > state.upper)

    def all_wanted(self, candles: CandleColumns) -> Any:
        """The same of all candles."""
        upper, lower = candles.lagged(candles.highest(WINDOW), 1), candles.lagged(candles.lowest(SHORT), 1)
        return _latched(candles.close > upper, (candles.close < lower) & (upper == upper))


STRATEGIES: dict[str, type[Units]] = {"trend": Trend, "meanrev": Reversion, "voltarget": Volatility, "breakout": Breakout}


def _intent(held: float, wanted: float) -> Intent:
    if not wanted:
        return Intent.EXIT
    return Intent.REBALANCE if held else Intent.ENTER


def _target(intent: Intent, wanted: float, close: float) -> float | None:
    return None if intent is Intent.EXIT else (wanted + HALF_A_LOT) * close / CASH


def _sized(deviation: float | None, held: float) -> float:
    """Units for a deviation of returns, or those held if they are near enough."""
    if deviation is None:
        return held
    wanted = math.floor(min(1.0, VOLATILITY / max(deviation, LEAST)) * 10.0 + 0.5) / 10.0
    return wanted if abs(wanted - held) >= STEP else held


def _latched(enter: Any, leave: Any) -> Any:
    """1 from where `enter` holds until `leave` does, which never hold at once."""
    import numpy as np

    last = np.where(enter | leave, np.arange(len(enter)), 0)
    return enter[np.maximum.accumulate(last)].astype(float)


def _deviations(values: list[float], window: int) -> Any:
    """Of each full window what `RollingDeviation` says, from the same exact sums."""
    import numpy as np

    scale = 2.0**SCALE_BITS
    scaled = np.array([int(value * scale) for value in values], dtype=object)
    sums, squares = (np.concatenate(([0], np.cumsum(each))) for each in (scaled, scaled * scaled))
    totals, totals_of_squares = (each[window:] - each[:-window] for each in (sums, squares))
    spread = window * totals_of_squares - totals * totals
    return np.sqrt(np.ldexp((spread / window**2).astype(float), -2 * SCALE_BITS))
