"""What happened -> what people are told: alerts from durable cycles, from messages of the daemon, and from what stays away."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any, Final

from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity, alert
from dudzian_daemon.domain.events import AdapterState, CycleDurable, FeedAlert, SelfCheckFailed, SessionRecovered, SessionState, UnitState
from dudzian_daemon.domain.market import GRANULARITIES, SECOND_NS, Candle, Command, Gap, WarmUp
from dudzian_daemon.domain.orders import OrderResult, OrderStatus, Outcome, RefusalCode, Verdict
from dudzian_daemon.domain.records import CycleRecord, RiskChange
from dudzian_daemon.kernel.clock import iso_utc

#: Refusals that say that a strategy breaks the stop policy.
POLICY: Final = frozenset({RefusalCode.STOP_MISSING, RefusalCode.STOP_WRONG_SIDE, RefusalCode.STOP_TOO_TIGHT})
_TRIPS: Final = {"max_daily_loss_pct": AlertCode.RISK_DAILY_LIMIT, "hard_drawdown_pct": AlertCode.RISK_DRAWDOWN_LIMIT}
_NAMES: Final = {AlertCode.RISK_DAILY_LIMIT: "daily loss limit", AlertCode.RISK_DRAWDOWN_LIMIT: "drawdown limit"}


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
    elif isinstance(message, FeedAlert) and message.in_store:  # what is late or away is watched here, by the configured limits
        title = f"{message.subject}: the candle store {'lacks bars' if message.active else 'is complete again'}"
        yield alert(AlertCode.DATA_LAG, title, message.detail, subject=f"{message.subject} stored", resolved=not message.active)
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
    elif change.change == "state_unknown":
        yield alert(AlertCode.RISK_STATE_UNKNOWN, f"the gate's state is unknown: {change.rule}", subject="account", context=context)
    elif change.change == "liquidated":
        yield alert(AlertCode.MARGIN_LIQUIDATION, f"margin call: {change.profile} closes a short", subject=change.profile, context=context)
    elif change.change == "leg_failed":
        yield alert(AlertCode.LEG_FAILED, f"an order group of {change.profile} lost a leg", subject=change.profile, context=context)
    elif change.change == "stop_met":
        title = f"catastrophe stop of {change.profile}: {_money(change.value)} lost, limit {_money(change.limit)}"
        yield alert(AlertCode.CATASTROPHE_STOP, title, subject=change.profile, context=context)


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


class LagWatch:
    """Daily series that were seen and then stay away, in event time. A window of stored candles that ends is no lag."""

    def __init__(self, lag_ns: int, granularities: Collection[str] = ("1d",)) -> None:
        self._lag_ns = lag_ns
        self._steps = {granularity: GRANULARITIES[granularity] for granularity in granularities}
        self._ends: dict[tuple[str, str], int] = {}
        self._late: set[tuple[str, str]] = set()

    def note(self, record: CycleRecord) -> Iterator[Alert]:
        """Take a cycle's inputs in; the series that are back."""
        for item in record.inputs:
            if isinstance(item, Candle | WarmUp) and item.granularity in self._steps:
                key = (item.instrument, item.granularity)
                self._ends[key] = max(item.end, self._ends.get(key, 0))
                if key in self._late:
                    self._late.discard(key)
                    yield alert(AlertCode.DATA_LAG, f"{' '.join(key)}: candles come again", subject=" ".join(key), resolved=True)
            elif isinstance(item, Command) and item.name == "end_of_data":
                self._ends.clear()
                self._late.clear()

    def look(self, now: int) -> Iterator[Alert]:
        """The series whose next candle is overdue by more than the limit at `now` (event ns), each told once."""
        for key, end in self._ends.items():
            overdue_ns = now - end - self._steps[key[1]]
            if overdue_ns > self._lag_ns and key not in self._late:
                self._late.add(key)
                body = f"due since {iso_utc(end + self._steps[key[1]])}, {overdue_ns / 3_600 / SECOND_NS:.1f} h ago"
                yield alert(AlertCode.DATA_LAG, f"{' '.join(key)}: no candle for too long", body, subject=" ".join(key))


class AdapterWatch:
    """Adapters that have failed without a success in between; times are monotonic ns."""

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._failing: dict[str, tuple[int, str]] = {}
        self._told: set[str] = set()

    def note(self, message: AdapterState, now: int) -> Iterator[Alert]:
        """Take in how an adapter is; that it is back, if it was told to be away."""
        if not message.reachable:
            since = self._failing.get(message.adapter, (now, ""))[0]
            self._failing[message.adapter] = (since, message.detail)
            return
        self._failing.pop(message.adapter, None)
        if message.adapter in self._told:
            self._told.discard(message.adapter)
            yield alert(AlertCode.ADAPTER_OFFLINE, f"{message.adapter} answers again", subject=message.adapter, resolved=True)

    def look(self, now: int) -> Iterator[Alert]:
        """The adapters that have been failing for longer than the limit, each told once."""
        for name, (since, detail) in self._failing.items():
            if now - since > self._limit_ns and name not in self._told:
                self._told.add(name)
                seconds = (now - since) // SECOND_NS
                yield alert(AlertCode.ADAPTER_OFFLINE, f"{name} has not answered for {seconds} s", detail, subject=name)


def merge_key(message: Any) -> tuple[str, str]:
    """Under which key a message of the daemon replaces an older one that still waits: the newest state of each thing is what counts."""
    if isinstance(message, FeedAlert):
        return message.code, f"{message.subject} {message.in_store}"
    name = getattr(message, "name", None) or getattr(message, "adapter", None) or getattr(message, "state", "")
    return type(message).__name__, str(name)


def worth_tracking(each: Alert) -> bool:
    """Whether a person has to look at it: everything but information and what is over."""
    return each.severity is not Severity.INFO and not each.resolved
