"""Trend following: hand-made series, a reference of our own in lists and slices, and the shipped candles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Phase, Series, Tick, WarmUp
from dudzian_daemon.domain.orders import Intent, Protection, Side, Signal
from dudzian_daemon.domain.ports import MarketView, Position, Strategy
from dudzian_daemon.testing.market import START_NS, Bar, candles, instrument, schedule, spec
from plugins.strategies.daily_trend import DailyTrend, TrendParams
from tests.plugins.lively import lively
from tests.unit.trading.desk import BTC, BTC_1H, WIDE, Desk

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
DEFAULTS = TrendParams()
#: Short windows, so that a series can be read by eye.
SMALL = TrendParams(fast_ma=2, slow_ma=4, breakout_lookback=3, momentum_window=2, atr_window=2)
#: A hundred candles at 100 with a range of 1, then a jump that both averages feel, then quiet at the new height.
CALM: list[Bar] = [(100.0, 100.5, 99.5, 100.0)] * 100
JUMP: Bar = (100.0, 115.5, 99.8, 115.0)
HIGH: list[Bar] = [(115.0, 115.5, 114.5, 115.0)] * 15


def trading(params: TrendParams, bars: Sequence[Bar]) -> Desk:
    """The strategy on these hourly candles, in the real core."""
    session = Desk(spec({"trend": DailyTrend(params)}, [schedule("trend", [BTC])], [BTC], profiles={"balanced": WIDE}))
    session.feed(candles(BTC_1H, bars))
    assert session.faults == []
    return session


def said(session: Desk) -> list[tuple[int, Intent, str]]:
    """Which bar (from 0) said what, why."""
    return [((signal.instant - START_NS) // HOUR_NS - 1, signal.intent, signal.reason) for signal in session.signals]


# -- parameters --------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_runbook_and_survive_the_configuration() -> None:
    expected = {
        "fast_ma": 20,
        "slow_ma": 100,
        "breakout_lookback": 55,
        "momentum_window": 20,
        "atr_window": 14,
        "atr_multiplier": 2.0,
        "min_trend_strength": 0.005,
        "min_momentum": 0.0,
    }
    assert msgspec.to_builtins(DEFAULTS) == expected
    assert msgspec.convert(expected, TrendParams) == DEFAULTS


@pytest.mark.parametrize("wrong", [{"fast_ma": 100}, {"slow_ma": 20}, {"atr_multiplier": 0.0}, {"breakout_lookback": 0}, {"fast_ma": 2.5}])
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, TrendParams)


def test_the_warm_up_covers_the_longest_window() -> None:
    strategy = DailyTrend(DEFAULTS)
    (need,) = strategy.series([BTC.key], "1d")
    assert (need.series, need.warm_up) == (Series(BTC.key, "1d"), 100)
    (need,) = DailyTrend(TrendParams(fast_ma=2, slow_ma=5, breakout_lookback=9)).series([BTC.key], "1d")
    assert need.warm_up == 21


# -- hand-made series --------------------------------------------------------------------------------------------------


def test_one_breakout_gives_one_buy_on_that_bar() -> None:
    session = trading(DEFAULTS, [*CALM, JUMP, *HIGH])
    assert said(session) == [(100, Intent.ENTER, "breakout")]
    (fill,) = session.fills
    assert (fill.side, fill.filled_at, fill.reference_price) == (Side.BUY, START_NS + 101 * HOUR_NS, Decimal(115))


def test_a_breakout_needs_the_trend_the_momentum_and_the_high() -> None:
    for number, bars in enumerate(
        (
            [*CALM, (100.0, 108.5, 99.8, 108.0)],  # the averages are 0.3 % apart, 0.5 % is asked for
            [*CALM[:-1], (100.0, 120.0, 99.5, 100.0), JUMP],  # the high of the bar before was higher
            [*CALM[:-20], *[(130.0, 115.0, 115.0, 115.0)] * 20, JUMP],  # no higher than twenty bars ago
        )
    ):
        session = trading(TrendParams(min_momentum=0.001), bars)
        assert [each for each in said(session) if each[0] == len(bars) - 1] == [], number


def test_a_close_at_the_high_is_a_breakout_and_the_current_bar_is_no_part_of_it() -> None:
    touch = trading(DEFAULTS, [*CALM[:-1], (100.0, 115.0, 99.5, 100.0), JUMP])
    assert said(touch) == [(100, Intent.ENTER, "breakout")]


def test_a_fall_of_three_true_ranges_gives_one_sell_and_one_of_two_none() -> None:
    three: Bar = (115.0, 115.0, 112.0, 112.0)
    two: Bar = (115.0, 115.0, 113.0, 113.0)
    after: list[Bar] = [(112.0, 112.5, 111.5, 112.0)] * 5
    assert said(trading(DEFAULTS, [*CALM, JUMP, *HIGH, three, *after])) == [
        (100, Intent.ENTER, "breakout"),
        (116, Intent.EXIT, "trailing_stop"),
    ]
    assert len(said(trading(DEFAULTS, [*CALM, JUMP, *HIGH, two]))) == 1


def test_the_stop_trails_the_highest_close_since_the_entry() -> None:
    up: list[Bar] = [(height - 1.0, height + 0.2, height - 1.2, height) for height in (116.0, 117.0, 118.0, 119.0, 120.0)]
    quiet: list[Bar] = [(120.0, 120.5, 119.5, 120.0)] * 14
    session = trading(DEFAULTS, [*CALM, JUMP, *HIGH, *up, *quiet, (120.0, 120.0, 117.0, 117.0)])
    assert said(session)[-1] == (100 + 1 + 15 + 5 + 14, Intent.EXIT, "trailing_stop")
    exit_signal = session.signals[-1]
    assert exit_signal.stop_price == pytest.approx(120.0 - 2.0 * (13 + 3) / 14)


def deciding(params: TrendParams, bars: Sequence[Bar], position: Position) -> Sequence[Signal]:
    """What the strategy says after these candles, holding this."""
    strategy = DailyTrend(params)
    state = strategy.new_state()
    closed = candles(BTC_1H, bars)
    for candle in closed:
        strategy.on_candle(state, candle)
    return strategy.decide(state, MarketView(instant=closed[-1].instant, candles={BTC_1H: closed[-1]}, positions={BTC.key: position}))


def test_a_turned_trend_is_a_way_out_before_any_other() -> None:
    falling: list[Bar] = [200.0 - number for number in range(110)]
    (signal,) = deciding(TrendParams(atr_multiplier=0.001), falling, Position(quantity=1.0, highest_close=150.0))
    assert (signal.intent, signal.reason, signal.instrument) == (Intent.EXIT, "trend_turned", BTC.key)
    assert signal.numbers["trend_strength"] < 0


def test_a_breakdown_below_the_lows_is_a_way_out_in_a_rising_trend() -> None:
    rising: list[Bar] = [100.0 + number for number in range(110)]
    lowest = 100.0 + 109 - 55
    just_above, at = ((209.0, 209.0, close, close) for close in (lowest + 0.5, lowest))
    held = Position(quantity=1.0, highest_close=209.0)
    patient = TrendParams(atr_multiplier=1000.0)
    assert deciding(patient, [*rising, just_above], held) == ()
    (signal,) = deciding(patient, [*rising, at], held)
    assert (signal.reason, signal.numbers["breakout_low"]) == ("breakdown", lowest)


def test_a_position_that_nothing_speaks_against_is_kept() -> None:
    rising: list[Bar] = [100.0 + number for number in range(110)]
    assert deciding(DEFAULTS, rising, Position(quantity=1.0, highest_close=208.0)) == ()


def test_a_trend_of_exactly_nothing_is_no_turn_and_every_threshold_counts_as_met() -> None:
    held = Position(quantity=1.0, highest_close=100.0)
    assert deciding(TrendParams(atr_multiplier=1000.0), CALM, held) == ()
    still: list[Bar] = [100.0] * 100
    (signal,) = deciding(TrendParams(min_trend_strength=0.0, min_momentum=0.0), still, Position())
    assert (signal.intent, signal.confidence) == (Intent.ENTER, 0.35)


def test_an_entry_tells_its_numbers_and_how_sure_it_is() -> None:
    (signal,) = deciding(DEFAULTS, [*CALM, JUMP], Position())
    fast, slow, momentum, atr = (19 * 100 + 115) / 20, (99 * 100 + 115) / 100, 0.15, (13 * 1.0 + 15.7) / 14
    assert signal.numbers == pytest.approx(
        {
            "close": 115.0,
            "sma_fast": fast,
            "sma_slow": slow,
            "trend_strength": fast / slow - 1,
            "momentum": momentum,
            "atr": atr,
            "breakout_high": 100.5,
            "breakout_low": 99.5,
            "stop_price": 115.0 - 2 * atr,
            "position": 0.0,
        }
    )
    assert signal.confidence == pytest.approx(0.35 + 2 * (fast / slow - 1 - 0.005) + 1.5 * momentum)
    assert (signal.protection, signal.stop_price) == (Protection.STOP, signal.numbers["stop_price"])


def test_confidence_never_exceeds_one() -> None:
    (signal,) = deciding(DEFAULTS, [*CALM, (100.0, 300.0, 99.8, 300.0)], Position())
    assert signal.confidence == 1.0


def test_an_exit_tells_the_same_numbers_and_the_position() -> None:
    session = trading(DEFAULTS, [*CALM, JUMP, *HIGH, (115.0, 115.0, 112.0, 112.0)])
    entry, way_out = session.signals
    assert entry.numbers.keys() == way_out.numbers.keys()
    assert (entry.numbers["position"], way_out.numbers["position"]) == (0.0, 1.0)
    assert way_out.confidence == 1.0


def test_a_gap_makes_it_warm_up_again() -> None:
    strategy = DailyTrend(SMALL)
    assert strategy.on_gap(strategy.new_state(), BTC_1H, 0, 1) is True


# -- against a reference -----------------------------------------------------------------------------------------------


class Said(NamedTuple):
    bar: int
    intent: Intent
    reason: str
    strength: float


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def reference(rows: Sequence[Candle], p: TrendParams) -> list[Said]:
    """The rules read aloud. A fill comes at the next open; a position's closes count from that bar on."""
    closes, highs, lows = ([getattr(row, name) for row in rows] for name in ("close", "high", "low"))
    ranges = [max(high, before) - min(low, before) for high, low, before in zip(highs[1:], lows[1:], closes, strict=False)]
    spoken: list[Said] = []
    entered: int | None = None  # the first bar of the position
    first = max(p.slow_ma, p.breakout_lookback + 1, p.momentum_window + 1, p.atr_window + 1) - 1
    for now in range(first, len(rows)):
        close, before = closes[now], slice(now - p.breakout_lookback, now)
        trend = mean(closes[now - p.fast_ma + 1 : now + 1]) / mean(closes[now - p.slow_ma + 1 : now + 1]) - 1
        if entered is None:
            momentum = close / closes[now - p.momentum_window] - 1
            if close >= max(highs[before]) and trend >= p.min_trend_strength and momentum >= p.min_momentum:
                sure = 0.35 + 2 * (trend - p.min_trend_strength) + 1.5 * (momentum - p.min_momentum)
                spoken.append(Said(now, Intent.ENTER, "breakout", min(1.0, sure)))
                entered = now + 1
            continue
        stop = max(closes[entered : now + 1]) - p.atr_multiplier * mean(ranges[now - p.atr_window : now])
        reasons = {"trend_turned": trend < 0, "trailing_stop": close <= stop, "breakdown": close <= min(lows[before])}
        reason = next((name for name, met in reasons.items() if met), None)
        if reason:
            spoken.append(Said(now, Intent.EXIT, reason, stop))
            entered = None
    return spoken


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("params", [DEFAULTS, SMALL, TrendParams(fast_ma=5, slow_ma=30, breakout_lookback=10, atr_multiplier=4.0)])
def test_it_says_what_the_reference_says(params: TrendParams, seed: int) -> None:
    rows = lively(BTC_1H, 640, seed=seed)
    session = Desk(spec({"trend": DailyTrend(params)}, [schedule("trend", [BTC])], [BTC], profiles={"balanced": WIDE}))
    session.feed(rows)
    expected = reference(rows, params)
    assert len(expected) >= 2
    assert said(session) == [each[:3] for each in expected]
    for signal, each in zip(session.signals, expected, strict=True):
        found = signal.confidence if signal.intent is Intent.ENTER else signal.stop_price
        assert found == pytest.approx(each.strength, rel=1e-12)


# -- the shipped candles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, 0.0, 1e300])
@pytest.mark.parametrize("which", ["high", "low", "close"])
def test_a_price_that_is_none_is_no_decision_and_the_windows_begin_anew(which: str, price: float) -> None:
    rows = candles(BTC_1H, [*CALM, JUMP, *HIGH])
    strategy, anew = DailyTrend(SMALL), DailyTrend(SMALL)
    state, fresh = strategy.new_state(), anew.new_state()
    for candle in rows:
        strategy.on_candle(state, candle)
    strategy.on_candle(state, msgspec.structs.replace(rows[-1], **{which: price}))
    assert state == fresh
    assert strategy.decide(state, MarketView(instant=START_NS, candles={}, positions={BTC.key: Position()}, quotes={})) == ()
    for candle in rows:
        strategy.on_candle(state, candle)
        anew.on_candle(fresh, candle)
    assert state == fresh


SHIPPED = ("BTC", "ETH", "SOL", "XRP", "LTC", "MATIC")


def day(text: str) -> int:
    """Midnight of a date, ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def shipped_strategy() -> Strategy:
    """With the parameters of the shipped configuration."""
    parameters = {"fast_ma": 25, "slow_ma": 100, "min_momentum": 0.001}
    return make_strategy(load_plugin("strategies", "daily_trend", [PLUGINS]), parameters)


def replay(base: str, start: int, end: int, warm_up: int) -> Desk:
    """A window of the sample after so many candles of history, as the demo replays it."""
    traded = instrument(base)
    series = Series(traded.key, "1d")
    store = ParquetCandleStore(sample_root(), read_only=True)
    plan = schedule("trend", [traded], granularity="1d")
    session = Desk(spec({"trend": shipped_strategy()}, [plan], [traded], profiles={"balanced": WIDE}))
    history = store.read(series, start - warm_up * DAY_NS, start)
    if history:
        given = WarmUp(start, traded.key, "1d", start - warm_up * DAY_NS, start, len(history), "history")
        session.ticks([Tick(start, Phase.REVISION, (given,), {"history": history})])
    session.feed(store.read(series, start, end))
    assert session.faults == []
    return session


def test_bitcoin_from_october_2020_is_bought_twice_and_sold_once() -> None:
    session = replay("BTC", day("2020-10-15"), day("2021-02-17"), warm_up=110)
    dated = [(datetime.fromtimestamp(signal.instant / 1e9 - 86_400, UTC).date().isoformat(), signal.intent) for signal in session.signals]
    assert dated == [("2020-10-21", Intent.ENTER), ("2021-01-21", Intent.EXIT), ("2021-02-08", Intent.ENTER)]


@pytest.mark.parametrize("base", SHIPPED)
def test_daily_candles_of_2024_give_no_entry(base: str) -> None:
    session = replay(base, day("2024-01-01"), day("2024-07-01"), warm_up=0)
    assert session.signals == []
    assert len(session.records) > 180


def test_the_sample_agrees_with_the_reference() -> None:
    start = day("2018-01-01")
    rows = ParquetCandleStore(sample_root(), read_only=True).read(Series(BTC.key, "1d"), start, day("2021-02-17"))
    params = TrendParams(fast_ma=25, slow_ma=100, min_momentum=0.001)
    session = replay("BTC", start, day("2021-02-17"), warm_up=0)
    expected = [(rows[each.bar].end, each.intent, each.reason) for each in reference(rows, params)]
    assert [(signal.instant, signal.intent, signal.reason) for signal in session.signals] == expected
    assert len(expected) > 10
