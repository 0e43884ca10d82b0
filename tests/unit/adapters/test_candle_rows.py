"""Rows of a venue: what becomes a candle, what is refused and why."""

from __future__ import annotations

from typing import Any

import pytest

from dudzian_daemon.adapters.candle_rows import RowFault, judge_rows
from dudzian_daemon.domain.market import HOUR_NS, MINUTE_NS, Series

SERIES = Series("binance:BTC/USDT", "1h")
HOUR_MS = 3_600_000
START = 1_700_000_000_000 // HOUR_MS * HOUR_MS


def row(n: int = 0, **changes: Any) -> list[Any]:
    values = {"start": START + n * HOUR_MS, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 3.0} | changes
    return list(values.values())


def judged(rows: list[Any], *, hours: int = 24, now_hours: float = 24.0):
    since = START * 1_000_000
    return judge_rows(rows, SERIES, since, since + hours * HOUR_NS, since + int(now_hours * HOUR_NS))


def test_sound_rows_become_candles_in_order() -> None:
    answer = judged([row(2), row(0), row(1)])
    assert [candle.end for candle in answer.candles] == [(START + n * HOUR_MS) * 1_000_000 for n in (1, 2, 3)]
    assert not answer.refused
    first = answer.candles[0]
    assert (first.instant, first.open, first.high, first.low, first.close, first.volume) == (first.end, 10.0, 12.0, 9.0, 11.0, 3.0)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (None, RowFault.MALFORMED),
        ("[[", RowFault.MALFORMED),
        ([START, 1.0], RowFault.MALFORMED),
        (row(1, close=None), RowFault.MALFORMED),
        (row(1, close="11"), RowFault.MALFORMED),
        (row(1, start=float(START)), RowFault.MALFORMED),
        (row(1, open=True), RowFault.MALFORMED),
        (row(1, close=float("nan")), RowFault.NOT_FINITE),
        (row(1, high=float("inf")), RowFault.NOT_FINITE),
        (row(1, low=0.0), RowFault.NOT_POSITIVE),
        (row(1, close=-1.0), RowFault.NOT_POSITIVE),
        (row(1, volume=-0.1), RowFault.NOT_POSITIVE),
        (row(1, high=10.5), RowFault.HIGH_LOW),
        (row(1, low=10.5), RowFault.HIGH_LOW),
        (row(1, start=START + HOUR_MS + 60_000), RowFault.OFF_GRID),
        (row(40), RowFault.FUTURE),
    ],
)
def test_one_bad_row_is_refused_and_costs_no_other(bad: Any, fault: RowFault) -> None:
    answer = judged([row(0), bad, row(2), row(3), row(4)])
    assert [each.fault for each in answer.refused] == [fault]
    assert len(answer.candles) == 4


def test_a_forming_candle_is_left_out_and_is_no_fault() -> None:
    answer = judged([row(0), row(1)], now_hours=1.5)
    assert [candle.end for candle in answer.candles] == [(START + HOUR_MS) * 1_000_000]
    assert not answer.refused


def test_a_row_twice_is_one_candle_and_two_different_ones_are_none() -> None:
    answer = judged([row(0), row(0), row(1), row(1, close=11.5), row(2)])
    assert [candle.end // HOUR_NS - START * 1_000_000 // HOUR_NS for candle in answer.candles] == [1, 3]
    assert answer.faults == {"duplicate": 1, "contradiction": 1}


def test_candles_of_another_length_are_refused_even_those_that_lie_on_our_grid() -> None:
    quarters = [row(0, start=START + n * 15 * 60_000) for n in range(12)]
    answer = judged(quarters)
    assert not answer.candles
    assert answer.faults == {"interval": 12}


def test_rows_outside_the_span_are_left_out() -> None:
    answer = judged([row(-1), row(0), row(1), row(2)], hours=2)
    assert len(answer.candles) == 2
    assert not answer.refused


def test_a_gap_stays_a_gap() -> None:
    assert len(judged([row(0), row(1), row(4), row(5)]).candles) == 4


def test_the_grid_is_that_of_the_series() -> None:
    five = Series("binance:BTC/USDT", "5m")
    since = START * 1_000_000
    rows = [row(0, start=START + n * 300_000) for n in range(3)]
    assert len(judge_rows(rows, five, since, since + HOUR_NS, since + 15 * MINUTE_NS).candles) == 3
