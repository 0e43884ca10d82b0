"""Limits on positions: how much of an order each rule lets pass, held positions and open orders counted together.

A side of an instrument is what all strategies hold of it plus what their open orders may add; closing orders only shrink
it. Bounding each side bounds the net position whichever orders fill first. Amounts are in the valuation asset.
"""

from __future__ import annotations

from decimal import Decimal
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


class Cap(msgspec.Struct, frozen=True):
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


class PositionLimits:
    """Reads the ledger and the reservations, moves nothing."""

    def __init__(self, spec: SessionSpec, ledger: Ledger, reservations: Reservations) -> None:
        self._spec = spec
        self._ledger = ledger
        self._reservations = reservations
        self.exposures = Exposures(spec, ledger, reservations)
        self.margins = MarginTotals(spec, ledger, reservations)

    def caps(self, group: OrderGroup, leg: OrderLeg, limits: RiskLimits, price: Decimal) -> list[Cap]:
        """Every rule's answer to an opening leg counted at `price` (quote asset, > 0)."""
        unit = price * self._rate(leg.instrument)
        caps = [
            self._position(leg, limits, unit),
            self._leverage(leg, limits, unit),
            self._net(leg, limits, unit),
            self._open_positions(leg, limits),
            self._cash(leg, price),
            self._order_value(leg, unit),
            self._order_quantity(leg),
        ]
        bucket = self._bucket(group.strategy, leg.instrument)
        if bucket is not None:
            caps += [self._bucket_position(leg, bucket, unit), self._bucket_notional(leg, bucket, unit)]
        if leg.protection is Protection.STOP and leg.protective_stop is not None:
            caps.append(self._risk_budget(group, leg, limits, price))
        if leg.max_notional is not None:
            caps.append(self._declared(group, leg, leg.max_notional, price))
        return caps

    def rebuild(self) -> None:
        """Ledger and reservations have become another's."""
        with exact_money():
            self.exposures.rebuild()
            self.margins.rebuild()

    # -- one method per rule ---------------------------------------------------------------------------------------

    def _position(self, leg: OrderLeg, limits: RiskLimits, unit: Decimal) -> Cap:
        limit = limits.max_position_pct * self._ledger.equity
        value = self.exposures.instrument(leg.instrument, leg.side)
        return self._money(RefusalCode.POSITION_LIMIT, "max_position_pct", limit, value, unit, leg)

    def _leverage(self, leg: OrderLeg, limits: RiskLimits, unit: Decimal) -> Cap:
        limit = limits.max_leverage * self._ledger.equity
        value = self.exposures.account(Side.BUY) + self.exposures.account(Side.SELL)
        return self._money(RefusalCode.LEVERAGE_LIMIT, "max_leverage", limit, value, unit, leg)

    def _net(self, leg: OrderLeg, limits: RiskLimits, unit: Decimal) -> Cap:
        limit = limits.max_net_exposure * self._ledger.equity
        return self._money(RefusalCode.NET_EXPOSURE_LIMIT, "max_net_exposure", limit, self.exposures.account(leg.side), unit, leg)

    def _open_positions(self, leg: OrderLeg, limits: RiskLimits) -> Cap:
        limit, value = Decimal(limits.max_open_positions), Decimal(self.exposures.instruments())
        allowed = limit > 0 and (self.exposures.has(leg.instrument) or value < limit)
        return Cap(RefusalCode.OPEN_POSITIONS, "max_open_positions", limit, value, limit - value, UNBOUNDED if allowed else ZERO)

    def _cash(self, leg: OrderLeg, price: Decimal) -> Cap:
        """A purchase is paid in full; a short sale puts up its margin beside what all shorts must keep."""
        quote = self._spec.instruments[leg.instrument].quote
        limit = self._ledger.available(quote)
        rule = "cash"
        if leg.side is Side.SELL:
            limit, rule = limit - self.margins.maintenance(quote), "margin"
        needed = price * self.margins.needed(leg.instrument, leg.side)
        return self._money(RefusalCode.INSUFFICIENT_CASH, rule, limit, self.margins.reserved(quote), needed, leg)

    def _order_value(self, leg: OrderLeg, unit: Decimal) -> Cap:
        return self._money(RefusalCode.ORDER_VALUE, "max_order_value", self._spec.controls.max_order_value, ZERO, unit, leg)

    def _order_quantity(self, leg: OrderLeg) -> Cap:
        limit = self._spec.controls.max_order_quantity
        return self._money(RefusalCode.ORDER_QUANTITY, "max_order_quantity", limit, ZERO, ONE, leg)

    def _bucket_position(self, leg: OrderLeg, bucket: BucketLimits, unit: Decimal) -> Cap:
        limit = bucket.max_position_pct * self._ledger.equity
        value = self.exposures.bucket(bucket.name, leg.side, leg.instrument)
        return self._money(RefusalCode.BUCKET_POSITION_LIMIT, f"{bucket.name}.max_position_pct", limit, value, unit, leg)

    def _bucket_notional(self, leg: OrderLeg, bucket: BucketLimits, unit: Decimal) -> Cap:
        value = self.exposures.bucket(bucket.name, Side.BUY) + self.exposures.bucket(bucket.name, Side.SELL)
        return self._money(RefusalCode.BUCKET_NOTIONAL_LIMIT, f"{bucket.name}.max_notional_usd", bucket.max_notional, value, unit, leg)

    def _risk_budget(self, group: OrderGroup, leg: OrderLeg, limits: RiskLimits, price: Decimal) -> Cap:
        """What the whole position of the strategy would lose at its stop."""
        distance = stop_distance(leg.side, price, leg.protective_stop or ZERO) * self._rate(leg.instrument)
        limit = limits.target_volatility * self._ledger.equity
        return self._money(RefusalCode.RISK_BUDGET, "target_volatility", limit, self._mine(group, leg) * distance, distance, leg)

    def _declared(self, group: OrderGroup, leg: OrderLeg, limit: Decimal, price: Decimal) -> Cap:
        """What the signal itself lets the strategy's position be worth, in the quote asset."""
        return self._money(RefusalCode.ORDER_VALUE, "max_notional", limit, self._mine(group, leg) * price, price, leg)

    # -- what is counted -------------------------------------------------------------------------------------------

    def _mine(self, group: OrderGroup, leg: OrderLeg) -> Decimal:
        """Quantity that the group's strategy holds of the leg's instrument or is opening."""
        held = abs(self._ledger.position(group.strategy, leg.instrument))
        return held + self._reservations.enlarging(group.strategy, leg.instrument)

    def _bucket(self, strategy: str, instrument: str) -> BucketLimits | None:
        name = self.exposures.bucket_of(strategy, instrument)
        return None if name is None else self._spec.buckets.get(name)

    def _rate(self, instrument: str) -> Decimal:
        return self._ledger.rate(self._spec.instruments[instrument].quote)

    def _money(self, code: RefusalCode, rule: str, limit: Decimal, value: Decimal, unit: Decimal, leg: OrderLeg) -> Cap:
        headroom = max(limit - value, ZERO)
        return Cap(code, rule, limit, value, headroom, units(headroom, unit, self._spec.instruments[leg.instrument].lot_size))
