"""The arithmetic of matching, one piece at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.fills import Level, bar_of, book_levels, quote_levels, unsound, walk
from dudzian_daemon.domain.market import HOUR_NS, Book, Candle, Quote
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import OrderKind, OrderLeg, OrderTerms, Side, TimeInForce
from dudzian_daemon.testing.market import instrument

BTC = instrument()
LOT = BTC.lot_size
NAN, INF = float("nan"), float("inf")
prices = st.decimals(Decimal("0.01"), 1000, places=2, allow_nan=False, allow_infinity=False)
sizes = st.decimals(0, 10, places=5, allow_nan=False, allow_infinity=False)
lots = st.integers(0, 50_000).map(lambda count: count * LOT)


@given(st.lists(st.builds(Level, prices, st.none() | sizes), max_size=6), lots, st.none() | prices, st.sampled_from(Side))
def test_a_walk_takes_whole_lots_of_what_is_there_and_never_beyond_the_limit(
    levels: list[Level], wanted: Decimal, limit: Decimal | None, side: Side
) -> None:
    levels.sort(key=lambda level: level.price, reverse=side is Side.SELL)
    with exact_money():
        had = walk(levels, wanted, limit, side, LOT)
    left = list(levels)
    for level in had:
        quantity = level.quantity or Decimal(0)
        assert quantity > 0
        assert quantity % LOT == 0
        while left[0].price != level.price or (left[0].quantity is not None and left[0].quantity < quantity):
            left.pop(0)  # every trade is one displayed level, in order
        left.pop(0)
        assert limit is None or (level.price <= limit if side is Side.BUY else level.price >= limit)
    assert sum(level.quantity or Decimal(0) for level in had) <= wanted


@pytest.mark.parametrize("number", [0.0, -1.0, NAN, INF, -INF])
def test_what_is_no_price_or_no_size_is_no_liquidity(number: float) -> None:
    quote = Quote(0, BTC.key, number, 100.0, 1.0, number)
    assert [quote_levels(quote, side, Decimal(1)) for side in Side] == [[], []]
    book = Book(0, BTC.key, ((number, 1.0), (99.0, 2.0)), ((100.0, number),))
    assert book_levels(book, Side.SELL) == [Level(Decimal("99.0"), Decimal("2.0"))]
    assert book_levels(book, Side.BUY) == []
    assert bar_of(Candle(0, BTC.key, "1h", 0, 1.0, 1.0, number, 1.0, 1.0), HOUR_NS) is None
    bar = bar_of(Candle(0, BTC.key, "1h", 0, 1.0, 1.0, 1.0, 1.0, number), HOUR_NS)
    assert bar is not None
    assert bar.volume == 0


def leg(quantity: str = "1", **terms: Any) -> OrderLeg:
    return OrderLeg(instrument=BTC.key, side=Side.BUY, quantity=Decimal(quantity), reduce_only=False, terms=OrderTerms(**terms))


P = Decimal(100)
BAD = {
    "quantity nan": leg("NaN"),
    "quantity infinite": leg("Infinity"),
    "quantity negative": leg("-1"),
    "quantity zero": leg("0"),
    "quantity off the lot": leg("0.0005"),
    "limit nan": leg(kind=OrderKind.LIMIT, limit_price=Decimal("NaN")),
    "limit off the tick": leg(kind=OrderKind.LIMIT, limit_price=Decimal("1.005")),
    "limit negative": leg(kind=OrderKind.LIMIT, limit_price=-P),
    "limit missing": leg(kind=OrderKind.LIMIT),
    "market with a limit": leg(limit_price=P),
    "stop with a limit": leg(kind=OrderKind.STOP, stop_price=P, limit_price=P),
    "stop missing": leg(kind=OrderKind.STOP),
    "stop infinite": leg(kind=OrderKind.STOP, stop_price=Decimal("-Infinity")),
    "stop limit without its limit": leg(kind=OrderKind.STOP_LIMIT, stop_price=P),
    "take profit without its price": leg(kind=OrderKind.TAKE_PROFIT),
    "limit with a stop": leg(kind=OrderKind.LIMIT, limit_price=P, stop_price=P),
    "trail missing": leg(kind=OrderKind.TRAILING_STOP),
    "trail zero": leg(kind=OrderKind.TRAILING_STOP, trail=Decimal(0)),
    "trail on another": leg(kind=OrderKind.STOP, stop_price=P, trail=P),
    "date missing": leg(kind=OrderKind.LIMIT, limit_price=P, time_in_force=TimeInForce.GTD),
    "date on another": leg(kind=OrderKind.LIMIT, limit_price=P, expires_at=1),
    "stop now or never": leg(kind=OrderKind.STOP, stop_price=P, time_in_force=TimeInForce.IOC),
    "post only market": leg(post_only=True),
    "post only now or never": leg(kind=OrderKind.LIMIT, limit_price=P, post_only=True, time_in_force=TimeInForce.FOK),
}
GOOD = (
    leg(),
    leg(kind=OrderKind.LIMIT, limit_price=P, post_only=True),
    leg(kind=OrderKind.LIMIT, limit_price=P, time_in_force=TimeInForce.GTD, expires_at=1),
    leg(kind=OrderKind.STOP, stop_price=P),
    leg(kind=OrderKind.STOP_LIMIT, stop_price=P, limit_price=P),
    leg(kind=OrderKind.TAKE_PROFIT, stop_price=P),
    leg(kind=OrderKind.TAKE_PROFIT, stop_price=P, limit_price=P),
    leg(kind=OrderKind.TRAILING_STOP, trail=P),
    leg(kind=OrderKind.TRAILING_STOP, trail=P, stop_price=P),
    leg(time_in_force=TimeInForce.FOK),
)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_terms_that_cannot_be_simulated_are_told(bad: OrderLeg) -> None:
    with exact_money():
        assert unsound(bad, BTC)


@pytest.mark.parametrize("good", GOOD)
def test_terms_that_can_be_simulated_pass(good: OrderLeg) -> None:
    with exact_money():
        assert unsound(good, BTC) is None
