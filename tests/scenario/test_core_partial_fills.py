"""Partial fills all the way: order, result, fill, position facts, groups, reservation and books."""

from __future__ import annotations

import msgspec

from dudzian_daemon.domain.market import MINUTE_NS, Book, Candle, Phase, Tick
from dudzian_daemon.domain.orders import Intent, OrderStatus, Signal
from tests.unit.trading.desk import BTC, Scripted, close_tick, desk, enter, flat_hours, hour, leave, open_tick


def thin(volume: float) -> Candle:
    """One closed bar of that volume, after which the script speaks."""
    (candle,) = flat_hours(1)
    return msgspec.structs.replace(candle, volume=volume)


def book_tick(instant: int, *asks: tuple[float, float], bids: tuple[tuple[float, float], ...] = ((99.0, 100.0),)) -> Tick:
    return Tick(instant, Phase.QUOTE, (Book(instant, BTC.key, bids, asks),))


def test_an_entry_fills_over_three_prints_and_leaves_as_it_came() -> None:
    strategy = Scripted({hour(1): [enter(target=0.1)], hour(4): [leave()]})
    session = desk(strategy=strategy)
    candle = thin(40.0)  # a tenth of it is 4: of the 10 wanted, 4 fit a print
    session.ticks([close_tick(candle), open_tick(hour(1), 100.0)])
    assert session.core.ledger.position("told", BTC.key) == 4
    (opened,) = session.core.execution.open_orders
    assert (int(opened.filled), int(opened.left)) == (4, 6)
    for number in (2, 3, 4, 5, 6):
        end = hour(number)
        session.ticks([close_tick(msgspec.structs.replace(candle, instant=end, end=end)), open_tick(end, 100.0)])
    assert [(fill.id.rpartition("#")[2], int(fill.quantity)) for fill in session.fills] == [
        ("1", 4),
        ("2", 4),
        ("3", 2),
        ("1", 4),
        ("2", 4),
        ("3", 2),
    ]
    done = [(result.status, int(result.filled), int(result.shortfall or 0)) for result in session.results if result.filled]
    assert done[:3] == [(OrderStatus.PARTIALLY_FILLED, 4, 6), (OrderStatus.PARTIALLY_FILLED, 8, 2), (OrderStatus.FILLED, 10, 0)]
    assert [view.positions[BTC.key].quantity for view in strategy.views] == [0.0, 4.0, 8.0, 10.0, 6.0, 2.0]
    assert {view.positions[BTC.key].entry_instant for view in strategy.views[1:]} == {hour(1)}
    assert session.core.ledger.net[BTC.key] == 0
    assert session.core.execution.open_orders == []


def test_what_is_still_coming_is_not_ordered_again() -> None:
    resized = Signal(instrument=BTC.key, intent=Intent.REBALANCE, reason="told to", target=0.125)
    session = desk(
        {
            hour(1): [enter(target=0.1)],
            hour(2): [enter(target=0.1)],
            hour(3): [resized],
        }
    )
    candle = thin(20.0)  # 2 of the 10 wanted fit a print
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 9):
        end = hour(number)
        session.ticks([close_tick(msgspec.structs.replace(candle, instant=end, end=end)), open_tick(end, 100.0)])
    told = [result for result in session.results if result.status is not OrderStatus.PARTIALLY_FILLED]
    assert [(int(result.quantity), result.code) for result in told] == [
        (10, None),
        (0, "nothing_to_do"),
        (2, None),
        (10, None),
        (2, None),
    ]
    assert int(session.core.ledger.position("told", BTC.key)) == 12


def test_leaving_ends_an_entry_that_is_not_complete() -> None:
    session = desk({hour(1): [enter(target=0.1)], hour(2): [leave()]})
    candle = thin(40.0)
    for number in (1, 2, 3, 4):
        end = hour(number)
        session.ticks([close_tick(msgspec.structs.replace(candle, instant=end, end=end)), open_tick(end, 100.0)])
    (ended,) = [result for result in session.results if result.status is OrderStatus.CANCELLED]
    assert (ended.code, int(ended.quantity), int(ended.filled or 0)) == ("left", 10, 4)
    assert session.core.execution.open_orders == []
    assert session.core.ledger.position("told", BTC.key) == 0


def test_the_rest_of_an_order_is_cancelled_with_what_it_has_filled_on_record() -> None:
    session = desk({hour(1): [enter(target=0.5)]})
    session.ticks([close_tick(thin(100.0)), open_tick(hour(1), 100.0)])
    (order,) = session.core.execution.open_orders
    assert (int(order.filled), int(order.left)) == (10, 40)
    session.command("stop")
    assert session.core.execution.open_orders == []
    last = session.results[-1]
    assert (last.status, int(last.quantity), int(last.filled or 0)) == (OrderStatus.CANCELLED, 50, 10)


def test_a_book_fills_marks_and_is_walked() -> None:
    session = desk({hour(1): [enter(target=0.03)]})
    session.ticks([close_tick(*flat_hours(1)), book_tick(hour(1), (100.0, 1.0), (101.0, 1.0), (102.0, 9.0))])
    assert [(int(fill.reference_price), int(fill.quantity), fill.fill_source) for fill in session.fills] == [
        (100, 1, "book"),
        (101, 1, "book"),
        (102, 1, "book"),
    ]
    assert session.core.ledger.prices.last_quote(BTC.key) == (99.5, hour(1))
    session.ticks([book_tick(hour(1) + MINUTE_NS, bids=())])  # empty: no price at all
    assert session.core.ledger.prices.last_quote(BTC.key) == (99.5, hour(1))


def test_an_account_that_cannot_bear_a_later_part_loses_the_rest_of_the_order() -> None:
    session = desk({hour(1): [enter(target=1.0)]})
    session.ticks([close_tick(*flat_hours(1)), book_tick(hour(1), (100.0, 1.0), (150.0, 1000.0))])
    done = [(result.status, int(result.filled or 0), result.code) for result in session.results[1:]]
    assert done == [(OrderStatus.PARTIALLY_FILLED, 1, None), (OrderStatus.CANCELLED, 1, "insufficient_cash")]
    assert session.core.ledger.position("told", BTC.key) == 1
    assert session.core.execution.open_orders == []
