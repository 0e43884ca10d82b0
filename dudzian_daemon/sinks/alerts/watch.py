"""What happened -> what people are told: alerts from durable cycles, and from messages of the daemon and its feed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity, alert
from dudzian_daemon.domain.events import CycleDurable, FeedAlert, ResourceState, SelfCheckFailed, SessionRecovered, SessionState, UnitState
from dudzian_daemon.domain.market import Gap, WarmUp
from dudzian_daemon.domain.orders import OrderResult, OrderStatus, Outcome, RefusalCode, Verdict
from dudzian_daemon.domain.records import CycleRecord, RiskChange
from dudzian_daemon.kernel.clock import iso_utc

#: Refusals that say that a strategy breaks the stop policy.
POLICY: Final = frozenset({RefusalCode.STOP_MISSING, RefusalCode.STOP_WRONG_SIDE, RefusalCode.STOP_TOO_TIGHT})
#: Refusals that are no news: the signal had nothing to do, or only repeats what is under way.
NO_NEWS: Final = frozenset({RefusalCode.NOTHING_TO_DO, RefusalCode.ALREADY_CLOSING, RefusalCode.NO_POSITION, RefusalCode.MAX_SIGNALS})
#: End of the subject of an alert about the candle store, and what the feed's alerts have in their context: how long it had lasted.
STORED: Final = " stored"
SECONDS: Final = "seconds"
_TRIPS: Final = {"max_daily_loss_pct": AlertCode.RISK_DAILY_LIMIT, "hard_drawdown_pct": AlertCode.RISK_DRAWDOWN_LIMIT}
_NAMES: Final = {AlertCode.RISK_DAILY_LIMIT: "daily loss limit", AlertCode.RISK_DRAWDOWN_LIMIT: "drawdown limit"}


class _Kind(msgspec.Struct, frozen=True):
    """How a change of the gate is told; `subject` is `profile`, `rule`, or what it says. `over`: it ends what the code tells."""

    code: AlertCode
    title: str
    subject: str = "profile"
    over: bool = False


#: Changes besides the trips of a limit and the kill switch.
_CHANGES: Final = MappingProxyType(
    {
        "state_unknown": _Kind(AlertCode.RISK_STATE_UNKNOWN, "the gate's state is unknown: {change.rule}", "account"),
        "released": _Kind(AlertCode.RISK_STATE_UNKNOWN, "the gate's state is known again: {change.rule}", "account", over=True),
        "release_refused": _Kind(AlertCode.RISK_RELEASE_REFUSED, "a release of {change.profile} was refused: {change.rule}"),
        "liquidated": _Kind(AlertCode.MARGIN_LIQUIDATION, "margin call: {change.profile} closes a short"),
        "leg_failed": _Kind(AlertCode.LEG_FAILED, "an order group of {change.profile} lost a leg"),
        "stop_met": _Kind(AlertCode.CATASTROPHE_STOP, "catastrophe stop of {change.profile}: {value} lost, limit {limit}"),
        "market_closed": _Kind(AlertCode.MARKET_CLOSED, "{change.rule} is closed: no order passes", "rule"),
        "market_open": _Kind(AlertCode.MARKET_CLOSED, "{change.rule} is open again", "rule", over=True),
        "market_unknown": _Kind(AlertCode.MARKET_CLOSED, "a command named {change.rule}, which is not traded", "rule"),
    }
)


def of_cycle(cycle: CycleDurable) -> Iterator[Alert]:
    """Everything of one cycle that somebody should know, in the order in which it happened."""
    record = cycle.record
    yield from _gaps(record)
    for change in record.risk:
        yield from _risk(change, record)
    yield from _refusals(record)
    for state in record.strategies:
        if state.change == "quarantined":
            title = f"strategy {state.strategy} is quarantined"
            yield alert(AlertCode.STRATEGY_QUARANTINED, title, f"reason: {state.reason}", subject=state.strategy)
    for fault in record.faults:
        title, body = f"strategy {fault.strategy} broke in {fault.where}", f"{fault.error} in unit {fault.unit}"
        yield alert(AlertCode.STRATEGY_FAULT, title, body, subject=fault.strategy)


def of_message(message: object, *, before: str = "") -> Iterator[Alert]:
    """Alerts from a message that is no cycle; `before` is the state in which the session was before this one."""
    if isinstance(message, SessionState):
        if message.state == "frozen":
            yield alert(AlertCode.JOURNAL_STOPPED, "the journal cannot be written", message.detail, subject="journal")
        elif before == "frozen":
            yield alert(AlertCode.JOURNAL_STOPPED, "the journal is written again", message.detail, subject="journal", resolved=True)
    elif isinstance(message, SelfCheckFailed):
        first = message.differences[0]
        body = f"{first.rule} at cycle {first.sequence}, {first.subject}: expected {first.expected}, found {first.found}; {message.file}"
        yield alert(AlertCode.SELF_CHECK, f"{len(message.differences)} difference(s) in the account", body, subject="account")
    elif isinstance(message, SessionRecovered):
        body = f"after cycle {message.sequence}; {message.rerun_cycles} cycles run again, {message.torn_bytes} torn bytes cut off"
        yield alert(AlertCode.SESSION_RECOVERED, "a session goes on after a restart", body, subject=message.log_id)
    elif isinstance(message, FeedAlert):
        subject = f"{message.subject}{STORED}" if message.in_store else message.subject
        context = {SECONDS: f"{message.seconds:.0f}"}
        yield alert(AlertCode(message.code), message.detail, subject=subject, context=context, resolved=not message.active)
    elif isinstance(message, ResourceState):
        what = {"near": "is nearly used", "over": "is passed"}.get(message.state, "has room again")
        context = {"limit": f"{message.limit:g}", **({} if message.used is None else {"used": f"{message.used:.1f}"})}
        over = message.state == "ok"
        yield alert(
            AlertCode.RESOURCE_LIMIT, f"budget {message.name} {what}", message.detail, subject=message.name, context=context, resolved=over
        )
    elif isinstance(message, UnitState) and message.state == "failed":
        code = AlertCode.JOURNAL_STOPPED if message.name == "session" else AlertCode.UNIT_FAILED
        yield alert(code, f"{message.name} failed", message.detail, subject=message.name)


def _risk(change: RiskChange, record: CycleRecord) -> Iterator[Alert]:
    figures = {name: str(figure) for name, figure in (("limit", change.limit), ("value", change.value)) if figure is not None}
    context = {"profile": change.profile, "rule": change.rule, "state": change.state, "equity": str(record.equity), **figures}
    code = _TRIPS.get(change.rule)
    if code is not None and change.change in ("tripped", "reset", "released"):
        over = change.change != "tripped"
        what = f"is over ({change.change})" if over else f"passed: {_money(change.value)} lost, limit {_money(change.limit)}"
        body = "new orders pass again" if over else "force liquidation: positions are being closed, only reducing orders pass"
        yield alert(code, f"{_NAMES[code]} of {change.profile} {what}", body, subject=change.profile, context=context, resolved=over)
    elif change.change == "kill_switch":
        off = change.state != "halted"
        yield alert(AlertCode.KILL_SWITCH, f"kill switch {'off' if off else 'on'}", subject="account", context=context, resolved=off)
    elif change.change in _CHANGES:
        kind = _CHANGES[change.change]
        title = kind.title.format(change=change, value=_money(change.value), limit=_money(change.limit))
        subject = {"rule": change.rule, "profile": change.profile}.get(kind.subject, kind.subject)
        yield alert(kind.code, title, subject=subject, context=context, resolved=kind.over)


def _refusals(record: CycleRecord) -> Iterator[Alert]:
    refused = {verdict.group_id: verdict for verdict in record.verdicts if verdict.outcome is Outcome.REFUSED}
    signals = {signal.id: signal for signal in record.signals}
    orders: dict[str, OrderResult] = {}
    for result in record.results:
        group_id = result.order_id.rpartition(".")[0]
        orders.setdefault(group_id, result)
        if result.status is OrderStatus.REJECTED and group_id not in refused:
            title = f"{result.instrument}: order of {result.strategy} rejected with {result.code}"
            body = f"{result.side} {result.quantity}, order {result.order_id}"
            yield alert(AlertCode.EXECUTION_REJECTED, title, body, subject=result.strategy, context=_order(result))
    for group_id, verdict in refused.items():
        if verdict.code in NO_NEWS:
            continue
        order, signal = orders.get(group_id), signals.get(verdict.signal_id)
        owner = order.strategy if order is not None else signal.strategy if signal is not None else "manual"
        yield _refusal(verdict, owner, order)


def _refusal(verdict: Verdict, owner: str, order: OrderResult | None) -> Alert:
    code = AlertCode.RISK_POLICY_BREACH if verdict.code in POLICY else AlertCode.RISK_REFUSED
    figures = {"limit": verdict.limit, "value": verdict.value, "headroom": verdict.headroom, "requested": verdict.requested}
    context = {"refusal": str(verdict.code), "rule": verdict.rule, "profile": verdict.profile, "group_id": verdict.group_id}
    context |= {name: str(figure) for name, figure in figures.items() if figure is not None} | (_order(order) if order is not None else {})
    what = f"{order.side} {order.quantity} {order.instrument}" if order is not None else f"group {verdict.group_id}"
    body = f"{what}: rule {verdict.rule}, limit {verdict.limit}, value {verdict.value}, headroom {verdict.headroom}"
    return alert(code, f"{owner} refused with {verdict.code} under {verdict.profile}", body, subject=owner, context=context)


def _order(result: OrderResult) -> dict[str, str]:
    return {
        "order_id": result.order_id,
        "instrument": result.instrument,
        "side": result.side,
        "quantity": str(result.quantity),
        "order_code": result.code or "",
    }


def _gaps(record: CycleRecord) -> Iterator[Alert]:
    """What was declared missing; between two windows of stored candles, where a series is warmed up anew, nothing is."""
    anew = {(item.instrument, item.granularity) for item in record.inputs if isinstance(item, WarmUp)}
    for item in record.inputs:
        if isinstance(item, Gap) and (item.instrument, item.granularity) not in anew:
            series = f"{item.instrument} {item.granularity}"
            body = f"from {iso_utc(item.start)} to {iso_utc(item.end)}"
            yield alert(AlertCode.DATA_LAG, f"{series}: candles are missing for good", body, subject=series)


def _money(amount: Decimal | None) -> str:
    return "nothing" if amount is None else f"{amount:.2f}"


def merge_key(message: Any) -> tuple[str, str]:
    """Under which key a message of the daemon replaces an older one that still waits: the newest state of each thing is what counts."""
    if isinstance(message, FeedAlert):
        return message.code, f"{message.subject} {message.in_store} {message.active}"  # that it began is told even if it is over by then
    name = getattr(message, "name", None) or getattr(message, "state", "")
    return type(message).__name__, str(name)


def worth_tracking(each: Alert) -> bool:
    """Whether a person has to look at it: everything but information and what is over."""
    return each.severity is not Severity.INFO and not each.resolved
