"""A vectorised twin decides what `decide` decides, on every candle of the sample: the same bars, the same sides, the same targets."""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.candle_columns import Columns
from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.indicators import AverageTrueRange, RealisedVolatility, RollingDeviation, RollingExtreme, RollingMean, ZScore
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series
from dudzian_daemon.domain.orders import Intent
from dudzian_daemon.domain.ports import MarketView, Position, Strategy
from dudzian_daemon.testing.market import instrument, schedule
from dudzian_daemon.testing.trial import Trial
from dudzian_daemon.trading.strategy_unit import Unit

ROOT = Path(__file__).parents[2]
BTC = "binance:BTC/USDT"
END = 2_000_000_000 * 1_000_000_000
STEPS = {"1h": HOUR_NS, "1d": DAY_NS}
TREND: dict[str, Any] = {"fast_ma": 5, "slow_ma": 20, "breakout_lookback": 10, "momentum_window": 5, "atr_window": 7}
CASES = [
    ("daily_trend", "1d", {}),
    ("daily_trend", "1d", TREND | {"atr_multiplier": 6.0}),
    ("daily_trend", "1h", TREND),
    ("daily_trend", "1h", TREND | {"atr_multiplier": 9.0, "min_trend_strength": -0.01}),
    ("mean_reversion", "1h", {}),
    ("mean_reversion", "1h", {"lookback": 24, "entry_zscore": 1.5, "exit_zscore": 0.0, "max_holding_period": 5, "volatility_cap": 0.004}),
    ("mean_reversion", "1d", {"lookback": 12, "entry_zscore": 1.2, "max_holding_period": 1, "min_volume_usd": 5e8, "position_size": 0.5}),
    ("mean_reversion", "1d", {"lookback": 20, "volatility_cap": 0.02}),
]


def sample(granularity: str) -> Sequence[Candle]:
    """The longest stretch without a hole."""
    rows = ParquetCandleStore(sample_root(), read_only=True).read(Series(BTC, granularity), 0, END)
    breaks = [number for number in range(1, len(rows)) if rows[number].end - rows[number - 1].end != STEPS[granularity]]
    pieces = [rows[start:end] for start, end in zip([0, *breaks], [*breaks, len(rows)], strict=True)]
    return max(pieces, key=len)


def decided(strategy: Strategy, rows: Sequence[Candle], granularity: str) -> list[tuple[int, Intent, float | None]]:
    """What `decide` says candle by candle where every order fills at the next open, whole, and nothing else closes a position."""
    series = Series(BTC, granularity)
    unit = Unit(schedule("tried", [instrument()], granularity=granularity), strategy, (BTC,))
    said: list[tuple[int, Intent, float | None]] = []
    position = Position()
    for row in rows:
        unit.positions[BTC] = position
        unit.take(series, row)
        position = unit.positions[BTC]
        view = MarketView(instant=row.end, candles=dict(unit.latest), positions=dict(unit.positions))
        for signal in strategy.decide(unit.state, view) if unit.warm else ():
            said.append((row.end, signal.intent, signal.target))
            entered = signal.intent is Intent.ENTER
            position = Position(quantity=signal.target or 1.0, entry_price=row.close, entry_instant=row.end) if entered else Position()
    return said


@pytest.mark.parametrize(("plugin", "granularity", "parameters"), CASES)
def test_a_twin_decides_the_same_on_every_candle_of_the_sample(plugin: str, granularity: str, parameters: Mapping[str, Any]) -> None:
    source = load_plugin("strategies", plugin, [bundled("plugins")])
    rows = sample(granularity)
    said = decided(make_strategy(source, parameters), rows, granularity)
    strategy: Any = make_strategy(source, parameters)
    (need,) = strategy.series([BTC], granularity)
    turns = strategy.signals_vectorised(Columns(rows, need.warm_up - 1))
    assert [(rows[turn.candle].end, turn.intent, turn.target) for turn in turns] == said
    assert len(said) > 4


@pytest.mark.parametrize(("fast", "slow"), [(20, 50), (1, 2), (7, 200)])
def test_the_twin_of_the_benchmark_decides_the_same(fast: int, slow: int) -> None:
    made = runpy.run_path(str(ROOT / "benchmarks" / "sma_cross.py"))
    strategy: Any = made["SmaCross"](made["CrossParams"](fast=fast, slow=slow))
    rows = sample("1h")
    said = decided(strategy, rows, "1h")
    assert [(rows[turn.candle].end, turn.intent, turn.target) for turn in strategy.signals_vectorised(Columns(rows, slow - 1))] == said
    assert len(said) > 10


def test_the_core_with_its_gate_and_fills_decides_as_the_twin_does() -> None:
    source = load_plugin("strategies", "daily_trend", [bundled("plugins")])
    rows = sample("1d")
    trial = Trial(lambda: make_strategy(source, TREND), [BTC], "1d").play({Series(BTC, "1d"): rows})
    assert trial.faults == []
    strategy: Any = make_strategy(source, TREND)
    turns = strategy.signals_vectorised(Columns(rows, strategy.series([BTC], "1d")[0].warm_up - 1))
    assert [(rows[turn.candle].end, turn.intent) for turn in turns] == [(signal.instant, signal.intent) for signal in trial.signals]


def test_the_indicators_are_those_of_the_api_bit_for_bit() -> None:
    rows = sample("1h")[:900]
    columns = Columns(rows)
    for window in (1, 2, 7, 55, 899, 900, 901):
        mean, highest, lowest = RollingMean(window), RollingExtreme(window, 1.0), RollingExtreme(window, -1.0)
        ranges, scores = AverageTrueRange(RollingMean(window)), ZScore(RollingDeviation(window))
        volatility = RealisedVolatility(RollingDeviation(window))
        made = zip(
            *(each.tolist() for each in (columns.mean(window), columns.highest(window), columns.lowest(window))),
            *(each.tolist() for each in (columns.true_range_mean(window), columns.zscore(window), columns.volatility(window))),
            strict=True,
        )
        for row, found in zip(rows, made, strict=True):
            for indicator in (mean, scores, volatility):
                indicator.push(row.close)
            highest.push(row.high)
            lowest.push(row.low)
            ranges.push(row.high, row.low, row.close)
            expected = [each.value for each in (mean, highest, lowest, ranges, scores, volatility)]
            assert [None if value != value else value for value in found] == expected


def test_equal_closes_have_no_zscore() -> None:
    flat = [Candle(n * HOUR_NS, BTC, "1h", n * HOUR_NS, 0.1, 0.1, 0.1, 0.1, 1.0) for n in range(1, 9)]
    assert all(value != value for value in Columns(flat).zscore(3).tolist())


def test_plugins_load_without_numpy() -> None:
    for name in ("daily_trend", "mean_reversion"):
        text = (Path(bundled("plugins")) / "strategies" / f"{name}.py").read_text(encoding="utf-8")
        assert not any(line.startswith(("import numpy", "from numpy")) for line in text.splitlines())
