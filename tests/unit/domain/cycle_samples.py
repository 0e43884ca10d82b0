"""Cycles, verdicts and records made by hand, one to an hour of event time; wall time is another."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from dudzian_daemon.domain.evaluations import Evaluation
from dudzian_daemon.domain.events import ControllerCycle, CycleDurable
from dudzian_daemon.domain.market import HOUR_NS
from dudzian_daemon.domain.orders import Intent, OrderResult, OrderStatus, Outcome, RefusalCode, Side, Signal, Verdict
from dudzian_daemon.domain.records import CycleRecord

#: 2024-01-01T00:00:00Z and 2026-06-01T00:00:00Z in epoch seconds: where event time and wall time of cycle 0 are.
EVENT_S, WALL_S = 1_704_067_200, 1_780_272_000
BTC = "binance:BTC/USDT"
GATE = "ThresholdRiskEngine"


def instant(sequence: int) -> int:
    """Event time of a cycle, ns."""
    return EVENT_S * 10**9 + sequence * HOUR_NS


def signal(name: str = "s1", intent: Intent = Intent.ENTER, **fields: Any) -> Signal:
    return Signal(instrument=BTC, intent=intent, reason="told to", numbers={"close": 100.5}, id=name, strategy="told", **fields)


def result(name: str = "s1", status: OrderStatus = OrderStatus.ACCEPTED, side: Side = Side.BUY, quantity: str = "0.5") -> OrderResult:
    """A change of the order that signal `name` became."""
    return OrderResult(
        order_id=f"{name}.0", signal_id=name, strategy="told", instrument=BTC, side=side, status=status, quantity=Decimal(quantity)
    )


def cycle(
    sequence: int,
    signals: Iterable[Signal] = (),
    results: Iterable[OrderResult] = (),
    *,
    finished_at: float | None = None,
    duration_s: float = 0.25,
) -> ControllerCycle:
    """It ended `sequence` seconds after `WALL_S` unless said."""
    finished, changes = float(WALL_S + sequence) if finished_at is None else finished_at, tuple(results)
    return ControllerCycle(
        sequence=sequence,
        signals=tuple(signals),
        results=changes,
        orders=len(changes),
        started_at=finished - duration_s,
        finished_at=finished,
        duration_s=duration_s,
        instant=instant(sequence),
        phase=2,
    )


def verdict(name: str = "s1", outcome: Outcome = Outcome.APPROVED, code: RefusalCode | None = None) -> Verdict:
    """The gate's answer to signal `name`, empty for a closing of the core's own."""
    return Verdict(
        group_id=name or "close",
        signal_id=name,
        profile="balanced",
        outcome=outcome,
        code=code,
        rule="max_position_pct",
        limit=Decimal("0.05"),
        value=Decimal("0.02"),
        headroom=Decimal("0.03"),
        requested=Decimal("0.5"),
        approved=Decimal(0) if outcome is Outcome.REFUSED else Decimal("0.5"),
    )


APPROVED = verdict("s1")
ADJUSTED = verdict("s2", Outcome.ADJUSTED, RefusalCode.POSITION_LIMIT)
REFUSED = verdict("s3", Outcome.REFUSED, RefusalCode.DAILY_LOSS_LIMIT)
UNJUDGED = verdict("s4", Outcome.REFUSED, RefusalCode.NO_REFERENCE_PRICE)
CLOSING = verdict("")


def record(sequence: int, verdicts: Iterable[Verdict] = (), signals: Iterable[Signal] = ()) -> CycleRecord:
    return CycleRecord(
        sequence=sequence,
        instant=instant(sequence),
        phase=2,
        due=("told",),
        inputs=(),
        signals=tuple(signals),
        verdicts=tuple(verdicts),
        cash=Decimal(10_000),
        equity=Decimal(10_000),
    )


def durable(of: CycleRecord) -> CycleDurable:
    return CycleDurable(record=of, log_id="0" * 32, line=of.sequence, line_hash="0" * 64, duration_s=0.25)


def evaluation(answer: Verdict, sequence: int = 1, *, service: str = GATE, asked: Signal | None = None) -> Evaluation:
    return Evaluation(instant=instant(sequence), finished_at=float(WALL_S + sequence), service=service, verdict=answer, signal=asked)
