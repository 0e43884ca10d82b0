"""Mean reversion: buy a close far below its mean, sell short one far above it, leave when it is back, too late or too wild.

z = (close - mean) / population deviation over the last `lookback` closes, the current one included
volatility = population deviation of the last `lookback` simple returns, per bar: it is never annualised here
volume = close * volume of the current candle, in the quote asset

Entry, flat, and volatility <= volatility_cap, and volume >= min_volume_usd:
    long at z <= -entry_zscore, short at z >= entry_zscore, each of `position_size`
Exit, any of, whatever the volume:
    |z| <= exit_zscore
    candles held >= max_holding_period
    volatility > 1.5 * volatility_cap
Confidence of an entry: |z| / (2 * entry_zscore), at most 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from dudzian_daemon.api.strategy import (
    Candle,
    CandleColumns,
    Intent,
    MarketView,
    Position,
    Protection,
    RealisedVolatility,
    RollingDeviation,
    Series,
    SeriesNeed,
    Signal,
    Turn,
    ZScore,
)

#: A position is left when volatility is this many times what an entry may have.
EXIT_VOLATILITY: Final = 1.5


class ReversionParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lookback and holding period are in candles, z-scores in deviations, the volatility cap is a ratio per bar.

    `min_volume_usd` is what one candle must have traded, in the quote asset; `position_size` is a fraction of the strategy's budget.
    """

    lookback: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 96
    entry_zscore: Annotated[float, msgspec.Meta(gt=0)] = 1.8
    exit_zscore: Annotated[float, msgspec.Meta(ge=0)] = 0.4
    max_holding_period: Annotated[int, msgspec.Meta(ge=1)] = 12
    volatility_cap: Annotated[float, msgspec.Meta(gt=0)] = 0.04
    min_volume_usd: Annotated[float, msgspec.Meta(ge=0)] = 100_000.0
    position_size: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1

    def __post_init__(self) -> None:
        if self.exit_zscore >= self.entry_zscore:
            msg = f"expected exit_zscore < entry_zscore, found {self.exit_zscore} >= {self.entry_zscore}"
            raise ValueError(msg)


class ReversionState(msgspec.Struct):
    """Indicators of one instrument and what its latest candle showed; `volume` is in the quote asset."""

    closes: ZScore
    volatility: RealisedVolatility
    close: float = 0.0
    volume: float = 0.0


class Reading(msgspec.Struct, frozen=True):
    """The numbers behind one decision; a window of equal closes has no z-score."""

    close: float
    mean: float
    zscore: float | None
    volatility: float
    volume: float


class MeanReversion:
    """One unit trades one instrument on one granularity."""

    Params = ReversionParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: ReversionParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The instrument's own candles; as many returns as closes need one candle more."""
        return (SeriesNeed(Series(instruments[0], granularity), self.params.lookback + 1),)

    def new_state(self) -> ReversionState:
        """Empty windows."""
        lookback = self.params.lookback
        return ReversionState(ZScore(RollingDeviation(lookback)), RealisedVolatility(RollingDeviation(lookback)))

    def on_candle(self, state: ReversionState, candle: Candle) -> None:
        """Advance both windows by one candle."""
        state.closes.push(candle.close)
        state.volatility.push(candle.close)
        state.close = candle.close
        traded = candle.close * candle.volume
        state.volume = traded if traded - traded == 0.0 else 0.0  # not a number: nothing was seen to trade

    def on_gap(self, state: ReversionState, series: Series, start: int, end: int) -> bool:
        """A hole in the candles makes both windows meaningless: start over."""
        return True

    def decide(self, state: ReversionState, view: MarketView) -> Sequence[Signal]:
        """At most one signal: an exit while in position, an entry while flat."""
        mean, volatility = state.closes.sample.mean, state.volatility.value
        if mean is None or volatility is None:
            return ()
        reading = Reading(state.close, mean, state.closes.value, volatility, state.volume)
        ((instrument, position),) = view.positions.items()
        if position.quantity:
            return self._exit(instrument, position, reading)
        return self._entry(instrument, reading)

    def signals_vectorised(self, candles: CandleColumns) -> Sequence[Turn]:
        """What `decide` says of all candles, for sweeps."""
        p = self.params
        distance, volatility = abs(candles.zscore(p.lookback)), candles.volatility(p.lookback)
        calm = (volatility <= p.volatility_cap) & (candles.close * candles.volume >= p.min_volume_usd)
        entries = ((distance >= p.entry_zscore) & calm)[candles.first :].nonzero()[0] + candles.first
        leaves = ((distance <= p.exit_zscore) | (volatility > EXIT_VOLATILITY * p.volatility_cap)).nonzero()[0]
        below = candles.zscore(p.lookback) < 0
        turns: list[Turn] = []
        place = 0
        while place < len(entries):
            entry = int(entries[place])
            turns.append(Turn(entry, Intent.ENTER, p.position_size if below[entry] else -p.position_size))
            left = int(leaves.searchsorted(entry + 1))
            leave = min(entry + p.max_holding_period, int(leaves[left]) if left < len(leaves) else len(candles.close))
            if leave >= len(candles.close):
                break
            turns.append(Turn(leave, Intent.EXIT))
            place = int(entries.searchsorted(leave + 1))
        return turns

    def _entry(self, instrument: str, reading: Reading) -> Sequence[Signal]:
        p, zscore = self.params, reading.zscore
        if zscore is None or abs(zscore) < p.entry_zscore:
            return ()
        if reading.volatility > p.volatility_cap or reading.volume < p.min_volume_usd:
            return ()
        return (
            Signal(
                instrument=instrument,
                intent=Intent.ENTER,
                reason="below_mean" if zscore < 0 else "above_mean",
                confidence=min(1.0, abs(zscore) / (2.0 * p.entry_zscore)),
                target=p.position_size if zscore < 0 else -p.position_size,
                protection=Protection.ZSCORE_EXIT,
                numbers=_numbers(reading, position=0.0),
            ),
        )

    def _exit(self, instrument: str, position: Position, reading: Reading) -> Sequence[Signal]:
        p = self.params
        if reading.zscore is not None and abs(reading.zscore) <= p.exit_zscore:
            reason = "zscore_returned"
        elif position.candles_held >= p.max_holding_period:
            reason = "held_too_long"
        elif reading.volatility > EXIT_VOLATILITY * p.volatility_cap:
            reason = "volatility_too_high"
        else:
            return ()
        side = 1.0 if position.quantity > 0 else -1.0
        numbers = _numbers(reading, position=side) | {"candles_held": float(position.candles_held)}
        return (Signal(instrument=instrument, intent=Intent.EXIT, reason=reason, protection=Protection.ZSCORE_EXIT, numbers=numbers),)


def _numbers(reading: Reading, *, position: float) -> dict[str, float]:
    numbers = {
        "close": reading.close,
        "mean": reading.mean,
        "volatility": reading.volatility,
        "volume_usd": reading.volume,
        "position": position,
    }
    return numbers if reading.zscore is None else numbers | {"zscore": reading.zscore}


PLUGIN = MeanReversion
