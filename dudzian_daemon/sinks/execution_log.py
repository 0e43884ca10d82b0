"""Section `execution` of the runtime log: every refused order with its code and parameters, as it becomes durable."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dudzian_daemon.domain.events import CYCLE_DURABLE
from dudzian_daemon.domain.orders import OrderResult, OrderStatus, Outcome, Verdict
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus

SECTION: Final = "execution"

log = logs.logger(SECTION)


def log_refusals(bus: Bus) -> None:
    """Log inline what gate and simulator refuse; the log writes from a thread of its own."""
    bus.subscribe(CYCLE_DURABLE, _take, name="execution_log")


def _take(_topic: str, cycle: Any) -> None:
    record = cycle.record
    verdicts = {verdict.group_id: verdict for verdict in record.verdicts if verdict.outcome is Outcome.REFUSED}
    for result in record.results:
        if result.status is OrderStatus.REJECTED:
            verdict = verdicts.get(result.order_id.rpartition(".")[0])
            log.warning("order_refused", action="refuse", sequence=record.sequence, **_order(result), **_rule(verdict))
    orders = {result.order_id.rpartition(".")[0] for result in record.results}
    for group_id in verdicts.keys() - orders:  # a cancel of an order that is not open
        verdict = verdicts[group_id]
        log.warning("cancel_refused", action="refuse", sequence=record.sequence, order_id=group_id, code=verdict.code, **_rule(verdict))


def _order(result: OrderResult) -> dict[str, Any]:
    """The order's parameters; numbers as exact text, the terms of anything but a plain market order member by member."""
    terms = {"kind": "market"} if result.terms is None else msgspec.to_builtins(result.terms)
    return {
        "code": result.code,
        "order_id": result.order_id,
        "signal_id": result.signal_id,
        "strategy": result.strategy,
        "instrument": result.instrument,
        "side": result.side,
        "quantity": str(result.quantity),
        **terms,
    }


def _rule(verdict: Verdict | None) -> dict[str, str]:
    """Rule and figures of the verdict; nothing where the simulator refused what the gate had passed."""
    if verdict is None:
        return {}
    figures = {"limit": verdict.limit, "value": verdict.value, "headroom": verdict.headroom}
    return {"profile": verdict.profile, "rule": verdict.rule} | {
        name: str(figure) for name, figure in figures.items() if figure is not None
    }
