"""The decision log's lines: who decided what, for which order, by hand too."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import msgspec

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.segmented_log import SegmentedLog
from dudzian_daemon.domain.orders import OrderStatus
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.sinks.projections import DecisionLog, decision_events
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.market import candles
from tests.unit.sinks.durable import durable, follow, publish
from tests.unit.sinks.test_alerts import BTC, SIGNAL, result, verdict
from tests.unit.trading.desk import BTC_1H, desk, enter, hour


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


def test_an_order_s_life_is_told_line_by_line_with_who_decided_it_and_how_long_that_took(tmp_path: Path) -> None:
    session = desk({hour(1): [enter(target=0.2)]})
    session.feed(candles(BTC_1H, [100.0] * 3))
    path = tmp_path / "decisions.jsonl"
    log, clock = ChainedLog.create(path, "0" * 32, None), ManualClock()
    log.append(encode(genesis("test", "test", signed=False, projection=True)), encode({"at": clock.wall_ns()}))
    log.commit_now()

    async def play() -> None:
        bus = Bus()
        sink = DecisionLog(follow(bus, "decisions"), SegmentedLog(log, most_lines=1_000), clock, environment="test")
        publish(bus, session.records)
        await sink.stop()
        await sink.run()

    anyio.run(play)
    _genesis, *lines, stopped = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    kinds = ["signal_received", "risk_check_passed", "order_submitted", "order_executed"]
    told = [line["d"] for line in lines]
    assert [d["kind"] for d in told] == kinds
    assert stopped["d"]["kind"] == "stopped"
    assert [line["w"] for line in lines] == [{"latency_ms": 0.0}] * 4
    (signal_id,) = {d["signal_id"] for d in told}
    schedule, strategy = told[0]["schedule"], told[0]["strategy"]
    assert signal_id and schedule and strategy
    assert {(d["schedule"], d["strategy"], d["symbol"], d["environment"]) for d in told} == {
        (schedule, strategy, BTC_1H.instrument, "test")
    }
    _signal, passed, submitted, executed = told
    assert passed["risk_profile"] == submitted["risk_profile"] != ""
    assert [d["confidence"] for d in told] == [1.0, 1.0, 1.0, None]  # a later cycle does not repeat what its signal id leads to
    assert (passed["counted_at"], Decimal(passed["notional"])) == ("100", Decimal(passed["quantity"]) * 100)
    assert (passed["allowed"], passed["price"], submitted["side"], executed["status"]) == (True, None, "buy", "filled")
    assert Decimal(executed["quantity"]) == Decimal(passed["quantity"]) > 0
