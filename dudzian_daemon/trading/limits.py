"""Limits on positions: how much of an order each rule lets pass, held positions and open orders counted together.

A side of an instrument is what all strategies hold of it plus what their open orders may add; closing orders only shrink
it. Bounding each side bounds the net position whichever orders fill first. Amounts are in the valuation asset.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Final

import msgspec

from dudzian_daemon.domain.money import ONE, ZERO, exact_money, units
from dudzian_daemon.domain.orders import OrderGroup, OrderLeg, Protection, RefusalCode, Side
from dudzian_daemon.domain.risk import BucketLimits, RiskLimits
from dudzian_daemon.domain.sizing import stop_distance
from dudzian_daemon.trading.exposures import Exposures
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.margin import MarginTotals
from dudzian_daemon.trading.reservations import Reservations
from dudzian_daemon.trading.spec import SessionSpec

#: The quantity of a rule that counts instruments and bounds no size.
UNBOUNDED: Final = Decimal("Infinity")


class Cap(msgspec.Struct, frozen=True, gc=False):
    """One rule's answer: at most `quantity` of the leg may pass. `limit`, `value`, `headroom` are in the rule's own unit."""

    code: RefusalCode
    rule: str
    limit: Decimal
    value: Decimal
    headroom: Decimal
    quantity: Decimal


def refusal(code: RefusalCode, limit: Decimal = ZERO, value: Decimal = ZERO, *, rule: str = "") -> Cap:
    """A rule that lets nothing pass whatever the size."""
    return Cap(code, rule or code.value, limit, value, ZERO, ZERO)


#: A rule before it is asked for a quantity: what is left, its code and name, its limit and what counts against it, in the rule's own unit.
Bound = tuple[Decimal, RefusalCode, str, Decimal, Decimal]

_HEADROOM: Final = itemgetter(0)
_QUANTITY: Final = attrgetter("quantity")


class PositionLimits:
    """Reads the ledger and the reservations, moves nothing."""

    def __init__(self, spec: SessionSpec, ledger: Ledger, reservations: Reservations) -> None:
        self._spec = spec
        self._ledger = ledger
        self._reservations = reservations
        self.exposures = Exposures(spec, ledger, reservations)
        self.margins = MarginTotals(spec, ledger, reservations)

    def tightest(self, group: OrderGroup, leg: OrderLeg, limits: RiskLimits, price: Decimal) -> Cap:
        """The rule that lets the least pass of an opening leg counted at `price` (quote asset, > 0)."""
        instrument = self._spec.instruments[leg.instrument]
        lot, rate = instrument.lot_size, self._ledger.prices.rate(instrument.quote)
        caps = [
            _cap(min(self._on_value(group, leg, limits), key=_HEADROOM), price * rate, lot),
            self._open_positions(leg, limits),
            _cap(self._cash(leg, instrument.quote), price * self.margins.needed(leg.instrument, leg.side), lot),
            _cap(_bound(RefusalCode.ORDER_QUANTITY, "max_order_quantity", self._spec.controls.max_order_quantity, ZERO), ONE, lot),
        ]
        if leg.protection is Protection.STOP and leg.protective_stop is not None:
            distance = stop_distance(leg.side, price, leg.protective_stop) * rate
            caps.append(_cap(self._risk_budget(group, leg, limits, distance), distance, lot))
        if leg.max_notional is not None:  # what the signal itself lets the strategy's position be worth, in the quote asset
            bound = _bound(RefusalCode.ORDER_VALUE, "max_notional", leg.max_notional, self._mine(group, leg) * price)
            caps.append(_cap(bound, price, lot))
        return min(caps, key=_QUANTITY)

    def rebuild(self) -> None:
        """Ledger and reservations have become another's."""
        with exact_money():
            self.exposures.rebuild()
            self.margins.rebuild()

    def _on_value(self, group: OrderGroup, leg: OrderLeg, limits: RiskLimits) -> list[Bound]:
        """The rules on value, all in the valuation asset: the one with the least headroom is the tightest of them."""
        equity, exposures, side = self._ledger.equity, self.exposures, leg.side
        buys, sells = exposures.account(Side.BUY), exposures.account(Side.SELL)
        held, mine = exposures.instrument(leg.instrument, side), buys if side is Side.BUY else sells
        bounds = [
            _bound(RefusalCode.POSITION_LIMIT, "max_position_pct", limits.max_position_pct * equity, held),
            _bound(RefusalCode.LEVERAGE_LIMIT, "max_leverage", limits.max_leverage * equity, buys + sells),
            _bound(RefusalCode.NET_EXPOSURE_LIMIT, "max_net_exposure", limits.max_net_exposure * equity, mine),
            _bound(RefusalCode.ORDER_VALUE, "max_order_value", self._spec.controls.max_order_value, ZERO),
        ]
        bucket = self._bucket(group.strategy, leg.instrument)
        if bucket is not None:
            name, limit = bucket.name, bucket.max_position_pct * equity
            held, all_held = (
                exposures.bucket(name, side, leg.instrument),
                exposures.bucket(name, Side.BUY) + exposures.bucket(name, Side.SELL),
            )
            bounds += [
                _bound(RefusalCode.BUCKET_POSITION_LIMIT, f"{name}.max_position_pct", limit, held),
                _bound(RefusalCode.BUCKET_NOTIONAL_LIMIT, f"{name}.max_notional_usd", bucket.max_notional, all_held),
            ]
        return bounds

    def _open_positions(self, leg: OrderLeg, limits: RiskLimits) -> Cap:
        limit, value = Decimal(limits.max_open_positions), Decimal(self.exposures.instruments())
        allowed = limit > 0 and (self.exposures.has(leg.instrument) or value < limit)
        return Cap(RefusalCode.OPEN_POSITIONS, "max_open_positions", limit, value, limit - value, UNBOUNDED if allowed else ZERO)

    def _cash(self, leg: OrderLeg, quote: str) -> Bound:
        """A purchase is paid in full; a short sale puts up its margin beside what all shorts must keep."""
        limit, rule = self._ledger.available(quote), "cash"
        if leg.side is Side.SELL:
            limit, rule = limit - self.margins.maintenance(quote), "margin"
        return _bound(RefusalCode.INSUFFICIENT_CASH, rule, limit, self.margins.reserved(quote))

    def _risk_budget(self, group: OrderGroup, leg: OrderLeg, limits: RiskLimits, distance: Decimal) -> Bound:
        """What the whole position of the strategy would lose at a stop `distance` away, in the valuation asset."""
        limit = limits.target_volatility * self._ledger.equity
        return _bound(RefusalCode.RISK_BUDGET, "target_volatility", limit, self._mine(group, leg) * distance)

    # -- what is counted -------------------------------------------------------------------------------------------

    def _mine(self, group: OrderGroup, leg: OrderLeg) -> Decimal:
        """Quantity that the group's strategy holds of the leg's instrument or is opening."""
        held = abs(self._ledger.position(group.strategy, leg.instrument))
        return held + self._reservations.enlarging(group.strategy, leg.instrument)

    def _bucket(self, strategy: str, instrument: str) -> BucketLimits | None:
        name = self.exposures.bucket_of(strategy, instrument)
        return None if name is None else self._spec.buckets.get(name)


def _bound(code: RefusalCode, rule: str, limit: Decimal, value: Decimal) -> Bound:
    headroom = limit - value
    return (headroom if headroom > ZERO else ZERO, code, rule, limit, value)


def _cap(bound: Bound, unit: Decimal, lot: Decimal) -> Cap:
    """What is left of a bound as a quantity; `unit` is what one of the base asset takes of it."""
    headroom, code, rule, limit, value = bound
    return Cap(code, rule, limit, value, headroom, units(headroom, unit, lot))
