"""The strategy of W1 as a plugin: long one unit while the fast mean of the closes is above the slow one; with a vectorised twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from dudzian_daemon.api.strategy import Candle, CandleColumns, Intent, MarketView, RollingMean, Series, SeriesNeed, Signal, Turn

#: Opening balance of W1, in the quote asset.
CASH = 1_000_000
#: Units' worth of the equity that an entry asks for: one unit once it is rounded down to the lot.
UNITS = 1.5
Window = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class CrossParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Windows in candles."""

    fast: Window = 20
    slow: Window = 50

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            msg = f"expected fast < slow, found {self.fast} >= {self.slow}"
            raise ValueError(msg)


class CrossState(msgspec.Struct):
    """The two means and the latest close."""

    fast: RollingMean
    slow: RollingMean
    close: float = 0.0


class SmaCross:
    """One unit trades one instrument."""

    Params = CrossParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: CrossParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The instrument's own candles."""
        return (SeriesNeed(Series(instruments[0], granularity), self.params.slow),)

    def new_state(self) -> CrossState:
        """Empty windows."""
        return CrossState(RollingMean(self.params.fast), RollingMean(self.params.slow))

    def on_candle(self, state: CrossState, candle: Candle) -> None:
        """Advance both windows by one candle."""
        state.fast.push(candle.close)
        state.slow.push(candle.close)
        state.close = candle.close

    def on_gap(self, *_: object, **__: object) -> bool:
        """A hole makes both windows meaningless: start over."""
        return True

    def decide(self, state: CrossState, view: MarketView) -> Sequence[Signal]:
        """In while the fast mean is above, out while it is not."""
        fast, slow = state.fast.value, state.slow.value
        ((name, position),) = view.positions.items()
        if fast is None or slow is None or (position.quantity > 0) == (fast > slow):
            return ()
        if position.quantity > 0:
            return (Signal(instrument=name, intent=Intent.EXIT, reason="below"),)
        return (Signal(instrument=name, intent=Intent.ENTER, reason="above", target=UNITS * state.close / CASH),)

    def signals_vectorised(self, candles: CandleColumns) -> Sequence[Turn]:
        """What `decide` says of all candles."""
        above = candles.mean(self.params.fast) > candles.mean(self.params.slow)
        above[: candles.first] = False
        changes = (above[1:] != above[:-1]).nonzero()[0] + 1
        places = [0, *changes.tolist()] if len(above) and above[0] else changes.tolist()
        targets = (UNITS * candles.close[places] / CASH).tolist() if places else []
        return [
            Turn(candle, Intent.EXIT) if number % 2 else Turn(candle, Intent.ENTER, target)
            for number, (candle, target) in enumerate(zip(places, targets, strict=True))
        ]


PLUGIN = SmaCross
