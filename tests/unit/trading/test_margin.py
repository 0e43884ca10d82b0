"""Shorts that their margin no longer carries are closed by the venue on the price alone, with fee, entry and record; longs never."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.fees import ExecutionPreset, margin_carries
from dudzian_daemon.domain.market import Book, Candle, Phase, Quote, Tick
from dudzian_daemon.domain.orders import OrderStatus, Side
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.market import START_NS, candles, limits, preset
from tests.unit.trading.desk import BTC, BTC_1H, Desk, close_tick, desk, enter, flat_hours, hour, open_tick, quote_tick

FREE = preset(maker_fee=Decimal(0), taker_fee=Decimal(0), slippage_bps=Decimal(0))
RULES: dict[str, Any] = {"max_position_pct": Decimal(2), "max_daily_loss_pct": Decimal("0.9"), "hard_drawdown_pct": Decimal("0.9")}


def short(target: float = -0.3, *, leverage: int = 3, costs: ExecutionPreset = FREE) -> Desk:
    """Sold at 100 at the open of the second hour: 30 BTC on a margin of 1,000 USDT; liquidation is due above 111.11."""
    profiles = {"balanced": limits(maintenance_margin_pct=Decimal("0.20"), **RULES)}
    session = desk({hour(1): [enter(target=target)]}, profiles=profiles, allow_short=True, leverage=Decimal(leverage), preset=costs)
    session.feed(flat_hours(1))
    session.ticks([open_tick(hour(1), 100.0)])
    assert session.core.ledger.position("told", BTC.key) == -30
    return session


def forced(records: list[CycleRecord]) -> CycleRecord:
    (record,) = [each for each in records if any(fill.fill_source == "liquidation" for fill in each.fills)]
    return record


def bar(high: float, close: float, low: float = 99.0) -> Candle:
    return Candle(hour(2), BTC.key, "1h", hour(2), 100.0, high, low, close, 1e6)


def test_a_short_survives_up_to_its_maintenance_margin_and_not_a_tick_more() -> None:
    session = short()
    assert session.core.margin.liquidation_price("told", BTC.key) == Decimal("111.12")
    session.ticks([quote_tick(hour(1) + 1, 111.11, 111.11)])
    assert session.core.ledger.position("told", BTC.key) == -30
    record = forced(session.ticks([quote_tick(hour(1) + 2, 111.12, 111.12)]))
    (fill,) = record.fills
    assert (fill.side, fill.quantity, fill.reference_price, fill.inside_bar) == (Side.BUY, Decimal(30), Decimal("111.12"), False)
    (call,) = record.risk
    assert (call.profile, call.change, call.rule) == ("balanced", "liquidated", "maintenance_margin_pct")
    assert (call.limit, call.value) == (Decimal("666.72"), Decimal("666.4"))  # 20 % of 3,333.6; 4,000 less that
    assert [entry.kind for entry in record.entries] == ["liquidation"]
    assert [(each.status, each.order_id.rpartition("/")[0]) for each in record.results] == [
        (status, f"told/{BTC.key}/{hour(1) + 2}") for status in (OrderStatus.ACCEPTED, OrderStatus.FILLED)
    ]
    assert [verdict.outcome for verdict in record.verdicts] == ["approved"]
    assert session.core.ledger.blocked("USDT") == 0
    assert session.core.ledger.equity == 10_000 - 30 * Decimal("11.12")


def test_it_is_the_ask_and_not_the_middle_that_a_short_must_carry() -> None:
    session = short()
    record = forced(session.ticks([quote_tick(hour(1) + 1, 100.0, 112.0)]))
    assert record.fills[0].reference_price == 112


def test_a_closed_market_liquidates_nobody_until_it_opens() -> None:
    session = short()
    session.command("market", instrument=BTC.key, open="no")
    session.ticks([quote_tick(hour(1) + 10, 120.0, 120.0)])
    assert session.core.ledger.position("told", BTC.key) == -30
    session.command("market", instrument=BTC.key, open="yes")
    forced(session.ticks([quote_tick(hour(1) + 20, 120.0, 120.0)]))
    assert session.core.ledger.position("told", BTC.key) == 0


def test_slippage_and_fee_of_the_venue_are_on_a_liquidation_too() -> None:
    session = short(costs=preset())
    (fill,) = forced(session.ticks([quote_tick(hour(1) + 1, 120.0, 120.0)])).fills
    assert fill.slippage == Decimal("0.06")
    assert fill.fee == 30 * Decimal("120.06") * Decimal("0.0006")


def test_inside_a_bar_it_happens_at_the_first_price_that_breaks_it() -> None:
    session = short()
    (fill,) = forced(session.ticks([close_tick(bar(130.0, 101.0))])).fills
    assert (fill.price, fill.inside_bar, fill.filled_at) == (Decimal("111.12"), True, hour(2))


def test_a_bar_that_opens_beyond_it_takes_the_open() -> None:
    session = short()
    gapped = Candle(hour(2), BTC.key, "1h", hour(2), 125.0, 130.0, 120.0, 121.0, 1e6)
    (fill,) = forced(session.ticks([close_tick(gapped)])).fills
    assert fill.price == 125


def test_a_jump_of_the_open_print_is_paid_in_full() -> None:
    session = short()
    (fill,) = forced(session.ticks([open_tick(hour(2), 150.0)])).fills
    assert (fill.price, session.core.ledger.equity) == (Decimal(150), Decimal(10_000 - 30 * 50))


def test_a_book_counts_by_its_best_ask() -> None:
    session = short()
    book = Book(hour(1) + 1, BTC.key, ((100.0, 5.0),), ((113.0, 0.01), (114.0, 50.0)))
    (fill,) = forced(session.ticks([Tick(hour(1) + 1, Phase.QUOTE, (book,))])).fills
    assert (fill.price, fill.quantity) == (Decimal(113), Decimal(30))


def by_hand() -> Desk:
    """An operator's own short of 30 at 100, under the profile `manual`."""
    profiles = {name: limits(name, maintenance_margin_pct=Decimal("0.20"), **RULES) for name in ("balanced", "manual")}
    session = desk(profiles=profiles, allow_short=True, leverage=Decimal(3), preset=FREE)
    session.feed(flat_hours(1))
    session.command("order_place", instrument=BTC.key, side="sell", quantity="30", kind="market")
    session.ticks([open_tick(hour(1) + 2, 100.0)])
    assert session.core.ledger.position("manual", BTC.key) == -30
    return session


def exit_by_hand(session: Desk, kind: str, **terms: Any) -> None:
    session.command("order_place", instrument=BTC.key, side="buy", quantity="30", kind=kind, reduce_only="yes", **terms)
    assert session.core.execution.open_orders


def test_resting_orders_of_the_position_go_with_it() -> None:
    session = by_hand()
    exit_by_hand(session, "limit", limit_price="95")
    record = forced(session.ticks([quote_tick(hour(1) + 9, 120.0, 120.0)]))
    assert session.core.execution.open_orders == []
    assert [(each.status, each.code) for each in record.results if each.code] == [(OrderStatus.CANCELLED, "liquidated")]
    assert record.risk[0].profile == "manual"


def test_inside_a_bar_the_liquidation_comes_before_a_profit_and_after_a_stop_on_the_way() -> None:
    session = by_hand()
    exit_by_hand(session, "limit", limit_price="95")
    bar_end = close_tick(Candle(hour(3), BTC.key, "1h", hour(3), 100.0, 130.0, 90.0, 100.0, 1e6))
    (fill,) = forced(session.ticks([open_tick(hour(2), 100.0), bar_end])).fills
    assert fill.price == Decimal("111.12")
    session = by_hand()
    exit_by_hand(session, "stop", stop_price="105")
    session.ticks([open_tick(hour(2), 100.0), bar_end])
    assert [(each.fill_source, each.price) for each in session.fills][1:] == [("candle", Decimal(105))]


def test_a_debt_beyond_the_account_is_the_accounts() -> None:
    session = short(target=-0.3)
    session.ticks([quote_tick(hour(1) + 1, 600.0, 600.0)])
    assert session.core.ledger.position("told", BTC.key) == 0
    assert session.core.ledger.equity == 10_000 - 30 * 500 == session.core.ledger.cash


def test_longs_are_paid_in_full_and_never_liquidated() -> None:
    session = desk({hour(1): [enter()]}, allow_short=True, leverage=Decimal(3))
    session.feed(flat_hours(1))
    session.ticks([open_tick(hour(1), 100.0), quote_tick(hour(1) + 1, 0.01, 0.01), quote_tick(hour(1) + 2, 1e6, 1e6)])
    assert session.core.ledger.position("told", BTC.key) > 0
    assert session.core.gate.maintenance("USDT") == 0


def test_maintenance_is_told_by_asset_at_the_last_prices() -> None:
    session = short()
    session.ticks([quote_tick(hour(1) + 1, 110.0, 110.0)])
    assert session.core.gate.maintenance("USDT") == 30 * 110 * Decimal("0.2")
    assert session.core.gate.maintenance("EUR") == 0
    assert session.core.margin.liquidation_price("nobody", BTC.key) is None


def test_a_short_that_grows_between_two_prices_must_keep_more_at_once() -> None:
    session = short()
    before, fill = session.core.gate.maintenance("USDT"), session.fills[0]
    later = session.core.ledger.entries
    session.core.ledger.book(msgspec.structs.replace(fill, id="one more", quantity=fill.quantity / 2))
    assert session.core.ledger.entries == later + 1
    assert session.core.gate.maintenance("USDT") == before * Decimal("1.5") > before


def test_a_price_that_is_none_liquidates_nobody() -> None:
    session = short()
    for worthless in (float("nan"), float("inf"), -1.0, 0.0):
        assert session.core.margin.calls(Quote(hour(1) + 1, BTC.key, 1.0, worthless, 1.0, 1.0)) == []
    assert session.core.margin.calls(Book(hour(1) + 1, BTC.key, (), ())) == []


@pytest.mark.parametrize(
    ("leverage", "maintenance", "carries"),
    [("2", "0.30", True), ("3", "0.20", True), ("5", "0.10", True), ("5", "0.20", False), ("4", "0.25", False), ("1", "1", False)],
)
def test_the_shipped_profiles_survive_the_next_price_at_their_highest_leverage(leverage: str, maintenance: str, carries: bool) -> None:
    assert margin_carries(Decimal(leverage), Decimal(maintenance)) is carries


def test_opened_at_the_highest_leverage_it_survives_a_basis_point() -> None:
    session = short(leverage=3)
    session.ticks([quote_tick(hour(1) + 1, 100.01, 100.01)])
    assert session.core.ledger.position("told", BTC.key) == -30


def test_candles_of_another_length_liquidate_nobody() -> None:
    session = short()
    daily = candles(BTC_1H, [(100.0, 200.0, 100.0, 100.0)], start=START_NS + 3_600_000_000_000)[0]
    session.ticks([close_tick(Candle(daily.instant, BTC.key, "4h", daily.end, 100.0, 200.0, 100.0, 100.0, 1.0))])
    assert session.core.ledger.position("told", BTC.key) == -30
