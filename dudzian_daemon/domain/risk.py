"""Risk limits and the state of one profile: pure arithmetic, no decisions about orders (those are the gate's).

Ratios are fractions (0.05 is 5 %). A limit of 0 allows nothing.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from dudzian_daemon.domain.money import ZERO


class TradingState(StrEnum):
    """`active`: all allowed; `reducing`: only orders that shrink a position; `halted`: kill switch, no opening order."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one profile that the gate enforces."""

    name: str
    max_daily_loss_pct: Decimal
    max_position_pct: Decimal
    max_leverage: Decimal
    max_open_positions: int
    hard_drawdown_pct: Decimal


class ProfileState(msgspec.Struct, kw_only=True):
    """Moves with every mark. `day` is days since 1970-01-01 UTC; `daily_trip_day` is the day a daily trip blocks."""

    day: int
    start_of_day_equity: Decimal
    peak_equity: Decimal
    daily_trip_day: int | None = None
    drawdown_latched: bool = False

    @property
    def reducing(self) -> bool:
        """True while only reductions may pass."""
        return self.daily_trip_day is not None or self.drawdown_latched


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
