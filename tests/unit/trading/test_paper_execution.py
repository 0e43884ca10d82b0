"""The simulated venue: when an order fills, on which price, at what cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.domain.market import SECOND_NS, OpenPrint, Quote
from dudzian_daemon.domain.orders import ApprovedGroup, Fill, OrderGroup, OrderLeg, OrderStatus, Outcome, Side, Verdict
from dudzian_daemon.testing.market import START_NS, preset
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from tests.unit.trading.desk import BTC, ETH


def approved(number: int = 1, *, side: Side = Side.BUY, key: str = BTC.key, legs: int = 1, **fields: Any) -> ApprovedGroup:
    """What the gate would have made."""
    leg = OrderLeg(instrument=key, side=side, quantity=Decimal(2), reduce_only=side is Side.SELL)
    usual: dict[str, Any] = {
        "id": f"g{number}",
        "signal_id": f"s{number}",
        "strategy": "a",
        "schedule": "a-1h",
        "profile": "balanced",
        "instant": START_NS,
    }
    group = OrderGroup(legs=(leg,) * legs, **usual | fields)
    verdict = Verdict(
        group_id=group.id,
        signal_id=group.signal_id,
        profile=group.profile,
        outcome=Outcome.APPROVED,
        code=None,
        rule="cash",
        limit=Decimal(1),
        value=Decimal(0),
        headroom=Decimal(1),
        requested=leg.quantity,
        approved=leg.quantity,
    )
    return ApprovedGroup(group, group.legs, verdict)


def venue(**costs: Any) -> PaperTradingExecutionService:
    return PaperTradingExecutionService({BTC.key: BTC, ETH.key: ETH}, preset(**costs))


def opened(price: float = 100.0, *, after: int = 0, key: str = BTC.key) -> OpenPrint:
    return OpenPrint(START_NS + after, key, "1h", price)


def quoted(bid: float, ask: float, *, after: int = 0, source: str = "quote") -> Quote:
    return Quote(START_NS + after, BTC.key, bid, ask, 1.0, 1.0, source)


def filled(at: PaperTradingExecutionService, price: OpenPrint | Quote) -> list[Fill]:
    return [fill for _, fill in at.match(price)]


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
