"""From signal to fill: the values that pass between strategy, gate, simulator and ledger.

Nothing but the gate makes an `ApprovedGroup`, and the simulator takes nothing else (promise P3; held by
tests/unit/test_no_way_round_the_gate.py). A refusal is a value with a stable code.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class Intent(StrEnum):
    """What a signal wants: a new position, its end, or another size."""

    ENTER = "enter"
    EXIT = "exit"
    REBALANCE = "rebalance"


class Protection(StrEnum):
    """How the strategy limits its loss: a stop of its own, a z-score exit, rebalancing, or an opposite leg."""

    STOP = "stop"
    ZSCORE_EXIT = "zscore_exit"
    REBALANCE = "rebalance"
    HEDGED = "hedged"
    NONE = "none"


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's wish for one instrument.

    `target` is the wanted exposure as a signed fraction of the strategy's budget; None on an entry means the
    configured position size, and an exit always means 0. `numbers` are the values behind the decision. Signals of one
    decision with the same non-empty `group` are one order group: all legs or none. The core fills in `id`, `strategy`,
    `schedule` and `instant`.
    """

    instrument: str
    intent: Intent
    reason: str
    confidence: float = 1.0
    target: float | None = None
    stop_price: float | None = None
    protection: Protection = Protection.NONE
    numbers: dict[str, float] = {}
    group: str = ""
    id: str = ""
    strategy: str = ""
    schedule: str = ""
    instant: int = 0


class RefusalCode(StrEnum):
    """Why the gate refuses or clips: stable, documented in docs/reference/risk-codes.md."""

    KILL_SWITCH = "kill_switch"
    DAILY_LOSS_LIMIT = "daily_loss_limit"
    DRAWDOWN_LIMIT = "drawdown_limit"
    NO_REFERENCE_PRICE = "no_reference_price"
    STALE_DATA = "stale_data"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    NOTHING_TO_DO = "nothing_to_do"
    MAX_SIGNALS = "max_signals"
    NO_POSITION = "no_position"
    ALREADY_CLOSING = "already_closing"
    REVERSAL = "reversal"
    SHORT_NOT_ALLOWED = "short_not_allowed"
    POSITION_LIMIT = "position_limit"
    OPEN_POSITIONS = "open_positions"
    LEVERAGE_LIMIT = "leverage_limit"
    INSUFFICIENT_CASH = "insufficient_cash"
    BELOW_MINIMUM = "below_minimum"


class Outcome(StrEnum):
    APPROVED = "approved"
    ADJUSTED = "adjusted"
    REFUSED = "refused"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's answer to one order group, as recorded.

    `rule`, `limit`, `value` and `headroom` describe the rule that refused or clipped; on a plain approval they are
    those of the tightest rule that was passed. Quantities are those of the first leg.
    """

    group_id: str
    signal_id: str
    profile: str
    outcome: Outcome
    code: RefusalCode | None
    rule: str
    limit: Decimal | None
    value: Decimal | None
    headroom: Decimal | None
    requested: Decimal
    approved: Decimal


class OrderLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A sized wish for one instrument, before the gate."""

    instrument: str
    side: Side
    quantity: Decimal
    reduce_only: bool
    signal_id: str = ""


class OrderGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The unit of the gate: all legs or none. `id` is derived from (strategy, instrument, instant, n).

    `age_ns` is how old the candle is that was decided on; an opening group older than `max_age_ns` is refused. `rank` counts
    the schedule's opening groups of this instant, best first; those beyond `max_rank` are refused. `held_ns` is how long
    the feed waited for that candle: the simulated venue could not have had the order earlier. A closing group of the core
    itself has no `signal_id`.
    """

    id: str
    signal_id: str
    strategy: str
    schedule: str
    profile: str
    instant: int
    legs: tuple[OrderLeg, ...]
    rank: int = 0
    max_rank: int = 0
    age_ns: int = 0
    max_age_ns: int | None = None
    held_ns: int = 0

    def order_id(self, leg: int) -> str:
        """Id of the order that leg number `leg` becomes."""
        return f"{self.id}.{leg}"


class ApprovedGroup(msgspec.Struct, frozen=True):
    """An order group the gate has approved and reserved for; the only thing the simulator accepts."""

    group: OrderGroup
    legs: tuple[OrderLeg, ...]
    verdict: Verdict


class Refused(msgspec.Struct, frozen=True):
    """An order group the gate has refused."""

    group: OrderGroup
    verdict: Verdict


class OrderStatus(StrEnum):
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order at the simulated venue. `active_at` is the first instant at which it may fill."""

    id: str
    group_id: str
    signal_id: str
    strategy: str
    schedule: str
    instrument: str
    side: Side
    quantity: Decimal
    reduce_only: bool
    accepted_at: int
    active_at: int


class OrderResult(msgspec.Struct, frozen=True, kw_only=True):
    """One change of an order's state in a cycle; a refused signal is `rejected` with the gate's code."""

    order_id: str
    signal_id: str
    strategy: str
    instrument: str
    side: Side
    status: OrderStatus
    quantity: Decimal
    price: Decimal | None = None
    code: str | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """An execution. `price` = `reference_price` plus (buy) or minus (sell) `slippage`; `fee` is in `fee_asset`."""

    id: str
    order_id: str
    signal_id: str
    strategy: str
    schedule: str
    instrument: str
    side: Side
    quantity: Decimal
    reference_price: Decimal
    slippage: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    filled_at: int
    fill_source: str
    inside_bar: bool
    preset: str
    synthetic: bool = False
