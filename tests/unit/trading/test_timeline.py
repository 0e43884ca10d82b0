"""One total order: decisions of an instant before the prices that fill them, and the same whatever order the series came in."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Gap, OpenPrint, Phase, Tick
from dudzian_daemon.testing.market import START_NS, candles
from dudzian_daemon.trading.timeline import candle_ticks
from tests.unit.trading.desk import BTC, BTC_1D, BTC_1H, ETH, ETH_1H

DAY_ROWS = {
    BTC_1H: candles(BTC_1H, [100.0 + hour for hour in range(24)]),
    ETH_1H: candles(ETH_1H, [10.0 + hour for hour in range(24)]),
    BTC_1D: candles(BTC_1D, [(100.0, 123.0, 100.0, 123.0)]),
}


def keys(ticks: list[Tick]) -> list[tuple[int, int, str, str]]:
    return [
        (item.instant, int(tick.phase), item.instrument, item.granularity)
        for tick in ticks
        for item in tick.inputs
        if isinstance(item, Candle | OpenPrint)
    ]


def test_a_bar_is_its_open_print_at_its_start_and_its_close_at_its_end() -> None:
    (bar,) = candles(BTC_1H, [(100.0, 103.0, 99.0, 102.0)])
    assert list(candle_ticks({BTC_1H: [bar]})) == [
        Tick(START_NS, Phase.OPEN, (OpenPrint(START_NS, BTC.key, "1h", 100.0),)),
        Tick(START_NS + HOUR_NS, Phase.CLOSE, (bar,)),
    ]


def test_a_close_comes_before_the_open_of_the_same_instant() -> None:
    ticks = list(candle_ticks({BTC_1H: candles(BTC_1H, [100.0, 101.0])}))
    assert [(tick.instant - START_NS, tick.phase) for tick in ticks] == [
        (0, Phase.OPEN),
        (HOUR_NS, Phase.CLOSE),
        (HOUR_NS, Phase.OPEN),
        (2 * HOUR_NS, Phase.CLOSE),
    ]


def test_a_coarser_series_gives_closes_only_and_shares_the_tick_of_its_instant() -> None:
    ticks = list(candle_ticks(DAY_ROWS))
    assert {item.granularity for tick in ticks for item in tick.inputs if isinstance(item, OpenPrint)} == {"1h"}
    assert [key[2:] for key in keys(ticks) if key[:2] == (START_NS + DAY_NS, Phase.CLOSE)] == [
        (BTC.key, "1d"),
        (BTC.key, "1h"),
        (ETH.key, "1h"),
    ]


def test_a_coarser_series_executes_until_the_finer_one_begins() -> None:
    days = candles(BTC_1D, [100.0, 101.0, 102.0])
    hours = candles(BTC_1H, [101.0] * 24, start=START_NS + DAY_NS)
    opens = [item for tick in candle_ticks({BTC_1H: hours, BTC_1D: days}) for item in tick.inputs if isinstance(item, OpenPrint)]
    assert [(item.instant, item.granularity) for item in opens] == [
        (START_NS, "1d"),
        *((START_NS + DAY_NS + number * HOUR_NS, "1h") for number in range(24)),
    ]


def test_the_order_is_strictly_increasing_and_no_instant_and_phase_has_two_ticks() -> None:
    ticks = list(candle_ticks(DAY_ROWS))
    order = keys(ticks)
    assert order == sorted(set(order))
    assert len(order) == 24 * 4 + 1
    assert len({(tick.instant, tick.phase) for tick in ticks}) == len(ticks)


def test_the_order_in_which_series_come_changes_nothing() -> None:
    first, *others = [list(candle_ticks({series: DAY_ROWS[series] for series in order})) for order in permutations(DAY_ROWS)]
    assert all(other == first for other in others)


def test_a_finer_series_without_candles_leaves_the_execution_to_the_next() -> None:
    ticks = list(candle_ticks({BTC_1H: [], BTC_1D: DAY_ROWS[BTC_1D]}))
    assert [tick.inputs[0] for tick in ticks] == [OpenPrint(START_NS, BTC.key, "1d", 100.0), *DAY_ROWS[BTC_1D]]


def test_a_hole_is_one_gap_that_is_told_with_the_next_bar() -> None:
    bars = candles(BTC_1H, [100.0] * 5)
    ticks = list(candle_ticks({BTC_1H: [bars[0], *bars[3:]]}))
    end = START_NS + 4 * HOUR_NS
    assert [tick for tick in ticks if tick.phase is Phase.REVISION] == [
        Tick(end, Phase.REVISION, (Gap(end, BTC.key, "1h", START_NS + HOUR_NS, START_NS + 3 * HOUR_NS),))
    ]


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_holes_in_the_series_leave_the_order_strict_and_lose_nothing(first: set[int], second: set[int]) -> None:
    rows = {
        series: [candle for number, candle in enumerate(candles(series, [50.0] * 31)) if number in kept]
        for series, kept in ((BTC_1H, first), (ETH_1H, second))
    }
    order = keys(list(candle_ticks(rows)))
    assert order == sorted(set(order))
    assert len(order) == 2 * (len(first) + len(second))
