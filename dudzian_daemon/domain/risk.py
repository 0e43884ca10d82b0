"""Risk limits and the state of one profile: pure arithmetic, no decisions about orders (those are the gate's).

Ratios are fractions (0.05 is 5 %). A limit of 0 allows nothing.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from dudzian_daemon.domain.market import DAY_NS, SECOND_NS
from dudzian_daemon.domain.money import ZERO


class TradingState(StrEnum):
    """`active`: all allowed; `reducing`: only orders that shrink a position; `halted`: kill switch, no opening order."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one profile that the gate enforces.

    `target_volatility` is what a position may lose at its declared stop, as a share of equity; the stop is at least
    `stop_loss_atr_multiple` ATR away. A directional position without a stop of its own is closed when it has lost
    `catastrophe_stop_pct` of its cost. `max_leverage` bounds longs and shorts together, `max_net_exposure` each of them.
    """

    name: str
    max_daily_loss_pct: Decimal
    max_position_pct: Decimal
    target_volatility: Decimal
    max_leverage: Decimal
    max_net_exposure: Decimal
    stop_loss_atr_multiple: Decimal
    catastrophe_stop_pct: Decimal
    max_open_positions: int
    hard_drawdown_pct: Decimal
    maintenance_margin_pct: Decimal = Decimal("0.25")


class BucketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a group of instruments: of one position as a share of equity, of all together in the valuation asset."""

    name: str
    max_position_pct: Decimal
    max_notional: Decimal


class OrderControls(msgspec.Struct, frozen=True, kw_only=True):
    """What every opening order must satisfy whoever sends it; a limit of 0 allows nothing.

    Values are in the valuation asset, quantities in the base asset, rates in orders on input instants. A reference price
    may be `max_reference_bars` candles of the instrument's execution series old, and never more than `max_reference_age_ns`.
    """

    price_collar_bps: Decimal = Decimal(1000)
    max_order_value: Decimal = Decimal(250_000)
    max_order_quantity: Decimal = Decimal(10_000_000)
    strategy_orders_per_second: int = 20
    strategy_orders_per_minute: int = 120
    total_orders_per_second: int = 60
    total_orders_per_minute: int = 360
    duplicate_window_ns: int = 5 * SECOND_NS
    repeated_executions: int = 100
    max_reference_bars: int = 2
    max_reference_age_ns: int = 2 * DAY_NS


class ProfileState(msgspec.Struct, kw_only=True):
    """Moves with every mark. Days are days since 1970-01-01 UTC.

    `daily_trip_day` is the day a daily trip blocks, `drawdown_trip_day` the one after which a drawdown may be released.
    """

    day: int
    start_of_day_equity: Decimal
    peak_equity: Decimal
    daily_trip_day: int | None = None
    drawdown_trip_day: int | None = None

    @property
    def drawdown_latched(self) -> bool:
        """True from a drawdown trip until an operator releases it."""
        return self.drawdown_trip_day is not None

    @property
    def reducing(self) -> bool:
        """True while only reductions may pass."""
        return self.daily_trip_day is not None or self.drawdown_trip_day is not None


def daily_loss(state: ProfileState, equity: Decimal) -> Decimal:
    """Loss since the start of the day, in the valuation asset; negative is a gain."""
    return state.start_of_day_equity - equity


def daily_loss_allowed(limits: RiskLimits, state: ProfileState) -> Decimal:
    """The loss at which the daily limit trips."""
    return limits.max_daily_loss_pct * state.start_of_day_equity


def drawdown(state: ProfileState, equity: Decimal) -> Decimal:
    """Distance below the highest equity seen, in the valuation asset, never negative."""
    return max(state.peak_equity - equity, ZERO)


def drawdown_allowed(limits: RiskLimits, state: ProfileState) -> Decimal:
    """The drawdown at which the hard limit trips."""
    return limits.hard_drawdown_pct * state.peak_equity
