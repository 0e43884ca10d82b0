"""The life of an order: decided on a close, filled at the open after it, never on a price that was known when it was decided."""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.market import HOUR_NS, MINUTE_NS, Phase
from dudzian_daemon.domain.orders import OrderStatus, Outcome, RefusalCode, Side
from dudzian_daemon.domain.ports import Position
from dudzian_daemon.testing.market import candles, preset
from tests.unit.trading.desk import BTC, BTC_1H, Scripted, close_tick, desk, enter, flat_hours, hour, leave, open_tick, quote_tick


def test_an_order_decided_at_a_close_fills_at_the_open_print_of_that_instant_and_not_at_the_close() -> None:
    session = desk({hour(1): [enter(target=0.1)]})
    session.feed(candles(BTC_1H, [(98.0, 101.0, 97.0, 100.0), (103.0, 105.0, 102.0, 104.0)]))
    decided, filled = session.at(hour(1), Phase.CLOSE), session.at(hour(1), Phase.OPEN)
    assert filled.sequence == decided.sequence + 1
    assert [(verdict.outcome, verdict.approved) for verdict in decided.verdicts] == [(Outcome.APPROVED, Decimal(10))]
    assert [(result.status, result.price) for result in decided.results] == [(OrderStatus.ACCEPTED, None)]
    assert decided.fills == ()
    (fill,) = filled.fills
    assert (fill.reference_price, fill.price, fill.filled_at) == (Decimal("103.0"), Decimal("103.06"), hour(1))
    assert [(result.status, result.price) for result in filled.results] == [(OrderStatus.FILLED, Decimal("103.06"))]
    assert {decided.signals[0].id} == {fill.signal_id, decided.verdicts[0].signal_id, filled.results[0].signal_id}
    assert fill.order_id == decided.results[0].order_id == filled.results[0].order_id


def test_no_fill_is_earlier_in_the_order_of_inputs_than_the_decision_that_caused_it() -> None:
    script = {hour(number): [enter() if number % 2 else leave()] for number in range(1, 40)}
    session = desk(script)
    session.feed(candles(BTC_1H, [100.0 + number % 7 for number in range(40)]))
    decided = {signal.id: (record.instant, record.phase) for record in session.records for signal in record.signals}
    fills = [((record.instant, record.phase), fill) for record in session.records for fill in record.fills]
    assert len(fills) == 39
    opens = {bar.end - HOUR_NS: bar.open for bar in candles(BTC_1H, [100.0 + number % 7 for number in range(40)])}
    for place, fill in fills:
        assert place > decided[fill.signal_id]
        assert float(fill.reference_price) == opens[fill.filled_at]


def test_a_tick_that_brings_a_price_and_makes_a_schedule_due_does_not_fill_what_it_decides() -> None:
    at = hour(4)  # the candle that ends here is late: the quote makes the schedule due, on the one before
    session = desk({at: [enter()]}, schedule={"cadence_ns": 4 * HOUR_NS})
    session.feed(flat_hours(3))
    (decided,) = session.ticks([quote_tick(at, 99.0, 101.0)])
    assert (decided.due, len(decided.signals), decided.fills) == (("told",), 1, ())
    (filled,) = session.ticks([quote_tick(at + 1, 99.0, 101.0)])
    assert [(fill.reference_price, fill.fill_source, fill.filled_at) for fill in filled.fills] == [(Decimal("101.0"), "quote", at + 1)]


def test_a_tick_fills_before_it_marks_and_marks_before_it_is_told() -> None:
    session = desk({hour(1): [enter(target=0.1)]})
    session.feed(candles(BTC_1H, [100.0, (110.0, 111.0, 109.0, 110.0)]))
    record = session.at(hour(1), Phase.OPEN)
    paid = 10 * Decimal("110.06")
    fee = Decimal("0.660360")
    assert record.cash == 10_000 - paid - fee
    assert record.equity == record.cash + 10 * 110  # at the open print that filled it: slippage and fee are lost, the jump is not
    assert [(change.quantity, change.cost) for change in record.positions] == [(Decimal(10), paid)]


def test_latency_moves_the_fill_to_the_first_price_after_it() -> None:
    session = desk({hour(1): [enter()]}, preset=preset(latency_ns=MINUTE_NS))
    session.feed(candles(BTC_1H, [100.0, (101.0, 101.0, 101.0, 101.0), (102.0, 102.0, 102.0, 102.0)]))
    assert [(fill.filled_at, fill.reference_price) for fill in session.fills] == [(hour(2), Decimal("102.0"))]


def test_a_price_in_a_candle_close_fills_nothing() -> None:
    session = desk({hour(1): [enter()]})
    first, second = candles(BTC_1H, [100.0, 50.0])
    session.ticks([open_tick(hour(0), 100.0), close_tick(first), close_tick(second)])
    assert session.fills == []
    assert len(session.core.execution.open_orders) == 1


def test_an_open_that_makes_the_order_too_dear_rejects_it_and_leaves_the_books_alone() -> None:
    strategy = Scripted({hour(1): [enter(target=1.0)], hour(2): [enter(target=0.1)]})
    session = desk(strategy=strategy)
    session.feed(candles(BTC_1H, [100.0, (101.0, 101.0, 100.0, 100.0), 100.0]))
    (asked,) = session.at(hour(1), Phase.CLOSE).verdicts
    assert (asked.outcome, asked.code, asked.approved) == (Outcome.ADJUSTED, RefusalCode.INSUFFICIENT_CASH, Decimal("99.890"))
    record = session.at(hour(1), Phase.OPEN)
    assert [(result.status, result.code) for result in record.results] == [(OrderStatus.REJECTED, "insufficient_cash")]
    assert (record.fills, record.positions) == ((), ())
    assert (record.cash, record.equity) == (Decimal(10_000), Decimal(10_000))
    assert strategy.views[1].positions[BTC.key] == Position()
    assert [(fill.side, fill.quantity) for fill in session.fills] == [(Side.BUY, Decimal(10))]  # what it had reserved was free again
    assert session.core.ledger.entries == 2


def test_the_record_of_a_round_trip_adds_up() -> None:
    session = desk({hour(1): [enter(target=0.1)], hour(2): [leave()]})
    session.feed(candles(BTC_1H, [100.0, 100.0, (104.0, 104.0, 104.0, 104.0)]))
    bought, sold = session.fills
    assert (bought.price, sold.price) == (Decimal("100.05"), Decimal("103.94"))  # 103.948 is 103.94 on the tick
    fees = bought.fee + sold.fee
    realised = session.core.ledger.books["told", BTC.key].realised
    assert realised == 10 * (sold.price - bought.price)
    assert session.records[-1].equity == 10_000 + realised - fees
