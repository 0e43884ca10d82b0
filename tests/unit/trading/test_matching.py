"""What a bar's range does to an order that names no price: nothing."""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.fills import bar_of
from dudzian_daemon.domain.market import HOUR_NS
from dudzian_daemon.domain.orders import Order, Side
from dudzian_daemon.testing.market import START_NS, candles, preset
from dudzian_daemon.trading.matching import Met, meet_bar_limit
from tests.unit.trading.desk import BTC, BTC_1H


def test_a_market_order_is_not_met_by_a_range() -> None:
    (candle,) = candles(BTC_1H, [(100.0, 110.0, 90.0, 100.0)])
    bar = bar_of(candle, HOUR_NS)
    assert bar is not None
    order = Order(
        id="g.0",
        group_id="g",
        signal_id="s",
        strategy="a",
        schedule="a",
        instrument=BTC.key,
        side=Side.BUY,
        quantity=Decimal(1),
        reduce_only=False,
        accepted_at=START_NS,
        active_at=START_NS,
    )
    assert meet_bar_limit(order, bar, Decimal(10), Decimal(1), preset(), BTC.tick_size) == Met(order)
