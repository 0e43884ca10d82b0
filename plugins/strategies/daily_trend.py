"""Trend following, long only: buy a breakout in a rising trend, leave on a trailing stop, a breakdown or a turned trend.

Entry, all on closed candles, the current one included unless said:
    close >= highest high of the previous `breakout_lookback` candles (the current one excluded)
    SMA(fast) / SMA(slow) - 1 >= min_trend_strength
    close / close[momentum_window candles ago] - 1 >= min_momentum
Exit, any of:
    SMA(fast) / SMA(slow) - 1 < 0
    close <= highest close since the entry - atr_multiplier * ATR(atr_window), ATR = simple mean of the true range
    close <= lowest low of the previous `breakout_lookback` candles
Confidence of an entry: 0.35 + 2 * (trend - min_trend_strength) + 1.5 * (momentum - min_momentum), kept in [0.1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from dudzian_daemon.api.strategy import (
    AverageTrueRange,
    Candle,
    CandleColumns,
    Intent,
    Lag,
    MarketView,
    Protection,
    RollingExtreme,
    RollingMean,
    Series,
    SeriesNeed,
    Signal,
    Turn,
)

Window = Annotated[int, msgspec.Meta(ge=1, le=10_000)]

#: No price: above it the sums of the windows are beyond a float.
BEYOND: Final = 1e280


class TrendParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Windows are in candles; strengths and momentum are ratios; `atr_multiplier` is in ATRs."""

    fast_ma: Window = 20
    slow_ma: Window = 100
    breakout_lookback: Window = 55
    momentum_window: Window = 20
    atr_window: Window = 14
    atr_multiplier: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    min_trend_strength: float = 0.005
    min_momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.fast_ma >= self.slow_ma:
            msg = f"expected fast_ma < slow_ma, found {self.fast_ma} >= {self.slow_ma}"
            raise ValueError(msg)


class TrendState(msgspec.Struct):
    """Indicators of one instrument; `breakout_high` and `breakout_low` are of the candles before the latest."""

    fast: RollingMean
    slow: RollingMean
    highest: RollingExtreme
    lowest: RollingExtreme
    lag: Lag
    atr: AverageTrueRange
    close: float = 0.0
    breakout_high: float | None = None
    breakout_low: float | None = None


class Reading(msgspec.Struct, frozen=True):
    """The numbers behind one decision."""

    close: float
    sma_fast: float
    sma_slow: float
    trend_strength: float
    momentum: float
    atr: float
    breakout_high: float
    breakout_low: float


class DailyTrend:
    """One unit trades one instrument on one granularity."""

    Params = TrendParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: TrendParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The instrument's own candles."""
        p = self.params
        warm_up = max(p.slow_ma, p.breakout_lookback + 1, p.momentum_window + 1, p.atr_window + 1)
        return (SeriesNeed(Series(instruments[0], granularity), warm_up),)

    def new_state(self) -> TrendState:
        """Empty windows."""
        p = self.params
        return TrendState(
            fast=RollingMean(p.fast_ma),
            slow=RollingMean(p.slow_ma),
            highest=RollingExtreme(p.breakout_lookback, 1.0),
            lowest=RollingExtreme(p.breakout_lookback, -1.0),
            lag=Lag(p.momentum_window),
            atr=AverageTrueRange(RollingMean(p.atr_window)),
        )

    def on_candle(self, state: TrendState, candle: Candle) -> None:
        """Advance every window by one candle; one with a price that is none makes all of them meaningless, as a hole does."""
        if not 0.0 < candle.low <= candle.close <= candle.high < BEYOND:
            fresh = self.new_state()
            for name in fresh.__struct_fields__:
                setattr(state, name, getattr(fresh, name))
            return
        state.breakout_high = state.highest.value
        state.breakout_low = state.lowest.value
        state.highest.push(candle.high)
        state.lowest.push(candle.low)
        state.fast.push(candle.close)
        state.slow.push(candle.close)
        state.lag.push(candle.close)
        state.atr.push(candle.high, candle.low, candle.close)
        state.close = candle.close

    def on_gap(self, state: TrendState, series: Series, start: int, end: int) -> bool:
        """A hole in the candles makes every window meaningless: start over."""
        return True

    def decide(self, state: TrendState, view: MarketView) -> Sequence[Signal]:
        """At most one signal: an exit while in position, an entry while flat."""
        reading = self._read(state)
        if reading is None:
            return ()
        ((instrument, position),) = view.positions.items()
        if position.quantity > 0:
            peak = max(position.highest_close, reading.close)
            return self._exit(instrument, reading, stop=peak - self.params.atr_multiplier * reading.atr)
        return self._entry(instrument, reading)

    def signals_vectorised(self, candles: CandleColumns) -> Sequence[Turn]:
        """What `decide` says of all candles, for sweeps."""
        p, close = self.params, candles.close
        trend = candles.mean(p.fast_ma) / candles.mean(p.slow_ma) - 1.0
        momentum = close / candles.lagged(close, p.momentum_window) - 1.0
        breakout_high = candles.lagged(candles.highest(p.breakout_lookback), 1)
        breakout_low = candles.lagged(candles.lowest(p.breakout_lookback), 1)
        strong = (trend - p.min_trend_strength >= 0) & (momentum - p.min_momentum >= 0)
        entries = (strong & (close >= breakout_high))[candles.first :].nonzero()[0] + candles.first
        leaves = ((trend < 0) | (close <= breakout_low)).nonzero()[0]
        turns: list[Turn] = []
        place = 0
        while place < len(entries):
            entry = int(entries[place])
            turns.append(Turn(entry, Intent.ENTER))
            left = int(leaves.searchsorted(entry + 1))
            leave = self._stopped(candles, entry + 1, int(leaves[left]) if left < len(leaves) else len(close))
            if leave >= len(close):
                break
            turns.append(Turn(leave, Intent.EXIT))
            place = int(entries.searchsorted(leave + 1))
        return turns

    def _stopped(self, candles: CandleColumns, held: int, end: int) -> int:
        """The candle at which the trailing stop of a position that is held from candle `held` on is reached, or `end`."""
        import numpy as np

        atr, multiplier, peak, block = candles.true_range_mean(self.params.atr_window), self.params.atr_multiplier, 0.0, 64
        while held < end:
            closes = candles.close[held : min(held + block, end)]
            peaks = np.maximum(np.maximum.accumulate(closes), peak)
            reached = (closes <= peaks - multiplier * atr[held : held + len(closes)]).nonzero()[0]
            if len(reached):
                return held + int(reached[0])
            held, peak, block = held + len(closes), float(peaks[-1]), 2 * block
        return end

    def _read(self, state: TrendState) -> Reading | None:
        fast, slow, lagged, atr = state.fast.value, state.slow.value, state.lag.value, state.atr.value
        high, low = state.breakout_high, state.breakout_low
        if fast is None or slow is None or lagged is None or atr is None or high is None or low is None or slow <= 0 or lagged <= 0:
            return None
        return Reading(state.close, fast, slow, fast / slow - 1.0, state.close / lagged - 1.0, atr, high, low)

    def _entry(self, instrument: str, reading: Reading) -> Sequence[Signal]:
        excess_trend = reading.trend_strength - self.params.min_trend_strength
        excess_momentum = reading.momentum - self.params.min_momentum
        if reading.close < reading.breakout_high or excess_trend < 0 or excess_momentum < 0:
            return ()
        stop = reading.close - self.params.atr_multiplier * reading.atr
        confidence = min(1.0, max(0.1, 0.35 + 2.0 * excess_trend + 1.5 * excess_momentum))
        return (
            Signal(
                instrument=instrument,
                intent=Intent.ENTER,
                reason="breakout",
                confidence=confidence,
                stop_price=stop,
                protection=Protection.STOP,
                numbers=_numbers(reading, stop, position=0.0),
            ),
        )

    def _exit(self, instrument: str, reading: Reading, stop: float) -> Sequence[Signal]:
        if reading.trend_strength < 0:
            reason = "trend_turned"
        elif reading.close <= stop:
            reason = "trailing_stop"
        elif reading.close <= reading.breakout_low:
            reason = "breakdown"
        else:
            return ()
        return (
            Signal(
                instrument=instrument,
                intent=Intent.EXIT,
                reason=reason,
                protection=Protection.STOP,
                stop_price=stop,
                numbers=_numbers(reading, stop, position=1.0),
            ),
        )


def _numbers(reading: Reading, stop: float, *, position: float) -> dict[str, float]:
    return {
        "close": reading.close,
        "sma_fast": reading.sma_fast,
        "sma_slow": reading.sma_slow,
        "trend_strength": reading.trend_strength,
        "momentum": reading.momentum,
        "atr": reading.atr,
        "breakout_high": reading.breakout_high,
        "breakout_low": reading.breakout_low,
        "stop_price": stop,
        "position": position,
    }


PLUGIN = DailyTrend
