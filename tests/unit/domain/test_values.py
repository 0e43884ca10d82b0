"""Small facts of the values that everything else stands on: ages, orders of inputs, what a quiet cycle is, limits of a profile."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Phase, Series
from dudzian_daemon.domain.orders import OrderGroup, RefusalCode
from dudzian_daemon.domain.ports import MarketView
from dudzian_daemon.domain.records import CycleRecord, RiskChange
from dudzian_daemon.domain.risk import ProfileState, daily_loss, daily_loss_allowed, drawdown, drawdown_allowed
from dudzian_daemon.testing.market import START_NS, candles, instrument, limits

BTC = instrument("BTC")
HOURLY = Series(BTC.key, "1h")


def test_an_instrument_is_named_by_venue_and_pair() -> None:
    assert BTC.key == "binance:BTC/USDT"
    assert HOURLY.step_ns == HOUR_NS


def test_inputs_of_one_instant_come_in_the_order_that_parity_needs() -> None:
    assert sorted(Phase) == [Phase.COMMAND, Phase.REVISION, Phase.CLOSE, Phase.TIMER, Phase.OPEN, Phase.QUOTE]


def test_the_age_of_a_candle_counts_from_its_end() -> None:
    (candle,) = candles(HOURLY, [100.0])
    view = MarketView(instant=START_NS + 3 * HOUR_NS, candles={HOURLY: candle}, positions={})
    assert view.age_ns(HOURLY) == 2 * HOUR_NS
    assert view.age_ns(Series(BTC.key, "1d")) is None


def test_only_a_cycle_of_which_nothing_came_is_quiet() -> None:
    quiet = CycleRecord(sequence=1, instant=DAY_NS, phase=int(Phase.CLOSE), due=("a",), inputs=(), cash=Decimal(1), equity=Decimal(1))
    rolled = RiskChange(profile="balanced", change="reset", state="active", rule="max_daily_loss_pct", limit=None, value=None)
    assert quiet.quiet
    assert not msgspec.structs.replace(quiet, risk=(rolled,)).quiet
    assert not msgspec.structs.replace(quiet, phase=int(Phase.COMMAND)).quiet
    assert not msgspec.structs.replace(quiet, phase=int(Phase.REVISION)).quiet


def test_order_ids_are_derived_from_their_group() -> None:
    group = OrderGroup(id="s/X/1/0", signal_id="s/X/1/0", strategy="s", schedule="s", profile="p", instant=1, legs=())
    assert [group.order_id(0), group.order_id(1)] == ["s/X/1/0.0", "s/X/1/0.1"]


def test_refusal_codes_are_stable_words() -> None:
    assert {code.value for code in RefusalCode} == {
        *("kill_switch", "daily_loss_limit", "drawdown_limit", "no_reference_price", "stale_data", "unknown_instrument"),
        *("nothing_to_do", "max_signals", "no_position", "already_closing", "reversal", "short_not_allowed", "position_limit"),
        *("open_positions", "leverage_limit", "insufficient_cash", "below_minimum", "state_unknown", "invalid_order"),
        *("unknown_profile", "unknown_order", "wrong_currency", "market_closed", "off_tick", "off_lot", "price_collar"),
        *("order_value", "order_quantity", "order_rate", "duplicate_order", "repeated_execution", "self_trade", "bucket_position_limit"),
        *("bucket_notional_limit", "net_exposure_limit", "stop_missing", "stop_wrong_side", "stop_too_tight", "risk_budget"),
    }


@pytest.mark.parametrize(("equity", "loss", "fall"), [("9900", "100", "1100"), ("10500", "-500", "500"), ("12000", "-2000", "0")])
def test_losses_are_measured_from_the_start_of_the_day_and_from_the_peak(equity: str, loss: str, fall: str) -> None:
    state = ProfileState(day=1, start_of_day_equity=Decimal(10_000), peak_equity=Decimal(11_000))
    assert daily_loss(state, Decimal(equity)) == Decimal(loss)
    assert drawdown(state, Decimal(equity)) == Decimal(fall)
    assert daily_loss_allowed(limits(), state) == Decimal(150)
    assert drawdown_allowed(limits(), state) == Decimal(1100)
