"""The risk gate: single writer of limits, reservations and the reducing and halted states (promise P3).

`judge` answers every order group with an `ApprovedGroup` or a `Refused`; nothing else makes an `ApprovedGroup`.
Limits are judged on equity marked to market, once per tick, whether or not an order arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset
from dudzian_daemon.domain.market import DAY_NS, Instrument
from dudzian_daemon.domain.money import BPS, ONE, ZERO, quantise_down, units
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
    quantity: Decimal
    notional: Decimal
    reduce_only: bool


class ThresholdRiskEngine:
    """Gate of one account; reads the ledger, writes nothing but its own state."""

    def __init__(
        self, profiles: Mapping[str, RiskLimits], instruments: Mapping[str, Instrument], preset: ExecutionPreset, ledger: Ledger
    ) -> None:
        self._profiles = profiles
        self._instruments = instruments
        self._ledger = ledger
        #: What a unit of notional may cost in cash: price against us by slippage, plus the fee.
        self._cash_per_notional = (ONE + preset.slippage_bps * BPS) * (ONE + preset.taker_fee)
        self._reserved: dict[str, Reservation] = {}
        self.states = {name: ProfileState(day=0, start_of_day_equity=ledger.equity, peak_equity=ledger.equity) for name in profiles}
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

    def roll_day(self, day: int, equity: Decimal, *, flat: bool) -> list[RiskChange]:
        """Begin the UTC day `day`: a new loss base; a daily trip of an earlier day resets when the account is flat."""
        changes = []
        for name, state in self.states.items():
            state.day = day
            state.start_of_day_equity = equity
            if state.daily_trip_day is not None and state.daily_trip_day < day and flat:
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

    def _change(self, profile: str, change: str, rule: str, limit: Decimal | None, value: Decimal | None) -> RiskChange:
        return RiskChange(profile=profile, change=change, state=self.state(profile), rule=rule, limit=limit, value=value)

    # -- the gate --------------------------------------------------------------------------------------------------

    def judge(self, group: OrderGroup) -> ApprovedGroup | Refused:
        """Approve, clip or refuse the group as a whole and reserve what it may use."""
        caps = []
        legs = []
        for leg in group.legs:
            cap = self._blocked(group, leg) or min(self._caps(group, leg), key=lambda cap: cap.quantity)
            approved = self._tradable(leg, min(leg.quantity, cap.quantity))
            if approved <= 0 or (approved < leg.quantity and len(group.legs) > 1):
                return Refused(group, self._verdict(group, leg, cap, Outcome.REFUSED, ZERO))
            caps.append(cap)
            legs.append(msgspec.structs.replace(leg, quantity=approved))
        outcome = Outcome.APPROVED if legs[0].quantity == group.legs[0].quantity else Outcome.ADJUSTED
        self._reserve(group, legs)
        return ApprovedGroup(group, tuple(legs), self._verdict(group, group.legs[0], caps[0], outcome, legs[0].quantity))

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
        if self._ledger.last_price(leg.instrument) is None:
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
        if group.surplus:
            return _refusal(RefusalCode.MAX_SIGNALS)
        if self.kill_switch:
            return _refusal(RefusalCode.KILL_SWITCH)
        if state.drawdown_latched:
            return _refusal(RefusalCode.DRAWDOWN_LIMIT)
        if state.daily_trip_day is not None:
            return _refusal(RefusalCode.DAILY_LOSS_LIMIT)
        if leg.side is Side.SELL:
            return _refusal(RefusalCode.REVERSAL if position > 0 else RefusalCode.SHORT_NOT_ALLOWED)
        return None

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
        return Cap(RefusalCode.OPEN_POSITIONS, "max_open_positions", limit, value, limit - value, leg.quantity if allowed else ZERO)

    def _cap_cash(self, leg: OrderLeg, price: Decimal) -> Cap:
        limit = self._ledger.cash
        value = self._opening_notional() * self._cash_per_notional
        return _money_cap(RefusalCode.INSUFFICIENT_CASH, "cash", limit, value, price * self._cash_per_notional, self._lot(leg))

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

    def _verdict(self, group: OrderGroup, leg: OrderLeg, cap: Cap, outcome: Outcome, approved: Decimal) -> Verdict:
        clipped = outcome is not Outcome.APPROVED
        below = outcome is Outcome.REFUSED and cap.quantity >= leg.quantity
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

    def _reserve(self, group: OrderGroup, legs: list[OrderLeg]) -> None:
        for number, leg in enumerate(legs):
            notional = leg.quantity * self._mark(leg.instrument).price
            self._reserved[group.order_id(number)] = Reservation(group.strategy, leg.instrument, leg.quantity, notional, leg.reduce_only)

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


def _money_cap(code: RefusalCode, rule: str, limit: Decimal, value: Decimal, price: Decimal, lot: Decimal) -> Cap:
    headroom = max(limit - value, ZERO)
    return Cap(code, rule, limit, value, headroom, units(headroom, price, lot))


def _refusal(code: RefusalCode, limit: Decimal = ZERO, value: Decimal = ZERO) -> Cap:
    return Cap(code, code.value, limit, value, ZERO, ZERO)
