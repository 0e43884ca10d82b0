"""Arbitrage of one symbol between a primary and a secondary venue: buy where it is cheap, sell short where it is dear, together.

Prices of a venue: its latest quote, or, without one that is fresh, the latest close moved by half of `assumed_spread` to each side.
mid = mean of the two venues' middle prices
Spread of a side:
    long_primary_short_secondary: (secondary bid - primary ask) / mid
    short_primary_long_secondary: (primary bid - secondary ask) / mid
Open, flat on both venues: the side whose spread is >= spread_entry, unless the older of the two prices is older than `max_age_seconds`.
Close, any of: the spread of the side that is open is <= spread_exit; it is open since `max_open_seconds`.
Confidence of an opening: spread / (2 * spread_entry), at most 1.

Both legs are one order group: all or none, equally large, unwound by the core when one of them fails. While one leg is
missing the strategy waits for the core to do that; after `max_open_seconds` it closes what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Final

import msgspec

from dudzian_daemon.api.strategy import (
    SECOND_NS,
    Candle,
    Intent,
    MarketView,
    Position,
    Protection,
    Series,
    SeriesNeed,
    Signal,
)

_END: Final = attrgetter("end")
LONG_PRIMARY: Final = "long_primary_short_secondary"
SHORT_PRIMARY: Final = "short_primary_long_secondary"

Spread = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class ArbitrageParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Spreads are ratios of the middle price; `position_size` of a leg is a fraction of the strategy's budget.

    A strategy sees no money: `max_notional` (a leg's, in the quote asset) goes with every signal, and the gate clips both legs to it.
    """

    spread_entry: Spread = 0.0015
    spread_exit: Spread = 0.0005
    max_notional: Annotated[float, msgspec.Meta(gt=0)] = 50_000.0
    max_open_seconds: Annotated[int, msgspec.Meta(ge=1)] = 120
    max_age_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    assumed_spread: Spread = 0.0002
    position_size: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1

    def __post_init__(self) -> None:
        if self.spread_exit >= self.spread_entry:
            msg = f"expected spread_exit < spread_entry, found {self.spread_exit} >= {self.spread_entry}"
            raise ValueError(msg)


class ArbitrageState(msgspec.Struct):
    """Nothing: prices, and what is open since when, are in the view."""


class Side(msgspec.Struct, frozen=True):
    """What a venue shows, and since when (ns)."""

    bid: float
    ask: float
    instant: int

    @property
    def middle(self) -> float:
        return (self.bid + self.ask) / 2.0


class Reading(msgspec.Struct, frozen=True):
    """Both venues side by side."""

    primary: Side
    secondary: Side
    middle: float
    now: int

    def spread(self, side: str) -> float:
        """What opening `side` would earn, as a ratio of the middle price."""
        sold, bought = (self.secondary, self.primary) if side == LONG_PRIMARY else (self.primary, self.secondary)
        return (sold.bid - bought.ask) / self.middle

    @property
    def age_seconds(self) -> float:
        """Age of the older price."""
        return (self.now - min(self.primary.instant, self.secondary.instant)) / SECOND_NS


class CrossExchangeArbitrage:
    """One unit trades one symbol on two venues; its instruments are (primary, secondary)."""

    Params = ArbitrageParams
    legs = 2
    takes_quotes = True

    def __init__(self, params: ArbitrageParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The candles of both venues; one of each is enough to compare."""
        return tuple(SeriesNeed(Series(instrument, granularity), 1) for instrument in instruments)

    def new_state(self) -> ArbitrageState:
        """Nothing to remember."""
        return ArbitrageState()

    def on_candle(self, state: ArbitrageState, candle: Candle) -> None:
        """The view brings the latest candle; nothing is carried on."""

    def on_gap(self, state: ArbitrageState, series: Series, start: int, end: int) -> bool:
        """No window is broken by a hole, and what is open must still be closed: keep going; old prices open nothing."""
        return False

    def decide(self, state: ArbitrageState, view: MarketView) -> Sequence[Signal]:
        """The two legs of an opening or of a closing, or nothing."""
        reading = self._read(view)
        if reading is None:
            return ()
        held = [position for position in view.positions.values() if position.quantity]
        return self._close(view, held, reading) if held else self._open(view, reading)

    def _read(self, view: MarketView) -> Reading | None:
        sides = [self._side(view, instrument) for instrument in view.positions]
        shown = [side for side in sides if side is not None and side.middle > 0]
        if len(shown) < self.legs:
            return None
        primary, secondary = shown
        return Reading(primary, secondary, (primary.middle + secondary.middle) / 2.0, view.instant)

    def _side(self, view: MarketView, instrument: str) -> Side | None:
        quote = view.quotes.get(instrument)
        shown = None if quote is None else Side(quote.bid, quote.ask, quote.instant - quote.age_ns)
        candle = max([each for each in view.candles.values() if each.instrument == instrument], key=_END, default=None)
        if candle is None or (shown is not None and view.instant - shown.instant <= self.params.max_age_seconds * SECOND_NS):
            return shown
        half = self.params.assumed_spread / 2.0
        close = Side(candle.close * (1.0 - half), candle.close * (1.0 + half), candle.end)
        return close if shown is None or close.instant > shown.instant else shown

    def _open(self, view: MarketView, reading: Reading) -> Sequence[Signal]:
        p = self.params
        side = max(LONG_PRIMARY, SHORT_PRIMARY, key=reading.spread)
        spread = reading.spread(side)
        if not spread >= p.spread_entry or reading.age_seconds > p.max_age_seconds:
            return ()
        size = p.position_size if side == LONG_PRIMARY else -p.position_size
        numbers = self._numbers(reading, spread)
        confidence = min(1.0, spread / (2.0 * p.spread_entry))
        group = next(iter(view.positions))
        return [
            Signal(
                instrument=instrument,
                intent=Intent.ENTER,
                reason=side,
                confidence=confidence,
                target=target,
                protection=Protection.HEDGED,
                numbers=numbers,
                group=group,
            )
            for instrument, target in zip(view.positions, (size, -size), strict=True)
        ]

    def _close(self, view: MarketView, held: Sequence[Position], reading: Reading) -> Sequence[Signal]:
        p = self.params
        primary, secondary = view.positions.values()
        side = LONG_PRIMARY if primary.quantity > 0 or secondary.quantity < 0 else SHORT_PRIMARY
        spread = reading.spread(side)
        open_ns = view.instant - min(position.entry_instant for position in held)
        shut = len(held) == self.legs and spread <= p.spread_exit
        if not shut and open_ns < p.max_open_seconds * SECOND_NS:
            return ()
        numbers = self._numbers(reading, spread) | {"open_seconds": open_ns / SECOND_NS}
        if len(held) == self.legs:
            numbers["entry_spread"] = _entry_spread(primary, secondary)
        group = next(iter(view.positions))
        return [
            Signal(
                instrument=instrument,
                intent=Intent.EXIT,
                reason=f"close_{side}",
                protection=Protection.HEDGED,
                numbers=numbers,
                group=group,
            )
            for instrument, position in view.positions.items()
            if position.quantity
        ]

    def _numbers(self, reading: Reading, spread: float) -> dict[str, float]:
        return {
            "spread": spread,
            "primary_bid": reading.primary.bid,
            "primary_ask": reading.primary.ask,
            "secondary_bid": reading.secondary.bid,
            "secondary_ask": reading.secondary.ask,
            "age_seconds": reading.age_seconds,
            "secondary_delay_ms": (reading.primary.instant - reading.secondary.instant) / 1_000_000,
            "max_notional": self.params.max_notional,
        }


def _entry_spread(primary: Position, secondary: Position) -> float:
    """What the fills of both legs have locked in, as a ratio of their mean price."""
    locked = secondary.entry_price - primary.entry_price
    return (locked if primary.quantity > 0 else -locked) / ((primary.entry_price + secondary.entry_price) / 2.0)


PLUGIN = CrossExchangeArbitrage
