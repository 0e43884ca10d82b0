"""Strategies as a plugin's author writes them: strict mypy accepts them as they are, with the public face alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dudzian_daemon.api.strategy import Candle, Intent, MarketView, Protection, RollingMean, Series, SeriesNeed, Signal, Strategy


class CrossParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Length of the mean in candles."""

    window: int = 50


class CrossState(msgspec.Struct):
    """The mean and the last close."""

    mean: RollingMean
    close: float = 0.0


class MeanCross:
    """Long above its mean, flat below."""

    Params = CrossParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: CrossParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return (SeriesNeed(Series(instruments[0], granularity), self.params.window),)

    def new_state(self) -> CrossState:
        return CrossState(RollingMean(self.params.window))

    def on_candle(self, state: CrossState, candle: Candle) -> None:
        state.mean.push(candle.close)
        state.close = candle.close

    def on_gap(self, state: CrossState, series: Series, start: int, end: int) -> bool:
        return True

    def decide(self, state: CrossState, view: MarketView) -> Sequence[Signal]:
        mean = state.mean.value
        if mean is None:
            return ()
        ((instrument, position),) = view.positions.items()
        if state.close > mean and not position.quantity:
            return [Signal(instrument=instrument, intent=Intent.ENTER, reason="above", stop_price=mean, protection=Protection.STOP)]
        if state.close < mean and position.quantity:
            return [Signal(instrument=instrument, intent=Intent.EXIT, reason="below")]
        return ()


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


class Halves:
    """Keeps half of its budget in each of two instruments; it needs no state."""

    Params = NoParams
    legs = 2
    takes_quotes = True

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return tuple(SeriesNeed(Series(instrument, granularity), 1) for instrument in instruments)

    def new_state(self) -> msgspec.Struct:
        return NoParams()

    def on_candle(self, state: msgspec.Struct, candle: Candle) -> None:
        return None

    def on_gap(self, state: msgspec.Struct, series: Series, start: int, end: int) -> bool:
        return False

    def decide(self, state: msgspec.Struct, view: MarketView) -> list[Signal]:
        fresh = all(view.age_ns(series) == 0 for series in view.candles)
        reason = "half each" if fresh else "half each, on older prices"
        return [Signal(instrument=instrument, intent=Intent.REBALANCE, reason=reason, target=0.5) for instrument in view.positions]


accepted: tuple[Strategy, ...] = (MeanCross(CrossParams()), Halves(NoParams()))
PLUGIN = MeanCross
