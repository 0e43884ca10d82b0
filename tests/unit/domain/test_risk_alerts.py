"""Alerts of the risk gate: which refusals and changes are worth a word, how loud, and under which code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.orders import Outcome, RefusalCode, Verdict
from dudzian_daemon.domain.records import CycleRecord, RiskChange
from dudzian_daemon.domain.risk_alerts import RiskAlert, risk_alerts
from tests.scenario.test_core_operator import fallen, release
from tests.scenario.test_every_code import CASES
from tests.unit.trading.desk import Desk


def alerts(session: Desk) -> list[RiskAlert]:
    return [alert for record in session.records for alert in risk_alerts(record, "log")]


@pytest.mark.parametrize(
    ("code", "alert"),
    [
        (RefusalCode.STOP_TOO_TIGHT, "RISK-POLICY-BREACH"),
        (RefusalCode.STOP_MISSING, "RISK-POLICY-BREACH"),
        (RefusalCode.POSITION_LIMIT, "RISK-ORDER-REFUSED"),
        (RefusalCode.PRICE_COLLAR, "RISK-ORDER-REFUSED"),
        (RefusalCode.NO_POSITION, None),
        (RefusalCode.NOTHING_TO_DO, None),
    ],
)
def test_a_refusal_is_a_warning_of_the_category_risk(code: RefusalCode, alert: str | None) -> None:
    session = CASES[code]()
    found = [each for each in alerts(session) if code in each.detail]
    assert [each.code for each in found] == ([] if alert is None else [alert])
    for each in found:
        (verdict,) = [verdict for verdict in session.verdicts if verdict.group_id == each.subject]
        assert (each.severity, each.category, each.limit, each.value) == ("warning", "risk", verdict.limit, verdict.value)


def test_a_trip_is_critical_and_its_release_is_told() -> None:
    session = fallen()
    (trip,) = [each for each in alerts(session) if each.severity == "critical"]
    assert (trip.code, trip.profile, trip.subject) == ("RISK-DRAWDOWN-LIMIT", "balanced", "hard_drawdown_pct")
    assert trip.value is not None
    assert trip.limit is not None
    assert trip.value >= trip.limit
    release(session)
    assert [(each.code, each.severity, each.subject) for each in alerts(session)][-1] == ("RISK-RELEASE-REFUSED", "warning", "same_day")


def cycle(**fields: Any) -> CycleRecord:
    usual: dict[str, Any] = {"sequence": 7, "instant": 5, "phase": 0, "due": (), "inputs": (), "cash": Decimal(1), "equity": Decimal(1)}
    return CycleRecord(**usual | fields)


@pytest.mark.parametrize(
    ("change", "state", "rule", "code", "severity"),
    [
        ("tripped", "reducing", "max_daily_loss_pct", "RISK-DAILY-LIMIT", "critical"),
        ("reset", "active", "max_daily_loss_pct", "RISK-LIMIT-RESET", "info"),
        ("kill_switch", "halted", "kill_switch", "RISK-KILL-SWITCH", "critical"),
        ("kill_switch", "active", "kill_switch", "RISK-KILL-SWITCH", "info"),
        ("state_unknown", "halted", "self_check", "RISK-STATE-UNKNOWN", "critical"),
        ("liquidated", "active", "maintenance_margin_pct", "RISK-LIQUIDATION", "critical"),
        ("leg_failed", "active", "order_group", "RISK-LEG-FAILED", "warning"),
        ("market_closed", "active", "binance:BTC/USDT", "RISK-MARKET-CLOSED", "warning"),
    ],
)
def test_each_change_has_its_code_and_severity(change: str, state: str, rule: str, code: str, severity: str) -> None:
    told = RiskChange(profile="p", change=change, state=state, rule=rule, limit=None, value=None)
    (alert,) = risk_alerts(cycle(risk=(told,)), "log")
    assert (alert.code, alert.severity, alert.subject) == (code, severity, rule)
    assert (alert.log_id, alert.sequence, alert.instant) == ("log", 7, 5)
    assert msgspec.json.decode(msgspec.json.encode(alert), type=RiskAlert) == alert


def test_what_passed_is_no_alert() -> None:
    passed = Verdict(
        group_id="g", signal_id="s", profile="p", outcome=Outcome.ADJUSTED, code=RefusalCode.POSITION_LIMIT, rule="r", limit=None,
        value=None, headroom=None, requested=Decimal(2), approved=Decimal(1))  # fmt: skip
    assert list(risk_alerts(cycle(verdicts=(passed,)), "log")) == []
