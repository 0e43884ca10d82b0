"""The decision log's lines: who decided what, for which order, by hand too."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.orders import OrderStatus
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.sinks.projections import decision_events
from tests.unit.sinks.durable import durable
from tests.unit.sinks.test_alerts import BTC, SIGNAL, result, verdict


def events(**parts: object) -> list[dict[str, object]]:
    record = CycleRecord(
        **{"sequence": 7, "instant": 0, "phase": 2, "due": (), "inputs": (), "cash": Decimal(1), "equity": Decimal(1), **parts}  # type: ignore[arg-type] # fields by name
    )
    return list(decision_events(durable(record, "a" * 32), "demo"))


def test_a_refusal_is_told_once_with_who_wanted_what() -> None:
    signal, refused = events(signals=(SIGNAL,), verdicts=(verdict(),), results=(result(OrderStatus.REJECTED, "open_positions"),))
    assert (signal["kind"], refused["kind"]) == ("signal_received", "risk_rejected")
    named = {name: refused[name] for name in ("strategy", "symbol", "schedule", "reason", "side", "allowed", "code")}
    assert named == {
        "strategy": SIGNAL.strategy,
        "symbol": BTC,
        "schedule": SIGNAL.schedule,
        "reason": SIGNAL.reason,
        "side": "buy",
        "allowed": False,
        "code": "open_positions",
    }
    assert msgspec.json.decode(msgspec.json.encode(refused))["timestamp"] == "1970-01-01T00:00:00.000000Z"


def test_an_order_by_hand_has_no_signal_and_is_named_by_its_order() -> None:
    (refused,) = events(verdicts=(verdict(),), results=(result(OrderStatus.REJECTED, "open_positions"),))
    assert (refused["strategy"], refused["symbol"], refused["side"], refused["schedule"]) == ("trend", BTC, "buy", None)
