"""Lines for people: who did what where, one line a thing, and nothing that can be taken for something else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dudzian_daemon.adapters.event_lines import COMPACT, WIDE, Line, Names, collapsed, event_lines
from dudzian_daemon.domain.market import Command, Gap
from dudzian_daemon.domain.records import CycleRecord, StrategyFault
from dudzian_daemon.testing.market import candles
from tests.unit.trading.desk import BTC, BTC_1H, Desk, desk, enter, hour, leave

STRATEGIES = ("core_daily_trend", "demo_mean_reversion", "demo_cross_exchange", "other_cross_exchange", "plain")
HERE, THERE = "binance:ETH/USDT", "mirror:ETH/USDT"
NAMES = Names(STRATEGIES, [HERE, THERE, BTC.key])


def shown(desk: Desk, names: Names = NAMES) -> list[str]:
    return [line.shown(names.width) for record in desk.records for line in event_lines(record, names)]


def test_strategies_are_called_by_as_many_last_words_as_tell_them_apart() -> None:
    assert [NAMES.strategy(name) for name in STRATEGIES] == ["trend", "reversion", "demo_cross_exchange", "other_cross_exchange", "plain"]


def test_the_venue_is_named_where_a_symbol_is_traded_at_several() -> None:
    assert [NAMES.instrument(key) for key in (HERE, THERE, BTC.key)] == ["ETH/USDT@binance", "ETH/USDT@mirror", "BTC/USDT"]


def test_an_order_s_life_says_strategy_and_side() -> None:
    session = desk({hour(1): [enter(target=0.2)], hour(2): [leave()]})
    session.feed(candles(BTC_1H, [100.0] * 4))
    assert shown(session, Names(["told"], [BTC.key]))[:6] == [
        "2024-01-01 01:00  signal     told  enter long BTC/USDT (told to, confidence 1.00)",
        "2024-01-01 01:00  approved   told  buy BTC/USDT 20 of 20",
        "2024-01-01 01:00  fill       told  buy BTC/USDT 20 at 100.05 (fee 1.2006 USDT)",
        "2024-01-01 02:00  signal     told  exit BTC/USDT (told to, confidence 1.00)",
        "2024-01-01 02:00  approved   told  sell BTC/USDT 20 of 20",
        "2024-01-01 02:00  fill       told  sell BTC/USDT 20 at 99.95 (fee 1.1994 USDT)",
    ]


def test_two_legs_of_a_group_are_one_signal_and_one_verdict() -> None:
    hedge = [enter(HERE, target=0.1, group="g", id="a"), enter(THERE, target=-0.1, group="g", id="b")]
    (line,) = event_lines(record(signals=tuple(hedge)), NAMES)
    assert line.text.startswith("enter long ETH/USDT@binance, enter short ETH/USDT@mirror (")


def test_what_an_operator_and_the_core_do_to_a_strategy_is_said() -> None:
    session = desk({})
    session.feed(candles(BTC_1H, [100.0]))
    session.command("suspend", strategy="told")
    session.command("resume", strategy="told")
    session.command("quarantine", strategy="told", reason="restart")
    session.command("stop", reason="operator", close_positions="yes")
    said = [line.partition("  ")[2] for line in shown(session, Names(["told"], [BTC.key]))]
    assert said == [
        "strategy   told  suspended (operator)",
        "strategy   told  resumed (operator)",
        "strategy   told  quarantined (restart)",
        "command    operator, positions are closed",
    ]


def test_holes_of_one_stretch_are_one_line_and_windows_end() -> None:
    stretch = (hour(1), hour(5))
    inputs = (
        Command(hour(1), "x", "end_of_data", {"window": "1", "close_positions": "yes"}),
        *(Gap(hour(5), key, "1h", *stretch) for key in (HERE, THERE)),
        Gap(hour(5), BTC.key, "1h", hour(3), hour(5)),
    )
    assert [line.shown(0) for line in event_lines(record(inputs=inputs), NAMES)] == [
        "2024-01-01 01:00  window     1 ended, positions are closed",
        "2024-01-01 05:00  gap        2 series: no candles from 2024-01-01 01:00 to 2024-01-01 05:00",
        "2024-01-01 05:00  gap        binance:BTC/USDT 1h: no candles from 2024-01-01 03:00 to 2024-01-01 05:00",
    ]


def record(**parts: object) -> CycleRecord:
    usual = {"sequence": 1, "instant": hour(5), "phase": 2, "due": (), "inputs": (), "cash": Decimal(1), "equity": Decimal(1)}
    return CycleRecord(**{**usual, **parts})  # type: ignore[arg-type]  # the fields of a record, by their names


def test_equal_faults_in_a_row_are_one_line() -> None:
    fault = StrategyFault(strategy="plain", unit="u", where="decide", error="KeyError")
    other = StrategyFault(strategy="plain", unit="v", where="decide", error="KeyError")
    found = list(collapsed(line for faults in [(fault,), (fault,), (fault, other)] for line in event_lines(record(faults=faults), NAMES)))
    assert [line.shown(0) for line in found] == [
        "2024-01-01 05:00  fault x3   u decide: KeyError",
        "2024-01-01 05:00  fault      v decide: KeyError",
    ]


def test_other_lines_are_never_joined() -> None:
    twice = [Line("", hour(1), "fill", "the same")] * 2
    assert list(collapsed(twice)) == twice


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (WIDE, "2024-01-01 01:00  fill       trend      buy"),
        (WIDE - 1, "01-01 01:00  fill       trend      buy"),
        (COMPACT - 1, "01:00 fill trend buy"),
    ],
)
def test_less_room_takes_less(width: int, text: str) -> None:
    assert Line("", hour(1), "fill", "buy", "trend").shown(len("reversion"), width) == text
