"""What a backtest tells: one document for programs, the same numbers for the table and the plot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from dudzian_daemon.app.performance import Counts, Performance
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.round_trips import RoundTrip
from dudzian_daemon.domain.statistics import Statistics, drawdown
from dudzian_daemon.trading.windows import Window


class WindowText(msgspec.Struct, frozen=True):
    """A window that was played; days are UTC and both included."""

    first: str
    last: str
    series: tuple[str, ...]


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What was still held at the end, because its last price was too old to close on."""

    strategy: str
    instrument: str
    quantity: Decimal
    cost: Decimal


class Figures(msgspec.Struct, frozen=True):
    """Statistics of the account and of each strategy as if it had had the account for itself with the sizes it had."""

    total: Statistics
    strategies: dict[str, Statistics]


class DailyEquity(msgspec.Struct, frozen=True):
    """Equity at the end of each UTC day; a strategy's is the opening equity plus its own cash flow and marked positions."""

    days: tuple[str, ...]
    total: tuple[Decimal, ...]
    strategies: dict[str, tuple[Decimal, ...]]


class CycleColumns(msgspec.Struct, frozen=True):
    """Equity after each cycle; instants in ns."""

    instants: list[int]
    equity: list[float]


class JournalText(msgspec.Struct, frozen=True, kw_only=True):
    """The journal that was written."""

    log_id: str
    folder: str
    content_chain: str
    cycles: int


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Schema `dudzian.backtest/1`. Equal inputs give equal documents, but for `journal`. Decimals are strings, instants ns."""

    schema: str = "dudzian.backtest/1"
    environment: str
    asset: str
    profiles: tuple[str, ...]
    costs: dict[str, str]
    windows: tuple[WindowText, ...]
    counts: Counts
    max_drawdown_by_cycle: float
    statistics: Figures
    trades: tuple[RoundTrip, ...]
    open_positions: tuple[OpenPosition, ...]
    equity: DailyEquity
    equity_by_cycle: CycleColumns | None = None
    journal: JournalText | None = None
