"""Controls of single orders: is it well formed, is there a fresh price to judge it by, could it be a slip of the hand?

They answer whatever the limits on positions are. Closing orders of the core's own pass all but the first two questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.fills import unsound
from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import BPS, ZERO
from dudzian_daemon.domain.orders import MARKET_TERMS, OrderGroup, OrderKind, OrderLeg, OrderTerms, Protection, RefusalCode, Side
from dudzian_daemon.domain.risk import RiskLimits
from dudzian_daemon.domain.sizing import stop_distance, stop_fault
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.limits import Cap, refusal
from dudzian_daemon.trading.prices import Mark
from dudzian_daemon.trading.reservations import Reservations
from dudzian_daemon.trading.spec import SessionSpec

#: Numbers beyond these are no orders but accidents, and would not fit the exact arithmetic.
LARGEST_NUMBER: Final = Decimal(10**15)
MOST_DECIMALS: Final = 18
_PRICES: Final = ("limit_price", "stop_price", "trail")


class PreTrade:
    """Reads ledger and reservations; its own state is which prices were lost.

    `reference_ages` says by instrument how old (ns) a price may be that an opening order is judged by.
    """

    def __init__(self, spec: SessionSpec, ledger: Ledger, reservations: Reservations, reference_ages: Mapping[str, int]) -> None:
        self._instruments = spec.instruments
        self._controls = spec.controls
        self._ledger = ledger
        self._reservations = reservations
        self._ages = reference_ages
        #: Instruments whose latest price was no price, and since when (ns).
        self.lost: dict[str, int] = {}

    def malformed(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        """What no order may be: of an unknown instrument, with numbers that are none, off the grid, or with terms that do not fit."""
        instrument = self._instruments.get(leg.instrument)
        if instrument is None:
            return refusal(RefusalCode.UNKNOWN_INSTRUMENT)
        if not _usable(leg.quantity, least=ZERO):
            return refusal(RefusalCode.INVALID_ORDER, rule="quantity")
        fault = None if leg.terms is MARKET_TERMS else _ill_termed(group, leg, instrument)
        if fault is not None:
            return fault
        if group.whole and leg.quantity % instrument.lot_size:
            return refusal(RefusalCode.OFF_LOT, instrument.lot_size, leg.quantity, rule="lot_size")
        return refusal(RefusalCode.INVALID_ORDER, rule="link") if group.link and not _hangs_together(group) else None

    def unpriced(self, leg: OrderLeg) -> Cap | None:
        """No order without a positive, finite price to judge it by."""
        mark = self._mark(leg.instrument)
        if mark is None or mark.price <= 0 or not self._ledger.prices.rate_of(leg.instrument):
            return refusal(RefusalCode.NO_REFERENCE_PRICE)
        return None

    def stale(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        """No opening order on an old reference price."""
        mark, allowed = self._mark(leg.instrument), self._ages.get(leg.instrument, self._controls.max_reference_age_ns)
        age = 0 if mark is None else group.instant - mark.instant
        return refusal(RefusalCode.STALE_DATA, Decimal(allowed), Decimal(age), rule="max_reference_age") if age > allowed else None

    def unprotected(self, leg: OrderLeg, limits: RiskLimits) -> Cap | None:
        """What declares a stop must carry one that is far enough away."""
        if leg.protection is not Protection.STOP:
            return None
        price = self.price(leg)
        fault = stop_fault(leg.side, price, leg.protective_stop, leg.atr, limits.stop_loss_atr_multiple)
        if fault is None:
            return None
        distance = ZERO if leg.protective_stop is None else stop_distance(leg.side, price, leg.protective_stop)
        return refusal(fault, limits.stop_loss_atr_multiple * (leg.atr or ZERO), distance, rule="stop_loss_atr_multiple")

    def collared(self, leg: OrderLeg) -> Cap | None:
        """No price further from the reference than the collar; a trailing distance is no larger than it."""
        if leg.terms is MARKET_TERMS:
            return None
        reference = self._reference(leg.instrument).price
        limit = reference * self._controls.price_collar_bps * BPS
        for name in _PRICES:
            value: Decimal | None = getattr(leg.terms, name)
            distance = ZERO if value is None else value if name == "trail" else abs(value - reference)
            if distance > limit:
                return refusal(RefusalCode.PRICE_COLLAR, limit, distance, rule="price_collar_bps")
        return None

    def self_trading(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        """No limit order that could meet a resting one of ours, whichever strategy's."""
        limit = leg.terms.limit_price
        if limit is None:
            return None
        for each in self._reservations.across(leg.instrument, leg.side, group.id):
            if each.rests_at is not None and (limit >= each.rests_at if leg.side is Side.BUY else limit <= each.rests_at):
                return refusal(RefusalCode.SELF_TRADE, each.rests_at, limit)
        return None

    def price(self, leg: OrderLeg) -> Decimal:
        """What a unit is counted at, in the quote asset: the last price, or a price of the order above it."""
        reference, terms = self._reference(leg.instrument).price, leg.terms
        if terms is MARKET_TERMS:
            return reference
        return max(reference, terms.limit_price or reference, terms.stop_price or reference)

    def counted_at(self, leg: OrderLeg) -> Decimal | None:
        """As `price`, of an order that may have been refused for want of one: None then, and without prices that are no numbers."""
        mark = self._mark(leg.instrument)
        if mark is None or leg.terms is MARKET_TERMS:
            return None if mark is None else mark.price
        own = (each for each in (leg.terms.limit_price, leg.terms.stop_price) if each is not None and each.is_finite())
        return max((mark.price, *own))

    def _mark(self, instrument: str) -> Mark | None:
        return None if instrument in self.lost else self._ledger.prices.last_price(instrument)

    def _reference(self, instrument: str) -> Mark:
        mark = self._mark(instrument)
        if mark is None:
            msg = f"{instrument} has no price; the gate refuses it before any size is computed"
            raise LookupError(msg)
        return mark


def _ill_termed(group: OrderGroup, leg: OrderLeg, instrument: Instrument) -> Cap | None:
    """Prices that are none or off the grid, and terms that do not fit one another or are over."""
    for name in _PRICES:
        value: Decimal | None = getattr(leg.terms, name)
        if value is not None and not _usable(value, least=instrument.tick_size):
            return refusal(RefusalCode.INVALID_ORDER, rule=name)
        if value is not None and value % instrument.tick_size:
            return refusal(RefusalCode.OFF_TICK, instrument.tick_size, value, rule=name)
    fault = unsound(msgspec.structs.replace(leg, quantity=instrument.lot_size), instrument)
    ill = fault is not None or _expired(leg.terms, group.instant)
    return refusal(RefusalCode.INVALID_ORDER, rule="terms") if ill else None


def _usable(value: Decimal, *, least: Decimal) -> bool:
    """True for a finite number in [least, LARGEST_NUMBER] with at most MOST_DECIMALS decimals."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and least <= value <= LARGEST_NUMBER and exponent >= -MOST_DECIMALS


def _expired(terms: OrderTerms, now: int) -> bool:
    return terms.expires_at is not None and terms.expires_at <= now


def _hangs_together(group: OrderGroup) -> bool:
    """Linked legs are of one instrument; the exits of a bracket close what its entry opens, and not more."""
    entry, *exits = group.legs
    if not exits or any(leg.instrument != entry.instrument for leg in exits):
        return False
    if group.link == "oco":
        return True
    return not entry.reduce_only and all(
        leg.reduce_only and leg.side is not entry.side and leg.quantity <= entry.quantity and leg.terms.kind is not OrderKind.MARKET
        for leg in exits
    )
