"""Last prices of the instruments, and the rates that the prices of declared pairs convert other assets at."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import ONE, ZERO, from_float, quantise_down, reciprocal

#: Step of a conversion rate that is one divided by a mark.
RATE_STEP: Final = Decimal("0.000000000001")


class Mark(msgspec.Struct, frozen=True, gc=False):
    """Last price of an instrument and its instant."""

    price: Decimal
    instant: int


class Prices:
    """Single writer of marks and rates. `conversions` names for each further asset the instrument, against the valuation asset,
    whose mark converts it; until the first mark it is worth nothing.
    """

    def __init__(self, instruments: Mapping[str, Instrument], valuation_asset: str, conversions: Mapping[str, str]) -> None:
        self._instruments = instruments
        self._valuation_asset = valuation_asset
        self._converts = {key: asset for asset, key in conversions.items()}
        #: By instrument the latest price as the data gave it, and its instant (ns).
        self.last: dict[str, tuple[float, int]] = {}
        #: By asset what a unit is worth in the valuation asset.
        self.rates: dict[str, Decimal] = {valuation_asset: ONE}
        #: How many marks there were: what was worked out at the last prices holds as long as it stays the same.
        self.marks = 0
        self._exact: dict[str, Mark] = {}

    def last_quote(self, instrument: str) -> tuple[float, int] | None:
        """Latest price as the data gave it and its instant, None before the first."""
        return self.last.get(instrument)

    def last_price(self, instrument: str) -> Mark | None:
        """Latest price as exact money, None before the first."""
        mark = self._exact.get(instrument)
        if mark is None and (last := self.last.get(instrument)) is not None:
            mark = self._exact[instrument] = Mark(from_float(last[0]), last[1])
        return mark

    def rate(self, asset: str) -> Decimal:
        """What a unit of `asset` is worth in the valuation asset; 0 before the first mark of the pair that converts it."""
        return self.rates.get(asset, ZERO)

    def rate_of(self, instrument: str) -> Decimal:
        """The rate of the asset that the instrument is quoted in."""
        return self.rate(self._instruments[instrument].quote)

    def unit_value(self, instrument: str) -> Decimal:
        """What a unit is worth in the valuation asset at the last price; 0 before the first."""
        mark = self.last_price(instrument)
        return ZERO if mark is None else mark.price * self.rate_of(instrument)

    def mark(self, instrument: str, price: float, instant: int) -> None:
        """Take a price, and the rate that it makes."""
        self.last[instrument] = (price, instant)
        self._exact.pop(instrument, None)
        self.marks += 1
        if instrument in self._converts:
            self._convert(instrument, price)

    def restore(self, last: Mapping[str, tuple[float, int]], rates: Mapping[str, Decimal]) -> None:
        """Know these prices and rates and no others."""
        self.last, self.rates = dict(last), dict(rates)
        self._exact = {}
        self.marks += 1

    def _convert(self, instrument: str, price: float) -> None:
        asset, exact = self._converts[instrument], from_float(price)
        if exact > 0:
            inverse = self._instruments[instrument].base == self._valuation_asset
            self.rates[asset] = quantise_down(reciprocal(exact), RATE_STEP) if inverse else exact
