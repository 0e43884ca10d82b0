"""From signals and closings to orders: how a wish is sized, and in which order the groups of a tick are judged."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import HOUR_NS, Phase
from dudzian_daemon.domain.orders import Intent, OrderStatus, Outcome, RefusalCode, Side, Signal
from dudzian_daemon.testing.market import candles, limits, schedule, spec
from tests.unit.trading.desk import (
    BTC,
    BTC_1D,
    BTC_1H,
    ETH,
    ETH_1H,
    WIDE,
    Desk,
    Scripted,
    close_tick,
    desk,
    enter,
    flat_hours,
    hour,
    leave,
    open_tick,
)


def rebalance(target: float) -> Signal:
    return Signal(instrument=BTC.key, intent=Intent.REBALANCE, reason="told to", target=target)


def test_an_entry_without_a_target_takes_the_configured_part_of_the_budget() -> None:
    session = desk({hour(1): [enter()]}, schedule={"allocation": Decimal("0.35"), "position_size": Decimal("0.1")})
    session.feed(flat_hours(2))
    (verdict,) = session.verdicts
    assert verdict.requested == Decimal("3.5")  # 10,000 x 0.35 x 0.1 at 100
    assert (verdict.outcome, verdict.profile, verdict.group_id) == (Outcome.APPROVED, "balanced", f"told/{BTC.key}/{hour(1)}/0")


def test_an_exit_sells_all_that_the_strategy_holds() -> None:
    session = desk({hour(1): [enter(target=0.123456)], hour(2): [leave()]})
    session.feed(flat_hours(4))
    assert [(fill.side, fill.quantity) for fill in session.fills] == [(Side.BUY, Decimal("12.345")), (Side.SELL, Decimal("12.345"))]
    assert session.core.ledger.net[BTC.key] == 0


def test_a_rebalance_moves_both_ways_and_stops_at_zero() -> None:
    script = {hour(1): [rebalance(0.2)], hour(2): [rebalance(0.1)], hour(3): [rebalance(-0.5)], hour(4): [rebalance(-0.5)]}
    session = desk(script)
    session.feed(flat_hours(5))
    assert session.fills[0].quantity == Decimal(20)
    assert [fill.side for fill in session.fills] == [Side.BUY, Side.SELL, Side.SELL]
    assert session.core.ledger.net[BTC.key] == 0
    assert session.verdicts[-1].code is RefusalCode.SHORT_NOT_ALLOWED


def test_an_entry_while_in_position_and_a_wish_below_a_lot_ask_for_nothing() -> None:
    session = desk({hour(1): [rebalance(1e-9)], hour(2): [enter()], hour(3): [enter()]})
    session.feed(flat_hours(3))
    assert [verdict.code for verdict in session.verdicts] == [RefusalCode.NOTHING_TO_DO, None, RefusalCode.NOTHING_TO_DO]


def test_an_exit_without_a_position_is_refused_as_that() -> None:
    session = desk({hour(1): [leave()]})
    session.feed(flat_hours(1))
    assert [(verdict.code, verdict.requested) for verdict in session.verdicts] == [(RefusalCode.NO_POSITION, Decimal(0))]
    assert [(result.status, result.code) for result in session.results] == [(OrderStatus.REJECTED, "no_position")]


def test_reductions_of_all_schedules_are_judged_before_any_entry() -> None:
    first = Scripted({hour(1): [enter()], hour(2): [enter(ETH.key)]})
    second = Scripted({hour(1): [enter()], hour(2): [leave()]})
    plans = [schedule("first", [BTC, ETH], priority=1), schedule("second", [BTC])]
    session = Desk(spec({"first": first, "second": second}, plans, [BTC, ETH], profiles={"balanced": WIDE}))
    session.feed(flat_hours(3), flat_hours(3, 10.0, series=ETH_1H))
    assert [verdict.signal_id.split("/")[0] for verdict in session.at(hour(2), Phase.CLOSE).verdicts] == ["second", "first"]


def test_schedules_due_at_one_instant_reserve_in_the_order_of_priority_and_name() -> None:
    names = ["c", "b", "a"]
    strategies = {name: Scripted({hour(1): [enter()]}) for name in names}
    plans = [schedule(name, [BTC], priority=50 if name == "c" else 100) for name in names]
    tight = {"balanced": limits(max_position_pct=Decimal("0.15"))}
    session = Desk(spec(strategies, plans, [BTC], profiles=tight))
    session.feed(flat_hours(1))
    record = session.at(hour(1), Phase.CLOSE)
    assert record.due == ("c", "a", "b")
    assert [(signal.strategy, verdict.outcome) for signal, verdict in zip(record.signals, record.verdicts, strict=True)] == [
        ("c", Outcome.APPROVED),
        ("a", Outcome.ADJUSTED),
        ("b", Outcome.REFUSED),
    ]


def test_an_entry_waits_as_long_as_its_candle_was_held() -> None:
    session = desk({hour(1): [enter()]})
    first, *rest = flat_hours(3)
    session.feed([msgspec.structs.replace(first, held_ns=1), *rest])
    assert [fill.filled_at for fill in session.fills] == [hour(2)]


def test_an_entry_on_an_old_candle_is_refused_and_an_exit_passes() -> None:
    allowed = HOUR_NS // 4
    script = {hour(1): [enter()], hour(3) + allowed + 1: [leave()], hour(4) + allowed + 1: [enter()], hour(5) + allowed: [enter()]}
    session = desk(script)
    bars = flat_hours(5)
    session.feed(bars[:2])
    for bar, late in zip(bars[2:], (allowed + 1, allowed + 1, allowed), strict=True):
        session.ticks([open_tick(bar.end - HOUR_NS, 100.0), close_tick(msgspec.structs.replace(bar, instant=bar.end + late))])
    assert [(verdict.code, verdict.value) for verdict in session.verdicts if verdict.code] == [
        (RefusalCode.STALE_DATA, Decimal(allowed + 1)),
    ]
    assert [verdict.outcome for verdict in session.verdicts] == [Outcome.APPROVED, Outcome.APPROVED, Outcome.REFUSED, Outcome.APPROVED]


def test_the_age_allowed_is_at_most_that_of_the_session() -> None:
    late = hour(24) + 2 * HOUR_NS
    session = desk({late: [enter()]}, granularity="1d", max_decision_age_ns=HOUR_NS)
    (bar,) = candles(BTC_1D, [100.0])
    session.ticks([open_tick(hour(0), 100.0, granularity="1d"), close_tick(msgspec.structs.replace(bar, instant=late))])
    assert [(verdict.code, verdict.limit) for verdict in session.verdicts] == [(RefusalCode.STALE_DATA, Decimal(HOUR_NS))]


def test_a_worthless_price_is_refused_and_not_divided_by() -> None:
    session = desk({hour(1): [enter()]})
    session.feed(candles(BTC_1H, [0.0, 100.0]))
    assert [verdict.code for verdict in session.verdicts] == [RefusalCode.NO_REFERENCE_PRICE]
