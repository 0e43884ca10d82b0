"""The gate at twice the highest rate of orders: nothing goes past it. Ten minutes of it: benchmarks/gate_load.py."""

from __future__ import annotations

from dudzian_daemon.domain.orders import Outcome, RefusalCode
from dudzian_daemon.domain.risk import OrderControls
from tests.scenario.load import ORDERS, Load

RATE = 2 * OrderControls().total_orders_per_second


def test_at_twice_the_highest_rate_every_order_is_judged_and_the_rate_holds() -> None:
    load = Load(OrderControls(duplicate_window_ns=0))
    load.run(4, rate=RATE)
    verdicts = load.verdicts
    assert len(verdicts) == load.sent == 4 * RATE
    assert load.unchecked() == []
    passed = [verdict for verdict in verdicts if verdict.outcome is not Outcome.REFUSED]
    assert len(passed) <= 5 * OrderControls().strategy_orders_per_second + 2 * load.sent // len(ORDERS) * 2  # reductions pass uncounted
    assert sum(verdict.code is RefusalCode.ORDER_RATE for verdict in verdicts) > load.sent // 4
    assert load.fills


def test_with_room_in_the_rates_limits_and_form_still_judge_every_one() -> None:
    load = Load(
        OrderControls(
            strategy_orders_per_second=1000,
            strategy_orders_per_minute=100_000,
            total_orders_per_second=1000,
            total_orders_per_minute=100_000,
            duplicate_window_ns=0,
        )
    )
    load.run(4, rate=RATE)
    assert len(load.verdicts) == load.sent
    assert load.unchecked() == []
    codes = {verdict.code for verdict in load.verdicts}
    assert {RefusalCode.INVALID_ORDER, RefusalCode.PRICE_COLLAR, RefusalCode.SELF_TRADE, RefusalCode.NO_POSITION, None} <= codes
    assert RefusalCode.ORDER_RATE not in codes
