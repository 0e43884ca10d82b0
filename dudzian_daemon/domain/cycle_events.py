"""What goes out with a cycle: its wall fields for the journal, and all that the bus is told once its line is durable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import Candle
from dudzian_daemon.domain.ports import Released
from dudzian_daemon.domain.records import CycleRecord


class Timing(msgspec.Struct, frozen=True):
    """Wall time of a step: start in ns since 1970, duration in monotonic ns, and how late it began by its pace, None without one."""

    started_ns: int
    duration_ns: int
    late_ns: int | None = None


def wall_fields(timing: Timing, faults: list[dict[str, str]]) -> dict[str, Any]:
    """Member `w` of a cycle: nothing in it is compared."""
    late = {} if timing.late_ns is None else {"late_ns": timing.late_ns}
    return {"started_ns": timing.started_ns, "duration_ns": timing.duration_ns} | late | ({"faults": faults} if faults else {})


def messages(cycle: Released, timing: Timing, log_id: str) -> Iterator[tuple[str, object]]:
    """Everything the bus is told of a cycle that is durable: topics and messages, in their order."""
    record = cycle.record
    for topic, about in (
        (events.MARKET_CANDLE, [item for item in record.inputs if isinstance(item, Candle)]),
        (events.STRATEGY_SIGNAL, record.signals),
        (events.STRATEGY_FAULT, record.faults),
        (events.STRATEGY_STATE, record.strategies),
        (events.RISK_VERDICT, record.verdicts),
        (events.RISK_STATE, record.risk),
        (events.ORDER_RESULT, record.results),
        (events.ORDER_FILL, record.fills),
        (events.LEDGER_ENTRY, record.entries),
    ):
        for each in about:
            yield topic, each
    yield events.CONTROLLER_CYCLE, controller_cycle(record, timing)
    durable = events.CycleDurable(
        record=record,
        log_id=log_id,
        line=cycle.line,
        line_hash=cycle.line_hash,
        duration_s=timing.duration_ns / 1e9,
        late_s=None if timing.late_ns is None else timing.late_ns / 1e9,
    )
    yield events.CYCLE_DURABLE, durable


def controller_cycle(record: CycleRecord, timing: Timing) -> events.ControllerCycle:
    """The public event of a cycle."""
    started = timing.started_ns / 1e9
    finished = max(started, (timing.started_ns + timing.duration_ns) / 1e9)
    return events.ControllerCycle(
        sequence=record.sequence,
        signals=record.signals,
        results=record.results,
        orders=len(record.results),
        started_at=started,
        finished_at=finished,
        duration_s=finished - started,
        instant=record.instant,
        phase=record.phase,
    )
