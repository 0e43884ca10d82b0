"""What an operator is told: alerts with a stable code, and the catalogue of codes with severity, category and what to do.

An alert is keyed by (log id, sequence, code, subject): it is delivered at least once, and a repeat has the same key and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec


class Severity(StrEnum):
    """How much it matters, least first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AlertCode(StrEnum):
    """Stable, documented in docs/reference/alerts.md."""

    RISK_DAILY_LIMIT = "RISK-DAILY-LIMIT"
    ADAPTER_OFFLINE = "ADAPTER-OFFLINE"
    DATA_LAG = "DATA-LAG"
    ALERT_CHANNEL_FAIL = "ALERT-CHANNEL-FAIL"
    RISK_DRAWDOWN_LIMIT = "RISK-DRAWDOWN-LIMIT"
    RISK_STATE_UNKNOWN = "RISK-STATE-UNKNOWN"
    KILL_SWITCH = "KILL-SWITCH"
    MARGIN_LIQUIDATION = "MARGIN-LIQUIDATION"
    EXECUTION_REJECTED = "EXECUTION-REJECTED"
    LEG_FAILED = "LEG-FAILED"
    SELF_CHECK = "SELF-CHECK"
    JOURNAL_STOPPED = "JOURNAL-STOPPED"
    STRATEGY_QUARANTINED = "STRATEGY-QUARANTINED"
    UNIT_FAILED = "UNIT-FAILED"
    CATASTROPHE_STOP = "CATASTROPHE-STOP"
    RISK_POLICY_BREACH = "RISK-POLICY-BREACH"
    RISK_REFUSED = "RISK-REFUSED"
    RISK_RELEASE_REFUSED = "RISK-RELEASE-REFUSED"
    MARKET_CLOSED = "MARKET-CLOSED"
    STRATEGY_FAULT = "STRATEGY-FAULT"
    SESSION_RECOVERED = "SESSION-RECOVERED"
    RESOURCE_LIMIT = "RESOURCE-LIMIT"
    HEALTH = "HEALTH"
    JOURNAL_HEAD = "JOURNAL-HEAD"
    PAPER_SMOKE = "PAPER-SMOKE"
    PAPER_SMOKE_COMPLIANCE = "PAPER-SMOKE-COMPLIANCE"
    TEST = "TEST"


class Meaning(msgspec.Struct, frozen=True):
    """What a code says: how severe it is unless the alert says otherwise, its category, when it is raised, what to do."""

    severity: Severity
    category: str
    when: str
    action: str


MEANINGS: Final[Mapping[AlertCode, Meaning]] = MappingProxyType(
    {
        AlertCode.RISK_DAILY_LIMIT: Meaning(
            Severity.CRITICAL,
            "risk",
            "a profile has lost its daily limit; its positions are being closed and only reducing orders pass",
            "look at `dudzian show-risk-state`, confirm that the positions are closed, write the incident report",
        ),
        AlertCode.ADAPTER_OFFLINE: Meaning(
            Severity.CRITICAL,
            "adapter",
            "an exchange has answered nothing, or with server errors only, for longer than `adapter_offline_seconds`",
            "look at the exchange's status page; after ten minutes consider `dudzian stop`",
        ),
        AlertCode.DATA_LAG: Meaning(
            Severity.CRITICAL,
            "data",
            "a daily candle is overdue by more than `data_lag_seconds`, candles were declared missing, or lack in the store of a live feed",
            "fetch the candles again, look at the exchange's rate limits and status page, and at `dudzian inspect-manifest`",
        ),
        AlertCode.ALERT_CHANNEL_FAIL: Meaning(
            Severity.CRITICAL,
            "alerts",
            "an alert channel does not take alerts; they wait on disk and other channels are used",
            "watch the other channels, note it in the audit log, and look at `dudzian alerts test`",
        ),
        AlertCode.RISK_DRAWDOWN_LIMIT: Meaning(
            Severity.CRITICAL,
            "risk",
            "a profile has fallen below its drawdown limit; its positions are being closed, and it stays so until an operator releases it",
            "find the cause; once flat, on a later day: `dudzian risk release-drawdown`",
        ),
        AlertCode.RISK_STATE_UNKNOWN: Meaning(
            Severity.CRITICAL,
            "risk",
            "the gate does not know its own state and lets no opening order pass",
            "look at `dudzian show-risk-state` and `dudzian verify-decision-log` before anything is resumed",
        ),
        AlertCode.KILL_SWITCH: Meaning(
            Severity.CRITICAL,
            "risk",
            "the kill switch was put on: no opening order passes",
            "find out who or what put it on; `dudzian risk kill-switch off` when trading may go on",
        ),
        AlertCode.MARGIN_LIQUIDATION: Meaning(
            Severity.CRITICAL,
            "risk",
            "a short position fell below its maintenance margin and was closed by the simulated venue",
            "look at the ledger entry and at the profile's leverage",
        ),
        AlertCode.EXECUTION_REJECTED: Meaning(
            Severity.CRITICAL,
            "execution",
            "the execution refused an order that the gate had approved",
            "look for `order_refused` in section `execution` of the runtime log, then at `dudzian show-risk-state`",
        ),
        AlertCode.LEG_FAILED: Meaning(
            Severity.ERROR,
            "execution",
            "a leg of an order group failed or stayed away; what its other legs had bought or sold is being undone",
            "check that the position is flat, and the second venue",
        ),
        AlertCode.SELF_CHECK: Meaning(
            Severity.CRITICAL,
            "integrity",
            "the account is not what its records make it; the kill switch was put on",
            "keep the data folder as it is, stop, and look at the file that is named and at `dudzian replay --verify`",
        ),
        AlertCode.JOURNAL_STOPPED: Meaning(
            Severity.CRITICAL,
            "journal",
            "the journal cannot be written (full or failing disk): the core is frozen, nothing is traded",
            "free some space, or look at the disk; trading goes on by itself when the disk takes lines again",
        ),
        AlertCode.STRATEGY_QUARANTINED: Meaning(
            Severity.ERROR,
            "strategy",
            "a strategy was taken out of trading, since it blocked or broke",
            "look at its stack in the runtime log; `dudzian strategy resume` once it is mended",
        ),
        AlertCode.UNIT_FAILED: Meaning(
            Severity.ERROR,
            "daemon",
            "a part of the daemon failed and is not started again",
            "look at `dudzian status` and the runtime log; restart the daemon when the cause is gone",
        ),
        AlertCode.CATASTROPHE_STOP: Meaning(
            Severity.ERROR,
            "risk",
            "a position without a stop of its own lost `catastrophe_stop_pct` of its cost and is being closed",
            "look at the strategy that held it",
        ),
        AlertCode.RISK_POLICY_BREACH: Meaning(
            Severity.WARNING,
            "risk",
            "a strategy brought an entry whose declared stop breaks the stop policy; it was refused",
            "look at the strategy's parameters and the profile's `stop_loss_atr_multiple`",
        ),
        AlertCode.RISK_REFUSED: Meaning(
            Severity.WARNING,
            "risk",
            "the gate refused an order group; not where there was nothing to do, nothing was held, or it is being closed already",
            "`dudzian risk explain SEQUENCE` shows rule and figures; nothing to do if the limit is meant so",
        ),
        AlertCode.RISK_RELEASE_REFUSED: Meaning(
            Severity.WARNING,
            "risk",
            "an operator wanted a drawdown, or a state that was unknown, released, and something is missing",
            "it takes a signed record of an operator, for a drawdown on a later day and when flat: `dudzian show-risk-state`",
        ),
        AlertCode.MARKET_CLOSED: Meaning(
            Severity.WARNING,
            "market",
            "a market was declared closed, no order passes for it; or a command named one that is not traded",
            "look at the exchange's status page; it is told when the market is open again",
        ),
        AlertCode.STRATEGY_FAULT: Meaning(
            Severity.WARNING,
            "strategy",
            "a strategy raised or returned rubbish; its decision was left out",
            "look at its stack in the runtime log",
        ),
        AlertCode.SESSION_RECOVERED: Meaning(
            Severity.WARNING,
            "daemon",
            "an earlier run's session goes on after a restart",
            "if nobody restarted the daemon, find out why it ended",
        ),
        AlertCode.RESOURCE_LIMIT: Meaning(
            Severity.WARNING,
            "daemon",
            "for a minute the process has used nearly all of a budget of `runtime.resource_limits`, or more than it; nothing is stopped",
            "look at `dudzian status` and at what else the machine does; a replay at full speed takes a whole core",
        ),
        AlertCode.HEALTH: Meaning(
            Severity.INFO,
            "health",
            "the periodic report: session, channels, open alerts",
            "nothing; if it stays away, look at the daemon",
        ),
        AlertCode.JOURNAL_HEAD: Meaning(
            Severity.INFO,
            "journal",
            "the journal's newest signed head, to be kept where nobody who can write the journal can reach it: to `head_channel`, no other",
            "keep it; `dudzian verify-decision-log --head FILE` compares the journal with it",
        ),
        AlertCode.PAPER_SMOKE: Meaning(
            Severity.INFO,
            "paper_smoke",
            "a smoke test has ended",
            "copy hash and summary into the audit log",
        ),
        AlertCode.PAPER_SMOKE_COMPLIANCE: Meaning(
            Severity.INFO,
            "paper_smoke_compliance",
            "a smoke test was entered into the audit log",
            "compare the hash with the archived copy",
        ),
        AlertCode.TEST: Meaning(
            Severity.INFO,
            "test",
            "an operator tests a channel",
            "nothing",
        ),
    }
)


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alert. `at` is wall time in ns; `sequence` is the cycle it comes from, 0 if from none; `subject` what it is about.

    `title` and `body` are for people, `context` holds what programs want (figures as exact text). `resolved` says that what
    an earlier alert of the code told is over. `repeat` says, in words, why this may have come before; `footer` names the newest
    durable line of the journal and `head` is the newest signed head, one line of JSON: whoever keeps the message can prove later
    whether the journal still has those lines.
    """

    code: AlertCode
    severity: Severity
    category: str
    title: str
    body: str = ""
    action: str = ""
    runbook: str = ""
    subject: str = ""
    log_id: str = ""
    sequence: int = 0
    at: int = 0
    context: dict[str, str] = {}
    resolved: bool = False
    repeat: str = ""
    footer: str = ""
    head: str = ""

    @property
    def key(self) -> str:
        """What a repeat has in common with the first delivery."""
        return f"{self.log_id}:{self.sequence}:{self.code}:{self.subject}{':resolved' if self.resolved else ''}"

    @property
    def id(self) -> str:
        """Eight hexadecimal digits for people; an alert without a cycle has its time in it."""
        return hashlib.sha256(f"{self.key}:{0 if self.sequence else self.at}".encode()).hexdigest()[:8]

    @property
    def merge_key(self) -> str:
        """Alerts with the same one say the same: within the throttle's window they are merged."""
        return f"{self.code}|{self.category}|{self.severity}|{self.title}|{self.subject}"


def alert(
    code: AlertCode,
    title: str,
    body: str = "",
    *,
    subject: str = "",
    context: Mapping[str, str] | None = None,
    severity: Severity | None = None,
    resolved: bool = False,
) -> Alert:
    """An alert of this code as the catalogue has it; what is resolved is only information. Time, key and footer are filled in later."""
    meaning = MEANINGS[code]
    return Alert(
        code=code,
        severity=Severity.INFO if resolved else severity or meaning.severity,
        category=meaning.category,
        title=title,
        body=body,
        action="" if resolved else meaning.action,
        subject=subject,
        context=dict(context or {}),
        resolved=resolved,
    )


def table() -> str:
    """The codes as a Markdown table and a heading each, in the order of the enum."""
    rows = [f"| `{code}` | {each.severity} | {each.category} | {each.when} |" for code, each in MEANINGS.items()]
    parts = [f"### {code}\n\n{_sentence(each.when)} What to do: {each.action}." for code, each in MEANINGS.items()]
    return "\n".join(["| code | severity | category | raised when |", "|---|---|---|---|", *rows]) + "\n\n" + "\n\n".join(parts)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
