"""What holds of the simulated venue whatever the data: random orders on random prints, quotes, books and bars."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.domain.market import HOUR_NS, Book, Candle, OpenPrint, Quote
from dudzian_daemon.domain.money import CASH_STEP, ZERO, exact_money, quantise_up
from dudzian_daemon.domain.orders import (
    Fill,
    Link,
    Liquidity,
    Match,
    Order,
    OrderKind,
    OrderLeg,
    OrderStatus,
    OrderTerms,
    Side,
    TimeInForce,
)
from dudzian_daemon.testing.market import START_NS, preset
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from tests.unit.trading.desk import BTC
from tests.unit.trading.simulated import approve

cents = st.integers(9_000, 11_000).map(lambda count: Decimal(count) / 100)
quantities = st.integers(1, 9_000).map(lambda count: count * BTC.lot_size)
sides = st.sampled_from(Side)
shown = st.integers(9_000, 11_000).map(lambda count: count / 100)
amounts = st.integers(0, 5_000).map(lambda count: count / 1000)
ENDED = (OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


@st.composite
def terms(draw: st.DrawFn, kinds: tuple[OrderKind, ...] = tuple(OrderKind)) -> OrderTerms:
    """Any sound terms."""
    kind = draw(st.sampled_from(kinds))
    forces = [
        TimeInForce.GTC,
        TimeInForce.GTD,
        *([TimeInForce.IOC, TimeInForce.FOK] if kind in (OrderKind.MARKET, OrderKind.LIMIT) else []),
    ]
    force = draw(st.sampled_from(forces))
    return OrderTerms(
        kind=kind,
        limit_price=draw(cents)
        if kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT) or (kind is OrderKind.TAKE_PROFIT and draw(st.booleans()))
        else None,
        stop_price=draw(cents) if kind in (OrderKind.STOP, OrderKind.STOP_LIMIT, OrderKind.TAKE_PROFIT) else None,
        trail=draw(cents) / 20 // BTC.tick_size * BTC.tick_size if kind is OrderKind.TRAILING_STOP else None,
        time_in_force=force,
        expires_at=START_NS + draw(st.integers(1, 8)) * HOUR_NS if force is TimeInForce.GTD else None,
        post_only=kind is OrderKind.LIMIT and force in (TimeInForce.GTC, TimeInForce.GTD) and draw(st.booleans()),
    )


@st.composite
def data(draw: st.DrawFn) -> list[OpenPrint | Quote | Book | Candle]:
    """Up to eight hours of any of the four."""
    inputs: list[OpenPrint | Quote | Book | Candle] = []
    for hour in range(draw(st.integers(1, 8))):
        instant = START_NS + hour * HOUR_NS
        kind = draw(st.sampled_from(["print", "quote", "book", "bar"]))
        low, high = sorted((draw(shown), draw(shown)))
        if kind == "print":
            inputs.append(OpenPrint(instant, BTC.key, "1h", low))
        elif kind == "quote":
            inputs.append(Quote(instant, BTC.key, low, high, draw(amounts), draw(amounts)))
        elif kind == "book":
            bids, asks = ([(draw(shown), draw(amounts)) for _ in range(draw(st.integers(0, 4)))] for _ in range(2))
            inputs.append(Book(instant, BTC.key, tuple(sorted(bids, reverse=True)), tuple(sorted(asks))))
        else:
            opened, closed = (min(max(draw(shown), low), high) for _ in range(2))
            inputs.append(Candle(instant + HOUR_NS, BTC.key, "1h", instant + HOUR_NS, opened, high, low, closed, draw(amounts) * 10))
    return sorted(inputs, key=lambda each: each.instant)


@st.composite
def groups(draw: st.DrawFn) -> tuple[Link, list[OrderLeg]]:
    """A single order, a pair of which one fills, or an entry with two exits."""
    link: Link = draw(st.sampled_from(["", "oco", "bracket"]))
    side = draw(sides)
    first = OrderLeg(instrument=BTC.key, side=side, quantity=draw(quantities), reduce_only=False, terms=draw(terms()))
    rest = (OrderKind.LIMIT, OrderKind.STOP, OrderKind.TAKE_PROFIT, OrderKind.TRAILING_STOP)
    if link == "":
        return link, [first]
    other = side if link == "oco" else Side.SELL if side is Side.BUY else Side.BUY
    legs = [
        msgspec.structs.replace(first, side=other, reduce_only=link == "bracket", terms=draw(terms(rest)))
        for _ in range(1 if link == "oco" else 2)
    ]
    return link, [first, *legs]


def play(
    link: Link, legs: list[OrderLeg], inputs: list[OpenPrint | Quote | Book | Candle], **costs: Any
) -> list[tuple[OpenPrint | Quote | Book | Candle, Match]]:
    held = {BTC.key: ZERO}
    venue = PaperTradingExecutionService({BTC.key: BTC}, preset(**costs), lambda _strategy, name: held[name])
    venue.submit(approve(*legs, link=link), START_NS)
    matches = []
    for item in inputs:
        for match in venue.match(item):
            matches.append((item, match))
            if match.fill is not None:
                held[BTC.key] += match.fill.quantity if match.fill.side is Side.BUY else -match.fill.quantity
    return matches


def fills_of(matches: list[tuple[Any, Match]], order: str) -> list[Fill]:
    return [match.fill for _, match in matches if match.fill is not None and match.order.id == order]


@given(groups(), data())
@settings(max_examples=400)
def test_fills_keep_to_quantity_limit_and_group(
    group: tuple[Link, list[OrderLeg]], inputs: list[OpenPrint | Quote | Book | Candle]
) -> None:
    link, legs = group
    with exact_money():
        matches = play(link, legs, inputs)
        sums = []
        for number, leg in enumerate(legs):
            fills = fills_of(matches, f"g1.{number}")
            sums.append(sum((fill.quantity for fill in fills), ZERO))
            assert sums[-1] <= leg.quantity
            assert [fill.id for fill in fills] == [f"g1.{number}#{count}" for count in range(1, len(fills) + 1)]
            for fill in fills:
                limit = leg.terms.limit_price
                assert fill.price > 0
                assert fill.quantity % BTC.lot_size == 0 < fill.quantity
                assert fill.price - fill.reference_price == (fill.slippage if fill.side is Side.BUY else -fill.slippage)
                assert limit is None or (fill.price <= limit if fill.side is Side.BUY else fill.price >= limit)
                assert not leg.terms.post_only or fill.liquidity is Liquidity.MAKER
            if leg.terms.time_in_force is TimeInForce.FOK and not (link == "bracket" and number):  # an exit is of what was entered
                assert sums[-1] in (0, leg.quantity)
            if leg.terms.expires_at is not None:
                assert all(fill.filled_at <= leg.terms.expires_at for fill in fills)
        if link == "oco":
            assert min(sums) == 0
        if link == "bracket":
            assert sums[1] + sums[2] <= sums[0]


@given(groups(), data())
@settings(max_examples=200)
def test_an_order_ends_once_and_its_status_follows_from_what_is_filled(
    group: tuple[Link, list[OrderLeg]], inputs: list[OpenPrint | Quote | Book | Candle]
) -> None:
    link, legs = group
    with exact_money():
        matches = play(link, legs, inputs)
    orders: dict[str, list[Order]] = {}
    ended: set[str] = set()
    for _, match in matches:
        assert match.order.id not in ended
        orders.setdefault(match.order.id, []).append(match.order)
        if match.fill is not None:
            assert match.status is (OrderStatus.FILLED if match.order.left == 0 else OrderStatus.PARTIALLY_FILLED)
        else:
            assert match.status in ENDED
            assert match.code
        if match.status is not OrderStatus.PARTIALLY_FILLED:
            ended.add(match.order.id)
    for states in orders.values():
        assert [order.filled for order in states] == sorted(order.filled for order in states)


@given(groups(), data())
@settings(max_examples=200)
def test_the_fees_of_an_order_are_its_exact_fee_rounded_up_once(
    group: tuple[Link, list[OrderLeg]], inputs: list[OpenPrint | Quote | Book | Candle]
) -> None:
    link, legs = group
    costs = preset()
    with exact_money():
        matches = play(link, legs, inputs)
        for number in range(len(legs)):
            fills = fills_of(matches, f"g1.{number}")
            rates = {Liquidity.MAKER: costs.maker_fee, Liquidity.TAKER: costs.taker_fee}
            exact = sum((fill.quantity * fill.price * rates[fill.liquidity] for fill in fills), ZERO)
            assert sum((fill.fee for fill in fills), ZERO) == quantise_up(exact, CASH_STEP)


@given(st.lists(st.tuples(sides, quantities), min_size=1, max_size=6), data())
@settings(max_examples=200)
def test_a_walk_never_takes_more_than_is_displayed(
    wanted: list[tuple[Side, Decimal]], inputs: list[OpenPrint | Quote | Book | Candle]
) -> None:
    legs = [OrderLeg(instrument=BTC.key, side=side, quantity=quantity, reduce_only=False) for side, quantity in wanted]
    with exact_money():
        matches = play("", legs, inputs)
    for item in inputs:
        if not isinstance(item, Quote | Book):
            continue
        book = (
            item
            if isinstance(item, Book)
            else Book(item.instant, item.instrument, ((item.bid, item.bid_size),), ((item.ask, item.ask_size),))
        )
        for side, levels in ((Side.BUY, book.asks), (Side.SELL, book.bids)):
            fills = [match.fill for seen, match in matches if seen is item and match.fill is not None and match.fill.side is side]
            for price in {fill.reference_price for fill in fills}:
                displayed = sum((Decimal(str(size)) for level, size in levels if Decimal(str(level)) == price), ZERO)
                assert sum((fill.quantity for fill in fills if fill.reference_price == price), ZERO) <= displayed


@given(groups(), data())
@settings(max_examples=100)
def test_the_same_data_gives_the_same_matches(group: tuple[Link, list[OrderLeg]], inputs: list[OpenPrint | Quote | Book | Candle]) -> None:
    with exact_money():
        assert msgspec.json.encode(play(*group, inputs)) == msgspec.json.encode(play(*group, inputs))
