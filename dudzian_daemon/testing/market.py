"""Builders of small markets and sessions with sensible defaults, for tests of the core and of plugins. It knows no test framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset
from dudzian_daemon.domain.market import GRANULARITIES, SECOND_NS, Candle, Instrument, Series
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.risk import RiskLimits
from dudzian_daemon.trading.spec import Schedule, SessionSpec

#: 2024-01-01T00:00:00Z, a midnight: where candles begin unless said.
START_NS: Final = 1_704_067_200 * SECOND_NS

#: Volume of every bar: far more than an order of a test takes of it.
VOLUME: Final = 1_000_000.0

#: A bar by its close alone, or as (open, high, low, close).
Bar = float | tuple[float, float, float, float]


def instrument(base: str = "BTC", **rules: Any) -> Instrument:
    """`binance:<base>/USDT` with a tick of 0.01, a lot of 0.001 and a minimum notional of 5; `rules` replace fields."""
    usual: dict[str, Any] = {
        "venue": "binance",
        "symbol": f"{base}/USDT",
        "base": base,
        "quote": "USDT",
        "tick_size": Decimal("0.01"),
        "lot_size": Decimal("0.001"),
        "min_quantity": Decimal("0.001"),
        "min_notional": Decimal(5),
    }
    return Instrument(**usual | rules)


def candles(series: Series, bars: Iterable[Bar], *, start: int = START_NS) -> list[Candle]:
    """Consecutive candles, the first one opening at `start` (ns).

    A bar given by its close opens at the close before it (the first one at its own) and reaches no further than the two.
    """
    made: list[Candle] = []
    end = start
    for bar in bars:
        end += series.step_ns
        if isinstance(bar, tuple):
            opened, high, low, close = bar
        else:
            opened, close = made[-1].close if made else bar, bar
            high, low = max(opened, close), min(opened, close)
        made.append(Candle(end, series.instrument, series.granularity, end, opened, high, low, close, VOLUME))
    return made


def limits(name: str = "balanced", **changes: Any) -> RiskLimits:
    """The shipped balanced profile without its catastrophe stop; `changes` replace fields."""
    usual: dict[str, Any] = {
        "name": name,
        "max_daily_loss_pct": Decimal("0.015"),
        "max_position_pct": Decimal("0.05"),
        "target_volatility": Decimal("0.11"),
        "max_leverage": Decimal(3),
        "max_net_exposure": Decimal(3),
        "stop_loss_atr_multiple": Decimal("1.5"),
        "catastrophe_stop_pct": Decimal(1),
        "max_open_positions": 5,
        "hard_drawdown_pct": Decimal("0.10"),
    }
    return RiskLimits(**usual | changes)


def preset(**changes: Any) -> ExecutionPreset:
    """The shipped costs: fees of 4 and 6 hundredths of a percent, 5 basis points of slippage, no latency."""
    usual = ExecutionPreset(
        name="candle_default", maker_fee=Decimal("0.0004"), taker_fee=Decimal("0.0006"), slippage_bps=Decimal(5), latency_ns=0
    )
    return msgspec.structs.replace(usual, **changes)


def schedule(strategy: str, instruments: Iterable[Instrument], *, granularity: str = "1h", **changes: Any) -> Schedule:
    """A schedule named after its strategy that runs at every bar with the whole equity, a tenth of it an entry."""
    usual: dict[str, Any] = {
        "name": strategy,
        "strategy": strategy,
        "instruments": tuple(each.key for each in instruments),
        "granularity": granularity,
        "cadence_ns": GRANULARITIES[granularity],
        "profile": "balanced",
        "allocation": Decimal(1),
        "position_size": Decimal("0.1"),
        "max_signals": 5,
    }
    return Schedule(**usual | changes)


def spec(
    strategies: Mapping[str, Strategy], schedules: Iterable[Schedule], instruments: Iterable[Instrument], **changes: Any
) -> SessionSpec:
    """A session of these parts on 10,000 USDT under `limits` and `preset`; `changes` replace fields."""
    usual: dict[str, Any] = {
        "instruments": {each.key: each for each in instruments},
        "schedules": tuple(schedules),
        "strategies": strategies,
        "profiles": {"balanced": limits()},
        "preset": preset(),
        "valuation_asset": "USDT",
        "opening_balance": Decimal(10_000),
    }
    return SessionSpec(**usual | changes)
