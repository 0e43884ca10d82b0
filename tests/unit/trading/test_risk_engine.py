"""The gate: every code, every limit to the last digit, and what is counted between the orders of one tick."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from dudzian_daemon.app.session_spec import limits as limits_of
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS
from dudzian_daemon.domain.orders import ApprovedGroup, OrderGroup, OrderLeg, Outcome, RefusalCode, Refused, Side, Verdict
from dudzian_daemon.domain.risk import BucketLimits, TradingState
from dudzian_daemon.testing.market import START_NS, instrument, limits, schedule
from tests.unit.trading.desk import BTC, ETH
from tests.unit.trading.gate import Account

DAY = START_NS // DAY_NS
#: One limit at a time: the others are out of the way.
OPEN = limits(
    max_position_pct=Decimal(100),
    max_leverage=Decimal(100),
    max_open_positions=100,
    max_daily_loss_pct=Decimal(1),
    hard_drawdown_pct=Decimal(1),
)


def told(verdict: Verdict) -> tuple[Outcome, RefusalCode | None, str, Decimal]:
    return verdict.outcome, verdict.code, verdict.rule, verdict.approved


def figures(verdict: Verdict) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return verdict.limit, verdict.value, verdict.headroom


# -- limits to the last digit ------------------------------------------------------------------------------------------


def test_a_position_is_clipped_to_the_lot_below_its_share_of_equity() -> None:
    account = Account()
    account.mark(BTC, 30.1)
    verdict = account.buy("20")
    assert told(verdict) == (Outcome.ADJUSTED, RefusalCode.POSITION_LIMIT, "max_position_pct", Decimal("16.611"))  # 500 / 30.1 = 16.6112...
    assert figures(verdict) == (Decimal(500), Decimal(0), Decimal(500))
    assert verdict.requested == 20


def test_a_position_of_exactly_the_limit_passes_whole_and_a_lot_more_does_not() -> None:
    assert told(Account().buy("5"))[:2] == (Outcome.APPROVED, None)
    assert told(Account().buy("5.001")) == (Outcome.ADJUSTED, RefusalCode.POSITION_LIMIT, "max_position_pct", Decimal(5))


def test_what_a_signal_lets_its_position_be_worth_counts_what_the_strategy_has_of_it() -> None:
    """400 at most, 3 at 100 are held: one more passes of the two that are asked for; another strategy's do not count."""
    account = Account(OPEN)
    account.hold("3", "100")
    account.hold("5", "100", strategy="b")
    leg = OrderLeg(instrument=BTC.key, side=Side.BUY, quantity=Decimal(2), reduce_only=False, max_notional=Decimal(400))
    usual: dict[str, Any] = {"strategy": "a", "schedule": "a", "profile": "balanced", "instant": START_NS}
    verdict = account.gate.judge(OrderGroup(id="g", signal_id="g", legs=(leg,), **usual)).verdict
    assert told(verdict) == (Outcome.ADJUSTED, RefusalCode.ORDER_VALUE, "max_notional", Decimal(1))
    assert figures(verdict) == (Decimal(400), Decimal(300), Decimal(100))


def test_a_position_counts_what_the_account_holds_at_the_mark_and_not_at_cost() -> None:
    account = Account(limits(max_position_pct=Decimal("0.1")))
    account.hold("4", "100", strategy="b")
    account.mark(BTC, 120.0)
    verdict = account.buy("9")
    assert figures(verdict) == (Decimal("1008.0"), Decimal(480), Decimal(528))  # a tenth of 9,600 + 4 x 120
    assert verdict.approved == Decimal("4.4")
    account.mark(BTC, 150.0)
    assert figures(account.buy("9")) == (Decimal(1020), Decimal(600 + 528), Decimal(0))  # the open order counts as it was reserved


def test_leverage_counts_all_instruments_and_open_orders() -> None:
    account = Account(limits(max_position_pct=Decimal(1), max_leverage=Decimal("0.5")))
    account.hold("30", "100")
    first = account.buy("100", ETH)
    assert told(first)[:2] == (Outcome.APPROVED, None)
    assert first.rule == "max_leverage"
    second = account.buy("150", ETH)
    assert told(second) == (Outcome.ADJUSTED, RefusalCode.LEVERAGE_LIMIT, "max_leverage", Decimal(100))
    assert figures(second) == (Decimal(5000), Decimal(4000), Decimal(1000))
    assert told(account.buy("1", ETH))[:2] == (Outcome.REFUSED, RefusalCode.LEVERAGE_LIMIT)


def test_cash_must_cover_price_slippage_and_fee() -> None:
    account = Account(OPEN)
    verdict = account.buy("100")
    dearest = Fraction(100) * Fraction("1.0005") * Fraction("1.0006")
    assert verdict.approved == Decimal(10_000 * 1000 // dearest) / 1000 == Decimal("99.890")
    assert told(verdict)[:3] == (Outcome.ADJUSTED, RefusalCode.INSUFFICIENT_CASH, "cash")
    assert figures(verdict) == (Decimal(10_000), Decimal(0), Decimal(10_000))
    after = account.buy("1", ETH)
    assert told(after)[:2] == (Outcome.REFUSED, RefusalCode.INSUFFICIENT_CASH)
    assert after.value == Decimal("9989.0") * Decimal("1.0005") * Decimal("1.0006")


def test_a_short_sale_must_be_able_to_put_up_its_margin_slippage_and_fee() -> None:
    wide = limits(max_position_pct=Decimal(100), max_leverage=Decimal(100), max_net_exposure=Decimal(100))
    account = Account(wide, allow_short=True, leverage=Decimal(4))
    verdict = account.judge(Side.SELL, (BTC, "1000")).verdict
    needed = Fraction(100) * (Fraction(1, 4) + Fraction("0.0005") + Fraction("0.0006"))
    assert verdict.approved == Decimal(10_000 * 1000 // needed) / 1000
    assert told(verdict)[:3] == (Outcome.ADJUSTED, RefusalCode.INSUFFICIENT_CASH, "margin")
    assert figures(verdict) == (Decimal(10_000), Decimal(0), Decimal(10_000))


def test_the_net_exposure_of_a_side_is_held_and_open() -> None:
    account = Account(limits(max_position_pct=Decimal(1), max_net_exposure=Decimal("0.2")))
    account.hold("10", "100", strategy="b")
    verdict = account.buy("11")
    assert told(verdict) == (Outcome.ADJUSTED, RefusalCode.NET_EXPOSURE_LIMIT, "max_net_exposure", Decimal(10))
    assert figures(verdict) == (Decimal(2000), Decimal(1000), Decimal(1000))


def test_a_bucket_bounds_its_strategies_one_by_one_and_together() -> None:
    few = BucketLimits(name="few", max_position_pct=Decimal("0.1"), max_notional=Decimal(1500))
    plan = [schedule("a", [BTC, ETH], bucket="few")]
    account = Account(OPEN, schedules=plan, buckets={"few": few})
    account.hold("20", "100", strategy="b")  # in no bucket
    position = account.buy("11")
    assert told(position) == (Outcome.ADJUSTED, RefusalCode.BUCKET_POSITION_LIMIT, "few.max_position_pct", Decimal(10))
    assert figures(position) == (Decimal(1000), Decimal(0), Decimal(1000))
    together = account.buy("60", ETH)
    assert told(together) == (Outcome.ADJUSTED, RefusalCode.BUCKET_NOTIONAL_LIMIT, "few.max_notional_usd", Decimal(50))
    assert figures(together) == (Decimal(1500), Decimal(1000), Decimal(500))


def test_the_number_of_instruments_counts_what_is_held_and_what_is_being_opened() -> None:
    ada = instrument("ADA")
    account = Account(limits(max_open_positions=2), instruments=(BTC, ETH, ada))
    account.mark(ada, 1.0)
    account.hold("1", "100")
    assert account.buy("2", ETH).outcome is Outcome.APPROVED
    refused = account.buy("10", ada)
    assert told(refused)[:3] == (Outcome.REFUSED, RefusalCode.OPEN_POSITIONS, "max_open_positions")
    assert figures(refused) == (Decimal(2), Decimal(2), Decimal(0))
    assert account.buy("1", BTC).outcome is Outcome.APPROVED  # more of what is held is no new one
    account.gate.release("g1.0")
    assert account.buy("10", ada).outcome is Outcome.APPROVED


def test_an_approval_names_the_tightest_rule_that_was_passed() -> None:
    verdict = Account().buy("4")
    assert told(verdict) == (Outcome.APPROVED, None, "max_position_pct", Decimal(4))
    assert figures(verdict) == (Decimal(500), Decimal(0), Decimal(500))


@pytest.mark.parametrize(
    ("rules", "quantity", "approved"),
    [
        ({"min_quantity": Decimal("0.5"), "min_notional": Decimal(1)}, "0.499", "0"),
        ({"min_quantity": Decimal("0.5"), "min_notional": Decimal(1)}, "0.5", "0.5"),
        ({"min_notional": Decimal(20)}, "0.199", "0"),
        ({"min_notional": Decimal(20)}, "0.2", "0.2"),
        ({"lot_size": Decimal(1)}, "0.9", "0"),
        ({"lot_size": Decimal(1)}, "1.9", "1"),
    ],
)
def test_market_rules_hold(rules: dict[str, Decimal], quantity: str, approved: str) -> None:
    picky = instrument("BTC", **rules)
    verdict = Account(instruments=(picky, ETH)).buy(quantity, picky)
    assert verdict.approved == Decimal(approved)
    assert (verdict.code is RefusalCode.BELOW_MINIMUM) == (verdict.outcome is Outcome.REFUSED)


def test_a_clip_below_the_minimum_is_refused_with_the_rule_that_clipped() -> None:
    account = Account(limits(max_position_pct=Decimal("0.0004")))  # 4 USDT, and the venue wants 5
    assert told(account.buy("1")) == (Outcome.REFUSED, RefusalCode.POSITION_LIMIT, "max_position_pct", Decimal(0))


def test_limits_of_zero_allow_nothing_but_the_way_out() -> None:
    nothing = limits(
        max_daily_loss_pct=Decimal(0),
        max_position_pct=Decimal(0),
        max_leverage=Decimal(0),
        max_open_positions=0,
        hard_drawdown_pct=Decimal(0),
    )
    account = Account(nothing)
    assert account.buy("0.1").outcome is Outcome.REFUSED
    account.hold("1", "100")
    assert account.buy("0.1").outcome is Outcome.REFUSED
    assert account.sell("1").outcome is Outcome.APPROVED
    assert account.gate.judge_equity(START_NS, account.ledger.equity) == []  # no loss, no trip
    account.mark(BTC, 99.99)
    assert {change.rule for change in account.gate.judge_equity(START_NS, account.ledger.equity)} == {
        "max_daily_loss_pct",
        "hard_drawdown_pct",
    }


def test_the_shipped_manual_profile_opens_nothing() -> None:
    config = load(bundled("config") / "core.yaml", env={}, cli={}).config
    account = Account(limits_of("manual", config.profile("manual")))
    for verdict in (account.buy("0.05", profile="manual"), account.buy("1", ETH, profile="manual")):
        assert verdict.outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("name", "zero"),
    [
        ("max_position_pct", RefusalCode.POSITION_LIMIT),
        ("max_leverage", RefusalCode.LEVERAGE_LIMIT),
        ("max_open_positions", RefusalCode.OPEN_POSITIONS),
    ],
)
def test_each_limit_alone_allows_nothing_at_zero(name: str, zero: RefusalCode) -> None:
    zeros: dict[str, Any] = {name: 0 if name == "max_open_positions" else Decimal(0)}
    account = Account(limits(**zeros))
    account.hold("1", "100")
    assert told(account.buy("0.1"))[:2] == (Outcome.REFUSED, zero)


# -- orders of one tick ------------------------------------------------------------------------------------------------


def test_each_order_reserves_before_the_next_until_it_has_ended() -> None:
    account = Account()
    assert account.buy("3").approved == 3
    second = account.buy("3")
    assert (second.outcome, second.approved) == (Outcome.ADJUSTED, Decimal(2))
    assert figures(second) == (Decimal(500), Decimal(300), Decimal(200))
    assert account.buy("3").outcome is Outcome.REFUSED
    account.gate.release("g1.0")
    assert account.buy("4").approved == 3


def test_a_reservation_is_worth_what_the_price_was_when_it_was_made() -> None:
    account = Account()
    account.buy("3")
    account.mark(BTC, 50.0)
    assert figures(account.buy("9"))[1] == Decimal(300)


def test_reductions_take_no_more_than_the_strategy_holds_and_is_not_closing() -> None:
    account = Account()
    account.hold("4", "100", strategy="a")
    account.hold("7", "100", strategy="b")
    clipped = account.sell("9")
    assert told(clipped) == (Outcome.ADJUSTED, RefusalCode.ALREADY_CLOSING, "reduce_only", Decimal(4))
    assert told(account.sell("1")) == (Outcome.REFUSED, RefusalCode.ALREADY_CLOSING, "reduce_only", Decimal(0))
    assert account.gate.reserved_reducing("a", BTC.key) == 4
    assert account.sell("7", strategy="b").outcome is Outcome.APPROVED
    assert told(account.sell("1", strategy="c"))[:2] == (Outcome.REFUSED, RefusalCode.NO_POSITION)
    account.gate.release("g1.0")
    assert account.sell("4").outcome is Outcome.APPROVED


def straddle(**fields: Any) -> OrderGroup:
    """A buy and an opening sell of one instrument in one group."""
    legs = tuple(OrderLeg(instrument=BTC.key, side=side, quantity=Decimal(1), reduce_only=False) for side in Side)
    usual: dict[str, Any] = {"id": "g", "signal_id": "g", "strategy": "a", "schedule": "a", "profile": "balanced", "instant": START_NS}
    return OrderGroup(legs=legs, **usual | fields)


def test_a_strategy_opens_one_side_at_a_time_so_that_no_reduction_outlives_what_it_reduces() -> None:
    """Else a buy fills, its closing is reserved, and an older opening sell nets the position to flat under it."""
    account = Account(OPEN, allow_short=True)
    account.buy("1")
    assert told(account.judge(Side.SELL, (BTC, "1")).verdict)[:3] == (Outcome.REFUSED, RefusalCode.REVERSAL, "open_order")
    assert account.judge(Side.SELL, (BTC, "1"), strategy="b").verdict.outcome is Outcome.APPROVED
    assert account.judge(Side.SELL, (ETH, "1")).verdict.outcome is Outcome.APPROVED
    account.gate.release("g1.0")
    assert account.judge(Side.SELL, (BTC, "1")).verdict.outcome is Outcome.APPROVED


def test_both_sides_at_once_are_for_legs_of_which_the_first_fill_ends_the_others() -> None:
    account = Account(OPEN, allow_short=True)
    assert told(account.gate.judge(straddle()).verdict)[:3] == (Outcome.REFUSED, RefusalCode.REVERSAL, "open_order")
    assert account.gate.judge(straddle(link="oco")).verdict.outcome is Outcome.APPROVED
    assert account.gate.judge(straddle(id="h", signal_id="h", link="oco")).verdict.code is RefusalCode.REVERSAL


def test_closings_free_nothing_for_entries_before_they_are_filled() -> None:
    account = Account()
    account.hold("5", "100")
    account.sell("5")
    assert account.buy("1").outcome is Outcome.REFUSED


def test_a_group_is_approved_clipped_in_proportion_or_refused_as_a_whole() -> None:
    account = Account()
    whole = account.judge(Side.BUY, (BTC, "1"), (ETH, "10"))
    assert isinstance(whole, ApprovedGroup)
    assert [leg.quantity for leg in whole.legs] == [1, 10]
    less = Account().judge(Side.BUY, (ETH, "20"), (BTC, "10"))
    assert isinstance(less, ApprovedGroup)
    assert [leg.quantity for leg in less.legs] == [10, 5]
    assert (less.verdict.code, less.verdict.requested, less.verdict.approved) == (RefusalCode.POSITION_LIMIT, Decimal(10), Decimal(5))
    none = account.judge(Side.BUY, (ETH, "1"), (BTC, "9"))  # clipped to 4 of 9, the first leg is below the venue's minimum
    assert isinstance(none, Refused)
    assert none.verdict.code is RefusalCode.POSITION_LIMIT
    assert account.buy("4").approved == 4  # the refused group reserved nothing


# -- states ------------------------------------------------------------------------------------------------------------


def test_the_kill_switch_blocks_what_opens_and_lets_reductions_pass() -> None:
    account = Account()
    account.hold("2", "100")
    assert account.gate.set_kill_switch(True).state == "halted"
    assert account.gate.state("balanced") is TradingState.HALTED
    assert told(account.buy("1"))[:2] == (Outcome.REFUSED, RefusalCode.KILL_SWITCH)
    assert account.sell("2").outcome is Outcome.APPROVED
    assert account.gate.set_kill_switch(False).state == "active"
    assert account.buy("1").outcome is Outcome.APPROVED


def test_what_is_unknown_is_the_rule_that_refuses() -> None:
    account = Account(OPEN)
    account.gate.set_unknown("self_check")
    assert told(account.buy("1")) == (Outcome.REFUSED, RefusalCode.STATE_UNKNOWN, "self_check", Decimal(0))


def test_a_daily_loss_trips_at_exactly_the_limit_and_once() -> None:
    account = Account()
    gate = account.gate
    assert gate.judge_equity(START_NS, Decimal("9850.01")) == []
    (trip,) = gate.judge_equity(START_NS, Decimal("9850"))
    assert (trip.change, trip.rule, trip.state) == ("tripped", "max_daily_loss_pct", "reducing")
    assert (trip.limit, trip.value) == (Decimal(150), Decimal(150))
    assert gate.judge_equity(START_NS + HOUR_NS, Decimal("9840")) == []
    assert gate.state("balanced") is TradingState.REDUCING


def test_a_drawdown_is_measured_from_the_highest_equity_ever_seen() -> None:
    gate = Account(limits(max_daily_loss_pct=Decimal(1))).gate
    gate.judge_equity(START_NS, Decimal(12_000))
    gate.roll_day(DAY + 1, Decimal(11_000), exposed=())
    for equity in ("11500", "10800.01"):
        assert gate.judge_equity(START_NS + DAY_NS, Decimal(equity)) == []
    (trip,) = gate.judge_equity(START_NS + DAY_NS, Decimal(10_800))
    assert (trip.rule, trip.limit, trip.value) == ("hard_drawdown_pct", Decimal(1200), Decimal(1200))


def test_a_new_day_has_a_new_loss_base() -> None:
    gate = Account(limits(hard_drawdown_pct=Decimal(1))).gate
    gate.judge_equity(START_NS, Decimal(9_900))
    assert gate.roll_day(DAY + 1, Decimal(9_900), exposed=()) == []
    assert gate.judge_equity(START_NS + DAY_NS, Decimal("9751.51")) == []
    assert len(gate.judge_equity(START_NS + DAY_NS, Decimal("9751.50"))) == 1


def test_a_daily_trip_outlives_the_night_while_a_position_is_open() -> None:
    gate = Account().gate
    gate.judge_equity(START_NS, Decimal(9_800))
    assert gate.roll_day(DAY + 1, Decimal(9_800), exposed={"balanced"}) == []
    assert gate.state("balanced") is TradingState.REDUCING
    (reset,) = gate.roll_day(DAY + 2, Decimal(9_800), exposed=())
    assert (reset.change, reset.state) == ("reset", "active")


def test_a_trip_of_the_closing_mark_outlives_the_roll_to_the_day_it_is_dated_to() -> None:
    gate = Account().gate
    gate.judge_equity(START_NS + DAY_NS, Decimal(9_800))
    assert gate.roll_day(DAY + 1, Decimal(9_800), exposed=()) == []
    assert len(gate.roll_day(DAY + 2, Decimal(9_800), exposed=())) == 1


def test_profiles_trip_each_by_its_own_limits() -> None:
    gate = Account(limits("tight", max_daily_loss_pct=Decimal("0.01")), limits("loose")).gate
    assert [change.profile for change in gate.judge_equity(START_NS, Decimal(9_890))] == ["tight"]
    assert (gate.state("tight"), gate.state("loose")) == (TradingState.REDUCING, TradingState.ACTIVE)


# -- old data (every other code is reached in tests/scenario/test_every_code.py) ---------------------------------------


def test_entries_on_old_candles_are_refused_and_exits_pass() -> None:
    account = Account()
    account.hold("1", "100")
    old: dict[str, Any] = {"age_ns": HOUR_NS + 1, "max_age_ns": HOUR_NS}
    refused = account.buy("1", **old)
    assert (refused.code, refused.limit, refused.value) == (RefusalCode.STALE_DATA, Decimal(HOUR_NS), Decimal(HOUR_NS + 1))
    assert account.buy("1", **old | {"age_ns": HOUR_NS}).outcome is Outcome.APPROVED
    assert account.sell("1", **old).outcome is Outcome.APPROVED


def test_a_close_of_the_core_on_an_old_price_is_refused() -> None:
    account = Account()
    account.hold("1", "100")
    assert account.sell("1", signal_id="", age_ns=HOUR_NS + 1, max_age_ns=HOUR_NS).code is RefusalCode.STALE_DATA
    assert account.sell("1", signal_id="", age_ns=HOUR_NS + 1).outcome is Outcome.APPROVED
