"""Stops, operator closes and the kill switch: recorded commands, and what becomes of the book."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dudzian_daemon.domain.market import HOUR_NS, MINUTE_NS, Command, Phase, Quote
from dudzian_daemon.domain.orders import OrderStatus, RefusalCode, Side
from dudzian_daemon.testing.market import candles, limits, preset, schedule, spec
from tests.unit.trading.desk import BTC, BTC_1H, ETH, ETH_1H, WIDE, Desk, Scripted, close_tick, desk, enter, flat_hours, hour

DAILY = limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.9"))


def holding(*, latency_ns: int = 0) -> Desk:
    """Ten BTC, last priced at 104, and an entry of ETH that found no price."""
    script = {hour(1): [enter()], hour(2): [enter(ETH.key)]}
    plans = [schedule("told", [BTC, ETH])]
    session = Desk(spec({"told": Scripted(script)}, plans, [BTC, ETH], profiles={"balanced": WIDE}, preset=preset(latency_ns=latency_ns)))
    session.feed(candles(BTC_1H, [100.0, 100.0, 104.0]), flat_hours(2, 10.0, series=ETH_1H))
    return session


@pytest.mark.parametrize("latency_ns", [0, MINUTE_NS])
def test_a_stop_cancels_what_rests_and_closes_on_the_last_prices_one_instant_later(latency_ns: int) -> None:
    session = holding(latency_ns=latency_ns)
    record = session.command("stop", close_positions="yes")
    assert isinstance(record.inputs[-1], Command)
    assert [(result.instrument, result.status, result.code) for result in record.results] == [
        (ETH.key, OrderStatus.CANCELLED, "stopped"),
        (BTC.key, OrderStatus.ACCEPTED, None),
    ]
    (settled,) = session.snapshot()
    assert (settled.instant, settled.phase) == (record.instant + 1, Phase.QUOTE)
    assert settled.inputs == (Quote(record.instant + 1, BTC.key, 104.0, 104.0, 0.0, 0.0, "last_price", settled.instant - hour(3)),)
    (fill,) = settled.fills
    assert (fill.side, fill.fill_source, fill.filled_at) == (Side.SELL, "last_price", record.instant + 1)
    assert (fill.reference_price, fill.price) == (Decimal("104.0"), Decimal("103.94"))
    assert fill.fee == Decimal("0.62364")
    assert session.core.ledger.prices.last_quote(BTC.key) == (104.0, hour(3))  # the snapshot has made no price younger
    assert session.core.ledger.net[BTC.key] == 0
    assert session.core.execution.open_orders == []


def test_a_stop_that_keeps_the_book_sells_nothing() -> None:
    session = holding()
    record = session.command("stop", close_positions="no")
    assert [(result.instrument, result.code) for result in record.results] == [(ETH.key, "stopped")]
    assert session.snapshot() == []
    assert session.core.ledger.net[BTC.key] == 10


@pytest.mark.parametrize(("hours", "closed"), [(2, True), (3, False)])
def test_a_last_price_older_than_two_candles_closes_nothing(hours: int, closed: bool) -> None:
    session = holding()
    record = session.command("stop", now=hour(3) + hours * HOUR_NS, close_positions="yes")
    (verdict,) = record.verdicts
    if closed:
        assert verdict.code is None
        return
    assert (verdict.code, verdict.limit, verdict.value) == (RefusalCode.STALE_DATA, Decimal(2 * HOUR_NS), Decimal(3 * HOUR_NS))
    assert session.snapshot() == []
    assert session.core.ledger.net[BTC.key] == 10


def test_an_operators_close_fills_on_the_next_price_and_the_session_goes_on() -> None:
    session = holding()
    record = session.command("close_positions", close_positions="yes")
    assert [result.status for result in record.results] == [OrderStatus.ACCEPTED]
    session.feed(candles(BTC_1H, [(105.0, 105.0, 105.0, 105.0)], start=hour(4)))
    assert [(fill.reference_price, fill.fill_source) for fill in session.fills[1:]] == [(Decimal("105.0"), "open_print")]
    assert [order.instrument for order in session.core.execution.open_orders] == [ETH.key]


def test_closing_twice_sells_once() -> None:
    session = holding()
    session.command("close_positions", close_positions="yes")
    again = session.command("close_positions", close_positions="yes")
    assert (again.verdicts, again.results) == ((), ())
    session.command("stop", close_positions="yes")
    session.snapshot()
    assert session.core.ledger.net[BTC.key] == 0
    assert [fill.side for fill in session.fills] == [Side.BUY, Side.SELL]


def reducing() -> Desk:
    """A tripped profile whose closing order waits for a price that does not come."""
    session = desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": DAILY})
    session.feed(candles(BTC_1H, [100.0, 100.0, 96.0]))
    assert len(session.core.execution.open_orders) == 1
    return session


def test_a_stop_that_keeps_the_book_keeps_it_while_reducing_too() -> None:
    session = reducing()
    record = session.command("stop", close_positions="no")
    assert [(result.status, result.code) for result in record.results] == [(OrderStatus.CANCELLED, "stopped")]
    assert session.snapshot() == []
    assert session.core.ledger.net[BTC.key] == 50


def test_a_stop_on_an_old_price_closes_nothing_while_reducing_either() -> None:
    session = reducing()
    record = session.command("stop", now=hour(9), close_positions="yes")
    assert [verdict.code for verdict in record.verdicts] == [RefusalCode.STALE_DATA]
    assert session.snapshot() == []
    assert session.core.ledger.net[BTC.key] == 50


def test_a_stop_on_a_fresh_price_closes_once_while_reducing() -> None:
    session = reducing()
    record = session.command("stop", close_positions="yes")
    assert [(result.status, result.code) for result in record.results] == [
        (OrderStatus.CANCELLED, "stopped"),
        (OrderStatus.ACCEPTED, None),
    ]
    session.snapshot()
    assert session.core.ledger.net[BTC.key] == 0


def test_the_kill_switch_blocks_entries_until_it_is_switched_off_and_is_on_record() -> None:
    session = desk({hour(2): [enter()], hour(3): [enter()]})
    bars = flat_hours(4)
    session.feed(bars[:1])
    on = session.command("kill_switch", on="yes")
    assert [(change.profile, change.change, change.state) for change in on.risk] == [("*", "kill_switch", "halted")]
    session.ticks([close_tick(bars[1])])
    off = session.command("kill_switch", on="no")
    assert [change.state for change in off.risk] == ["active"]
    session.ticks([close_tick(bars[2])])
    assert [verdict.code for verdict in session.verdicts] == [RefusalCode.KILL_SWITCH, None]


def test_a_stop_that_keeps_the_session_keeps_its_resting_orders() -> None:
    session = holding()
    record = session.command("stop", close_positions="no", keep_orders="yes")
    assert record.results == ()
    assert [order.instrument for order in session.core.execution.open_orders] == [ETH.key]
