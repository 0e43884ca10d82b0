"""What each code of the gate means, for people: the one text behind docs/reference/risk-codes.md and `dudzian risk explain`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from dudzian_daemon.domain.orders import RefusalCode


class Meaning(msgspec.Struct, frozen=True):
    """Why the gate says so, and what `limit` and `value` of the verdict then are (`-`: 0)."""

    because: str
    figures: str = "-"


_NOTIONAL: Final = "notional allowed / used"

MEANINGS: Final[Mapping[RefusalCode, Meaning]] = MappingProxyType(
    {
        RefusalCode.KILL_SWITCH: Meaning("the kill switch is on; only orders that shrink a position pass"),
        RefusalCode.DAILY_LOSS_LIMIT: Meaning(
            "the profile lost its daily limit; it is reducing until the first roll to a later UTC day that finds it flat"
        ),
        RefusalCode.DRAWDOWN_LIMIT: Meaning(
            "equity fell from its peak by the profile's hard drawdown; latched until flat, a later day, and an operator's release"
        ),
        RefusalCode.NO_REFERENCE_PRICE: Meaning("the instrument has no price yet, or its latest one was no positive, finite number"),
        RefusalCode.STALE_DATA: Meaning(
            "an entry on a candle older than a quarter of the cadence (at most an hour), any opening order on a reference price older "
            "than `max_reference_bars`, or a close at a stop on a last price older than two candles",
            "age allowed / age, ns",
        ),
        RefusalCode.UNKNOWN_INSTRUMENT: Meaning("the instrument is not of this session"),
        RefusalCode.NOTHING_TO_DO: Meaning("the signal asks for what is already so, or for less than a lot"),
        RefusalCode.MAX_SIGNALS: Meaning(
            "more entries than the schedule's `max_signals`; the most confident ones pass", "entries allowed / rank of this one"
        ),
        RefusalCode.NO_POSITION: Meaning("an exit without a position", "position / being closed"),
        RefusalCode.ALREADY_CLOSING: Meaning("open reducing orders cover the position already", "position / being closed"),
        RefusalCode.REVERSAL: Meaning(
            "an opening sell against the strategy's long position, or a buy against its short one: close first; or (rule `open_order`) "
            "against an open order of its own that may open the other side: cancel it, or order both as one `oco` group"
        ),
        RefusalCode.SHORT_NOT_ALLOWED: Meaning("an opening sell without a position where `allow_short` is off"),
        RefusalCode.POSITION_LIMIT: Meaning("`max_position_pct` of equity, open orders counted", _NOTIONAL),
        RefusalCode.OPEN_POSITIONS: Meaning("`max_open_positions` instruments are held or being opened", "number allowed / held"),
        RefusalCode.LEVERAGE_LIMIT: Meaning("`max_leverage` times equity, longs and shorts together, open orders counted", _NOTIONAL),
        RefusalCode.INSUFFICIENT_CASH: Meaning(
            "free cash does not cover price, slippage and fee (rule `cash`), or the margin of a short beside what all shorts must keep "
            "(rule `margin`); also when the price jumped before the fill",
            "cash / reserved, in the quote asset",
        ),
        RefusalCode.BELOW_MINIMUM: Meaning(
            "what is left is below the venue's lot, minimum quantity or minimum notional", "as the tightest rule"
        ),
        RefusalCode.STATE_UNKNOWN: Meaning(
            "the books could not be proven right, or an operator says so: nothing opens until that is withdrawn; the rule says why"
        ),
        RefusalCode.INVALID_ORDER: Meaning(
            "a quantity or price is no positive number of reasonable size, or terms or links do not fit together; the rule names which"
        ),
        RefusalCode.UNKNOWN_PROFILE: Meaning("the session has no such risk profile; orders by hand need one called `manual`"),
        RefusalCode.UNKNOWN_ORDER: Meaning("a cancel of an order that is not open"),
        RefusalCode.WRONG_CURRENCY: Meaning("the order says it is paid in an asset that is not the instrument's quote asset"),
        RefusalCode.MARKET_CLOSED: Meaning("the instrument's market is closed; reductions wait too"),
        RefusalCode.OFF_TICK: Meaning("a price of the order is not a multiple of the tick", "tick / price"),
        RefusalCode.OFF_LOT: Meaning("the quantity of an order by hand is not a multiple of the lot", "lot / quantity"),
        RefusalCode.PRICE_COLLAR: Meaning(
            "a price of the order, or its trail, is further than `price_collar_bps` from the last price", "distance allowed / found"
        ),
        RefusalCode.ORDER_VALUE: Meaning(
            "the order would be worth more than `max_order_value`, or (rule `max_notional`) the strategy's position more than its signal "
            "allows (`numbers.max_notional`, in the quote asset)",
            "value allowed / 0, or held and open",
        ),
        RefusalCode.ORDER_QUANTITY: Meaning("the order would be larger than `max_order_quantity`", "quantity allowed / 0"),
        RefusalCode.ORDER_RATE: Meaning(
            "too many orders in the last second or minute of input time, of the strategy or in all; the rule names which",
            "orders allowed / sent",
        ),
        RefusalCode.DUPLICATE_ORDER: Meaning(
            "an equal order passed within `duplicate_window_seconds`, or one with the same client id ever", "window / age, ns"
        ),
        RefusalCode.REPEATED_EXECUTION: Meaning(
            "`repeated_executions` fills in one direction without a new signal; orders by hand count as one signal until one goes the "
            "other way. Also the code under which the rest of such an order is cancelled",
            "fills allowed / found",
        ),
        RefusalCode.SELF_TRADE: Meaning("a limit order that could meet a resting limit order of ours", "resting price / price"),
        RefusalCode.BUCKET_POSITION_LIMIT: Meaning("the bucket's `max_position_pct` of equity, open orders counted", _NOTIONAL),
        RefusalCode.BUCKET_NOTIONAL_LIMIT: Meaning("the bucket's `max_notional_usd`, all its positions and open orders", _NOTIONAL),
        RefusalCode.NET_EXPOSURE_LIMIT: Meaning("`max_net_exposure` times equity, all longs or all shorts, open orders counted", _NOTIONAL),
        RefusalCode.STOP_MISSING: Meaning(
            "a signal that declares a stop brings no stop price or no ATR (`numbers.atr`)", "least distance / distance"
        ),
        RefusalCode.STOP_WRONG_SIDE: Meaning("the declared stop is not on the loss side of the price", "least distance / distance"),
        RefusalCode.STOP_TOO_TIGHT: Meaning("the declared stop is nearer than `stop_loss_atr_multiple` ATR", "least distance / distance"),
        RefusalCode.RISK_BUDGET: Meaning(
            "at its stop the position would lose more than `target_volatility` of equity", "loss allowed / of what is held"
        ),
    }
)


def table() -> str:
    """The codes as a Markdown table, in the order of the enum."""
    rows = [f"| `{code}` | {MEANINGS[code].because} | {MEANINGS[code].figures} |" for code in RefusalCode]
    return "\n".join(["| code | the gate refuses or clips because | limit / value |", "|---|---|---|", *rows])
