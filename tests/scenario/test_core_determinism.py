"""Equal specs and equal inputs give equal records, byte by byte: twice, in another order of the series, in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import msgspec

from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.market import instrument, limits, schedule, spec
from dudzian_daemon.trading.content import ContentChain
from plugins.strategies.daily_trend import DailyTrend, TrendParams
from tests.plugins.lively import lively
from tests.unit.trading.desk import Desk, Scripted, enter, hour, leave

ROOT = Path(__file__).resolve().parents[2]
COINS = [instrument(base) for base in ("BTC", "ETH", "ADA")]
SERIES = [Series(coin.key, "1h") for coin in COINS]
SHORT = TrendParams(fast_ma=4, slow_ma=12, breakout_lookback=6, momentum_window=4, atr_window=5)


def session() -> Desk:
    """Two strategies on three instruments, under two profiles of which one trips."""
    script = {
        hour(number): [enter(COINS[number % 3].key), leave(COINS[(number + 1) % 3].key, confidence=0.5)] for number in range(5, 300, 5)
    } | {hour(number): [leave(coin.key) for coin in COINS] for number in range(300) if number % 24 >= 19}  # flat at midnight
    plans = [
        schedule("trend", COINS, profile="tight", position_size=Decimal("0.2"), max_signals=2),
        schedule("told", COINS, profile="loose", priority=50),
    ]
    profiles = {
        "tight": limits("tight", max_daily_loss_pct=Decimal("0.004"), max_position_pct=Decimal("0.2")),
        "loose": limits("loose", max_position_pct=Decimal("0.3"), max_daily_loss_pct=Decimal("0.5"), hard_drawdown_pct=Decimal("0.5")),
    }
    return Desk(spec({"trend": DailyTrend(SHORT), "told": Scripted(script)}, plans, COINS, profiles=profiles))


def play(rows: list[list[Candle]]) -> Desk:
    desk = session()
    desk.feed(*rows)
    desk.command("stop", close_positions="yes")
    desk.snapshot()
    return desk


def candles_of_all() -> list[list[Candle]]:
    return [lively(series, 300) for series in SERIES]


def chain(records: list[CycleRecord]) -> str:
    sealed = ContentChain()
    with exact_money():
        for record in records:
            sealed.seal(record)
    return sealed.link


def test_the_session_is_worth_comparing() -> None:
    desk = play(candles_of_all())
    assert len(desk.fills) > 50
    assert {fill.strategy for fill in desk.fills} == {"trend", "told"}
    assert {"tripped", "reset"} <= {change.change for change in desk.risk}
    assert {None, "position_limit", "daily_loss_limit", "no_position"} == {verdict.code for verdict in desk.verdicts}


def test_the_same_inputs_twice_give_byte_equal_records() -> None:
    first, second = (play(candles_of_all()) for _ in range(2))
    assert msgspec.json.encode(first.records) == msgspec.json.encode(second.records)
    assert chain(first.records) == chain(second.records)


def test_the_order_in_which_series_are_given_changes_nothing() -> None:
    expected = msgspec.json.encode(play(candles_of_all()).records)
    for order in permutations(candles_of_all()):
        assert msgspec.json.encode(play(list(order)).records) == expected


def test_a_record_survives_the_journal_unchanged() -> None:
    records = play(candles_of_all()).records
    assert msgspec.json.decode(msgspec.json.encode(records), type=list[CycleRecord]) == records


def test_a_process_that_hashes_otherwise_gives_the_same_chain() -> None:
    code = "from tests.scenario.test_core_determinism import *; print(chain(play(candles_of_all()).records))"
    links = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert links == {chain(play(candles_of_all()).records)}
