"""Every option, metric and column of a sweep is in its howto, and the twin of the other howto decides as its strategy does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dudzian_daemon.adapters.candle_columns import Columns
from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy
from dudzian_daemon.app.sweep.trials import METRICS, columns_of
from dudzian_daemon.domain.market import HOUR_NS, Candle
from dudzian_daemon.domain.orders import Intent
from dudzian_daemon.domain.ports import MarketView, Position
from dudzian_daemon.domain.statistics import Statistics

ROOT = Path(__file__).parents[2]
HOWTO = (ROOT / "docs" / "howto" / "sweep.md").read_text(encoding="utf-8")
BTC = "binance:BTC/USDT"


def test_every_option_and_metric_is_in_the_howto() -> None:
    source = (ROOT / "dudzian_daemon" / "cli" / "commands" / "sweep.py").read_text(encoding="utf-8")
    signature = source.partition("def command(")[2].partition(") -> None:")[0]
    options = set(re.findall(r'"(--[a-z-]+)"', signature)) | {"--data-dir", "--config", "--plugins-dir"}
    assert {option for option in options if f"`{option}" not in HOWTO} == set()
    assert {metric for metric in METRICS if f"`{metric}`" not in HOWTO} == set()


def test_every_column_is_in_the_howto_or_a_statistic() -> None:
    columns = set(columns_of(())) - set(Statistics.__struct_fields__)
    assert {column for column in columns if f"`{column}`" not in HOWTO} == set()


def test_the_twin_of_the_howto_decides_as_its_strategy_does(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "howto" / "write-a-strategy.md").read_text(encoding="utf-8")
    strategy, twin = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    whole = strategy.replace("    def decide(", f"{twin}\n    def decide(").replace("Candle, Intent", "Candle, CandleColumns, Intent")
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "above_mean.py").write_text(
        whole.replace("SeriesNeed, Signal", "SeriesNeed, Signal, Turn"), encoding="utf-8"
    )
    made: Any = make_strategy(load_plugin("strategies", "above_mean", [tmp_path]), {"window": 3})
    closes = [10.0, 11.0, 12.0, 11.0, 9.0, 9.0, 9.0, 14.0, 13.0, 15.0, 8.0, 12.0]
    rows = [
        Candle(end, BTC, "1h", end, close, close, close, close, 1.0)
        for end, close in ((number * HOUR_NS, close) for number, close in enumerate(closes, start=1))
    ]
    said: list[tuple[int, Intent]] = []
    state, position = made.new_state(), Position()
    for number, row in enumerate(rows):
        made.on_candle(state, row)
        for signal in made.decide(state, MarketView(instant=row.end, candles={}, positions={BTC: position})):
            said.append((number, signal.intent))
            position = Position(quantity=1.0 if signal.intent is Intent.ENTER else 0.0)
    assert [(turn.candle, turn.intent) for turn in made.signals_vectorised(Columns(rows, 2))] == said
    assert len(said) == 5
