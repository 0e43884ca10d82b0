"""The risk gate: single writer of limits, reservations and the reducing and halted states (promise P3).

`judge` answers every order group with an `ApprovedGroup` or a `Refused`; nothing else makes an `ApprovedGroup`.
Limits are judged on equity marked to market, once per tick, whether or not an order arrives.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.money import BPS, CASH_STEP, ONE, ZERO, quantise_down, quantise_up, reciprocal, units
from dudzian_daemon.domain.orders import ApprovedGroup, OrderGroup, OrderLeg, Outcome, RefusalCode, Refused, Side, Verdict
from dudzian_daemon.domain.records import RiskChange
from dudzian_daemon.domain.risk import (
    ProfileState,
    RiskLimits,
    TradingState,
    daily_loss,
    daily_loss_allowed,
    drawdown,
    drawdown_allowed,
)
from dudzian_daemon.trading.ledger import Ledger, Mark
from dudzian_daemon.trading.spec import SessionSpec

#: The quantity of a rule that counts instruments and bounds no size.
_UNBOUNDED: Final = Decimal("Infinity")


class Cap(msgspec.Struct, frozen=True):
    """One rule's answer: at most `quantity` of the leg may pass. `limit`, `value`, `headroom` are in the rule's own unit."""

    code: RefusalCode
    rule: str
    limit: Decimal
    value: Decimal
    headroom: Decimal
    quantity: Decimal


class Reservation(msgspec.Struct, frozen=True):
    """What an open order may still use up."""

    strategy: str
    instrument: str
    side: Side
    quantity: Decimal
    notional: Decimal
    reduce_only: bool


class ThresholdRiskEngine:
    """Gate of one account; reads the ledger, writes nothing but its own state."""

    def __init__(self, spec: SessionSpec, ledger: Ledger) -> None:
        self._profiles = spec.profiles
        self._instruments = spec.instruments
        self._ledger = ledger
        self._allow_short = spec.allow_short
        self._leverage = spec.leverage
        #: Cash that a unit of opening notional takes: a purchase its price, a short sale its margin; slippage and fee both.
        costs = spec.preset.slippage_bps * BPS, spec.preset.taker_fee
        self._cash_needed = {
            Side.BUY: (ONE + costs[0]) * (ONE + costs[1]),
            Side.SELL: quantise_up(reciprocal(spec.leverage), CASH_STEP) + costs[0] + costs[1],
        }
        self._reserved: dict[str, Reservation] = {}
        self.states = {name: ProfileState(day=0, start_of_day_equity=ledger.equity, peak_equity=ledger.equity) for name in spec.profiles}
        self.kill_switch = False

    # -- limits on equity ------------------------------------------------------------------------------------------

    def judge_equity(self, instant: int, equity: Decimal) -> list[RiskChange]:
        """Compare every profile's daily loss and drawdown with its limits; returns the trips that are new."""
        changes = []
        for name, state in self.states.items():
            limits = self._profiles[name]
            state.peak_equity = max(state.peak_equity, equity)
            loss, allowed = daily_loss(state, equity), daily_loss_allowed(limits, state)
            if loss >= allowed and loss > 0 and state.daily_trip_day is None:
                state.daily_trip_day = instant // DAY_NS
                changes.append(self._change(name, "tripped", "max_daily_loss_pct", allowed, loss))
            fall, allowed = drawdown(state, equity), drawdown_allowed(limits, state)
            if fall >= allowed and fall > 0 and not state.drawdown_latched:
                state.drawdown_latched = True
                changes.append(self._change(name, "tripped", "hard_drawdown_pct", allowed, fall))
        return changes

    def roll_day(self, day: int, equity: Decimal, *, exposed: Collection[str]) -> list[RiskChange]:
        """Begin the UTC day `day`: a new loss base; an earlier day's trip resets for the profiles that hold nothing any more."""
        changes = []
        for name, state in self.states.items():
            state.day = day
            state.start_of_day_equity = equity
            if state.daily_trip_day is not None and state.daily_trip_day < day and name not in exposed:
                state.daily_trip_day = None
                changes.append(self._change(name, "reset", "max_daily_loss_pct", None, None))
        return changes

    def set_kill_switch(self, on: bool) -> RiskChange:
        """On: no opening order passes until it is switched off again; reductions and cancels do."""
        self.kill_switch = on
        state = TradingState.HALTED if on else TradingState.ACTIVE
        return RiskChange(profile="*", change="kill_switch", state=state, rule="kill_switch", limit=None, value=None)

    def state(self, profile: str) -> TradingState:
        """What the profile may do now."""
        if self.kill_switch:
            return TradingState.HALTED
        return TradingState.REDUCING if self.states[profile].reducing else TradingState.ACTIVE

    def note(self, profile: str, change: str, rule: str) -> RiskChange:
        """A change for the record that is not of a limit."""
        return self._change(profile, change, rule, None, None)

    def _change(self, profile: str, change: str, rule: str, limit: Decimal | None, value: Decimal | None) -> RiskChange:
        return RiskChange(profile=profile, change=change, state=self.state(profile), rule=rule, limit=limit, value=value)

    # -- the gate --------------------------------------------------------------------------------------------------

    def judge(self, group: OrderGroup) -> ApprovedGroup | Refused:
        """Approve, clip or refuse the group as a whole and reserve what it may use.

        Legs are judged one after the other, each with the legs before it reserved; a group of several is clipped in proportion.
        """
        caps = [self._reserving(group, number) for number in range(len(group.legs))]
        self._release_legs(group)
        worst = min(range(len(caps)), key=lambda number: _share_allowed(caps[number], group.legs[number]))
        legs = [self._clipped(leg, caps[worst], group.legs[worst]) for leg in group.legs]
        if not all(leg.quantity for leg in legs):
            return Refused(group, self._verdict(group, worst, caps[worst], Outcome.REFUSED, ZERO))
        for number, leg in enumerate(legs):
            self._reserve(group, number, leg)
        outcome = Outcome.APPROVED if legs[worst].quantity == group.legs[worst].quantity else Outcome.ADJUSTED
        return ApprovedGroup(group, tuple(legs), self._verdict(group, worst, caps[worst], outcome, legs[worst].quantity))

    def _reserving(self, group: OrderGroup, number: int) -> Cap:
        """The tightest rule for one leg; what it allows is reserved while the next legs are judged."""
        leg = group.legs[number]
        cap = self._blocked(group, leg) or min(self._caps(group, leg), key=lambda cap: cap.quantity)
        if cap.quantity > 0:
            self._reserve(group, number, msgspec.structs.replace(leg, quantity=min(leg.quantity, cap.quantity)))
        return cap

    def _release_legs(self, group: OrderGroup) -> None:
        for number in range(len(group.legs)):
            self.release(group.order_id(number))

    def _clipped(self, leg: OrderLeg, cap: Cap, tightest: OrderLeg) -> OrderLeg:
        """The leg scaled as the tightest leg is scaled by its cap, rounded down to what can be traded."""
        quantity = leg.quantity
        if cap.quantity <= 0:
            quantity = ZERO
        elif cap.quantity < tightest.quantity:
            quantity = units(leg.quantity * cap.quantity, tightest.quantity, self._lot(leg))
        return msgspec.structs.replace(leg, quantity=self._tradable(leg, quantity))

    def release(self, order_id: str) -> None:
        """The order has ended: what it had reserved is free again."""
        self._reserved.pop(order_id, None)

    def reserved_reducing(self, strategy: str, instrument: str) -> Decimal:
        """Quantity that open reducing orders of the strategy will close."""
        return sum(
            (r.quantity for r in self._reserved.values() if r.reduce_only and (r.strategy, r.instrument) == (strategy, instrument)), ZERO
        )

    def _blocked(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        """The states and facts that refuse whatever the size."""
        if leg.instrument not in self._instruments:
            return _refusal(RefusalCode.UNKNOWN_INSTRUMENT)
        mark = self._ledger.last_price(leg.instrument)
        if mark is None or mark.price <= 0:
            return _refusal(RefusalCode.NO_REFERENCE_PRICE)
        if group.max_age_ns is not None and group.age_ns > group.max_age_ns and not (leg.reduce_only and group.signal_id):
            return _refusal(RefusalCode.STALE_DATA, limit=Decimal(group.max_age_ns), value=Decimal(group.age_ns))
        if leg.reduce_only:
            return None
        return self._blocked_opening(group, leg)

    def _blocked_opening(self, group: OrderGroup, leg: OrderLeg) -> Cap | None:
        state = self.states[group.profile]
        position = self._ledger.position(group.strategy, leg.instrument)
        if not leg.quantity:
            return _refusal(RefusalCode.NOTHING_TO_DO)
        if group.rank > group.max_rank:
            return _refusal(RefusalCode.MAX_SIGNALS, limit=Decimal(group.max_rank), value=Decimal(group.rank))
        if self.kill_switch:
            return _refusal(RefusalCode.KILL_SWITCH)
        if state.drawdown_latched:
            return _refusal(RefusalCode.DRAWDOWN_LIMIT)
        if state.daily_trip_day is not None:
            return _refusal(RefusalCode.DAILY_LOSS_LIMIT)
        if position and (leg.side is Side.BUY) == (position < 0):
            return _refusal(RefusalCode.REVERSAL)
        return _refusal(RefusalCode.SHORT_NOT_ALLOWED) if leg.side is Side.SELL and not self._allow_short else None

    def _caps(self, group: OrderGroup, leg: OrderLeg) -> list[Cap]:
        if leg.reduce_only:
            return [self._cap_reducing(group, leg)]
        price = self._mark(leg.instrument).price
        limits = self._profiles[group.profile]
        return [
            self._cap_position(leg, limits, price),
            self._cap_leverage(leg, limits, price),
            self._cap_open_positions(leg, limits),
            self._cap_cash(leg, price),
        ]

    def _cap_reducing(self, group: OrderGroup, leg: OrderLeg) -> Cap:
        position = self._ledger.position(group.strategy, leg.instrument)
        held = position if leg.side is Side.SELL else -position
        closing = self.reserved_reducing(group.strategy, leg.instrument)
        left = max(held - closing, ZERO)
        code = RefusalCode.NO_POSITION if held <= 0 else RefusalCode.ALREADY_CLOSING
        return Cap(code, "reduce_only", max(held, ZERO), closing, left, left)

    def _cap_position(self, leg: OrderLeg, limits: RiskLimits, price: Decimal) -> Cap:
        limit = limits.max_position_pct * self._ledger.equity
        value = abs(self._ledger.exposure(leg.instrument)) + self._opening_notional(leg.instrument)
        return _money_cap(RefusalCode.POSITION_LIMIT, "max_position_pct", limit, value, price, self._lot(leg))

    def _cap_leverage(self, leg: OrderLeg, limits: RiskLimits, price: Decimal) -> Cap:
        limit = limits.max_leverage * self._ledger.equity
        value = self._ledger.gross_exposure + self._opening_notional()
        return _money_cap(RefusalCode.LEVERAGE_LIMIT, "max_leverage", limit, value, price, self._lot(leg))

    def _cap_open_positions(self, leg: OrderLeg, limits: RiskLimits) -> Cap:
        held = {name for name, quantity in self._ledger.net.items() if quantity}
        held.update(r.instrument for r in self._reserved.values() if not r.reduce_only)
        limit, value = Decimal(limits.max_open_positions), Decimal(len(held))
        allowed = limit > 0 and (leg.instrument in held or value < limit)
        return Cap(RefusalCode.OPEN_POSITIONS, "max_open_positions", limit, value, limit - value, _UNBOUNDED if allowed else ZERO)

    def _cap_cash(self, leg: OrderLeg, price: Decimal) -> Cap:
        limit = self._ledger.cash - self._ledger.blocked_cash(self._leverage)
        opening = [reserved for reserved in self._reserved.values() if not reserved.reduce_only]
        value = sum((reserved.notional * self._cash_needed[reserved.side] for reserved in opening), ZERO)
        return _money_cap(RefusalCode.INSUFFICIENT_CASH, "cash", limit, value, price * self._cash_needed[leg.side], self._lot(leg))

    def _tradable(self, leg: OrderLeg, quantity: Decimal) -> Decimal:
        """`quantity` rounded down to the lot; 0 if an opening order would be below the venue's minimum."""
        instrument = self._instruments.get(leg.instrument)
        if instrument is None or quantity <= 0:
            return ZERO
        quantity = quantise_down(quantity, instrument.lot_size)
        if leg.reduce_only:
            return quantity
        notional = quantity * self._mark(leg.instrument).price
        return ZERO if quantity < instrument.min_quantity or notional < instrument.min_notional else quantity

    def _verdict(self, group: OrderGroup, number: int, cap: Cap, outcome: Outcome, approved: Decimal) -> Verdict:
        leg = group.legs[number]
        clipped = outcome is not Outcome.APPROVED
        below = outcome is Outcome.REFUSED and 0 < leg.quantity <= cap.quantity
        return Verdict(
            group_id=group.id,
            signal_id=group.signal_id,
            profile=group.profile,
            outcome=outcome,
            code=RefusalCode.BELOW_MINIMUM if below else cap.code if clipped else None,
            rule="minimum" if below else cap.rule,
            limit=cap.limit,
            value=cap.value,
            headroom=cap.headroom,
            requested=leg.quantity,
            approved=approved,
        )

    def _reserve(self, group: OrderGroup, number: int, leg: OrderLeg) -> None:
        notional = leg.quantity * self._mark(leg.instrument).price
        reserved = Reservation(group.strategy, leg.instrument, leg.side, leg.quantity, notional, leg.reduce_only)
        self._reserved[group.order_id(number)] = reserved

    def _opening_notional(self, instrument: str | None = None) -> Decimal:
        return sum((r.notional for r in self._reserved.values() if not r.reduce_only and instrument in (None, r.instrument)), ZERO)

    def _lot(self, leg: OrderLeg) -> Decimal:
        return self._instruments[leg.instrument].lot_size

    def _mark(self, instrument: str) -> Mark:
        mark = self._ledger.last_price(instrument)
        if mark is None:
            msg = f"{instrument} has no price; _blocked refuses it before any size is computed"
            raise LookupError(msg)
        return mark


def _share_allowed(cap: Cap, leg: OrderLeg) -> Fraction:
    """The fraction of the leg that its cap lets pass."""
    return Fraction(min(cap.quantity, leg.quantity)) / Fraction(leg.quantity) if leg.quantity else Fraction(0)


def _money_cap(code: RefusalCode, rule: str, limit: Decimal, value: Decimal, price: Decimal, lot: Decimal) -> Cap:
    headroom = max(limit - value, ZERO)
    return Cap(code, rule, limit, value, headroom, units(headroom, price, lot))


def _refusal(code: RefusalCode, limit: Decimal = ZERO, value: Decimal = ZERO) -> Cap:
    return Cap(code, code.value, limit, value, ZERO, ZERO)
