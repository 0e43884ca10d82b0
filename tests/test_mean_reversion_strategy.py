"""Mean reversion: hand-made series, a reference of our own in lists and slices, and the shipped candles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import HOUR_NS, Candle, Series
from dudzian_daemon.domain.orders import Intent, Outcome, Protection, RefusalCode, Side, Signal
from dudzian_daemon.domain.ports import MarketView, Position
from dudzian_daemon.testing.market import START_NS, Bar, candles, schedule, spec
from plugins.strategies.mean_reversion import MeanReversion, ReversionParams
from tests.plugins.lively import lively
from tests.plugins.shipped import hold_to_the_contract, shipped, with_a_hole
from tests.unit.trading.desk import BTC, BTC_1D, BTC_1H, WIDE, Desk

DEFAULTS = ReversionParams()
#: A hundred closes around 100, a tenth of a percent to each side.
CALM = [100.1, 99.9] * 50
PLENTY = 10_000.0


def trading(params: ReversionParams, *, series: Series = BTC_1H, **changes: Any) -> Desk:
    """A session of the strategy in the real core, far from every limit."""
    plan = schedule("reversion", [BTC], granularity=series.granularity)
    session: dict[str, Any] = {"profiles": {"balanced": WIDE}, "allow_short": True} | changes
    return Desk(spec({"reversion": MeanReversion(params)}, [plan], [BTC], **session))


def bars(closes: Sequence[Bar], *, thin: Sequence[int] = (), volume: float = PLENTY) -> list[Candle]:
    """Hourly candles of `volume` each; those numbered in `thin` trade a millionth of it."""
    made = candles(BTC_1H, closes)
    return [msgspec.structs.replace(each, volume=volume * (1e-6 if number in thin else 1.0)) for number, each in enumerate(made)]


def after(params: ReversionParams, rows: Sequence[Candle], position: Position | None = None) -> Sequence[Signal]:
    """What the strategy says after these candles, holding this."""
    strategy = MeanReversion(params)
    state = strategy.new_state()
    for candle in rows:
        strategy.on_candle(state, candle)
    return strategy.decide(state, MarketView(instant=rows[-1].end, candles={BTC_1H: rows[-1]}, positions={BTC.key: position or Position()}))


def said(session: Desk) -> list[tuple[int, Intent, str]]:
    """Which bar (from 0) said what, why."""
    return [((signal.instant - START_NS) // HOUR_NS - 1, signal.intent, signal.reason) for signal in session.signals]


# -- parameters --------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_runbook_and_survive_the_configuration() -> None:
    expected = {
        "lookback": 96,
        "entry_zscore": 1.8,
        "exit_zscore": 0.4,
        "max_holding_period": 12,
        "volatility_cap": 0.04,
        "min_volume_usd": 100_000.0,
        "position_size": 0.1,
    }
    assert msgspec.to_builtins(DEFAULTS) == expected
    assert msgspec.convert(expected, ReversionParams) == DEFAULTS


@pytest.mark.parametrize(
    "wrong", [{"lookback": 1}, {"entry_zscore": 0.4}, {"exit_zscore": -0.1}, {"max_holding_period": 0}, {"volatility_cap": 0}, {"z": 1}]
)
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ReversionParams)


def test_the_warm_up_is_one_candle_more_than_returns() -> None:
    (need,) = MeanReversion(DEFAULTS).series([BTC.key], "5m")
    assert (need.series, need.warm_up) == (Series(BTC.key, "5m"), 97)


# -- hand-made series --------------------------------------------------------------------------------------------------


def test_a_spike_down_is_bought_on_its_bar_and_sold_when_z_has_returned() -> None:
    session = trading(DEFAULTS)
    session.feed(bars([*CALM, 97.0, 98.0, 100.0, 100.0, 100.0]))
    assert said(session) == [(100, Intent.ENTER, "below_mean"), (102, Intent.EXIT, "zscore_returned")]
    bought, sold = session.fills
    assert (bought.side, bought.filled_at, float(bought.reference_price)) == (Side.BUY, START_NS + 101 * HOUR_NS, 97.0)
    assert (sold.side, sold.filled_at, float(sold.reference_price)) == (Side.SELL, START_NS + 103 * HOUR_NS, 100.0)
    entry, way_out = session.signals
    assert (entry.target, entry.protection, way_out.protection) == (0.1, Protection.ZSCORE_EXIT, Protection.ZSCORE_EXIT)
    assert abs(way_out.numbers["zscore"]) <= 0.4
    assert not any(session.core.ledger.net.values())


def test_a_spike_up_is_sold_short_and_bought_back() -> None:
    session = trading(DEFAULTS)
    session.feed(bars([*CALM, 103.0, 102.0, 100.0, 100.0, 100.0]))
    assert said(session) == [(100, Intent.ENTER, "above_mean"), (102, Intent.EXIT, "zscore_returned")]
    assert [fill.side for fill in session.fills] == [Side.SELL, Side.BUY]
    assert session.signals[0].target == -0.1
    assert session.signals[1].numbers["position"] == -1.0
    assert not any(session.core.ledger.net.values())


def test_it_is_silent_before_the_first_decision_it_can_make() -> None:
    rows = bars([*CALM[:95], 90.0, 90.0])
    assert after(DEFAULTS, rows[:96]) == ()
    (signal,) = after(DEFAULTS, rows)
    assert signal.intent is Intent.ENTER


def test_a_score_at_the_threshold_is_enough() -> None:
    """Of two closes the later one lies exactly one deviation from their mean."""
    rows = bars([100.0, 100.0, 99.0])
    free: dict[str, Any] = {"lookback": 2, "exit_zscore": 0.1, "volatility_cap": 1.0}
    (signal,) = after(ReversionParams(entry_zscore=1.0, **free), rows)
    assert (signal.numbers["zscore"], signal.confidence) == (-1.0, 0.5)
    assert after(ReversionParams(entry_zscore=math.nextafter(1.0, 2.0), **free), rows) == ()
    held = Position(quantity=1.0, candles_held=1)
    (signal,) = after(ReversionParams(entry_zscore=1.5, **free | {"exit_zscore": 1.0}), rows, held)
    assert signal.reason == "zscore_returned"


def test_confidence_grows_with_the_distance_and_ends_at_one() -> None:
    near, far = (after(DEFAULTS, bars([*CALM, close]))[0] for close in (99.8, 97.0))
    assert near.confidence == pytest.approx(-near.numbers["zscore"] / 3.6)
    assert (0.5 <= near.confidence < 0.7, far.confidence) == (True, 1.0)


def test_wild_markets_are_not_entered_and_left_when_they_become_half_as_wild_again() -> None:
    rows = bars([*CALM, 97.0])
    volatility = pstdev([later.close / earlier.close - 1.0 for earlier, later in pairwise(rows[-97:])])
    (signal,) = after(DEFAULTS, rows)
    assert signal.numbers["volatility"] == pytest.approx(volatility)
    held = Position(quantity=1.0, candles_held=1)
    for share, enters, leaves in ((1.001, 1, 0), (0.999, 0, 0), (1.001 / 1.5, 0, 0), (0.999 / 1.5, 0, 1)):
        capped = ReversionParams(volatility_cap=volatility * share)
        assert (len(after(capped, rows)), len(after(capped, rows, held))) == (enters, leaves), share
    (signal,) = after(ReversionParams(volatility_cap=volatility / 2), rows, held)
    assert (signal.intent, signal.reason) == (Intent.EXIT, "volatility_too_high")


def test_volume_counts_in_the_quote_asset() -> None:
    enough = 100_000.0 / 97.0
    (signal,) = after(DEFAULTS, bars([*CALM, 97.0], volume=enough * 1.001))
    assert signal.numbers["volume_usd"] == pytest.approx(100_100.0)
    assert after(DEFAULTS, bars([*CALM, 97.0], volume=enough * 0.999)) == ()


def test_a_thin_bar_is_no_entry_but_an_exit() -> None:
    closes = [*CALM, 97.0, 98.0, 100.0, 100.0]
    session = trading(DEFAULTS)
    session.feed(bars(closes, thin=[102]))
    assert said(session)[:2] == [(100, Intent.ENTER, "below_mean"), (102, Intent.EXIT, "zscore_returned")]
    assert session.signals[1].numbers["volume_usd"] < 100_000.0  # of which the next open fills a part: what is left asks again
    thin = trading(DEFAULTS)
    thin.feed(bars(closes, thin=[100]))
    assert said(thin)[0] == (101, Intent.ENTER, "below_mean")


def test_it_does_not_hold_longer_than_it_may() -> None:
    session = trading(ReversionParams(volatility_cap=1.0))
    session.feed(bars([*CALM, *[90.0] * 13]))
    assert said(session) == [(100, Intent.ENTER, "below_mean"), (112, Intent.EXIT, "held_too_long")]
    assert session.signals[1].numbers["candles_held"] == 12.0


def test_a_refused_entry_leaves_it_flat_and_the_next_bar_asks_again() -> None:
    session = trading(DEFAULTS, allow_short=False)
    session.feed(bars([*CALM, 103.0, 103.5, 100.0]))
    assert said(session) == [(100, Intent.ENTER, "above_mean"), (101, Intent.ENTER, "above_mean")]
    assert [(each.outcome, each.code) for each in session.verdicts] == [(Outcome.REFUSED, RefusalCode.SHORT_NOT_ALLOWED)] * 2
    assert session.fills == []


def test_a_signal_tells_its_numbers() -> None:
    closes = [*CALM, 97.0]
    (signal,) = after(DEFAULTS, bars(closes))
    window, returns = closes[-96:], [later / earlier - 1.0 for earlier, later in pairwise(closes[-97:])]
    assert signal.numbers == pytest.approx(
        {
            "close": 97.0,
            "mean": fmean(window),
            "zscore": (97.0 - fmean(window)) / pstdev(window),
            "volatility": pstdev(returns),
            "volume_usd": 970_000.0,
            "position": 0.0,
        }
    )


def test_a_market_that_stands_still_has_no_score_but_an_end() -> None:
    rows = bars([100.0] * 97)
    assert after(DEFAULTS, rows) == ()
    assert after(DEFAULTS, rows, Position(quantity=1.0, candles_held=11)) == ()
    (signal,) = after(DEFAULTS, rows, Position(quantity=1.0, candles_held=12))
    assert (signal.reason, "zscore" in signal.numbers) == ("held_too_long", False)


@pytest.mark.parametrize("hole", [math.nan, math.inf, 0.0])
def test_what_is_no_price_ends_the_history_without_a_fault(hole: float) -> None:
    rows = bars([*CALM, 97.0])
    strategy = MeanReversion(DEFAULTS)
    state = strategy.new_state()
    for candle in (*rows, msgspec.structs.replace(rows[-1], close=hole), *rows[:-1]):
        strategy.on_candle(state, candle)
    view = MarketView(instant=rows[-1].end, candles={BTC_1H: rows[-1]}, positions={BTC.key: Position()})
    fresh = strategy.new_state()
    for candle in rows[:-1]:
        strategy.on_candle(fresh, candle)
    assert strategy.decide(state, view) == strategy.decide(fresh, view) == ()
    strategy.on_candle(state, rows[-1])
    (signal,) = strategy.decide(state, view)
    assert signal.intent is Intent.ENTER


def test_volume_that_is_no_number_blocks_entries_only() -> None:
    rows = bars([*CALM, 97.0])
    rows[-1] = msgspec.structs.replace(rows[-1], volume=math.nan)
    assert after(DEFAULTS, rows) == ()
    (signal,) = after(DEFAULTS, rows, Position(quantity=1.0, candles_held=12))
    assert signal.numbers["volume_usd"] == 0.0


# -- against a reference -----------------------------------------------------------------------------------------------


def reference(rows: Sequence[Candle], p: ReversionParams) -> list[tuple[int, Intent, str]]:
    """The rules read aloud. A fill comes at the next open; the bar that opens with it is the first one held."""
    closes = [row.close for row in rows]
    returns = [later / earlier - 1.0 for earlier, later in pairwise(closes)]
    spoken: list[tuple[int, Intent, str]] = []
    entered: int | None = None
    for now in range(p.lookback, len(rows)):
        window = closes[now - p.lookback + 1 : now + 1]
        score = (closes[now] - fmean(window)) / pstdev(window)
        wild = pstdev(returns[now - p.lookback : now])
        if entered is None:
            calm, liquid = wild <= p.volatility_cap, closes[now] * rows[now].volume >= p.min_volume_usd
            if abs(score) >= p.entry_zscore and calm and liquid:
                spoken.append((now, Intent.ENTER, "below_mean" if score < 0 else "above_mean"))
                entered = now
            continue
        reasons = {
            "zscore_returned": abs(score) <= p.exit_zscore,
            "held_too_long": now - entered >= p.max_holding_period,
            "volatility_too_high": wild > 1.5 * p.volatility_cap,
        }
        reason = next((name for name, met in reasons.items() if met), None)
        if reason:
            spoken.append((now, Intent.EXIT, reason))
            entered = None
    return spoken


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("params", [DEFAULTS, ReversionParams(lookback=12, entry_zscore=1.2, max_holding_period=5, volatility_cap=0.0085)])
def test_it_says_what_the_reference_says(params: ReversionParams, seed: int) -> None:
    rows = lively(BTC_1H, 480, seed=seed)
    session = trading(params)
    session.feed(rows)
    assert said(session) == reference(rows, params)
    assert {intent for _, intent, _ in said(session)} == {Intent.ENTER, Intent.EXIT}


# -- the shipped candles -----------------------------------------------------------------------------------------------


def test_it_holds_to_the_contract_through_march_2020() -> None:
    params = ReversionParams(lookback=30)
    rows = shipped(BTC_1D, "2020-01-02", "2020-05-01")
    session = hold_to_the_contract(partial(trading, params, series=BTC_1D), rows)
    dated = [(rows[number].end, intent, reason) for number, intent, reason in reference(rows, params)]
    assert [(signal.instant, signal.intent, signal.reason) for signal in session.signals] == dated
    assert "volatility_too_high" in {signal.reason for signal in session.signals}


def test_it_holds_to_the_contract_by_the_hour() -> None:
    rows = shipped(BTC_1H, "2024-03-01", "2024-03-20")
    session = hold_to_the_contract(partial(trading, DEFAULTS), rows, cut_every=61)
    assert [(signal.instant, signal.intent, signal.reason) for signal in session.signals] == [
        (rows[number].end, intent, reason) for number, intent, reason in reference(rows, DEFAULTS)
    ]
    assert {signal.intent for signal in session.signals} == {Intent.ENTER, Intent.EXIT}


def test_a_gap_starts_the_warm_up_anew() -> None:
    rows = shipped(BTC_1H, "2024-03-01", "2024-03-20")
    session, told = with_a_hole(partial(trading, DEFAULTS), rows, start=150, length=9)
    assert session.faults == []
    before, later = [signal for signal in session.signals if signal.instant < told], [s for s in session.signals if s.instant >= told]
    assert before
    assert min(signal.instant for signal in later) >= told + 97 * HOUR_NS
