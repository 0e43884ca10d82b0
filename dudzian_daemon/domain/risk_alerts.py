"""What of a cycle a person should hear of: refusals, trips, halts and forced closings as alerts with a severity and a stable code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from dudzian_daemon.domain.orders import Outcome, RefusalCode, Verdict
from dudzian_daemon.domain.records import CycleRecord, RiskChange

Severity = Literal["info", "warning", "critical"]

REFUSED: Final = "RISK-ORDER-REFUSED"
POLICY_BREACH: Final = "RISK-POLICY-BREACH"
#: Refusals that say that a strategy does not keep to the profile's policy of stops.
_BREACHES: Final = frozenset({RefusalCode.STOP_TOO_TIGHT, RefusalCode.STOP_MISSING, RefusalCode.STOP_WRONG_SIDE})
#: Refusals that are no news: the signal had nothing to do, or only repeats what is under way.
_NO_NEWS: Final = frozenset({RefusalCode.NOTHING_TO_DO, RefusalCode.ALREADY_CLOSING, RefusalCode.NO_POSITION, RefusalCode.MAX_SIGNALS})
#: Code of a change of state; of one that lifts something the severity is `info`.
_CHANGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tripped": "RISK-LIMIT",
        "reset": "RISK-LIMIT-RESET",
        "released": "RISK-RELEASED",
        "release_refused": "RISK-RELEASE-REFUSED",
        "kill_switch": "RISK-KILL-SWITCH",
        "state_unknown": "RISK-STATE-UNKNOWN",
        "liquidated": "RISK-LIQUIDATION",
        "stop_met": "RISK-STOP-MET",
        "leg_failed": "RISK-LEG-FAILED",
        "market_closed": "RISK-MARKET-CLOSED",
        "market_open": "RISK-MARKET-OPEN",
        "market_unknown": "RISK-MARKET-UNKNOWN",
    }
)
_TRIPS: Final = MappingProxyType({"max_daily_loss_pct": "RISK-DAILY-LIMIT", "hard_drawdown_pct": "RISK-DRAWDOWN-LIMIT"})
_CRITICAL: Final = frozenset({"tripped", "kill_switch", "state_unknown", "liquidated"})
_WARNING: Final = frozenset({"stop_met", "leg_failed", "release_refused", "market_closed", "market_unknown"})


class RiskAlert(msgspec.Struct, frozen=True, kw_only=True):
    """`risk.alert`. The same (`log_id`, `sequence`, `code`, `subject`) is the same alert told again.

    `subject` is the order group, or the rule of a change; `limit` and `value` are in the rule's unit, None where it has none.
    """

    log_id: str
    sequence: int
    instant: int
    code: str
    severity: Severity
    category: Literal["risk"] = "risk"
    profile: str
    subject: str
    detail: str
    limit: Decimal | None = None
    value: Decimal | None = None


def risk_alerts(record: CycleRecord, log_id: str) -> Iterator[RiskAlert]:
    """The alerts of a cycle, refusals first."""
    for verdict in record.verdicts:
        if verdict.outcome is Outcome.REFUSED and verdict.code is not None and verdict.code not in _NO_NEWS:
            yield _of_refusal(record, log_id, verdict, verdict.code)
    for change in record.risk:
        yield _of_change(record, log_id, change)


def _of_refusal(record: CycleRecord, log_id: str, verdict: Verdict, code: RefusalCode) -> RiskAlert:
    return RiskAlert(
        log_id=log_id,
        sequence=record.sequence,
        instant=record.instant,
        code=POLICY_BREACH if code in _BREACHES else REFUSED,
        severity="warning",
        profile=verdict.profile,
        subject=verdict.group_id,
        detail=f"order refused: {code}, rule {verdict.rule}, limit {verdict.limit}, value {verdict.value}",
        limit=verdict.limit,
        value=verdict.value,
    )


def _of_change(record: CycleRecord, log_id: str, change: RiskChange) -> RiskAlert:
    code = _TRIPS.get(change.rule, _CHANGES["tripped"]) if change.change == "tripped" else _CHANGES.get(change.change, "RISK-CHANGE")
    lifted = change.change == "kill_switch" and change.state != "halted"
    severity: Severity = (
        "info" if lifted else "critical" if change.change in _CRITICAL else "warning" if change.change in _WARNING else "info"
    )
    return RiskAlert(
        log_id=log_id,
        sequence=record.sequence,
        instant=record.instant,
        code=code,
        severity=severity,
        profile=change.profile,
        subject=change.rule,
        detail=f"{change.profile} {change.change}: {change.state}, rule {change.rule}",
        limit=change.limit,
        value=change.value,
    )
