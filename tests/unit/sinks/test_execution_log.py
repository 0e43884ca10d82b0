"""Refusals in the runtime log: section `execution`, the code, and what was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.orders import OrderResult, OrderStatus
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.sinks.execution_log import SECTION, log_refusals
from tests.unit.sinks.durable import publish
from tests.unit.trading.desk import BTC, WIDE, Desk, desk, enter, flat_hours, hour


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "runtime.log"
    logs.configure("INFO", file=path, quiet=True)
    yield path
    logs.close()


def lines(path: Path, session: Desk) -> list[dict[str, Any]]:
    """What section `execution` says of the session's cycles."""
    bus = Bus()
    log_refusals(bus)
    publish(bus, session.records)
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in written if line["component"] == SECTION]


def test_a_refused_signal_and_what_passes(log: Path) -> None:
    session = desk({hour(1): [enter()], hour(2): [enter()]})
    session.feed(flat_hours(3))
    (line,) = lines(log, session)
    assert {name: line[name] for name in ("level", "event", "code", "strategy", "instrument", "side", "kind", "profile")} == {
        "level": "warning",
        "event": "order_refused",
        "code": "nothing_to_do",
        "strategy": "told",
        "instrument": BTC.key,
        "side": "buy",
        "kind": "market",
        "profile": "balanced",
    }
    assert line["order_id"] == f"{line['signal_id']}.0"


def test_an_order_by_hand_with_its_terms_and_the_rule_it_broke(log: Path) -> None:
    session = desk(profiles={"balanced": WIDE, "manual": WIDE})
    session.feed(flat_hours(3))
    session.command("order_place", instrument=BTC.key, side="buy", quantity="500", kind="limit", limit_price="99", time_in_force="ioc")
    (line,) = lines(log, session)
    told = {name: line[name] for name in ("quantity", "kind", "limit_price", "time_in_force", "code", "rule")}
    assert told == {
        "quantity": "500",
        "kind": "limit",
        "limit_price": "99",
        "time_in_force": "ioc",
        "code": "insufficient_cash",
        "rule": "cash",
    }
    assert {"limit", "value", "headroom"} < line.keys()


def test_a_cancel_of_nothing(log: Path) -> None:
    session = desk(profiles={"balanced": WIDE, "manual": WIDE})
    session.feed(flat_hours(1))
    session.command("order_cancel", order_id="nothing")
    (line,) = lines(log, session)
    assert (line["event"], line["order_id"], line["code"]) == ("cancel_refused", "nothing", "unknown_order")


def test_what_the_simulator_refuses_has_no_verdict(log: Path) -> None:
    session = desk({hour(1): [enter()]})
    session.feed(flat_hours(2))
    (accepted,) = [result for result in session.results if result.status is OrderStatus.ACCEPTED]
    refused = OrderResult(
        order_id=accepted.order_id,
        signal_id=accepted.signal_id,
        strategy=accepted.strategy,
        instrument=accepted.instrument,
        side=accepted.side,
        status=OrderStatus.REJECTED,
        quantity=accepted.quantity,
        code="insufficient_cash",
    )
    session.records = [msgspec.structs.replace(session.records[-1], results=(refused,), verdicts=())]
    (line,) = lines(log, session)
    assert (line["code"], "rule" in line) == ("insufficient_cash", False)
