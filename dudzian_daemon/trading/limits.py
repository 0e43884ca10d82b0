"""Limits on positions: how much of an order each rule lets pass, held positions and open orders counted together.

A side of an instrument is what all strategies hold of it plus what their open orders may add; closing orders only shrink
it. Bounding each side bounds the net position whichever orders fill first. Amounts are in the valuation asset.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.money import BPS, CASH_STEP, ONE, ZERO, quantise_up, reciprocal, units
from dudzian_daemon.domain.orders import OrderGroup, OrderLeg, Protection, RefusalCode, Side
from dudzian_daemon.domain.risk import BucketLimits, RiskLimits
from dudzian_daemon.domain.sizing import stop_distance
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.margin import MarginWatch
from dudzian_daemon.trading.reservations import Reservation, Reservations
from dudzian_daemon.trading.spec import MANUAL, MANUAL_BUCKET, SessionSpec

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
        self._margin = MarginWatch(spec, ledger)
        owners = {(each.strategy, key): each.bucket for each in spec.schedules for key in each.instruments}
        self._buckets = {key: spec.buckets[name] for key, name in owners.items() if name in spec.buckets}

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

    # -- one method per rule ---------------------------------------------------------------------------------------

    def _position(self, leg: OrderLeg, limits: RiskLimits, unit: Decimal) -> Cap:
        limit = limits.max_position_pct * self._ledger.equity
        value = self.side(leg.side, lambda _strategy, instrument: instrument == leg.instrument)
        return self._money(RefusalCode.POSITION_LIMIT, "max_position_pct", limit, value, unit, leg)

    def _leverage(self, leg: OrderLeg, limits: RiskLimits, unit: Decimal) -> Cap:
        limit = limits.max_leverage * self._ledger.equity
        value = self.side(Side.BUY) + self.side(Side.SELL)
        return self._money(RefusalCode.LEVERAGE_LIMIT, "max_leverage", limit, value, unit, leg)

    def _net(self, leg: OrderLeg, limits: RiskLimits, unit: Decimal) -> Cap:
        limit = limits.max_net_exposure * self._ledger.equity
        return self._money(RefusalCode.NET_EXPOSURE_LIMIT, "max_net_exposure", limit, self.side(leg.side), unit, leg)

    def _open_positions(self, leg: OrderLeg, limits: RiskLimits) -> Cap:
        held = {instrument for (_, instrument), book in self._ledger.books.items() if book.quantity}
        held.update(each.instrument for each in self._reservations.opening())
        limit, value = Decimal(limits.max_open_positions), Decimal(len(held))
        allowed = limit > 0 and (leg.instrument in held or value < limit)
        return Cap(RefusalCode.OPEN_POSITIONS, "max_open_positions", limit, value, limit - value, UNBOUNDED if allowed else ZERO)

    def _cash(self, leg: OrderLeg, price: Decimal) -> Cap:
        """A purchase is paid in full; a short sale puts up its margin beside what all shorts must keep."""
        quote = self._spec.instruments[leg.instrument].quote
        limit = self._ledger.available(quote)
        rule = "cash"
        if leg.side is Side.SELL:
            limit, rule = limit - self._margin.maintenance(quote), "margin"
        value = sum((each.notional * self._needed(each) for each in self._reservations.opening() if self._quote(each) == quote), ZERO)
        return self._money(RefusalCode.INSUFFICIENT_CASH, rule, limit, value, price * self._needed(leg), leg)

    def _order_value(self, leg: OrderLeg, unit: Decimal) -> Cap:
        return self._money(RefusalCode.ORDER_VALUE, "max_order_value", self._spec.controls.max_order_value, ZERO, unit, leg)

    def _order_quantity(self, leg: OrderLeg) -> Cap:
        limit = self._spec.controls.max_order_quantity
        return self._money(RefusalCode.ORDER_QUANTITY, "max_order_quantity", limit, ZERO, ONE, leg)

    def _bucket_position(self, leg: OrderLeg, bucket: BucketLimits, unit: Decimal) -> Cap:
        limit = bucket.max_position_pct * self._ledger.equity
        value = self.side(leg.side, lambda strategy, instrument: instrument == leg.instrument and self._in(bucket, strategy, instrument))
        return self._money(RefusalCode.BUCKET_POSITION_LIMIT, f"{bucket.name}.max_position_pct", limit, value, unit, leg)

    def _bucket_notional(self, leg: OrderLeg, bucket: BucketLimits, unit: Decimal) -> Cap:
        value = sum((self.side(side, lambda *key: self._in(bucket, *key)) for side in Side), ZERO)
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

    def side(self, side: Side, counts: Callable[[str, str], bool] = lambda _strategy, _instrument: True) -> Decimal:
        """Marked value of all long (buy) or short (sell) books plus what open orders may add, where `counts(strategy, instrument)`."""
        total = ZERO
        for (strategy, instrument), book in self._ledger.books.items():
            if book.quantity and (book.quantity > 0) == (side is Side.BUY) and counts(strategy, instrument):
                mark = self._ledger.last_price(instrument)
                total += ZERO if mark is None else abs(book.quantity) * mark.price * self._rate(instrument)
        for each in self._reservations.opening():
            if each.side is side and counts(each.strategy, each.instrument):
                total += each.notional * self._rate(each.instrument)
        return total

    def _mine(self, group: OrderGroup, leg: OrderLeg) -> Decimal:
        """Quantity that the group's strategy holds of the leg's instrument or is opening."""
        opening = [each.quantity for each in self._reservations.opening(leg.instrument) if each.strategy == group.strategy]
        return abs(self._ledger.position(group.strategy, leg.instrument)) + sum(opening, ZERO)

    def _bucket(self, strategy: str, instrument: str) -> BucketLimits | None:
        return self._spec.buckets.get(MANUAL_BUCKET) if strategy == MANUAL else self._buckets.get((strategy, instrument))

    def _in(self, bucket: BucketLimits, strategy: str, instrument: str) -> bool:
        mine = self._bucket(strategy, instrument)
        return mine is not None and mine.name == bucket.name

    def _needed(self, order: OrderLeg | Reservation) -> Decimal:
        """Cash that a unit of opening notional takes: a purchase its price, a short sale its margin; slippage and fee both."""
        preset = self._spec.preset
        periods = preset.venue_fees.get(self._spec.instruments[order.instrument].venue, ())
        fee = max((preset.taker_fee, *(period.taker for period in periods)))
        slippage = preset.slippage_bps * BPS
        if order.side is Side.BUY:
            return (ONE + slippage) * (ONE + fee)
        return quantise_up(reciprocal(self._spec.leverage), CASH_STEP) + slippage + fee

    def _quote(self, order: Reservation) -> str:
        return self._spec.instruments[order.instrument].quote

    def _rate(self, instrument: str) -> Decimal:
        return self._ledger.rate(self._spec.instruments[instrument].quote)

    def _money(self, code: RefusalCode, rule: str, limit: Decimal, value: Decimal, unit: Decimal, leg: OrderLeg) -> Cap:
        headroom = max(limit - value, ZERO)
        return Cap(code, rule, limit, value, headroom, units(headroom, unit, self._spec.instruments[leg.instrument].lot_size))
