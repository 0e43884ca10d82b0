"""From signal to fill: the values that pass between strategy, gate, simulator and ledger.

Nothing but the gate makes an `ApprovedGroup`, and the simulator takes nothing else (promise P3; held by
tests/unit/test_no_way_round_the_gate.py). A refusal is a value with a stable code.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

import msgspec

from dudzian_daemon.domain.money import ZERO


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


class Signal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    STATE_UNKNOWN = "state_unknown"
    INVALID_ORDER = "invalid_order"
    UNKNOWN_PROFILE = "unknown_profile"
    UNKNOWN_ORDER = "unknown_order"
    WRONG_CURRENCY = "wrong_currency"
    MARKET_CLOSED = "market_closed"
    OFF_TICK = "off_tick"
    OFF_LOT = "off_lot"
    PRICE_COLLAR = "price_collar"
    ORDER_VALUE = "order_value"
    ORDER_QUANTITY = "order_quantity"
    ORDER_RATE = "order_rate"
    DUPLICATE_ORDER = "duplicate_order"
    REPEATED_EXECUTION = "repeated_execution"
    SELF_TRADE = "self_trade"
    BUCKET_POSITION_LIMIT = "bucket_position_limit"
    BUCKET_NOTIONAL_LIMIT = "bucket_notional_limit"
    NET_EXPOSURE_LIMIT = "net_exposure_limit"
    STOP_MISSING = "stop_missing"
    STOP_WRONG_SIDE = "stop_wrong_side"
    STOP_TOO_TIGHT = "stop_too_tight"
    RISK_BUDGET = "risk_budget"


class Outcome(StrEnum):
    APPROVED = "approved"
    ADJUSTED = "adjusted"
    REFUSED = "refused"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The gate's answer to one order group, as recorded.

    `rule`, `limit`, `value` and `headroom` describe the rule that refused or clipped; on a plain approval they are
    those of the tightest rule that was passed. Quantities are those of that rule's leg. `crossed` says that an order of
    ours on the other side of the market was open when this one passed. `counted_at` is the price, in the quote asset, at
    which the gate counted a unit of that leg: None where it has none.
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
    crossed: bool = False
    counted_at: Decimal | None = None


class OrderKind(StrEnum):
    """What makes an order fill; docs/reference/simulator.md says each in full.

    `stop`, `take_profit` and `trailing_stop` become market orders once triggered (a `take_profit` with a limit price
    becomes a limit order), a `stop_limit` becomes a limit order.
    """

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long an order stays: until cancelled; now or never, in part or only whole; until `expires_at`."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Under which terms an order fills. Prices are in the quote asset, on the tick; `expires_at` in nanoseconds.

    `trail` is the distance in price that a trailing stop keeps; its `stop_price`, if given, is the level it starts at.
    """

    kind: OrderKind = OrderKind.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: int | None = None
    post_only: bool = False


MARKET_TERMS: Final = OrderTerms()

#: How the legs of a group hang together: not at all; the first that fills cancels the others; leg 0 is the entry that
#: puts the others, its exits, to work.
Link = Literal["", "oco", "bracket"]


class OrderLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sized wish for one instrument, before the gate. `protective_stop` and `atr` are prices its signal has declared.

    `max_notional` is what the strategy's position may be worth by its signal, in the quote asset.
    """

    instrument: str
    side: Side
    quantity: Decimal
    reduce_only: bool
    signal_id: str = ""
    terms: OrderTerms = MARKET_TERMS
    protection: Protection = Protection.NONE
    protective_stop: Decimal | None = None
    atr: Decimal | None = None
    max_notional: Decimal | None = None


class OrderGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The unit of the gate: all legs or none. `id` is derived from (strategy, instrument, instant, n).

    `age_ns` is how old the candle is that was decided on; an opening group older than `max_age_ns` is refused. `rank` counts
    the schedule's opening groups of this instant, best first; those beyond `max_rank` are refused. `held_ns` is how long
    the feed waited for that candle: the simulated venue could not have had the order earlier. A closing group of the core
    itself has no `signal_id`. Legs with a `link` are all of one instrument. A `whole` group is refused rather than clipped;
    of groups with the same `client_id` one passes.
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
    link: Link = ""
    whole: bool = False
    client_id: str = ""
    paid_in: str = ""

    def order_id(self, leg: int) -> str:
        """Id of the order that leg number `leg` becomes."""
        return f"{self.id}.{leg}"


class ApprovedGroup(msgspec.Struct, frozen=True, gc=False):
    """An order group the gate has approved and reserved for; the only thing the simulator accepts."""

    group: OrderGroup
    legs: tuple[OrderLeg, ...]
    verdict: Verdict


class Refused(msgspec.Struct, frozen=True, gc=False):
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


class Liquidity(StrEnum):
    """Whether a fill gave liquidity (a resting limit order) or took it."""

    MAKER = "maker"
    TAKER = "taker"


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order at the simulated venue. `active_at` is the first instant at which it may fill.

    `filled` is in the base asset, `fills` their number; `fee_due` the exact fee of them and `fee_paid` what was charged.
    `dormant` waits for its bracket's entry, `triggered` has met its stop price, `resting` is a limit order that did not
    cross when it came; `stop_level` is where a trailing stop stands.
    """

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
    terms: OrderTerms = MARKET_TERMS
    link: Link = ""
    filled: Decimal = ZERO
    fills: int = 0
    fee_due: Decimal = ZERO
    fee_paid: Decimal = ZERO
    dormant: bool = False
    triggered: bool = False
    resting: bool = False
    stop_level: Decimal | None = None

    @property
    def left(self) -> Decimal:
        """What is not filled yet, in the base asset."""
        return self.quantity - self.filled


class OrderResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One change of an order's state in a cycle; a refused signal is `rejected` with the gate's code.

    `filled` is the sum of its fills so far, None before the first; `terms` are told on acceptance and refusal, unless a plain
    market order's; `shortfall` is what the data did not show of the quantity that a fill or a cancellation left open.
    """

    order_id: str
    signal_id: str
    strategy: str
    instrument: str
    side: Side
    status: OrderStatus
    quantity: Decimal
    price: Decimal | None = None
    code: str | None = None
    filled: Decimal | None = None
    terms: OrderTerms | None = None
    shortfall: Decimal | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An execution. `price` = `reference_price` plus (buy) or minus (sell) `slippage`; `fee` is in `fee_asset`.

    `preset` and `model` say under which assumptions it was computed (docs/reference/simulator.md).
    """

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
    liquidity: Liquidity = Liquidity.TAKER
    model: int = 1


class Match(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one price input did to one order: a `fill` of it, or its end without one (`code` says why). `order` is as it is afterwards."""

    order: Order
    status: OrderStatus
    fill: Fill | None = None
    code: str | None = None
    shortfall: Decimal | None = None
