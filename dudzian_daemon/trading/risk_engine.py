"""The risk gate: single writer of limits, reservations and the reducing and halted states (promise P3).

`judge` answers every order group with an `ApprovedGroup` or a `Refused`; nothing else makes an `ApprovedGroup`.
Limits are judged on equity marked to market, once per tick, whether or not an order arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import ZERO, plain, quantise_down, units
from dudzian_daemon.domain.orders import (
    ApprovedGroup,
    Fill,
    Order,
    OrderGroup,
    OrderKind,
    OrderLeg,
    Outcome,
    Protection,
    RefusalCode,
    Refused,
    Side,
    Verdict,
)
from dudzian_daemon.domain.risk import ProfileState, RiskLimits, daily_loss, daily_loss_allowed, drawdown, drawdown_allowed
from dudzian_daemon.trading.catastrophe import CatastropheStops
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.limits import Cap, PositionLimits, refusal
from dudzian_daemon.trading.pre_trade import PreTrade
from dudzian_daemon.trading.rates import OrderCounters, OrderRates, orders_of
from dudzian_daemon.trading.reservations import Reservation, Reservations
from dudzian_daemon.trading.risk_states import RiskStates
from dudzian_daemon.trading.spec import MANUAL, SessionSpec


class GateMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate remembers: states and switches, reservations, counters of orders, stops, and prices that were lost (ns)."""

    states: dict[str, ProfileState]
    told_by_hand: bool
    kill_switch: bool
    unknown: str
    closed_markets: dict[str, int]
    reservations: dict[str, Reservation]
    counters: OrderCounters
    protections: dict[str, Protection]
    closing: dict[str, bool]
    lost_prices: dict[str, int]


class ThresholdRiskEngine(RiskStates):
    """Gate of one account; reads the ledger, writes nothing but its own state.

    `reference_ages` says by instrument how old (ns) a price may be that an opening order is judged by.
    """

    def __init__(self, spec: SessionSpec, ledger: Ledger, reference_ages: Mapping[str, int] | None = None) -> None:
        super().__init__(spec, ledger, Reservations())
        self._instruments = spec.instruments
        self._allow_short = spec.allow_short
        self.pre_trade = PreTrade(spec, ledger, self.reservations, reference_ages or {})
        self._limits = PositionLimits(spec, ledger, self.reservations)
        self.rates = OrderRates(spec.controls)
        self.stops = CatastropheStops(spec, ledger)

    # -- the gate --------------------------------------------------------------------------------------------------

    def judge(self, group: OrderGroup) -> ApprovedGroup | Refused:
        """Approve, clip or refuse the group as a whole and reserve what it may use.

        Legs are judged one after the other, each with the legs before it reserved; a group of several is clipped in proportion.
        """
        for number, leg in enumerate(group.legs):
            fault = self.pre_trade.malformed(group, leg)
            if fault is not None:
                return self._refused(group, number, fault)
        caps = [self._reserving(group, number) for number in range(len(group.legs))]
        worst = _tightest(caps, group.legs)
        legs = tuple([self._clipped(group, leg, caps[worst], group.legs[worst]) for leg in group.legs])
        if [leg for leg in legs if not leg.quantity]:
            self._release_legs(group)
            return self._refused(group, worst, caps[worst])
        orders = orders_of(group)
        opening = [leg for leg in legs if not leg.reduce_only]
        fault = self.rates.refusal(group, orders) if opening else None
        if fault is not None:
            self._release_legs(group)
            return self._refused(group, 0, fault)
        crossed = any(self._crosses(group, leg) for leg in legs)
        self.rates.count(group, orders)
        for number, leg in enumerate(legs):
            self._reserve(group, number, leg)
        for leg in opening:
            self.stops.opened(group, leg)
        outcome = Outcome.APPROVED if legs[worst].quantity == group.legs[worst].quantity else Outcome.ADJUSTED
        return ApprovedGroup(group, legs, self._verdict(group, worst, caps[worst], outcome, legs[worst].quantity, crossed=crossed))

    def preview(self, group: OrderGroup) -> Verdict:
        """What `judge` would say now; nothing is reserved or counted."""
        counters, protections = self.rates.counters, dict(self.stops.protections)
        self.rates.counters = counters.copied()
        try:
            return self.judge(group).verdict
        finally:
            self._release_legs(group)
            self.rates.counters, self.stops.protections = counters, protections

    def judge_cancel(self, order: Order | None, order_id: str, signal_id: str) -> Verdict:
        """An operator's wish to take an order out of the book: it passes in every state, if there is such an order."""
        return Verdict(
            group_id=order_id,
            signal_id=signal_id,
            profile=MANUAL,
            outcome=Outcome.REFUSED if order is None else Outcome.APPROVED,
            code=RefusalCode.UNKNOWN_ORDER if order is None else None,
            rule="cancel",
            limit=ZERO,
            value=ZERO,
            headroom=ZERO,
            requested=ZERO if order is None else order.left,
            approved=ZERO if order is None else order.left,
        )

    def release(self, order_id: str) -> None:
        """The order has ended: what it had reserved is free again."""
        self.reservations.release(order_id)

    def filled(self, order: Order, fill: Fill, left: Decimal) -> bool:
        """The order was filled in part or whole; true if its signal may have no more fills, so that the rest must be cancelled."""
        self.reservations.filled(order, fill.quantity, left)
        return self.rates.executed(fill) and not order.reduce_only

    def exposure(self, side: Side) -> Decimal:
        """All longs or all shorts as the limits count them: held and open, in the valuation asset."""
        return self._limits.exposures.account(side)

    def maintenance(self, asset: str) -> Decimal:
        """What all shorts paid in `asset` must keep at the last prices."""
        return self._limits.margins.maintenance(asset)

    def enlarging(self, strategy: str, instrument: str) -> Decimal:
        """Quantity that open orders may still add to what the strategy holds."""
        return self.reservations.enlarging(strategy, instrument)

    def reserved_reducing(self, strategy: str, instrument: str) -> Decimal:
        """Quantity that open reducing orders of the strategy will close."""
        return self.reservations.reducing(strategy, instrument)

    def export(self) -> GateMemory:
        """All of it, to be restored."""
        return GateMemory(
            states={name: msgspec.structs.replace(state) for name, state in self.states.items()},
            told_by_hand=self._told_by_hand,
            kill_switch=self.kill_switch,
            unknown=self.unknown,
            closed_markets=dict(self.closed_markets),
            reservations=dict(self.reservations.open),
            counters=self.rates.counters.copied(),
            protections=dict(self.stops.protections),
            closing=dict(self.stops.closing),
            lost_prices=dict(self.pre_trade.lost),
        )

    def restore(self, memory: GateMemory) -> None:
        """Be as the gate was that said so; a profile that it did not have starts anew."""
        self.states |= {name: msgspec.structs.replace(state) for name, state in memory.states.items() if name in self.states}
        self._moved()
        self._told_by_hand, self.kill_switch, self.unknown = memory.told_by_hand, memory.kill_switch, memory.unknown
        self.closed_markets = dict(memory.closed_markets)
        self.reservations.restore(memory.reservations)
        self._limits.rebuild()
        self.rates.counters = memory.counters.copied()
        self.stops.protections, self.stops.closing = dict(memory.protections), dict(memory.closing)
        self.pre_trade.lost = dict(memory.lost_prices)

    # -- parts of a judgement --------------------------------------------------------------------------------------

    def _reserving(self, group: OrderGroup, number: int) -> Cap:
        """The tightest rule for one leg; what it allows is reserved while the next legs are judged, if there are any."""
        leg = group.legs[number]
        cap = self._blocked(group, leg) or self._cap(group, number)
        if cap.quantity > 0 and number < len(group.legs) - 1:
            allowed = leg if leg.quantity <= cap.quantity else msgspec.structs.replace(leg, quantity=cap.quantity)
            self._reserve(group, number, allowed)
        return cap

    def _release_legs(self, group: OrderGroup) -> None:
        for number in range(len(group.legs)):
            self.release(group.order_id(number))

    def _clipped(self, group: OrderGroup, leg: OrderLeg, cap: Cap, tightest: OrderLeg) -> OrderLeg:
        """The leg scaled as the tightest leg is scaled by its cap, rounded down to what can be traded."""
        quantity = leg.quantity
        if cap.quantity <= 0:
            quantity = ZERO
        elif cap.quantity < tightest.quantity:
            quantity = ZERO if group.whole else units(leg.quantity * cap.quantity, tightest.quantity, self._lot(leg))
        tradable = self._tradable(leg, quantity)
        return msgspec.structs.replace(leg, quantity=tradable) if tradable.compare_total(leg.quantity) else leg

    def _blocked(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        """The states and facts that refuse whatever the size."""
        if leg.instrument in self.closed_markets:
            return refusal(RefusalCode.MARKET_CLOSED)
        unpriced = self.pre_trade.unpriced(leg)
        if unpriced is not None:
            return unpriced
        if group.paid_in and group.paid_in != self._instruments[leg.instrument].quote:
            return refusal(RefusalCode.WRONG_CURRENCY)
        if group.max_age_ns is not None and group.age_ns > group.max_age_ns and not (leg.reduce_only and group.signal_id):
            return refusal(RefusalCode.STALE_DATA, limit=Decimal(group.max_age_ns), value=Decimal(group.age_ns))
        halted = None if leg.reduce_only else self._blocked_opening(group, leg) or self._blocked_side(group, leg)
        return halted or self.pre_trade.collared(leg) or self.pre_trade.self_trading(group, leg)

    def _blocked_opening(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        if not leg.quantity:
            return refusal(RefusalCode.NOTHING_TO_DO)
        if group.rank > group.max_rank:
            return refusal(RefusalCode.MAX_SIGNALS, limit=Decimal(group.max_rank), value=Decimal(group.rank))
        if self.kill_switch:
            return refusal(RefusalCode.KILL_SWITCH)
        if self.unknown:
            return refusal(RefusalCode.STATE_UNKNOWN, rule=self.unknown)
        state = self.states.get(group.profile)
        return refusal(RefusalCode.UNKNOWN_PROFILE) if state is None else self._tripped(self._profiles[group.profile], state)

    def _tripped(self, limits: RiskLimits, state: ProfileState) -> Cap | None:
        """A trip that lasts, with the limit and the loss as they are now: the loss may have shrunk since."""
        equity = self._ledger.equity
        if state.drawdown_latched:
            return refusal(RefusalCode.DRAWDOWN_LIMIT, drawdown_allowed(limits, state), drawdown(state, equity), rule="hard_drawdown_pct")
        if state.daily_trip_day is not None:
            return refusal(
                RefusalCode.DAILY_LOSS_LIMIT, daily_loss_allowed(limits, state), daily_loss(state, equity), rule="max_daily_loss_pct"
            )
        return None

    def _blocked_side(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        position = self._ledger.position(group.strategy, leg.instrument)
        if position and (leg.side is Side.BUY) == (position < 0):
            return refusal(RefusalCode.REVERSAL)
        if self.reservations.opposes_own(group, leg):  # the two could net to flat under an order that reduces one of them
            return refusal(RefusalCode.REVERSAL, rule="open_order")
        if leg.side is Side.SELL and not self._allow_short:
            return refusal(RefusalCode.SHORT_NOT_ALLOWED)
        return self.pre_trade.stale(group, leg) or self.pre_trade.unprotected(leg, self._profiles[group.profile])

    def _cap(self, group: OrderGroup, number: int) -> Cap:
        leg = group.legs[number]
        if group.link == "bracket" and number:  # closes what its entry opens: the form of the group bounds it
            quantity = group.legs[0].quantity
            return Cap(RefusalCode.NO_POSITION, "bracket", quantity, ZERO, quantity, quantity)
        if leg.reduce_only:
            return self._cap_reducing(group, leg)
        return self._limits.tightest(group, leg, self._profiles[group.profile], self.pre_trade.price(leg))

    def _cap_reducing(self, group: OrderGroup, leg: OrderLeg) -> Cap:
        position = self._ledger.position(group.strategy, leg.instrument)
        held = position if leg.side is Side.SELL else -position
        closing = self.reservations.reducing(group.strategy, leg.instrument, but=group.id if group.link else "")
        left = max(held - closing, ZERO)
        code = RefusalCode.NO_POSITION if held <= 0 else RefusalCode.ALREADY_CLOSING
        return Cap(code, "reduce_only", max(held, ZERO), closing, left, left)

    def _crosses(self, group: OrderGroup, leg: OrderLeg) -> bool:
        across = self.reservations.across(leg.instrument, leg.side, group.id)
        taking = leg.terms.kind is OrderKind.MARKET
        return any(each.takes or (taking and each.rests_at is not None) for each in across)

    def _tradable(self, leg: OrderLeg, quantity: Decimal) -> Decimal:
        """`quantity` rounded down to the lot; 0 if an opening order would be below the venue's minimum."""
        if quantity <= 0:
            return ZERO
        instrument = self._instruments[leg.instrument]
        quantity = quantise_down(quantity, instrument.lot_size)
        if leg.reduce_only:
            return quantity
        notional = quantity * self.pre_trade.price(leg)
        return ZERO if quantity < instrument.min_quantity or notional < instrument.min_notional else quantity

    def _refused(self, group: OrderGroup, number: int, cap: Cap) -> Refused:
        return Refused(group, self._verdict(group, number, cap, Outcome.REFUSED, ZERO))

    def _verdict(self, group: OrderGroup, number: int, cap: Cap, outcome: Outcome, approved: Decimal, *, crossed: bool = False) -> Verdict:
        leg = group.legs[number]
        requested, counted_at = leg.quantity, self.pre_trade.counted_at(leg)
        clipped = outcome is not Outcome.APPROVED
        if cap.code is RefusalCode.INVALID_ORDER and cap.rule == "quantity":
            requested = ZERO  # what is no quantity is not written down as one
        below = outcome is Outcome.REFUSED and 0 < requested <= cap.quantity
        return Verdict(
            group_id=group.id,
            signal_id=group.signal_id,
            profile=group.profile,
            outcome=outcome,
            code=RefusalCode.BELOW_MINIMUM if below else cap.code if clipped else None,
            rule="minimum" if below else cap.rule,
            limit=plain(cap.limit),
            value=plain(cap.value),
            headroom=plain(cap.headroom),
            requested=requested,
            approved=approved,
            crossed=crossed,
            counted_at=None if counted_at is None else plain(counted_at),
        )

    def _reserve(self, group: OrderGroup, number: int, leg: OrderLeg) -> None:
        self.reservations.reserve(group, number, leg, self.pre_trade.price(leg))

    def _lot(self, leg: OrderLeg) -> Decimal:
        return self._instruments[leg.instrument].lot_size


def _tightest(caps: Sequence[Cap], legs: Sequence[OrderLeg]) -> int:
    """The first of the legs whose cap lets the smallest fraction of it pass; a leg of nothing passes not at all."""
    worst, allowed, wanted = 0, min(caps[0].quantity, legs[0].quantity), legs[0].quantity
    for number in range(1, len(legs)):
        quantity = legs[number].quantity
        mine = min(caps[number].quantity, quantity)
        if mine * wanted < allowed * quantity or (not quantity and allowed):  # a fraction without dividing
            worst, allowed, wanted = number, mine, quantity
    return worst
