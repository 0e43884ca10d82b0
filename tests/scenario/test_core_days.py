"""Midnight: to which day a loss belongs, how long a trip blocks, and how a day rolls that no candle announces."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dudzian_daemon.domain.market import DAY_NS, Candle, Phase
from dudzian_daemon.domain.orders import OrderStatus, RefusalCode, Side
from dudzian_daemon.domain.risk import ProfileState
from dudzian_daemon.testing.market import START_NS, candles, limits
from tests.unit.trading.desk import BTC, BTC_1D, BTC_1H, Desk, desk, enter, flat_hours, hour, leave, open_tick

DAY = START_NS // DAY_NS
#: The daily limit of the shipped profile, and nothing else in the way.
DAILY = {"balanced": limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.9"))}


def state(session: Desk) -> ProfileState:
    return session.core.gate.states["balanced"]


def bars(*runs: tuple[int, float]) -> list[Candle]:
    """Hourly candles: so many at this price, then so many at that."""
    return candles(BTC_1H, [price for count, price in runs for _ in range(count)])


def risk_told(session: Desk) -> list[tuple[int, str, str]]:
    return [(record.instant, change.change, change.rule) for record in session.records for change in record.risk]


def codes(session: Desk) -> list[RefusalCode | None]:
    """Of the verdicts on signals; the core's own closings have none."""
    return [verdict.code for verdict in session.verdicts if verdict.signal_id]


def test_a_trip_at_the_closing_mark_belongs_to_the_day_that_begins_and_blocks_all_of_it() -> None:
    script: dict[int, Any] = {hour(20): [enter(target=0.5)]}
    script |= {at: [enter(target=0.1)] for at in (hour(1, day=1), hour(23, day=1), hour(24, day=1))}
    session = desk(script, profiles=DAILY)
    midnight = hour(24)
    session.feed(bars((23, 100.0), (1, 96.0), (26, 96.0)))

    closing = session.at(midnight, Phase.CLOSE)
    (trip,) = closing.risk
    assert (trip.change, trip.rule, trip.state) == ("tripped", "max_daily_loss_pct", "reducing")
    assert trip.limit == Decimal("0.015") * 10_000
    assert [(result.status, result.side, result.quantity) for result in closing.results] == [(OrderStatus.ACCEPTED, Side.SELL, Decimal(50))]
    (sold,) = session.at(midnight, Phase.OPEN).fills
    assert (sold.reference_price, sold.signal_id, sold.order_id) == (Decimal(96), "", f"told/{BTC.key}/{midnight}/close.0")

    assert risk_told(session) == [
        (midnight, "tripped", "max_daily_loss_pct"),
        (midnight + DAY_NS, "reset", "max_daily_loss_pct"),
    ]
    assert codes(session) == [None, RefusalCode.DAILY_LOSS_LIMIT, RefusalCode.DAILY_LOSS_LIMIT, None]
    assert session.fills[-1].filled_at == midnight + DAY_NS


def test_the_new_day_starts_from_the_equity_of_the_closing_mark() -> None:
    session = desk({hour(20): [enter(target=0.5)]}, profiles=DAILY)
    session.feed(bars((23, 100.0), (1, 99.0)))
    assert (state(session).day, state(session).start_of_day_equity) == (DAY + 1, session.core.ledger.equity)
    bought = session.fills[0]
    assert session.core.ledger.equity == 10_000 - bought.fee - 50 * (bought.price - 99)


def test_a_trip_during_the_day_blocks_the_rest_of_it() -> None:
    script = {hour(1): [enter(target=0.5)], hour(12): [enter()], hour(23): [enter()], hour(24): [enter()]}
    session = desk(script, profiles=DAILY)
    session.feed(bars((9, 100.0), (1, 96.0), (20, 96.0)))
    assert risk_told(session) == [(hour(10), "tripped", "max_daily_loss_pct"), (hour(24), "reset", "max_daily_loss_pct")]
    assert [fill.filled_at for fill in session.fills] == [hour(1), hour(10), hour(24)]
    assert codes(session) == [None, RefusalCode.DAILY_LOSS_LIMIT, RefusalCode.DAILY_LOSS_LIMIT, None]


def test_a_trip_is_dated_to_the_day_it_blocks() -> None:
    for at, blocks in ((23, DAY), (24, DAY + 1), (25, DAY + 1)):
        session = desk({hour(1): [enter(target=0.5)]}, profiles=DAILY)
        session.feed(bars((at - 1, 100.0), (1, 96.0)))
        assert state(session).daily_trip_day == blocks, at


def test_losses_of_two_days_do_not_add_up_to_a_trip() -> None:
    session = desk({hour(1): [enter(target=0.5)]}, profiles=DAILY)
    session.feed(bars((10, 100.0), (14, 97.2), (10, 97.2), (10, 94.5)))
    assert session.risk == []
    assert session.core.ledger.equity < Decimal(9_730)


def test_a_position_that_could_not_be_closed_keeps_the_trip_until_a_day_finds_it_flat() -> None:
    script = {hour(1): [enter(target=0.5)], hour(9, day=3): [enter()], hour(24, day=3): [enter()]}
    session = desk(script, profiles=DAILY)
    session.feed(bars((9, 100.0), (1, 96.0)))
    assert len(session.core.execution.open_orders) == 1
    session.feed(flat_hours(24, 96.0, start=hour(2, day=3)))
    timers = [record for record in session.records if record.phase == Phase.TIMER]
    assert [record.instant for record in timers] == [hour(24, day=day) for day in range(3)]
    assert [change.change for record in timers for change in record.risk] == []
    assert session.fills[1].filled_at == hour(2, day=3)
    assert risk_told(session)[1:] == [(hour(24, day=3), "reset", "max_daily_loss_pct")]
    assert codes(session) == [None, RefusalCode.DAILY_LOSS_LIMIT, None]


def test_a_midnight_without_a_candle_rolls_by_its_timer() -> None:
    session = desk({hour(1): [enter(target=0.5)]}, profiles=DAILY)
    session.feed(bars((23, 100.0)))
    last = session.core.ledger.equity
    session.feed(flat_hours(1, 97.5, start=hour(26)))
    timer = session.at(hour(24), Phase.TIMER)
    assert (timer.equity, timer.results, timer.risk) == (last, (), ())
    assert (state(session).day, state(session).start_of_day_equity) == (DAY + 1, last)


def test_a_flat_account_rolls_many_days_at_once() -> None:
    session = desk({hour(1): [enter(target=0.5)], hour(8): [leave()]}, profiles=DAILY)
    session.feed(bars((10, 100.0)))
    assert (session.core.ledger.net[BTC.key], state(session).day) == (Decimal(0), DAY)
    before = len(session.records)
    session.ticks([open_tick(hour(7, day=9), 300.0)])
    assert len(session.records) == before + 1
    assert (state(session).day, state(session).start_of_day_equity) == (DAY + 9, session.core.ledger.equity)


def test_a_trip_of_a_flat_account_resets_with_the_first_tick_of_any_later_day() -> None:
    session = desk({hour(1): [enter(target=0.5)]}, profiles=DAILY)
    session.feed(bars((9, 100.0), (2, 96.0)))
    assert session.core.ledger.net[BTC.key] == 0
    (record,) = session.ticks([open_tick(hour(7, day=5), 96.0)])
    assert [(change.change, change.state) for change in record.risk] == [("reset", "active")]


def test_daily_candles_judge_the_day_that_ends_and_trade_the_one_that_begins() -> None:
    days = [START_NS + number * DAY_NS for number in range(7)]
    script = {days[1]: [enter(target=0.5)], days[3]: [enter()], days[4]: [enter()], days[5]: [enter()]}
    session = desk(script, granularity="1d", profiles=DAILY)
    session.feed(candles(BTC_1D, [100.0, 100.0, 100.0, 96.0, 96.0, 96.0, 96.0]))
    assert risk_told(session) == [(days[4], "tripped", "max_daily_loss_pct"), (days[5], "reset", "max_daily_loss_pct")]
    assert codes(session) == [None, RefusalCode.NOTHING_TO_DO, RefusalCode.NOTHING_TO_DO, None]
    assert [fill.filled_at for fill in session.fills] == [days[1], days[4], days[5]]
