"""What a backtest tells: one document for programs, the same numbers for the table and the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.domain.counts import Counts
from dudzian_daemon.domain.market import DAY_NS, Series
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.round_trips import OpenPosition, RoundTrip
from dudzian_daemon.domain.statistics import CONVENTIONS, Statistics, drawdown
from dudzian_daemon.trading.windows import Window

_EPOCH = date(1970, 1, 1)


class WindowText(msgspec.Struct, frozen=True):
    """A window that was played; days are UTC and both included."""

    first: str
    last: str
    series: tuple[str, ...]


class Figures(msgspec.Struct, frozen=True):
    """Statistics of the account and of each strategy as if it had had the account for itself with the sizes it had."""

    total: Statistics
    strategies: dict[str, Statistics]


class DailyEquity(msgspec.Struct, frozen=True):
    """Equity at the end of each UTC day; a strategy's is the opening equity plus its own cash flow and marked positions."""

    days: tuple[str, ...]
    total: tuple[Decimal, ...]
    strategies: dict[str, tuple[Decimal, ...]]


class CycleEquity(msgspec.Struct, frozen=True):
    """Equity after each cycle, as two columns; instants in ns."""

    instants: list[int]
    equity: list[float]


class JournalText(msgspec.Struct, frozen=True, kw_only=True):
    """The journal that was written."""

    log_id: str
    folder: str
    content_chain: str
    cycles: int


class NeverWarm(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that decided nothing, since each of its units lacks history: one series, and candles of it, needed and had at most."""

    schedule: str
    series: str
    needed: int
    had: int


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.backtest/1`. Equal inputs give equal documents, but for `journal`. Decimals are strings, instants ns.

    `synthetic` names the instruments of derived venues, `conventions` what the statistics mean.
    """

    schema: str = "dudzian.backtest/1"
    environment: str
    asset: str
    profiles: tuple[str, ...]
    costs: dict[str, str]
    windows: tuple[WindowText, ...]
    synthetic: tuple[str, ...]
    counts: Counts
    never_warm: tuple[NeverWarm, ...] = ()
    max_drawdown_by_cycle: float
    conventions: Mapping[str, int | float | str]
    statistics: Figures
    trades: tuple[RoundTrip, ...]
    open_positions: tuple[OpenPosition, ...]
    equity: DailyEquity
    equity_by_cycle: CycleEquity | None = None
    journal: JournalText | None = None


def result_of(
    prepared: Prepared, windows: Sequence[Window], performance: Performance, journal: JournalText | None = None
) -> BacktestResult:
    """Everything that is told of a backtest."""
    spec = prepared.spec
    opening, by_cycle = performance.opening, performance.by_cycle
    values = by_cycle.values.tolist()
    with exact_money():
        figures = Figures(
            performance.total.statistics(opening, performance.elapsed_ns),
            {name: account.statistics(opening, performance.elapsed_ns) for name, account in performance.strategies.items()},
        )
    return BacktestResult(
        environment=prepared.environment,
        asset=spec.valuation_asset,
        profiles=tuple(spec.profiles),
        costs={
            "preset": spec.preset.name,
            "taker_fee": str(spec.preset.taker_fee),
            "slippage_bps": str(spec.preset.slippage_bps),
        },
        windows=tuple(_window_text(window) for window in windows),
        synthetic=tuple(sorted(key for key, instrument in spec.instruments.items() if instrument.synthetic)),
        counts=performance.counts,
        never_warm=tuple(
            NeverWarm(schedule=name, series=_series_text(need.series), needed=need.warm_up, had=had)
            for name, need, had in performance.never_warm()
        ),
        max_drawdown_by_cycle=drawdown([float(opening), *values]).depth,
        conventions=CONVENTIONS,
        statistics=figures,
        trades=tuple(performance.trips.done),
        open_positions=tuple(performance.trips.still_open()),
        equity=DailyEquity(
            tuple(day_of(day * DAY_NS).isoformat() for day in performance.days),
            tuple(performance.total.daily),
            {name: tuple(account.daily) for name, account in performance.strategies.items()},
        ),
        equity_by_cycle=CycleEquity(by_cycle.instants.tolist(), values),
        journal=journal,
    )


def day_of(instant: int) -> date:
    """The UTC day of an instant in ns."""
    return _EPOCH + timedelta(days=instant // DAY_NS)


def _window_text(window: Window) -> WindowText:
    series = tuple(map(_series_text, sorted(window.series)))
    return WindowText(day_of(window.start).isoformat(), day_of(window.end - 1).isoformat(), series)


def _series_text(series: Series) -> str:
    return f"{series.instrument} {series.granularity}"
