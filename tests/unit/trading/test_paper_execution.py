"""The simulated venue: when an order fills, on which price, at what cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.fills import Level
from dudzian_daemon.domain.market import HOUR_NS, SECOND_NS, Book, OpenPrint, Quote
from dudzian_daemon.domain.orders import ApprovedGroup, Fill, Liquidity, OrderKind, OrderLeg, OrderStatus, OrderTerms, Side, TimeInForce
from dudzian_daemon.testing.market import START_NS, candles, preset
from dudzian_daemon.trading import executions
from dudzian_daemon.trading.executions import Origin
from dudzian_daemon.trading.matching import Trade
from dudzian_daemon.trading.order_book import OwnConsumption, Taken
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from tests.unit.trading.desk import BTC, BTC_1H, ETH
from tests.unit.trading.simulated import approve


def approved(number: int = 1, *, side: Side = Side.BUY, key: str = BTC.key, legs: int = 1, **fields: Any) -> ApprovedGroup:
    """What the gate would have made of an order for 2."""
    leg = OrderLeg(instrument=key, side=side, quantity=Decimal(2), reduce_only=side is Side.SELL)
    return approve(*(leg,) * legs, number=number, **fields)


def venue(held: Decimal = Decimal(1000), **costs: Any) -> PaperTradingExecutionService:
    return PaperTradingExecutionService({BTC.key: BTC, ETH.key: ETH}, preset(**costs), lambda _strategy, _instrument: held)


def opened(price: float = 100.0, *, after: int = 0, key: str = BTC.key) -> OpenPrint:
    return OpenPrint(START_NS + after, key, "1h", price)


def quoted(bid: float, ask: float, *, after: int = 0, source: str = "quote") -> Quote:
    return Quote(START_NS + after, BTC.key, bid, ask, 10.0, 10.0, source)


def filled(at: PaperTradingExecutionService, price: OpenPrint | Quote) -> list[Fill]:
    return [match.fill for match in at.match(price) if match.fill is not None]


@pytest.mark.parametrize(("side", "paid", "fee"), [(Side.BUY, "100.05", "0.12006"), (Side.SELL, "99.95", "0.11994")])
def test_a_market_order_fills_on_the_open_print_with_slippage_and_fee_told_apart(side: Side, paid: str, fee: str) -> None:
    at = venue()
    (accepted,) = at.submit(approved(side=side), START_NS)
    assert (accepted.order_id, accepted.status, accepted.price) == ("g1.0", OrderStatus.ACCEPTED, None)
    (fill,) = filled(at, opened())
    assert (fill.id, fill.order_id, fill.signal_id, fill.strategy, fill.schedule) == ("g1.0#1", "g1.0", "s1", "a", "a-1h")
    assert (fill.reference_price, fill.slippage, fill.price) == (Decimal("100.0"), Decimal("0.05"), Decimal(paid))
    assert (fill.quantity, fill.fee, fill.fee_asset) == (Decimal(2), Decimal(fee), "USDT")
    assert (fill.filled_at, fill.fill_source, fill.inside_bar, fill.preset) == (START_NS, "open_print", False, "candle_default")
    assert at.open_orders == []


def test_a_quote_fills_a_buy_at_the_ask_and_a_sell_at_the_bid() -> None:
    at = venue(slippage_bps=Decimal(0))
    at.submit(approved(1), START_NS)
    at.submit(approved(2, side=Side.SELL), START_NS)
    assert [(fill.side, fill.price, fill.fill_source) for fill in filled(at, quoted(99.0, 101.0))] == [
        (Side.BUY, Decimal("101.0"), "quote"),
        (Side.SELL, Decimal("99.0"), "quote"),
    ]


def test_the_oldest_order_fills_first_and_another_instrument_fills_nothing() -> None:
    at = venue()
    for number in (2, 1, 3):
        at.submit(approved(number), START_NS)
    assert filled(at, opened(key=ETH.key)) == []
    assert [fill.order_id for fill in filled(at, opened())] == ["g2.0", "g1.0", "g3.0"]
    assert filled(at, opened(after=1)) == []


def test_an_order_waits_for_the_latency_and_for_as_long_as_its_candle_was_held() -> None:
    at = venue(latency_ns=200)
    at.submit(approved(1), START_NS)
    at.submit(approved(2, held_ns=300), START_NS)
    assert filled(at, opened(after=199)) == []
    assert [fill.order_id for fill in filled(at, opened(after=200))] == ["g1.0"]
    assert [order.id for order in at.open_orders] == ["g2.0"]
    assert filled(at, opened(after=499)) == []
    assert [fill.order_id for fill in filled(at, opened(after=500))] == ["g2.0"]


def test_a_snapshot_of_last_prices_settles_what_rests_whatever_the_latency() -> None:
    at = venue(latency_ns=SECOND_NS)
    at.submit(approved(side=Side.SELL), START_NS)
    (fill,) = filled(at, quoted(100.0, 100.0, after=1, source="last_price"))
    assert (fill.filled_at, fill.fill_source, fill.price) == (START_NS + 1, "last_price", Decimal("99.95"))


def test_every_leg_becomes_an_order() -> None:
    at = venue()
    assert [result.order_id for result in at.submit(approved(legs=2), START_NS)] == ["g1.0", "g1.1"]
    assert len(filled(at, opened())) == 2


def test_cancelled_orders_leave_the_book() -> None:
    at = venue()
    at.submit(approved(1), START_NS)
    at.submit(approved(2, key=ETH.key), START_NS)
    results = [result for _, result in at.cancel(code="stopped")]
    assert [(result.order_id, result.status, result.code) for result in results] == [
        ("g1.0", OrderStatus.CANCELLED, "stopped"),
        ("g2.0", OrderStatus.CANCELLED, "stopped"),
    ]
    assert at.open_orders == []
    assert filled(at, opened()) == []


def test_a_trip_cancels_what_signals_of_its_schedules_have_resting_and_leaves_closings_of_the_core() -> None:
    at = venue()
    at.submit(approved(1, schedule="mine"), START_NS)
    at.submit(approved(2, schedule="other"), START_NS)
    at.submit(approved(3, schedule="mine", signal_id="", side=Side.SELL), START_NS)
    assert [order.id for order, _ in at.cancel(code="reducing", schedules={"mine"})] == ["g1.0"]
    assert [order.id for order in at.open_orders] == ["g2.0", "g3.0"]


def order(quantity: str = "2", *, side: Side = Side.BUY, reduce_only: bool = False, **terms: Any) -> OrderLeg:
    return OrderLeg(instrument=BTC.key, side=side, quantity=Decimal(quantity), reduce_only=reduce_only, terms=OrderTerms(**terms))


@pytest.mark.parametrize("bad", [order("NaN"), order("-1"), order("0.0001"), order(kind=OrderKind.LIMIT, limit_price=Decimal("Infinity"))])
def test_what_the_gate_should_have_refused_is_a_fault_and_changes_nothing(bad: OrderLeg) -> None:
    at = venue()
    with pytest.raises(ValueError, match="the gate refuses such a leg"):
        at.submit(approve(order(), bad), START_NS)
    assert at.open_orders == []


def test_a_price_that_is_none_makes_no_fill() -> None:
    at = venue()
    at.submit(approved(), START_NS)
    (resting,) = at.open_orders
    trade = Trade(Decimal(1), Decimal(1), Decimal(0), Liquidity.TAKER)
    with pytest.raises(ValueError, match="expected a price above 0"):
        executions.filled(resting, trade, Decimal(1), Origin("quote", START_NS), BTC, preset())


def test_orders_expire_at_their_date_whether_or_not_a_price_comes() -> None:
    at = venue()
    dated: dict[str, Any] = {"kind": OrderKind.LIMIT, "limit_price": Decimal(50), "time_in_force": TimeInForce.GTD}
    at.submit(approve(order(**dated, expires_at=START_NS + 7)), START_NS)
    at.submit(approve(order(**dated, expires_at=START_NS + 5), number=2), START_NS)
    assert at.next_expiry == START_NS + 5
    assert at.expire(START_NS + 4) == []
    assert [(match.order.id, match.status) for match in at.expire(START_NS + 5)] == [("g2.0", OrderStatus.EXPIRED)]
    assert at.next_expiry == START_NS + 7


def test_fill_or_kill_that_would_more_than_close_the_position_ends() -> None:
    at = venue(held=Decimal(1))
    at.submit(approve(order(side=Side.SELL, reduce_only=True, time_in_force=TimeInForce.FOK)), START_NS)
    assert [(match.status, match.code, match.fill) for match in at.match(opened())] == [(OrderStatus.CANCELLED, "reduce_only", None)]


def test_a_part_that_the_account_cannot_bear_never_happened() -> None:
    at = venue()
    at.submit(approve(order("4")), START_NS)
    matching = iter(at.match(Book(START_NS, BTC.key, (), ((100.0, 1.0), (200.0, 9.0)))))
    next(matching)
    second = next(matching)
    assert second.fill is not None
    (ended,) = at.refuse(second.order, second.fill, "insufficient_cash")
    assert (ended.status, ended.order.filled, list(matching), at.open_orders) == (OrderStatus.CANCELLED, Decimal(1), [], [])


def test_the_venue_liquidates_as_a_whole_at_the_price_it_is_told() -> None:
    at = venue(held=Decimal(-2))
    at.submit(approve(order(reduce_only=True)), START_NS)
    (match,) = at.liquidate(at.open_orders[0], Decimal(150), START_NS + 1, inside_bar=True)
    assert match.fill is not None
    assert (match.fill.quantity, match.fill.reference_price, match.fill.slippage) == (Decimal(2), Decimal(150), Decimal("0.08"))
    assert (match.fill.fill_source, match.fill.inside_bar, at.open_orders) == ("liquidation", True, [])


def test_an_order_of_many_is_cancelled_alone() -> None:
    at = venue()
    for number in (1, 2):
        at.submit(approved(number), START_NS)
    assert [cancelled.id for cancelled, _ in at.cancel(code="operator", order_id="g2.0")] == ["g2.0"]
    assert [left.id for left in at.open_orders] == ["g1.0"]


@pytest.mark.parametrize(("late_ns", "source"), [(0, "candle"), (HOUR_NS - 1, "candle"), (HOUR_NS, "catch_up"), (9 * HOUR_NS, "catch_up")])
def test_an_order_that_rests_while_the_daemon_is_away_fills_in_the_bar_where_it_would_have(late_ns: int, source: str) -> None:
    at = venue()
    at.submit(approve(order(kind=OrderKind.LIMIT, limit_price=Decimal(95))), START_NS)
    (candle,) = candles(BTC_1H, [(100.0, 110.0, 90.0, 100.0)])
    come = msgspec.structs.replace(candle, instant=candle.end + late_ns)
    (match,) = [match for match in at.match(come) if match.fill is not None]
    assert match.fill is not None
    assert (match.fill.price, match.fill.fill_source, match.fill.inside_bar) == (Decimal(95), source, True)
    assert match.fill.filled_at == come.instant


def test_what_was_taken_of_a_level_is_still_missing_after_a_restart() -> None:
    """Half of the 10 that are shown is ours; the venue that comes back has 5 left, and all of them once its memory is over."""
    at = venue(slippage_bps=Decimal(0), memory_ns=8 * SECOND_NS)
    at.submit(approve(order("5")), START_NS)
    assert [fill.quantity for fill in filled(at, quoted(99.0, 100.0))] == [Decimal(5)]
    again = venue(slippage_bps=Decimal(0), memory_ns=8 * SECOND_NS)
    again.restore(at.export())
    again.submit(approve(order("20"), number=2), START_NS)
    assert [fill.quantity for fill in filled(again, quoted(99.0, 100.0, after=1))] == [Decimal(5)]
    assert [fill.quantity for fill in filled(again, quoted(99.0, 100.0, after=9 * SECOND_NS))] == [Decimal(10)]


def test_what_has_come_back_is_not_added_to_what_is_shown() -> None:
    """A short memory beside a longer one: after its end all that is shown is there, and no more."""
    own, level = OwnConsumption(100), Level(Decimal(100), Decimal(10))
    own.remember(BTC.key, Taken(Side.BUY, Decimal(100), Decimal(4), START_NS))
    left = [own.left(BTC.key, Side.BUY, [level], START_NS + after, memory_ns=40)[0].quantity for after in (0, 10, 30, 40, 50, 99)]
    assert left == [6, 7, 9, 10, 10, 10]
