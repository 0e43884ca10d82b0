"""The simulated account end to end, through the real core: what must hold after every change of simulator, gate or ledger."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import SECOND_NS, Phase, Quote, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import OrderResult, OrderStatus, RefusalCode, Side
from dudzian_daemon.domain.records import CycleRecord, LedgerEntry
from dudzian_daemon.testing.market import limits, preset
from dudzian_daemon.trading.ledger import Ledger, LedgerState
from tests.unit.trading.desk import BTC, Desk, desk, enter, flat_hours, hour, leave, open_tick, quote_tick

RULES = {"max_position_pct": Decimal(1), "max_daily_loss_pct": Decimal("0.9"), "hard_drawdown_pct": Decimal("0.9")}


@pytest.fixture(autouse=True)
def money_is_exact() -> Iterator[None]:
    with exact_money():
        yield


def account(**changes: Any) -> Desk:
    """10,000 USDT, BTC at 100, fees 0.04 and 0.06 percent, 5 basis points of slippage; orders come by hand."""
    profiles = {name: limits(name, maintenance_margin_pct=Decimal("0.20"), **RULES) for name in ("balanced", "manual")}
    session = desk(changes.pop("script", None), profiles=profiles, **changes)
    session.feed(flat_hours(1))
    return session


def order(session: Desk, side: str, quantity: str, kind: str = "market", **terms: Any) -> CycleRecord:
    return session.command("order_place", instrument=BTC.key, side=side, quantity=quantity, kind=kind, **terms)


def price(session: Desk, value: float) -> list[CycleRecord]:
    return session.ticks([quote_tick(session.driver.last[0] + 1, value, value)])


def money(*amounts: int) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, amounts))


def refusals(session: Desk) -> list[str | None]:
    return [result.code for result in session.results if result.status is OrderStatus.REJECTED]


def test_market_flow_from_order_to_ledger() -> None:
    """D-02, D-03, D-11: price with slippage, taker fee, cash and holding, with every id on the entry."""
    session = account()
    accepted = order(session, "buy", "1")
    assert [result.status for result in accepted.results] == [OrderStatus.ACCEPTED]
    (record,) = price(session, 100.0)
    (fill,) = record.fills
    assert (fill.price, fill.slippage, fill.fee, fill.fee_asset) == (Decimal("100.05"), Decimal("0.05"), Decimal("0.06003"), "USDT")
    assert session.core.ledger.cash == Decimal("9899.88997")
    assert session.core.ledger.equity == Decimal("9999.88997")
    (entry,) = record.entries
    assert (entry.kind, entry.order_id, entry.fill_id, entry.signal_id) == ("fill", fill.order_id, fill.id, fill.signal_id)
    assert (entry.strategy, entry.instrument, entry.quantity, entry.position_value) == ("manual", BTC.key, Decimal(1), Decimal(100))
    assert fill.filled_at > accepted.instant  # D-22: never a price from before the decision


def test_a_resting_limit_waits_for_its_price_and_never_pays_more() -> None:
    """D-03, D-04: buy limit 99.5 with prices 100, 99.8, 99.5."""
    session = account()
    order(session, "buy", "1", "limit", limit_price="99.5")
    for value in (100.0, 99.8):
        price(session, value)
        assert session.fills == []
        assert len(session.core.execution.open_orders) == 1
    price(session, 99.5)
    (fill,) = session.fills
    assert (fill.price, fill.slippage, fill.fee) == (Decimal("99.5"), Decimal(0), Decimal("0.0398"))
    assert session.core.execution.open_orders == []


def test_a_short_puts_up_margin_and_gets_it_back_in_proportion() -> None:
    """D-07: sell 1 at 120 with leverage 3: margin 40."""
    free = preset(maker_fee=Decimal(0), taker_fee=Decimal(0), slippage_bps=Decimal(0))
    session = account(allow_short=True, leverage=Decimal(3), preset=free)
    price(session, 120.0)
    order(session, "sell", "1")
    price(session, 120.0)
    ledger = session.core.ledger
    assert (ledger.books["manual", BTC.key].margin, ledger.blocked("USDT"), ledger.available("USDT")) == money(40, 160, 9960)
    order(session, "buy", "0.25", reduce_only="yes")
    price(session, 110.0)
    assert ledger.books["manual", BTC.key].margin == 30
    order(session, "buy", "0.75", reduce_only="yes")
    price(session, 110.0)
    assert (ledger.blocked("USDT"), ledger.cash, ledger.equity) == money(0, 10_010, 10_010)


def test_a_price_alone_liquidates_a_short_and_the_ledger_says_so() -> None:
    """D-08: no order touches the symbol, and the fee is charged."""
    session = account(allow_short=True, leverage=Decimal(3))
    order(session, "sell", "50")
    price(session, 100.0)
    (record,) = price(session, 115.0)
    assert [entry.kind for entry in record.entries] == ["liquidation"]
    assert [change.change for change in record.risk] == ["liquidated"]
    assert record.fills[0].fee > 0
    assert session.core.ledger.position("manual", BTC.key) == 0


def test_market_rules_of_the_pair_are_kept() -> None:
    """D-05: too small, too cheap, off the step: refused, with a reason, and nothing moves."""
    session = account()
    before = session.core.ledger.state()
    order(session, "buy", "0.0001")
    order(session, "buy", "0.01")  # 1 USDT, the least is 5
    order(session, "buy", "1", "limit", limit_price="99.999")
    assert len(refusals(session)) == 3
    assert set(refusals(session)) <= {RefusalCode.BELOW_MINIMUM, RefusalCode.OFF_LOT, RefusalCode.OFF_TICK}
    price(session, 100.0)
    assert (session.fills, session.core.ledger.state()) == ([], before)


def test_insufficient_balance_changes_no_balance() -> None:
    """D-06, for a purchase and for the margin of a short."""
    session = account(allow_short=True)
    before = session.core.ledger.state()
    order(session, "buy", "101")
    order(session, "sell", "101")
    price(session, 100.0)
    assert len(refusals(session)) == 2
    assert (session.fills, session.core.ledger.state()) == ([], before)


def test_an_order_that_the_money_no_longer_reaches_ends_without_a_trace_in_the_ledger() -> None:
    """D-06: approved at 100, not payable at 150."""
    session = account()
    order(session, "buy", "99")
    before = session.core.ledger.state()
    (record,) = price(session, 150.0)
    assert [result.code for result in record.results] == [RefusalCode.INSUFFICIENT_CASH]
    assert (record.entries, session.core.ledger.state()) == ((), before)
    assert session.core.execution.open_orders == []


def test_a_cancel_takes_the_order_out_and_an_unknown_one_is_told() -> None:
    """D-13."""
    session = account()
    placed = order(session, "buy", "1", "limit", limit_price="99")
    record = session.command("order_cancel", order_id=placed.results[0].order_id)
    assert [result.status for result in record.results] == [OrderStatus.CANCELLED]
    price(session, 98.0)
    assert session.fills == []
    unknown = session.command("order_cancel", order_id="nobody.0")
    assert [verdict.outcome for verdict in unknown.verdicts] == ["refused"]


def test_equity_is_on_every_cycle_and_moves_by_profit_less_fees() -> None:
    """D-10: the log of equity, from the first cycle to the last."""
    session = account(script={hour(1): [enter()], hour(4): [leave()]})
    session.ticks([open_tick(hour(1), 100.0)])
    session.feed(flat_hours(8, 110.0, start=hour(1)))
    bought, sold = session.fills
    profit = sold.quantity * sold.price - bought.quantity * bought.price
    logged = [record.equity for record in session.records]
    assert (logged[0], logged[-1]) == (Decimal(10_000), 10_000 + profit - bought.fee - sold.fee)
    assert len(logged) == len(session.records) > 8
    held = [record for record in session.records if bought.filled_at < record.instant < sold.filled_at]
    assert {record.equity for record in held} == {10_000 - bought.quantity * bought.price - bought.fee + bought.quantity * 110}


def test_persistence_the_account_comes_back_from_what_was_written() -> None:
    """D-14: entries as the journal keeps them give balances, shorts and margins back."""
    session = account(allow_short=True, leverage=Decimal(3))
    order(session, "sell", "7")
    price(session, 100.0)
    order(session, "buy", "3", reduce_only="yes")
    price(session, 103.0)
    written = [msgspec.json.encode(record) for record in session.records]
    entries = [entry for line in written for entry in msgspec.json.decode(line, type=CycleRecord).entries]
    spec = session.core.spec
    found: LedgerState = Ledger.folded(spec.instruments, spec.valuation_asset, entries, leverage=spec.leverage).state()
    assert found == session.core.ledger.state()
    assert found.positions[0].quantity == -4
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))


def test_a_restart_reuses_no_ids() -> None:
    """D-11: ids are derived from when and what, so a second run's are others."""
    first, second = account(), account()
    second.ticks([quote_tick(hour(2), 100.0, 100.0)])
    ids: list[set[str]] = []
    for session in (first, second):
        order(session, "buy", "1")
        price(session, 100.0)
        told: list[OrderResult] = session.results
        ids.append({result.order_id for result in told})
    assert ids[0].isdisjoint(ids[1])


def test_several_partial_fills_are_one_order_and_one_fee() -> None:
    """INV-07: small quotes fill it in parts; the fee is that of the whole, rounded up once."""
    session = account()
    order(session, "buy", "2.5")
    for _ in range(3):
        instant = session.driver.last[0] + 20 * SECOND_NS  # what was taken of a price has come back by then
        session.ticks([Tick(instant, Phase.QUOTE, (Quote(instant, BTC.key, 100.0, 100.0, 1.0, 1.0),))])
    assert [result.status for result in session.results][1:] == [
        OrderStatus.PARTIALLY_FILLED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED]  # fmt: skip
    assert sum(fill.quantity for fill in session.fills) == Decimal("2.5")
    assert sum(fill.fee for fill in session.fills) == Decimal("2.5") * Decimal("100.05") * Decimal("0.0006")
    kinds: list[LedgerEntry] = [entry for record in session.records for entry in record.entries]
    assert [entry.kind for entry in kinds] == ["opening", "fill", "fill", "fill"]
    assert {fill.side for fill in session.fills} == {Side.BUY}
