"""Controls of single orders: at the limit passes, one step over is refused; and the counters on input instants."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import DAY_NS, MINUTE_NS, SECOND_NS
from dudzian_daemon.domain.orders import (
    ApprovedGroup,
    Fill,
    Order,
    OrderGroup,
    OrderKind,
    OrderLeg,
    OrderTerms,
    Outcome,
    Protection,
    RefusalCode,
    Refused,
    Side,
    Verdict,
)
from dudzian_daemon.domain.risk import OrderControls
from dudzian_daemon.domain.sizing import stop_fault
from dudzian_daemon.testing.market import START_NS, limits
from dudzian_daemon.trading.rates import OrderRates
from tests.unit.trading.desk import BTC, ETH
from tests.unit.trading.gate import Account

OPEN = limits(
    max_position_pct=Decimal(100),
    max_leverage=Decimal(100),
    max_net_exposure=Decimal(100),
    max_daily_loss_pct=Decimal(1),
    hard_drawdown_pct=Decimal(1),
)


def account(**controls: Any) -> Account:
    return Account(OPEN, opening="1000000", controls=OrderControls(**{"duplicate_window_ns": 0} | controls))


def order(
    desk: Account, side: Side = Side.BUY, quantity: str = "1", *, reduces: bool = False, leg: dict[str, Any] | None = None, **group: Any
) -> ApprovedGroup | Refused:
    desk.count += 1
    made = OrderLeg(instrument=BTC.key, side=side, quantity=Decimal(quantity), reduce_only=reduces, **leg or {})
    usual: dict[str, Any] = {
        "id": f"g{desk.count}",
        "signal_id": f"g{desk.count}",
        "strategy": "a",
        "schedule": "a",
        "profile": "balanced",
        "instant": START_NS,
        "legs": (made,),
    }
    return desk.gate.judge(OrderGroup(**usual | group))


def verdict(desk: Account, *args: Any, **kwargs: Any) -> Verdict:
    return order(desk, *args, **kwargs).verdict


def limit(price: str) -> dict[str, Any]:
    return {"terms": OrderTerms(kind=OrderKind.LIMIT, limit_price=Decimal(price))}


# -- size and price ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "at", "over"), [(Side.BUY, "110", "110.01"), (Side.BUY, "90", "89.99"), (Side.SELL, "90", "89.99")])
def test_the_collar_holds_to_the_tick_on_both_sides(side: Side, at: str, over: str) -> None:
    desk = account()
    desk.hold("5", "100")
    fields: dict[str, Any] = {"reduces": side is Side.SELL}
    assert verdict(desk, side, leg=limit(at), **fields).outcome is Outcome.APPROVED
    refused = verdict(desk, side, leg=limit(over), **fields)
    assert (refused.code, refused.rule, refused.limit) == (RefusalCode.PRICE_COLLAR, "price_collar_bps", Decimal(10))


def test_a_collar_of_zero_allows_the_reference_itself_and_market_orders() -> None:
    desk = account(price_collar_bps=Decimal(0))
    assert verdict(desk, leg=limit("100")).outcome is Outcome.APPROVED
    assert verdict(desk, leg=limit("100.01")).code is RefusalCode.PRICE_COLLAR
    assert verdict(desk).outcome is Outcome.APPROVED


def test_value_and_quantity_hold_to_the_lot() -> None:
    desk = account(max_order_value=Decimal(1000), max_order_quantity=Decimal(20))
    assert verdict(desk, quantity="10").outcome is Outcome.APPROVED
    over = verdict(desk, quantity="10.001")
    assert (over.code, over.limit, over.approved) == (RefusalCode.ORDER_VALUE, Decimal(1000), Decimal(10))
    assert verdict(desk, quantity="10.001", whole=True).outcome is Outcome.REFUSED
    desk.mark(BTC, 1.0)
    assert verdict(desk, quantity="20").outcome is Outcome.APPROVED
    more, whole = verdict(desk, quantity="20.001"), verdict(desk, quantity="20.001", whole=True)
    assert (more.code, more.approved) == (RefusalCode.ORDER_QUANTITY, Decimal(20))
    assert (whole.code, whole.outcome) == (RefusalCode.ORDER_QUANTITY, Outcome.REFUSED)


def test_a_way_out_is_never_too_large() -> None:
    desk = account(max_order_value=Decimal(1), max_order_quantity=Decimal(1), strategy_orders_per_second=0)
    desk.hold("5", "100")
    assert verdict(desk, Side.SELL, "5", reduces=True).outcome is Outcome.APPROVED


def test_a_limit_order_is_counted_at_the_dearer_of_its_price_and_the_market() -> None:
    desk = account()
    order(desk, quantity="10", leg=limit("105"))
    order(desk, quantity="10", leg=limit("95"))
    assert [each.notional for each in desk.gate.reservations.open.values()] == [1050, 1000]


@pytest.mark.parametrize("age", [0, DAY_NS])
def test_a_reference_price_may_be_so_old_and_no_older(age: int) -> None:
    desk = account(max_reference_age_ns=DAY_NS)
    assert verdict(desk, instant=START_NS + age).outcome is Outcome.APPROVED
    refused = verdict(desk, instant=START_NS + DAY_NS + 1)
    assert (refused.code, refused.limit, refused.value) == (RefusalCode.STALE_DATA, Decimal(DAY_NS), Decimal(DAY_NS + 1))


def test_an_operators_order_is_refused_rather_than_clipped_and_told_what_would_pass() -> None:
    desk = Account()
    clipped, whole = verdict(desk, quantity="9"), verdict(Account(), quantity="9", whole=True)
    assert (clipped.outcome, clipped.approved) == (Outcome.ADJUSTED, Decimal(5))
    assert (whole.outcome, whole.code, whole.headroom) == (Outcome.REFUSED, RefusalCode.POSITION_LIMIT, Decimal(500))


def test_a_price_that_was_lost_is_no_reference() -> None:
    desk = account()
    desk.gate.pre_trade.lost[BTC.key] = START_NS
    assert verdict(desk).code is RefusalCode.NO_REFERENCE_PRICE
    with pytest.raises(LookupError, match="has no price"):
        desk.gate.pre_trade.price(order(desk).group.legs[0])


# -- what a refusal says -----------------------------------------------------------------------------------------------


def stop_order(price: str) -> dict[str, Any]:
    return {"terms": OrderTerms(kind=OrderKind.STOP, stop_price=Decimal(price))}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"quantity": "-1"}, (RefusalCode.INVALID_ORDER, "quantity", "0", "0")),
        ({"leg": limit("-1")}, (RefusalCode.INVALID_ORDER, "limit_price", "0", "0")),
        ({"leg": stop_order("-1")}, (RefusalCode.INVALID_ORDER, "stop_price", "0", "0")),
        ({"leg": {"terms": OrderTerms(kind=OrderKind.TRAILING_STOP, trail=Decimal(-1))}}, (RefusalCode.INVALID_ORDER, "trail", "0", "0")),
        ({"leg": limit("100.001")}, (RefusalCode.OFF_TICK, "limit_price", "0.01", "100.001")),
        ({"leg": stop_order("100.001")}, (RefusalCode.OFF_TICK, "stop_price", "0.01", "100.001")),
        ({"leg": {"terms": OrderTerms(kind=OrderKind.LIMIT)}}, (RefusalCode.INVALID_ORDER, "terms", "0", "0")),
        ({"quantity": "1.0001", "whole": True}, (RefusalCode.OFF_LOT, "lot_size", "0.001", "1.0001")),
        ({"leg": limit("111")}, (RefusalCode.PRICE_COLLAR, "price_collar_bps", "10", "11")),
        ({"instant": START_NS + DAY_NS + 1}, (RefusalCode.STALE_DATA, "max_reference_age", str(DAY_NS), str(DAY_NS + 1))),
        ({"paid_in": "EUR"}, (RefusalCode.WRONG_CURRENCY, "wrong_currency", "0", "0")),
    ],
)
def test_a_refusal_names_rule_limit_and_value(asked: dict[str, Any], said: tuple[RefusalCode, str, str, str]) -> None:
    refused = verdict(account(max_reference_age_ns=DAY_NS), **asked)
    code, rule, bound, value = said
    assert (refused.outcome, refused.code, refused.rule) == (Outcome.REFUSED, code, rule)
    assert (refused.limit, refused.value, refused.headroom) == (Decimal(bound), Decimal(value), Decimal(0))


# -- stops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "stop", "expected"),
    [
        (Side.BUY, "98.5", None),
        (Side.BUY, "98.50014", None),  # within 1e-4 of 1.5 ATR
        (Side.BUY, "98.50016", RefusalCode.STOP_TOO_TIGHT),
        (Side.BUY, "90", None),
        (Side.BUY, "100", RefusalCode.STOP_WRONG_SIDE),
        (Side.BUY, "101.5", RefusalCode.STOP_WRONG_SIDE),
        (Side.SELL, "101.5", None),
        (Side.SELL, "101.4", RefusalCode.STOP_TOO_TIGHT),
        (Side.SELL, "99", RefusalCode.STOP_WRONG_SIDE),
        (Side.BUY, "0", RefusalCode.STOP_MISSING),
        (Side.BUY, "-1", RefusalCode.STOP_MISSING),
    ],
)
def test_a_stop_is_on_the_loss_side_and_no_nearer_than_its_multiple(side: Side, stop: str, expected: RefusalCode | None) -> None:
    assert stop_fault(side, Decimal(100), Decimal(stop), Decimal(1), Decimal("1.5")) is expected


@pytest.mark.parametrize(("stop", "atr"), [(None, Decimal(1)), (Decimal(98), None), (Decimal(98), Decimal(0))])
def test_a_stop_needs_its_price_and_its_atr(stop: Decimal | None, atr: Decimal | None) -> None:
    assert stop_fault(Side.BUY, Decimal(100), stop, atr, Decimal(0)) is RefusalCode.STOP_MISSING


def test_the_size_follows_from_the_distance_of_the_stop() -> None:
    """11 % of 100,000 at a stop 450 away is 24.4 units before the other limits; twice the distance is half of it."""
    sizes = []
    for distance in (450, 900):
        desk = Account(OPEN, opening="100000", controls=OrderControls(max_order_value=Decimal(10**7)))
        desk.mark(BTC, 1000.0)
        stop = {"protection": Protection.STOP, "protective_stop": Decimal(1000 - distance), "atr": Decimal(100)}
        found = verdict(desk, quantity="50", leg=stop)
        assert (found.code, found.limit) == (RefusalCode.RISK_BUDGET, Decimal(11_000))
        sizes.append(found.approved)
    assert sizes == [Decimal("24.444"), Decimal("12.222")]


def test_what_is_held_and_open_counts_against_the_risk_budget() -> None:
    desk = Account(OPEN, opening="100000", controls=OrderControls(duplicate_window_ns=0))
    desk.hold("100", "100")
    stop = {"protection": Protection.STOP, "protective_stop": Decimal(50), "atr": Decimal(1)}
    assert verdict(desk, quantity="100", leg=stop).outcome is Outcome.APPROVED
    assert verdict(desk, quantity="100", leg=stop).approved == 20  # 220 x 50 = 11,000


# -- counters ----------------------------------------------------------------------------------------------------------


def test_rates_count_orders_within_the_last_second_and_minute_of_input_time() -> None:
    desk = account(strategy_orders_per_second=2, strategy_orders_per_minute=3)
    codes = [verdict(desk, instant=START_NS + at).code for at in (0, 1, 2, SECOND_NS, SECOND_NS + 2, MINUTE_NS - 1, MINUTE_NS)]
    rate = RefusalCode.ORDER_RATE
    assert codes == [None, None, rate, None, rate, rate, None]


def test_rates_are_for_each_strategy_and_for_all() -> None:
    desk = account(strategy_orders_per_second=2, total_orders_per_second=3)
    found = [verdict(desk, strategy=name) for name in "aabb"]
    assert [each.code for each in found] == [None, None, None, RefusalCode.ORDER_RATE]
    assert (found[-1].rule, found[-1].limit, found[-1].value) == ("total_orders_per_second", Decimal(3), Decimal(3))


@pytest.mark.parametrize(
    "rule", ["strategy_orders_per_second", "strategy_orders_per_minute", "total_orders_per_second", "total_orders_per_minute"]
)
def test_each_rate_is_told_by_its_name_with_what_is_left_of_it(rule: str) -> None:
    desk = account(**{rule: 1})
    first, second = verdict(desk), verdict(desk, instant=START_NS + 1)
    assert (first.code, second.code, second.rule) == (None, RefusalCode.ORDER_RATE, rule)
    assert (second.limit, second.value, second.headroom) == (Decimal(1), Decimal(1), Decimal(0))


def test_reductions_are_counted_and_pass() -> None:
    desk = account(strategy_orders_per_second=1)
    desk.hold("5", "100")
    assert [verdict(desk, Side.SELL, "1", reduces=True).code for _ in range(2)] == [None, None]
    assert verdict(desk).code is RefusalCode.ORDER_RATE


def test_of_a_thousand_equal_orders_at_once_one_passes() -> None:
    desk = Account(OPEN, opening="1000000", controls=OrderControls())
    outcomes = [verdict(desk).code for _ in range(1000)]
    assert (outcomes[0], set(outcomes[1:])) == (None, {RefusalCode.DUPLICATE_ORDER})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, RefusalCode.DUPLICATE_ORDER),
        ({"quantity": "1.001"}, None),
        ({"side": Side.SELL}, None),
        ({"strategy": "b"}, None),
        ({"leg": limit("100")}, None),
        ({"instant": START_NS + 5 * SECOND_NS - 1}, RefusalCode.DUPLICATE_ORDER),
        ({"instant": START_NS + 5 * SECOND_NS}, None),
    ],
)
def test_an_order_is_the_same_if_everything_about_it_is_within_the_window(changes: dict[str, Any], code: RefusalCode | None) -> None:
    desk = Account(OPEN, opening="1000000", controls=OrderControls(), allow_short=True)
    order(desk)
    desk.gate.release("g1.0")  # its end changes nothing: what passed is a precedent
    assert verdict(desk, **changes).code is code


def test_a_client_id_is_used_once_for_ever() -> None:
    desk = account()
    assert verdict(desk, client_id="x").code is None
    again = verdict(desk, quantity="2", client_id="x", instant=START_NS + DAY_NS)
    assert (again.code, again.rule) == (RefusalCode.DUPLICATE_ORDER, "client_id")


def test_a_refused_order_is_no_precedent() -> None:
    desk = Account(limits(), controls=OrderControls())
    assert verdict(desk, quantity="0.01").code is RefusalCode.BELOW_MINIMUM
    assert verdict(desk, quantity="0.01").code is RefusalCode.BELOW_MINIMUM
    assert desk.gate.rates.counters.recent == {}


def fill(number: int, side: Side, signal: str, strategy: str = "a") -> Fill:
    zero = Decimal(0)
    return Fill(
        id=f"f{number}",
        order_id="o",
        signal_id=signal,
        strategy=strategy,
        schedule=strategy,
        instrument=BTC.key,
        side=side,
        quantity=Decimal(1),
        reference_price=Decimal(100),
        slippage=zero,
        price=Decimal(100),
        fee=zero,
        fee_asset="USDT",
        filled_at=START_NS,
        fill_source="open_print",
        inside_bar=False,
        preset="p",
    )


def test_the_last_allowed_fill_of_a_signal_says_so_and_a_new_signal_or_the_other_side_begins_anew() -> None:
    rates = OrderRates(OrderControls(repeated_executions=3))
    assert [rates.executed(fill(number, Side.BUY, "s")) for number in range(4)] == [False, False, True, True]
    assert not rates.executed(fill(5, Side.BUY, "t"))
    assert not rates.executed(fill(6, Side.SELL, "t"))
    assert [rates.executed(fill(number, Side.BUY, f"manual/{number}", "manual")) for number in range(3)] == [False, False, True]


def test_a_signal_that_has_had_its_fills_gets_no_more_and_another_one_does() -> None:
    desk = account(repeated_executions=2)
    for number in range(2):
        desk.gate.rates.executed(fill(number, Side.BUY, "s"))
    again = verdict(desk, signal_id="s")
    assert (again.code, again.rule) == (RefusalCode.REPEATED_EXECUTION, "repeated_executions")
    assert (again.limit, again.value) == (Decimal(2), Decimal(2))
    assert verdict(desk, signal_id="t").code is None


def test_the_counters_forget_what_no_window_reaches() -> None:
    desk = Account(OPEN, opening="1000000", controls=OrderControls())
    for number in range(200):
        order(desk, instant=START_NS + number * MINUTE_NS)
    counters = desk.gate.rates.counters
    assert len(counters.sent["a"]) <= 2
    assert len(counters.recent) <= 2
    assert msgspec.json.decode(msgspec.json.encode(counters), type=type(counters)) == counters


# -- orders of ours that meet ------------------------------------------------------------------------------------------


def test_a_limit_order_that_could_meet_ours_is_refused_and_one_that_could_not_passes() -> None:
    desk = account()
    desk.hold("5", "100", strategy="b")
    order(desk, Side.SELL, "5", reduces=True, leg=limit("101"), strategy="b")
    assert verdict(desk, leg=limit("100.99")).code is None
    refused = verdict(desk, leg=limit("101"))
    assert (refused.code, refused.limit, refused.value) == (RefusalCode.SELF_TRADE, Decimal(101), Decimal(101))


def test_market_orders_that_meet_execute_and_the_later_one_is_marked() -> None:
    desk = account()
    desk.hold("5", "100", strategy="b")
    assert not verdict(desk).crossed
    assert verdict(desk, Side.SELL, "5", reduces=True, strategy="b").crossed
    other = account()
    order(other, leg=limit("99"))
    other.hold("5", "100", strategy="b")
    assert verdict(other, Side.SELL, "5", reduces=True, strategy="b").crossed
    assert verdict(other, leg=limit("98")).crossed  # the sale on its way could meet it


# -- groups that hang together -----------------------------------------------------------------------------------------


def bracket(desk: Account, quantity: str = "2", **group: Any) -> ApprovedGroup | Refused:
    exits = [
        OrderTerms(kind=OrderKind.LIMIT, limit_price=Decimal(105)),
        OrderTerms(kind=OrderKind.STOP, stop_price=Decimal(95)),
    ]
    legs = (
        OrderLeg(instrument=BTC.key, side=Side.BUY, quantity=Decimal(quantity), reduce_only=False),
        *(OrderLeg(instrument=BTC.key, side=Side.SELL, quantity=Decimal(quantity), reduce_only=True, terms=terms) for terms in exits),
    )
    return order(desk, **{"legs": legs, "link": "bracket"} | group)


def test_a_bracket_passes_whole_and_its_exits_reserve_what_the_entry_has_filled() -> None:
    desk = account()
    answer = bracket(desk)
    assert isinstance(answer, ApprovedGroup)
    assert desk.gate.reserved_reducing("a", BTC.key) == 0
    desk.hold("1", "100")
    entry, profit, stop = made_orders(answer)
    half = msgspec.structs.replace(entry, filled=Decimal(1))
    desk.gate.filled(half, fill(1, Side.BUY, "g1"), half.left)
    assert desk.gate.reserved_reducing("a", BTC.key) == 1  # of two exits the larger one counts
    desk.gate.filled(msgspec.structs.replace(profit, filled=Decimal(1)), fill(2, Side.SELL, "g1"), Decimal(1))
    assert desk.gate.reserved_reducing("a", BTC.key) == 1  # the stop still may
    for each in (profit, stop):
        desk.gate.release(each.id)
    assert desk.gate.reserved_reducing("a", BTC.key) == 0
    assert [each.quantity for each in desk.gate.reservations.open.values()] == [1]


def made_orders(answer: ApprovedGroup) -> list[Order]:
    return [
        Order(
            id=answer.group.order_id(number),
            group_id=answer.group.id,
            signal_id="g1",
            strategy="a",
            schedule="a",
            instrument=leg.instrument,
            side=leg.side,
            quantity=leg.quantity,
            reduce_only=leg.reduce_only,
            accepted_at=START_NS,
            active_at=START_NS,
            terms=leg.terms,
            link=answer.group.link,
        )
        for number, leg in enumerate(answer.legs)
    ]


def test_a_bracket_is_clipped_with_its_entry() -> None:
    answer = bracket(Account(), "9")
    assert isinstance(answer, ApprovedGroup)
    assert [leg.quantity for leg in answer.legs] == [5, 5, 5]


def test_linked_exits_of_one_position_may_each_close_all_of_it() -> None:
    desk = account()
    desk.hold("2", "100")
    exits = bracket(desk).group.legs[1:]
    assert isinstance(order(desk, legs=exits, link="oco"), ApprovedGroup)
    assert desk.gate.reserved_reducing("a", BTC.key) == 2
    assert verdict(desk, Side.SELL, "1", reduces=True).code is RefusalCode.ALREADY_CLOSING


@pytest.mark.parametrize("fault", ["alone", "two instruments", "same side", "opens", "more than the entry"])
def test_links_that_make_no_sense_are_refused(fault: str) -> None:
    desk = account()
    entry, first, second = bracket(account()).group.legs
    replace = msgspec.structs.replace
    legs = {
        "alone": (entry,),
        "two instruments": (entry, replace(first, instrument=ETH.key)),
        "same side": (entry, replace(first, side=Side.BUY)),
        "opens": (entry, replace(second, reduce_only=False)),
        "more than the entry": (entry, replace(first, quantity=Decimal(3))),
    }[fault]
    found = verdict(desk, legs=legs, link="bracket")
    assert (found.code, found.rule) == (RefusalCode.INVALID_ORDER, "link")


def test_a_fill_of_an_order_that_reserves_nothing_any_more_reserves_nothing_again() -> None:
    desk = account()
    answer = bracket(desk)
    assert isinstance(answer, ApprovedGroup)
    (entry, *_) = made_orders(answer)
    desk.gate.release(entry.id)
    before = dict(desk.gate.reservations.open)
    desk.gate.filled(msgspec.structs.replace(entry, filled=Decimal(1)), fill(1, Side.BUY, "g1"), Decimal(1))
    assert desk.gate.reservations.open == before
