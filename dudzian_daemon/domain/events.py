"""The bus in one file: every message that crosses it and the topic it travels on.

Messages are frozen. Those of a step are published after its journal line is durable, never before.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dudzian_daemon.domain.alerts import Alert
from dudzian_daemon.domain.market import Candle
from dudzian_daemon.domain.orders import Fill, OrderResult, Signal, Verdict
from dudzian_daemon.domain.records import CycleRecord, Difference, LedgerEntry, RiskChange, StrategyChange, StrategyFault

CONTROLLER_CYCLE: Final = "auto_trader.controller_cycle"
MARKET_CANDLE: Final = "market.candle"
STRATEGY_SIGNAL: Final = "strategy.signal"
STRATEGY_FAULT: Final = "strategy.fault"
STRATEGY_STATE: Final = "strategy.state"
RISK_VERDICT: Final = "risk.verdict"
RISK_STATE: Final = "risk.state"
ORDER_RESULT: Final = "order.result"
ORDER_FILL: Final = "order.fill"
SESSION_STATE: Final = "session.state"
SESSION_RECOVERED: Final = "session.recovered"
UNIT_STATE: Final = "daemon.unit"
RESOURCE_STATE: Final = "daemon.resource"
CYCLE_DURABLE: Final = "session.cycle_durable"
LEDGER_ENTRY: Final = "ledger.entry"
SELF_CHECK: Final = "session.self_check"
SESSION_HEAD: Final = "session.head"
CLOCK_JUMP: Final = "session.clock_jump"
ADAPTER_STATE: Final = "adapter.state"
ALERT_RAISED: Final = "alert.raised"
ALERT_DELIVERY: Final = "alert.delivery"
ALERT_CHANNEL: Final = "alert.channel"
FEED_ALERT: Final = "feed.alert"
MARKET_RULES: Final = "market.rules"


class ControllerCycle(msgspec.Struct, frozen=True, kw_only=True):
    """`auto_trader.controller_cycle`: one per cycle.

    `started_at`, `finished_at` are wall epoch seconds UTC of the step and `duration_s` their difference; `orders` is
    the number of `results`; `instant` (ns) and `phase` are the cycle's place in event time.
    """

    sequence: int
    signals: tuple[Signal, ...]
    results: tuple[OrderResult, ...]
    orders: int
    started_at: float
    finished_at: float
    duration_s: float
    instant: int
    phase: int


class CycleDurable(msgspec.Struct, frozen=True, kw_only=True):
    """`session.cycle_durable`: the whole record with the identity of its journal line, for projections.

    `duration_s` is the wall time of the step, `late_s` how late by the wall it began, None where time does not pass by itself.
    """

    record: CycleRecord
    log_id: str
    line: int
    line_hash: str
    duration_s: float
    late_s: float | None = None


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """`session.state`: `warming_up`, `running`, `frozen`, `data_ended`, `stopped`; `detail` is one line for people."""

    state: str
    log_id: str
    instant: int
    detail: str = ""


class SessionRecovered(msgspec.Struct, frozen=True, kw_only=True):
    """`session.recovered`: an earlier run's session goes on after cycle `sequence`; what it recorded up to there was released or is now.

    `rerun_cycles` were run again after the checkpoint in line `checkpoint_line` (0: from the beginning), `torn_bytes` were cut off.
    """

    log_id: str
    sequence: int
    checkpoint_line: int
    rerun_cycles: int
    torn_bytes: int


class SelfCheckFailed(msgspec.Struct, frozen=True, kw_only=True):
    """`session.self_check`: the account is not what its records make it; opening orders are stopped and `file` says more."""

    log_id: str
    differences: tuple[Difference, ...]
    file: str


class SessionHead(msgspec.Struct, frozen=True, kw_only=True):
    """`session.head`: how far the journal was durable at wall time `at` (ns): its last line, the cycle before it, hash and content link.

    `signed` is the line in the session's `heads.log`, the head with its signature: what is to be kept elsewhere, for `--head`.
    """

    log_id: str
    line: int
    sequence: int
    line_hash: str
    content: str
    at: int
    signed: str


class ClockJump(msgspec.Struct, frozen=True, kw_only=True):
    """`session.clock_jump`: the machine's wall clock was set, by `jump_ns` (negative: back); `at` is wall time (ns) from now on."""

    at: int
    jump_ns: int


class FeedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """`feed.alert`: `code` `ADAPTER-OFFLINE` (a venue does not answer) or `DATA-LAG` (a series stands still); `subject` is which.

    Told once when it begins and once, with `active` false, when it is over; `seconds` is how long it has lasted. `in_store`: it is the
    candle store that lacks bars.
    """

    code: str
    subject: str
    active: bool
    seconds: float
    detail: str
    in_store: bool = False


class MarketRulesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`market.rules`: the venue describes a market otherwise than before: status, tick, lot, least order, fees; [before, now] by name."""

    instrument: str
    changes: dict[str, tuple[str, str]]


class UnitState(msgspec.Struct, frozen=True, kw_only=True):
    """`daemon.unit`: a named part of the daemon changed its state."""

    name: str
    state: str
    detail: str = ""
    restarts: int = 0


class ResourceState(msgspec.Struct, frozen=True, kw_only=True):
    """`daemon.resource`: the use of a budget of `runtime.resource_limits` became `near`, `over` or `ok`; `detail` is for people."""

    name: str
    state: str
    detail: str
    used: float | None
    limit: float


class AdapterState(msgspec.Struct, frozen=True, kw_only=True):
    """`adapter.state`: what is outside was asked: it answered, or failed with `error`, a class in one word; `detail` is for people."""

    adapter: str
    reachable: bool
    error: str = ""
    detail: str = ""


class AlertDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """`alert.delivery`: what became of an alert on a channel: `sent`, `failed`, `suppressed`, `offline` or `given_up`."""

    channel: str
    outcome: str
    alert: Alert
    attempts: int = 0


class AlertChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """`alert.channel`: how a channel is: `ok`, `error` or `offline`; `checked` says that a check has found it, not a send."""

    channel: str
    status: str
    detail: str = ""
    waiting: int = 0
    checked: bool = False


Message = (
    ControllerCycle
    | CycleDurable
    | SessionState
    | SessionRecovered
    | SelfCheckFailed
    | SessionHead
    | ClockJump
    | AdapterState
    | Alert
    | AlertDelivery
    | AlertChannelState
    | LedgerEntry
    | FeedAlert
    | MarketRulesChanged
    | UnitState
    | ResourceState
    | Candle
    | Signal
    | StrategyFault
    | StrategyChange
    | Verdict
    | RiskChange
    | OrderResult
    | Fill
)
