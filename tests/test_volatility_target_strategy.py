"""Volatility target: hand-made series, a reference of our own, and the shipped candles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from itertools import pairwise
from statistics import pstdev
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.orders import Intent, Outcome, Protection, RefusalCode, Side, Signal
from dudzian_daemon.domain.ports import MarketView, Position
from dudzian_daemon.testing.market import candles, limits, schedule, spec
from plugins.strategies.volatility_target import TargetParams, TargetState, VolatilityTarget
from tests.plugins.shipped import hold_to_the_contract, instant, shipped, with_a_hole
from tests.unit.trading.desk import BTC, BTC_1D, BTC_1H, WIDE, Desk

DEFAULTS = TargetParams()
#: A short memory, so that a series can be read by eye.
SHORT = TargetParams(lookback=4)
#: Half of the budget, whatever the market does.
HALF = TargetParams(lookback=2, max_allocation=0.5, min_allocation=0.5)


def swinging(*stretches: tuple[float, int], start: float = 100.0) -> list[float]:
    """Closes whose returns are in turn up and down by a ratio: (ratio, number of returns) each."""
    closes = [start]
    for ratio, count in stretches:
        for number in range(count):
            closes.append(closes[-1] * (1.0 - ratio if number % 2 else 1.0 + ratio))
    return closes


def trading(params: TargetParams, *, series: Series = BTC_1D, **changes: Any) -> Desk:
    """A session of the strategy in the real core, far from every limit, on half of the equity."""
    plan = schedule("target", [BTC], granularity=series.granularity, allocation=Decimal("0.5"))
    session: dict[str, Any] = {"profiles": {"balanced": WIDE}} | changes
    return Desk(spec({"target": VolatilityTarget(params)}, [plan], [BTC], **session))


class Book:
    """The strategy by itself, with the position that a test gives it."""

    def __init__(self, params: TargetParams, closes: Sequence[float]) -> None:
        self.strategy = VolatilityTarget(params)
        self.state: TargetState = self.strategy.new_state()
        self.quantity = 0.0
        self.candle(*closes)

    def candle(self, *closes: float, series: Series = BTC_1D) -> None:
        for candle in candles(series, closes):
            self.strategy.on_candle(self.state, candle)

    def decide(self, quantity: float | None = None) -> Signal | None:
        self.quantity = self.quantity if quantity is None else quantity
        view = MarketView(instant=0, candles={}, positions={BTC.key: Position(quantity=self.quantity)})
        signals = self.strategy.decide(self.state, view)
        assert len(signals) <= 1
        return signals[0] if signals else None


def asked(signal: Signal | None) -> Signal:
    assert signal is not None
    return signal


# -- parameters --------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_runbook_and_survive_the_configuration() -> None:
    expected = {
        "target_volatility": 0.10,
        "lookback": 60,
        "rebalance_threshold": 0.1,
        "min_allocation": 0.1,
        "max_allocation": 1.0,
        "floor_volatility": 0.02,
    }
    assert msgspec.to_builtins(DEFAULTS) == expected
    assert msgspec.convert(expected, TargetParams) == DEFAULTS


@pytest.mark.parametrize(
    "wrong", [{"lookback": 1}, {"target_volatility": 0}, {"floor_volatility": 0}, {"min_allocation": 1.5}, {"max_allocation": 11}, {"x": 1}]
)
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, TargetParams)


def test_the_warm_up_is_one_candle_more_than_returns() -> None:
    (need,) = VolatilityTarget(DEFAULTS).series([BTC.key], "1d")
    assert (need.series, need.warm_up) == (BTC_1D, 61)


# -- the target --------------------------------------------------------------------------------------------------------


def test_two_percent_a_day_are_thirty_eight_a_year_and_call_for_a_quarter() -> None:
    signal = asked(Book(DEFAULTS, swinging((0.02, 60))).decide())
    assert signal.numbers["realized_volatility"] == pytest.approx(0.382, abs=5e-4)
    assert signal.target == pytest.approx(0.26, abs=5e-3)
    assert signal.numbers["target_allocation"] == signal.target == pytest.approx(0.10 / (0.02 * math.sqrt(365)))


def test_the_year_has_as_many_bars_as_the_interval_makes() -> None:
    book = Book(DEFAULTS, [])
    book.candle(*swinging((0.02, 60)), series=BTC_1H)
    signal = asked(book.decide())
    assert signal.numbers["realized_volatility"] == pytest.approx(0.02 * math.sqrt(8760))
    assert signal.target == 0.1


@pytest.mark.parametrize(
    ("ratio", "target"),
    [(0.01, 0.10 / (0.01 * math.sqrt(365))), (0.02, 0.05 / (0.01 * math.sqrt(365))), (0.08, 0.1), (0.001, 1.0), (0.0, 1.0)],
)
def test_twice_the_volatility_is_half_the_allocation_within_bounds(ratio: float, target: float) -> None:
    assert asked(Book(DEFAULTS, swinging((ratio, 60))).decide()).target == pytest.approx(target)


def test_the_floor_bounds_what_a_calm_market_calls_for() -> None:
    calm = TargetParams(target_volatility=0.10, floor_volatility=0.4, max_allocation=1.0)
    assert asked(Book(calm, swinging((0.001, 60))).decide()).target == pytest.approx(0.25)


def test_in_the_core_twice_the_volatility_halves_the_position() -> None:
    session = trading(SHORT)
    session.feed(candles(BTC_1D, [*swinging((0.01, 9), (0.02, 9))]))
    first, *_, last = session.signals
    assert last.target == pytest.approx((first.target or 0.0) / 2.0)
    assert {signal.intent for signal in session.signals} == {Intent.REBALANCE}
    assert [fill.side for fill in session.fills] == [Side.BUY, *[Side.SELL] * (len(session.fills) - 1)]
    bought, left = session.fills[0].quantity, session.core.ledger.net[BTC.key]
    assert float(left / bought) == pytest.approx(0.5, rel=0.03)


# -- when it speaks ----------------------------------------------------------------------------------------------------


def test_a_rebalance_tells_its_numbers() -> None:
    signal = asked(Book(DEFAULTS, swinging((0.02, 60))).decide())
    assert (signal.intent, signal.reason, signal.protection) == (Intent.REBALANCE, "allocation_off_target", Protection.REBALANCE)
    assert set(signal.numbers) == {"close", "target_allocation", "current_allocation", "realized_volatility", "target_volatility"}
    assert (signal.numbers["current_allocation"], signal.numbers["target_volatility"], signal.confidence) == (0.0, 0.1, 1.0)


@pytest.mark.parametrize(("close", "speaks"), [(90.1, False), (89.9, True), (109.9, False), (110.1, True)])
def test_a_position_drifts_with_its_price_and_a_tenth_is_too_much(close: float, speaks: bool) -> None:
    book = Book(HALF, [100.0, 101.0, 100.0])
    book.decide()
    assert book.decide(quantity=3.0) is None
    book.candle(close)
    signal = book.decide()
    assert (signal is not None) is speaks
    if signal is not None:
        assert signal.numbers["current_allocation"] == pytest.approx(0.5 * close / 100.0)
        assert signal.target == 0.5
        assert signal.confidence == pytest.approx(abs(close / 100.0 - 1.0))


# -- fills, and nothing else, move the allocation ----------------------------------------------------------------------


def test_what_was_not_filled_is_not_held_and_is_asked_for_again() -> None:
    book = Book(DEFAULTS, swinging((0.02, 60)))
    first = asked(book.decide())
    assert asked(book.decide()) == first
    assert book.decide(quantity=0.5) is None
    assert book.decide() is None


def test_in_the_core_a_refusal_is_followed_by_the_same_wish() -> None:
    closes = candles(BTC_1D, swinging((0.01, 12)))
    refused = trading(SHORT, profiles={"balanced": limits(max_open_positions=0)})
    refused.feed(closes)
    assert len(refused.signals) == len(closes) - 4
    assert {(verdict.outcome, verdict.code) for verdict in refused.verdicts} == {(Outcome.REFUSED, RefusalCode.OPEN_POSITIONS)}
    assert {signal.numbers["current_allocation"] for signal in refused.signals} == {0.0}
    filled = trading(SHORT)
    filled.feed(closes)
    assert len(filled.signals) == 1


def test_a_reduction_nobody_asked_for_scales_the_allocation() -> None:
    book = Book(HALF, [100.0, 101.0, 100.0])
    book.decide()
    assert book.decide(quantity=4.0) is None
    signal = asked(book.decide(quantity=1.0))
    assert signal.numbers["current_allocation"] == pytest.approx(0.125)
    assert book.decide(quantity=4.0) is None


def test_a_closed_position_holds_nothing_and_an_old_wish_is_forgotten() -> None:
    book = Book(HALF, [100.0, 101.0, 100.0])
    book.decide()
    assert book.decide(quantity=4.0) is None
    signal = asked(book.decide(quantity=0.0))
    assert signal.numbers["current_allocation"] == 0.0


def test_a_wish_that_is_over_does_not_name_a_later_change() -> None:
    book = Book(HALF, [100.0, 101.0, 100.0])
    book.decide()
    assert book.decide(quantity=4.0) is None
    book.candle(100.0, 115.0, 115.0)
    assert asked(book.decide()).numbers["current_allocation"] == pytest.approx(0.575)
    book.candle(115.0, 100.0, 100.0)
    assert book.decide() is None
    signal = asked(book.decide(quantity=3.0))
    assert signal.numbers["current_allocation"] == pytest.approx(0.375)


def test_what_a_limit_clips_counts_as_held() -> None:
    session = trading(SHORT, profiles={"balanced": limits(max_position_pct=Decimal("0.05"))})
    session.feed(candles(BTC_1D, swinging((0.01, 12))))
    assert len(session.signals) == 1
    assert [(verdict.outcome, verdict.code) for verdict in session.verdicts] == [(Outcome.ADJUSTED, RefusalCode.POSITION_LIMIT)]


def test_a_position_it_knows_nothing_of_is_brought_to_target() -> None:
    book = Book(DEFAULTS, swinging((0.02, 60)))
    assert asked(book.decide(quantity=2.0)).numbers["current_allocation"] == 0.0
    assert book.decide(quantity=1.5) is None


def test_a_gap_ends_the_returns_and_keeps_the_allocation() -> None:
    book = Book(SHORT, swinging((0.01, 4)))
    book.decide()
    assert book.decide(quantity=1.0) is None
    assert book.strategy.on_gap(book.state, BTC_1D, 0, 1) is False
    for number, close in enumerate(swinging((0.01, 4))):
        assert book.decide() is None, number
        book.candle(close)
    assert book.decide() is None
    assert book.state.held is not None


@pytest.mark.parametrize("hole", [math.nan, math.inf, 0.0])
def test_what_is_no_price_ends_the_returns_without_a_fault(hole: float) -> None:
    book = Book(SHORT, [*swinging((0.01, 4)), hole, *swinging((0.01, 3))])
    assert book.decide() is None
    book.candle(100.0)
    assert book.decide() is not None


# -- against a reference, on the shipped candles -----------------------------------------------------------------------


def reference(rows: Sequence[Candle], p: TargetParams, bars_a_year: float) -> list[tuple[int, float]]:
    """The rule read aloud, every signal filled at the next open: instants and targets."""
    returns = [later.close / earlier.close - 1.0 for earlier, later in pairwise(rows)]
    spoken = []
    held = 0.0  # allocation per price
    for now in range(p.lookback, len(rows)):
        realised = pstdev(returns[now - p.lookback : now]) * math.sqrt(bars_a_year)
        target = min(p.max_allocation, max(p.min_allocation, p.target_volatility / max(realised, p.floor_volatility)))
        if abs(target - held * rows[now].close) / target >= p.rebalance_threshold:
            spoken.append((rows[now].end, target))
            held = target / rows[now].close
    return spoken


@pytest.mark.parametrize(
    ("series", "start", "end", "bars_a_year", "cut_every"),
    [(BTC_1D, "2019-12-02", "2020-05-01", 365, 13), (BTC_1H, "2024-03-01", "2024-03-20", 8760, 61)],
    ids=["march 2020", "by the hour"],
)
def test_it_holds_to_the_contract_and_says_what_the_reference_says(
    series: Series, start: str, end: str, bars_a_year: float, cut_every: int
) -> None:
    rows = shipped(series, start, end)
    session = hold_to_the_contract(partial(trading, DEFAULTS, series=series), rows, cut_every=cut_every)
    expected = reference(rows, DEFAULTS, bars_a_year)
    assert [signal.instant for signal in session.signals] == [when for when, _ in expected]
    assert [signal.target for signal in session.signals] == pytest.approx([target for _, target in expected], rel=1e-12)
    assert len(session.fills) == len(expected) >= 3


def test_march_2020_makes_it_sell() -> None:
    session = trading(DEFAULTS)
    session.feed(shipped(BTC_1D, "2019-12-02", "2020-05-01"))
    before, after = [signal for signal in session.signals if signal.instant < instant("2020-03-12")], session.signals[-1]
    assert min(signal.target or 0.0 for signal in before) > 0.15
    assert after.target == 0.1
    assert after.numbers["realized_volatility"] > 1.0
    assert Side.SELL in {fill.side for fill in session.fills if fill.filled_at >= instant("2020-03-12")}


def test_what_it_believes_to_hold_is_close_to_what_the_ledger_says() -> None:
    session = trading(DEFAULTS)
    rows = shipped(BTC_1D, "2018-01-01", "2020-05-01")
    apart = []
    for start in range(0, len(rows), 10):
        session.feed(rows[start : start + 10])
        (unit,) = session.core.strategies.units["target"]
        state = unit.state
        assert isinstance(state, TargetState)
        if state.held is not None and state.quantity == unit.positions[BTC.key].quantity:
            true = state.quantity * state.close / (float(session.core.ledger.equity) * 0.5)
            apart.append(state.held.at(state.close) / true - 1.0)
    assert len(apart) > 60
    assert max(map(abs, apart)) < 0.07


def test_it_survives_a_hole_in_the_sample() -> None:
    rows = shipped(BTC_1D, "2019-12-02", "2020-05-01")
    session, told = with_a_hole(partial(trading, SHORT), rows, start=80, length=5)
    assert session.faults == []
    later = [signal.instant for signal in session.signals if signal.instant >= told]
    assert later
    assert min(later) >= told + 5 * BTC_1D.step_ns
