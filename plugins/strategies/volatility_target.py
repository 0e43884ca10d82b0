"""Volatility target: hold so much that the position's volatility is the wanted one, and trade only when it is off by enough.

realised = population deviation of the last `lookback` simple returns * sqrt(bars in a year of 365 days)
target = target_volatility / max(realised, floor_volatility), kept in [min_allocation, max_allocation]
current = allocation of the last fill * close / close it was sized at
Signal `rebalance` to target when |target - current| / target >= rebalance_threshold; long only.
Confidence: |target - current| / target, kept in [0.1, 1].

Allocations are fractions of the strategy's budget, which a strategy never sees. It therefore remembers what it asked for,
and takes that as held only once the position facts show another quantity: a refused signal moves nothing and
the next candle asks again. A change nobody asked for, such as a forced reduction, scales the allocation with the
quantity; flat is 0. What a limit clipped counts as asked for, and the drift of the budget itself is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from dudzian_daemon.api.strategy import (
    Candle,
    Intent,
    MarketView,
    Protection,
    RealisedVolatility,
    RollingDeviation,
    Series,
    SeriesNeed,
    Signal,
    bars_per_year,
)

Allocation = Annotated[float, msgspec.Meta(gt=0, le=10)]


class TargetParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Volatilities are ratios a year, the lookback is in returns, allocations are fractions of the strategy's budget."""

    target_volatility: Annotated[float, msgspec.Meta(gt=0)] = 0.10
    lookback: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 60
    rebalance_threshold: Annotated[float, msgspec.Meta(ge=0)] = 0.1
    min_allocation: Allocation = 0.1
    max_allocation: Allocation = 1.0
    floor_volatility: Annotated[float, msgspec.Meta(gt=0)] = 0.02

    def __post_init__(self) -> None:
        if self.min_allocation > self.max_allocation:
            msg = f"expected min_allocation <= max_allocation, found {self.min_allocation} > {self.max_allocation}"
            raise ValueError(msg)


class Sizing(msgspec.Struct, frozen=True):
    """An allocation and the close it was sized at."""

    allocation: float
    close: float

    def at(self, close: float) -> float:
        """What the allocation has become at `close`."""
        return self.allocation * close / self.close


class TargetState(msgspec.Struct):
    """The returns of one instrument, what was asked for since the last fill, and what the position of `quantity` amounts to.

    `held` is None while flat, and for a position whose allocation is not known.
    """

    volatility: RealisedVolatility
    close: float = 0.0
    bars_per_year: float = 0.0
    asked: Sizing | None = None
    held: Sizing | None = None
    quantity: float = 0.0


class VolatilityTarget:
    """One unit trades one instrument on one granularity."""

    Params = TargetParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: TargetParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The instrument's own candles; a return takes two."""
        return (SeriesNeed(Series(instruments[0], granularity), self.params.lookback + 1),)

    def new_state(self) -> TargetState:
        """An empty window, and nothing known of a position."""
        return TargetState(RealisedVolatility(RollingDeviation(self.params.lookback)))

    def on_candle(self, state: TargetState, candle: Candle) -> None:
        """Advance the returns by one candle."""
        state.volatility.push(candle.close)
        state.close = candle.close
        state.bars_per_year = bars_per_year(candle.granularity)

    def on_gap(self, state: TargetState, series: Series, start: int, end: int) -> bool:
        """A hole in the candles ends the returns; the allocation is still held, so the state is kept."""
        state.volatility.clear()
        return False

    def decide(self, state: TargetState, view: MarketView) -> Sequence[Signal]:
        """At most one signal: a rebalance."""
        ((instrument, position),) = view.positions.items()
        _take_fills(state, position.quantity)
        realised = state.volatility.annualised(state.bars_per_year)
        return () if realised is None else self._rebalance(instrument, state, realised)

    def _rebalance(self, instrument: str, state: TargetState, realised: float) -> Sequence[Signal]:
        p = self.params
        target = min(p.max_allocation, max(p.min_allocation, p.target_volatility / max(realised, p.floor_volatility)))
        current = 0.0 if state.held is None else state.held.at(state.close)
        off = abs(target - current) / target
        if off < p.rebalance_threshold:
            state.asked = None  # what was refused before is no longer wanted
            return ()
        state.asked = Sizing(target, state.close)
        return (
            Signal(
                instrument=instrument,
                intent=Intent.REBALANCE,
                reason="allocation_off_target",
                confidence=min(1.0, max(0.1, off)),
                target=target,
                protection=Protection.REBALANCE,
                numbers={
                    "close": state.close,
                    "target_allocation": target,
                    "current_allocation": current,
                    "realized_volatility": realised,
                    "target_volatility": p.target_volatility,
                },
            ),
        )


def _take_fills(state: TargetState, quantity: float) -> None:
    """Move what is held, if and only if the position has changed since the last decision."""
    if quantity == state.quantity:
        return
    if not quantity:
        state.asked = state.held = None
    elif state.asked is not None:
        state.held, state.asked = state.asked, None
    elif state.held is not None:
        state.held = Sizing(state.held.allocation * quantity / state.quantity, state.held.close)
    state.quantity = quantity


PLUGIN = VolatilityTarget
