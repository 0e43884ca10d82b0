"""What a bar's range does to orders: nothing to one without a price, and a post-only one never takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.domain.fills import bar_of
from dudzian_daemon.domain.market import HOUR_NS
from dudzian_daemon.domain.orders import Order, OrderKind, OrderTerms, Side
from dudzian_daemon.testing.market import START_NS, candles, preset
from dudzian_daemon.trading.matching import Met, meet_bar_limit, meet_bar_stop
from tests.unit.trading.desk import BTC, BTC_1H


def order(**changes: Any) -> Order:
    usual: dict[str, Any] = {
        **{"id": "g.0", "group_id": "g", "signal_id": "s", "strategy": "a", "schedule": "a", "instrument": BTC.key},
        **{"side": Side.BUY, "quantity": Decimal(1), "reduce_only": False, "accepted_at": START_NS, "active_at": START_NS},
    }
    return Order(**usual | changes)


def met(wanted: Order) -> Met:
    """A bar that opens at 100 and goes from 90 to 110."""
    (candle,) = candles(BTC_1H, [(100.0, 110.0, 90.0, 100.0)])
    bar = bar_of(candle, HOUR_NS)
    assert bar is not None
    return meet_bar_limit(wanted, bar, Decimal(10), Decimal(1), preset(), BTC.tick_size)


def test_a_market_order_is_not_met_by_a_range() -> None:
    assert met(order()) == Met(order())


@pytest.mark.parametrize(("limit", "ends"), [("100", "post_only"), ("99.99", None)])
def test_a_post_only_order_that_crosses_the_open_ends(limit: str, ends: str | None) -> None:
    wanted = order(terms=OrderTerms(kind=OrderKind.LIMIT, limit_price=Decimal(limit), post_only=True))
    answer = met(wanted)
    assert answer.ends == ends
    assert bool(answer.trades) is (ends is None)


def stopped(wanted: Order, *, fresh: bool = False) -> list[Decimal]:
    """Reference prices at which the same bar stops an order out."""
    (candle,) = candles(BTC_1H, [(100.0, 110.0, 90.0, 100.0)])
    bar = bar_of(candle, HOUR_NS)
    assert bar is not None
    met = meet_bar_stop(wanted, bar, Decimal(10), Decimal(1), preset(), BTC.tick_size, fresh=fresh)
    return [trade.reference for trade in met.trades]


def test_a_trailing_stop_without_a_level_starts_at_the_open_of_the_bar() -> None:
    trailing = OrderTerms(kind=OrderKind.TRAILING_STOP, trail=Decimal(5))
    assert stopped(order(side=Side.SELL, terms=trailing)) == [95]
    assert stopped(order(side=Side.SELL, terms=trailing, stop_level=Decimal(91))) == [91]  # it moves after the bar, not before it
    assert stopped(order(side=Side.SELL, terms=trailing, stop_level=Decimal(89))) == []


@pytest.mark.parametrize(("fresh", "reference"), [(False, 100), (True, 105)])
def test_only_what_was_there_at_the_open_is_jumped_by_it(fresh: bool, reference: int) -> None:
    stop = order(side=Side.SELL, terms=OrderTerms(kind=OrderKind.STOP, stop_price=Decimal(105)), stop_level=Decimal(105))
    assert stopped(stop, fresh=fresh) == [reference]
