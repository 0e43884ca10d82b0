"""Long while the fast simple mean of closes is above the slow one, flat otherwise: a user's plugin, for comparison with other engines.

`target` is the share of the budget an entry takes. It is sized at the close that decides and paid at the next open, fee
included, so what is left of 1 has to cover both: an entry that the account cannot pay is rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from dudzian_daemon.api.strategy import Candle, Intent, MarketView, RollingMean, Series, SeriesNeed, Signal


class CrossParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    fast: Annotated[int, msgspec.Meta(ge=1)] = 20
    slow: Annotated[int, msgspec.Meta(ge=2)] = 50
    target: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class CrossState(msgspec.Struct):
    fast: RollingMean
    slow: RollingMean


class SmaCross:
    Params = CrossParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: CrossParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return (SeriesNeed(Series(instruments[0], granularity), self.params.slow),)

    def new_state(self) -> CrossState:
        return CrossState(RollingMean(self.params.fast), RollingMean(self.params.slow))

    def on_candle(self, state: CrossState, candle: Candle) -> None:
        state.fast.push(candle.close)
        state.slow.push(candle.close)

    def on_gap(self, state: CrossState, series: Series, start: int, end: int) -> bool:
        return True

    def decide(self, state: CrossState, view: MarketView) -> Sequence[Signal]:
        fast, slow = state.fast.value, state.slow.value
        ((instrument, position),) = view.positions.items()
        if fast is None or slow is None or (position.quantity > 0) == (fast > slow):
            return ()
        numbers = {"fast": fast, "slow": slow}
        if position.quantity > 0:
            return (Signal(instrument=instrument, intent=Intent.EXIT, reason="below", numbers=numbers),)
        return (Signal(instrument=instrument, intent=Intent.ENTER, reason="above", target=self.params.target, numbers=numbers),)


PLUGIN = SmaCross
