"""A limit trip: the core closes by itself, at once, what its strategies hold, and lets nothing else happen to it."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from dudzian_daemon.domain.market import MINUTE_NS, Phase, Series
from dudzian_daemon.domain.orders import OrderStatus, RefusalCode, Side
from dudzian_daemon.testing.market import Bar, candles, instrument, limits, preset, schedule, spec
from tests.unit.trading.desk import BTC, BTC_1H, ETH, ETH_1H, WIDE, Desk, Scripted, desk, enter, flat_hours, hour, leave

ADA = instrument("ADA")
ADA_1H = Series(ADA.key, "1h")
DAILY = limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.9"))
FALL: list[Bar] = [100.0, 100.0, 96.0, 96.0, 96.0]


def test_closings_come_first_resting_orders_are_cancelled_before_them_and_the_own_exit_is_too_late() -> None:
    script = {hour(1): [enter(target=0.5)], hour(2): [enter(ETH.key)], hour(3): [leave()]}
    session = Desk(spec({"told": Scripted(script)}, [schedule("told", [BTC, ETH])], [BTC, ETH], profiles={"balanced": DAILY}))
    session.feed(candles(BTC_1H, FALL), flat_hours(2, 10.0, series=ETH_1H))
    record = session.at(hour(3), Phase.CLOSE)
    assert [(result.instrument, result.side, result.status, result.code) for result in record.results] == [
        (ETH.key, Side.BUY, OrderStatus.CANCELLED, "reducing"),
        (BTC.key, Side.SELL, OrderStatus.ACCEPTED, None),
        (BTC.key, Side.SELL, OrderStatus.REJECTED, "already_closing"),
    ]
    assert [(verdict.signal_id == "", verdict.code) for verdict in record.verdicts] == [(True, None), (False, RefusalCode.ALREADY_CLOSING)]
    (sold,) = session.at(hour(3), Phase.OPEN).fills
    assert (sold.quantity, sold.signal_id) == (Decimal(50), "")
    assert not any(session.core.ledger.net.values())
    assert session.core.gate.reserved_reducing("told", BTC.key) == 0


def test_a_fall_without_any_signal_trips_within_its_own_tick() -> None:
    session = desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": DAILY})
    session.feed(candles(BTC_1H, [100.0, (100.0, 100.0, 100.0, 100.0), (96.0, 97.0, 96.0, 97.0)]))
    record = session.at(hour(2), Phase.OPEN)
    assert [change.change for change in record.risk] == ["tripped"]
    assert [result.status for result in record.results] == [OrderStatus.ACCEPTED]
    assert record.fills == ()


def test_the_strategy_goes_on_seeing_and_speaking_while_it_is_refused() -> None:
    strategy = Scripted({hour(1): [enter(target=0.5)], hour(4): [enter()]})
    session = desk(strategy=strategy, profiles={"balanced": DAILY})
    session.feed(candles(BTC_1H, FALL))
    assert [view.instant for view in strategy.views] == [hour(number) for number in range(1, 6)]
    assert session.verdicts[-1].code is RefusalCode.DAILY_LOSS_LIMIT
    assert strategy.views[-1].positions[BTC.key].quantity == 0


def test_every_strategy_closes_its_own_book() -> None:
    strategies = {name: Scripted({hour(1): [enter(target=0.25)]}) for name in ("a", "b")}
    session = Desk(spec(strategies, [schedule(name, [BTC]) for name in strategies], [BTC], profiles={"balanced": DAILY}))
    session.feed(candles(BTC_1H, FALL))
    assert [(fill.strategy, fill.side, fill.quantity) for fill in session.fills] == [
        (name, side, Decimal(25)) for side in (Side.BUY, Side.SELL) for name in ("a", "b")
    ]


def test_a_profile_that_has_not_tripped_keeps_its_positions_and_its_resting_orders() -> None:
    script = {hour(1): [enter(target=0.5), enter(ETH.key, target=0.1)], hour(2): [enter(ADA.key, target=0.1)]}
    plans = [
        schedule("told", [BTC], name="tight", profile="tight"),
        schedule("told", [ETH, ADA], name="loose", profile="loose"),
    ]
    profiles = {"tight": DAILY, "loose": WIDE}
    session = Desk(spec({"told": Scripted(script)}, plans, [BTC, ETH, ADA], profiles=profiles))
    session.feed(candles(BTC_1H, FALL), flat_hours(5, 10.0, series=ETH_1H), flat_hours(2, 1.0, series=ADA_1H))
    assert [change.profile for change in session.risk] == ["tight"]
    assert [order.instrument for order in session.core.execution.open_orders] == [ADA.key]
    assert (session.core.ledger.net[BTC.key], session.core.ledger.net[ETH.key]) == (Decimal(0), Decimal(100))
    assert not [result for result in session.results if result.status is OrderStatus.CANCELLED]


def test_a_second_trip_leaves_the_closings_of_the_first_alone() -> None:
    rules = limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.05"))
    session = desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": rules}, preset=preset(latency_ns=MINUTE_NS))
    session.feed(candles(BTC_1H, [100.0, 100.0, 100.0, 96.0, (85.0, 85.0, 85.0, 85.0), 85.0]))
    assert [change.rule for change in session.risk] == ["max_daily_loss_pct", "hard_drawdown_pct"]
    ids = Counter((result.order_id, result.status) for result in session.results)
    assert max(ids.values()) == 1
    assert not [result for result in session.results if result.status is OrderStatus.CANCELLED]
    assert [fill.filled_at for fill in session.fills] == [hour(2), hour(5)]


def test_the_kill_switch_does_not_keep_a_position_from_being_closed() -> None:
    session = desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": DAILY})
    session.feed(candles(BTC_1H, FALL[:2]))
    session.command("kill_switch", on="yes")
    session.feed(candles(BTC_1H, [(96.0, 96.0, 96.0, 96.0), 96.0], start=hour(2)))
    assert session.core.ledger.net[BTC.key] == 0


def test_a_drawdown_stays_latched_over_a_night_and_a_recovery() -> None:
    rules = limits(max_position_pct=Decimal(1), max_daily_loss_pct=Decimal("0.9"), hard_drawdown_pct=Decimal("0.10"))
    session = desk({hour(1): [enter(target=1.0)], hour(30): [enter()]}, profiles={"balanced": rules})
    session.feed(candles(BTC_1H, [100.0, 100.0, 89.0, 89.0, *[200.0] * 28]))
    assert [(change.change, change.rule) for change in session.risk] == [("tripped", "hard_drawdown_pct")]
    assert session.core.ledger.net[BTC.key] == 0
    assert session.verdicts[-1].code is RefusalCode.DRAWDOWN_LIMIT
