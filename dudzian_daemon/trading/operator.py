"""What an operator may tell a running session: orders by hand, cancels, closes, switches and releases, all on the record.

Orders by hand are a strategy of their own, `manual`, under the risk profile of that name; they pass the same gate as every
other order and are refused rather than clipped. A command that cannot be read becomes an order that the gate refuses.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Command
from dudzian_daemon.domain.money import ZERO, units
from dudzian_daemon.domain.order_form import read_form
from dudzian_daemon.domain.orders import Link, OrderGroup, OrderLeg, OrderResult, Side, Verdict
from dudzian_daemon.domain.records import RiskChange
from dudzian_daemon.trading.controllers import TradingController
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.spec import MANUAL, SessionSpec

#: Commands that orders and the gate's states answer to; docs/reference/commands.md describes their arguments.
OPERATOR_COMMANDS: Final = frozenset(
    {"order_place", "order_cancel", "order_close", "kill_switch", "release_drawdown", "state_unknown", "market"}
)
_NO_NUMBER: Final = Decimal("NaN")


class Effect(msgspec.Struct):
    """What became of a command."""

    verdicts: list[Verdict] = []
    results: list[OrderResult] = []
    risk: list[RiskChange] = []


class Operator:
    """Turns commands into order groups for the gate and into changes of its switches; has no state of its own."""

    def __init__(self, spec: SessionSpec, ledger: Ledger, gate: ThresholdRiskEngine, controller: TradingController) -> None:
        self._spec = spec
        self._ledger = ledger
        self._gate = gate
        self._controller = controller
        self._take = {
            "order_place": self._place,
            "order_cancel": self._cancel,
            "order_close": self._close,
            "kill_switch": self._switch,
            "release_drawdown": self._release,
            "state_unknown": self._unknown,
            "market": self._market,
        }

    def take(self, command: Command) -> Effect:
        """Obey one of `OPERATOR_COMMANDS`."""
        return self._take[command.name](command)

    # -- orders ----------------------------------------------------------------------------------------------------

    def _place(self, command: Command) -> Effect:
        return self._judged(manual_group(command, self._spec, self._ledger), command)

    def _cancel(self, command: Command) -> Effect:
        wanted = command.arguments.get("order_id", "")
        order = self._controller.open_order(wanted)
        verdict = self._gate.judge_cancel(order, wanted, _signal_id(command))
        results = self._controller.cancel(command.instant, code="operator", order_id=wanted) if order is not None else []
        return Effect(verdicts=[verdict], results=results)

    def _close(self, command: Command) -> Effect:
        """Close what a strategy, by default the operator's own, holds of an instrument; its open orders there go first."""
        strategy, instrument = command.arguments.get("strategy", MANUAL), command.arguments.get("instrument", "")
        cancelled = self._controller.cancel_of(strategy, instrument, command.instant, code="operator")
        groups = self._controller.closing_groups(
            command.instant, wanted=lambda schedule, key: (schedule.strategy, key) == (strategy, instrument)
        )
        group = groups[0] if groups else self._nothing_to_close(command, strategy, instrument)
        effect = self._judged(msgspec.structs.replace(group, id=_group_id(command, instrument), signal_id=_signal_id(command)), command)
        return Effect(verdicts=effect.verdicts, results=cancelled + effect.results)

    def _judged(self, group: OrderGroup, command: Command) -> Effect:
        done = self._controller.process([group], [], command.instant)
        return Effect(verdicts=done.verdicts, results=done.results)

    def _nothing_to_close(self, command: Command, strategy: str, instrument: str) -> OrderGroup:
        leg = OrderLeg(instrument=instrument, side=Side.SELL, quantity=ZERO, reduce_only=True)
        return msgspec.structs.replace(_group(command, (leg,), ""), strategy=strategy)

    # -- switches --------------------------------------------------------------------------------------------------

    def _switch(self, command: Command) -> Effect:
        return Effect(risk=[self._gate.set_kill_switch(command.arguments.get("on") != "no")])

    def _release(self, command: Command) -> Effect:
        """The operator's record: who, and why; the journal signs it."""
        profile = command.arguments.get("profile", "")
        held = {schedule.profile for schedule, _ in self._controller.holdings()}
        signed, equity = _is_signed(command), self._ledger.equity
        return Effect(risk=[self._gate.release_drawdown(profile, command.instant, equity, flat=profile not in held, signed=signed)])

    def _unknown(self, command: Command) -> Effect:
        if command.arguments.get("on") == "no":
            return Effect(risk=[self._gate.release_unknown(signed=_is_signed(command))])
        return Effect(risk=[self._gate.set_unknown(command.arguments.get("reason") or "operator")])

    def _market(self, command: Command) -> Effect:
        instrument, is_open = command.arguments.get("instrument", ""), command.arguments.get("open") != "no"
        if instrument not in self._spec.instruments:
            return Effect(risk=[self._gate.note("*", "market_unknown", instrument)])
        return Effect(risk=[self._gate.set_market(instrument, is_open=is_open, instant=command.instant)])


def manual_group(command: Command, spec: SessionSpec, ledger: Ledger) -> OrderGroup:
    """The order group of an `order_place` command; what cannot be read in it becomes a quantity that is no number."""
    arguments = command.arguments
    key = arguments.get("instrument", "")
    try:
        form = read_form(arguments)
        quantity = _quantity(arguments, key, spec, ledger)
    except (ValueError, InvalidOperation):
        return _group(command, (OrderLeg(instrument=key, side=Side.BUY, quantity=_NO_NUMBER, reduce_only=False),), "")
    first, *others = (
        OrderLeg(instrument=key, side=form.side, quantity=quantity, reduce_only=form.reduce_only, terms=each) for each in form.terms
    )
    if form.link == "bracket":
        other = Side.SELL if form.side is Side.BUY else Side.BUY
        others = [msgspec.structs.replace(leg, side=other, reduce_only=True) for leg in others]
    return _group(command, (first, *others), form.link)


def _is_signed(command: Command) -> bool:
    """Whether it names who and why: what the journal then signs."""
    return all(command.arguments.get(name, "").strip() for name in ("operator", "reason"))


def _group(command: Command, legs: tuple[OrderLeg, ...], link: Link) -> OrderGroup:
    return OrderGroup(
        id=_group_id(command, legs[0].instrument),
        signal_id=_signal_id(command),
        strategy=MANUAL,
        schedule=MANUAL,
        profile=MANUAL,
        instant=command.instant,
        legs=legs,
        link=link,
        whole=True,
        client_id=command.arguments.get("client_id", command.id),
        paid_in=command.arguments.get("asset", ""),
    )


def _group_id(command: Command, instrument: str) -> str:
    return f"{MANUAL}/{instrument}/{command.instant}/{command.id}"


def _signal_id(command: Command) -> str:
    return f"{MANUAL}/{command.id}"


def _quantity(arguments: dict[str, str], key: str, spec: SessionSpec, ledger: Ledger) -> Decimal:
    """The quantity named, or what `value` (quote asset) buys at the last price, rounded down to the lot."""
    if "value" not in arguments:
        return Decimal(arguments.get("quantity", "NaN"))
    value, mark, instrument = Decimal(arguments["value"]), ledger.prices.last_price(key), spec.instruments.get(key)
    if mark is None or mark.price <= 0 or instrument is None or not 0 <= value <= Decimal(10**15):
        return _NO_NUMBER if not 0 <= value <= Decimal(10**15) else ZERO
    return units(value, mark.price, instrument.lot_size)
