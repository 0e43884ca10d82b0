"""Limits that nothing reaches, for benchmarks whose strategies are to trade whatever comes."""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.risk import OrderControls
from dudzian_daemon.testing.market import limits

FREE = limits(
    max_position_pct=Decimal(1),
    max_daily_loss_pct=Decimal(1),
    hard_drawdown_pct=Decimal(1),
    max_leverage=Decimal(1000),
    max_open_positions=1_000_000,
)
FREE_RATES = OrderControls(
    strategy_orders_per_second=1_000_000,
    strategy_orders_per_minute=1_000_000,
    total_orders_per_second=1_000_000,
    total_orders_per_minute=1_000_000,
)
