"""The signed decision log: one line per decision event, each naming the journal line it was made from.

A projection: it is behind the journal, never ahead of it, and never holds the core back.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower, Mark
from dudzian_daemon.adapters.segmented_log import SegmentedLog
from dudzian_daemon.domain.errors import Permanent, StorageError, StorageFull
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.money import exact_money, plain
from dudzian_daemon.domain.orders import Fill, OrderResult, OrderStatus, Outcome, Signal, Verdict
from dudzian_daemon.kernel.clock import Clock, iso_utc

#: How long the log waits before it asks a full disk again.
FULL_DISK_RETRY_SECONDS: Final = 1.0

_VERDICT_EVENTS: Final = {
    Outcome.APPROVED: "risk_check_passed",
    Outcome.ADJUSTED: "risk_adjusted",
    Outcome.REFUSED: "risk_rejected",
}
_ORDER_EVENTS: Final = {
    OrderStatus.ACCEPTED: "order_submitted",
    OrderStatus.FILLED: "order_executed",
    OrderStatus.PARTIALLY_FILLED: "order_executed",
    OrderStatus.CANCELLED: "order_failed",
    OrderStatus.EXPIRED: "order_failed",
    OrderStatus.REJECTED: "order_failed",
}


class DecisionLog:
    """Writes what the cycles decided into a chained log; a batch of cycles is one write and one sync."""

    name = "decision_log"

    def __init__(
        self, follower: CycleFollower, segmented: SegmentedLog, clock: Clock, *, environment: str, begun: Mark | None = None
    ) -> None:
        """`begun` is how far an earlier run of the session has come; its last cycle may have been cut short."""
        self._follower = follower
        self._begun = begun or Mark()
        follower.begin_after(max(self._begun.sequence - 1, 0))
        self._segmented = segmented
        self._log = segmented.log
        self._clock = clock
        self._environment = environment

    async def run(self) -> None:
        """Consume until the bus is closed, then let go of the file."""
        try:
            async for cycle, told in self._follower.left():
                if self._tell(cycle, told):
                    await self._commit()
            async for batch in self._follower.cycles():
                for cycle in batch:
                    self._tell(cycle, self._told(cycle))
                await self._commit()
            # Of this log's writer: whether the session is closed or may be resumed says its journal alone.
            end = {"kind": "stopped", "session": self._follower.log_id, "sequence": self._follower.sequence}
            self._log.append(msgspec.json.encode(end), b"{}")
            await self._commit()
        finally:
            self._log.release()

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()

    def _tell(self, cycle: CycleDurable, told: int) -> bool:
        """Append what the cycle decided, but for the lines that are there; whether there was any."""
        wall = msgspec.json.encode({"latency_ms": round(cycle.duration_s * 1_000, 3)})
        events = list(islice(decision_events(cycle, self._environment), told, None))
        if events:
            self._segmented.go_on(self._clock.wall_ns())
        for event in events:
            self._log.append(msgspec.json.encode(event), wall)
        return bool(events)

    def _told(self, cycle: CycleDurable) -> int:
        return self._begun.lines if cycle.record.sequence == self._begun.sequence else 0

    async def _commit(self) -> None:
        """Commit, waiting while the disk is full. Raises `Permanent` when it fails: the log is behind then, and the session goes on."""
        while True:
            try:
                await self._log.commit()
            except StorageFull:
                await self._clock.sleep(FULL_DISK_RETRY_SECONDS)
            except StorageError as error:
                msg = f"the decision log stays behind the journal: {error}"
                raise Permanent(msg) from error
            else:
                return


def decision_events(cycle: CycleDurable, environment: str) -> Iterator[dict[str, Any]]:
    """The decisions of one cycle in the order in which they were taken; numbers stay numbers or exact text."""
    record = cycle.record
    common = {
        "session": cycle.log_id,
        "sequence": record.sequence,
        "line_hash": cycle.line_hash,
        "timestamp": iso_utc(record.instant),
        "environment": environment,
    }
    signals = {signal.id: signal for signal in record.signals}
    for signal in record.signals:
        yield {"kind": "signal_received", **common, **_signal_fields(signal), "market": signal.numbers}
    orders = {result.order_id.rpartition(".")[0]: result for result in reversed(record.results)}
    for verdict in record.verdicts:
        fields = _verdict_fields(verdict, signals.get(verdict.signal_id), orders.get(verdict.group_id))
        yield {"kind": _VERDICT_EVENTS[verdict.outcome], **common, **fields}
    fills = {fill.order_id: fill for fill in record.fills}
    judged = {verdict.group_id: verdict for verdict in record.verdicts}
    for result in record.results:
        group = judged.get(result.order_id.rpartition(".")[0])
        if result.status is OrderStatus.REJECTED and group is not None and group.outcome is Outcome.REFUSED:
            continue  # said already, as risk_rejected
        fill = fills.get(result.order_id)
        detail = (
            {}
            if fill is None
            else {"reference_price": fill.reference_price, "slippage": fill.slippage, "fee": fill.fee, "fill_id": fill.id}
        )
        decided = _decision_fields(group, signals.get(result.signal_id), fill)
        yield {"kind": _ORDER_EVENTS[result.status], **common, **decided, **_order_fields(result), **detail}


def _signal_fields(signal: Signal) -> dict[str, Any]:
    return {
        "schedule": signal.schedule,
        "strategy": signal.strategy,
        "signal_id": signal.id,
        "symbol": signal.instrument,
        "intent": signal.intent,
        "reason": signal.reason,
        "confidence": signal.confidence,
        "stop_price": signal.stop_price,
    }


def _verdict_fields(verdict: Verdict, signal: Signal | None, order: OrderResult | None) -> dict[str, Any]:
    """`order` is the group's first one: an order by hand has no signal that names instrument and strategy."""
    said = signal or order
    return {
        "risk_profile": verdict.profile,
        "group_id": verdict.group_id,
        "signal_id": verdict.signal_id,
        "schedule": None if signal is None else signal.schedule,
        "symbol": None if said is None else said.instrument,
        "strategy": None if said is None else said.strategy,
        "side": None if order is None else order.side,
        "price": None if order is None or order.terms is None else order.terms.limit_price,
        "counted_at": verdict.counted_at,
        "notional": _notional(verdict),
        "confidence": None if signal is None else signal.confidence,
        "reason": None if signal is None else signal.reason,
        "allowed": verdict.outcome is not Outcome.REFUSED,
        "code": verdict.code,
        "rule": verdict.rule,
        "limit": verdict.limit,
        "value": verdict.value,
        "headroom": verdict.headroom,
        "requested": verdict.requested,
        "quantity": verdict.approved,
    }


def _notional(verdict: Verdict) -> Decimal | None:
    """What passed, or what was refused, in the quote asset at the price by which the gate judged it."""
    if verdict.counted_at is None:
        return None
    quantity = verdict.requested if verdict.outcome is Outcome.REFUSED else verdict.approved
    with exact_money():
        return plain(quantity * verdict.counted_at)


def _decision_fields(verdict: Verdict | None, signal: Signal | None, fill: Fill | None) -> dict[str, Any]:
    """What led to an order, as far as its own cycle tells it: `signal_id` leads from a later one to the lines that told it."""
    said = signal or fill
    return {
        "risk_profile": None if verdict is None else verdict.profile,
        "schedule": None if said is None else said.schedule,
        "confidence": None if signal is None else signal.confidence,
    }


def _order_fields(result: OrderResult) -> dict[str, Any]:
    return {
        "strategy": result.strategy,
        "signal_id": result.signal_id,
        "order_id": result.order_id,
        "symbol": result.instrument,
        "side": result.side,
        "quantity": result.quantity,
        "price": result.price,
        "status": result.status,
        "code": result.code,
    }
