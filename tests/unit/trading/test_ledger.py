"""The account balances to the last digit, whatever is filled and marked; a reference in Fractions, of ten lines, is the judge."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.money import CASH_STEP, exact_money
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.domain.records import LedgerEntry as Entry
from dudzian_daemon.testing.market import START_NS, instrument
from dudzian_daemon.trading.entries import LIQUIDATION
from dudzian_daemon.trading.ledger import Ledger
from tests.unit.trading.desk import BTC, ETH

OPENING = Decimal(10_000)
NUMBERS = count()


def ledger(leverage: Decimal = Decimal(1)) -> Ledger:
    book = Ledger({BTC.key: BTC, ETH.key: ETH}, "USDT", OPENING, leverage=leverage)
    book.mark(BTC.key, 100.0, START_NS)
    book.mark(ETH.key, 10.0, START_NS)
    return book


def fill(
    side: Side, quantity: str | Decimal, price: str | Decimal, fee: str | Decimal = "0", *, who: str = "a", key: str = BTC.key
) -> Fill:
    return Fill(
        id=f"f{next(NUMBERS)}",
        order_id="o",
        signal_id="s",
        strategy=who,
        schedule=who,
        instrument=key,
        side=side,
        quantity=Decimal(quantity),
        reference_price=Decimal(price),
        slippage=Decimal(0),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_asset="USDT",
        filled_at=START_NS,
        fill_source="open_print",
        inside_bar=False,
        preset="p",
    )


def money(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(amount) for amount in amounts)


def sums(entry: Entry) -> dict[str, Decimal]:
    by_asset: dict[str, Decimal] = defaultdict(Decimal)
    for posting in entry.postings:
        by_asset[posting.asset] += posting.amount
    return dict(by_asset)


def test_a_purchase_moves_cash_holding_and_fee_and_balances_in_each_asset() -> None:
    book = ledger()
    entry, change = book.book(fill(Side.BUY, "2", "100.05", "0.12006"))
    assert sums(entry) == {"USDT": 0, "BTC": 0}
    assert (entry.number, entry.kind) == (2, "fill")
    assert book.cash == Decimal("9799.77994")
    assert book.fees == Decimal("0.12006")
    assert (change.quantity, change.cost, change.realised) == money("2", "200.10", "0")
    assert book.equity == Decimal("9999.77994")  # 0.1 of slippage and the fee are gone
    assert book.balances[("strategy:a:binance:BTC/USDT", "BTC")] == 2
    assert book.balances[("expense:fees", "USDT")] == Decimal("0.12006")


def test_a_partial_close_realises_its_part_and_the_last_one_the_rest() -> None:
    book = ledger()
    book.book(fill(Side.BUY, "3", "100"))
    _, first = book.book(fill(Side.SELL, "1", "110"))
    assert (first.quantity, first.cost, first.realised) == money("2", "200", "10")
    _, last = book.book(fill(Side.SELL, "2", "90"))
    assert (last.quantity, last.cost, last.realised) == money("0", "0", "-10")
    assert book.equity == OPENING - 10


def test_a_cost_that_does_not_divide_leaves_its_remainder_in_the_position() -> None:
    book = ledger()
    book.book(fill(Side.BUY, "0.003", "33.34"))  # cost 0.10002
    _, change = book.book(fill(Side.SELL, "0.001", "33.34"))
    assert change.cost == Decimal("0.06668000")
    _, change = book.book(fill(Side.SELL, "0.001", "33.34"))
    _, change = book.book(fill(Side.SELL, "0.001", "33.34"))
    assert (change.quantity, change.cost, change.realised) == money("0", "0", "0")


def test_two_strategies_in_one_instrument_keep_separate_books_and_one_net_position() -> None:
    book = ledger()
    book.book(fill(Side.BUY, "2", "100", who="a"))
    book.book(fill(Side.BUY, "1", "130", who="b"))
    book.book(fill(Side.SELL, "2", "120", who="a"))
    assert (book.position("a", BTC.key), book.books["a", BTC.key].realised) == money("0", "40")
    assert (book.position("b", BTC.key), book.books["b", BTC.key].cost) == money("1", "130")
    assert book.net[BTC.key] == 1
    assert book.exposure(BTC.key) == 100


def test_a_short_sale_owes_what_it_sold_and_realises_when_it_is_bought_back() -> None:
    book = ledger()
    _, change = book.book(fill(Side.SELL, "3", "100"))
    assert (change.quantity, change.cost, change.realised) == money("-3", "-300", "0")
    book.mark(BTC.key, 110.0, START_NS + 1)
    assert (book.cash, book.equity, book.gross_exposure) == money("10300", "9970", "330")
    _, change = book.book(fill(Side.BUY, "1", "110"))
    assert (change.quantity, change.cost, change.realised) == money("-2", "-200", "-10")
    _, change = book.book(fill(Side.BUY, "2", "95"))
    assert (change.quantity, change.cost, change.realised) == money("0", "0", "0")
    assert book.equity == OPENING


def test_marks_move_equity_only_through_what_is_held() -> None:
    book = ledger()
    book.mark(BTC.key, 250.0, START_NS + 1)
    assert (book.equity, book.gross_exposure, book.exposure(BTC.key)) == (OPENING, *money("0", "0"))
    book.book(fill(Side.BUY, "1", "250"))
    book.mark(BTC.key, 249.9, START_NS + 2)
    assert book.equity == Decimal("9999.9")
    assert book.gross_exposure == Decimal("249.9")
    price = book.prices.last_price(BTC.key)
    assert price is not None
    assert (price.price, price.instant) == (Decimal("249.9"), START_NS + 2)


def test_nothing_is_known_of_an_instrument_before_its_first_price() -> None:
    book = Ledger({BTC.key: BTC}, "USDT", OPENING)
    assert (book.prices.last_price(BTC.key), book.prices.last_quote(BTC.key)) == (None, None)
    assert (book.position("a", BTC.key), book.exposure(BTC.key)) == money("0", "0")


def test_margin_is_the_notional_over_the_leverage_and_is_released_in_proportion() -> None:
    book = ledger(leverage=Decimal(3))
    entry, change = book.book(fill(Side.SELL, "1", "120"))
    assert (change.margin, entry.margin, entry.leverage) == money("40", "40", "3")
    assert (book.blocked("USDT"), book.available("USDT"), book.cash) == money("160", "9960", "10120")
    _, change = book.book(fill(Side.SELL, "2", "90"))
    assert (change.quantity, change.cost, change.margin) == money("-3", "-300", "100")  # the entry price is the weighted one, 100
    entry, change = book.book(fill(Side.BUY, "1", "80"))
    assert (change.margin, entry.margin, change.realised) == (Decimal("66.66666667"), Decimal("-33.33333333"), Decimal(20))
    _, change = book.book(fill(Side.BUY, "2", "80"))
    assert (change.margin, book.blocked("USDT"), book.equity) == money("0", "0", "10060")


def test_margin_that_does_not_divide_is_rounded_up() -> None:
    book = ledger(leverage=Decimal(3))
    _, change = book.book(fill(Side.SELL, "0.001", "100"))
    assert change.margin == Decimal("0.03333334")
    assert sums(book.book(fill(Side.SELL, "0.001", "100"))[0]) == {"USDT": 0, "BTC": 0}


def test_an_execution_counts_once_and_in_its_order() -> None:
    book = ledger()
    one = fill(Side.BUY, "1", "100")
    book.book(one)
    before = book.state()
    for again in (one, msgspec.structs.replace(one, id="older", filled_at=START_NS - 1)):
        with pytest.raises(ValueError, match="not booked yet"):
            book.book(again)
    assert book.state() == before
    book.apply(book.opening)
    assert book.state() == before
    with pytest.raises(ValueError, match="expected ledger entry 3, found 9"):
        book.apply(msgspec.structs.replace(book.opening, number=9))


def test_none_of_several_executions_of_one_instant_counts_twice() -> None:
    book = ledger()
    one, two = fill(Side.BUY, "1", "100"), fill(Side.BUY, "2", "100")
    book.book(one)
    book.book(two)
    for again in (one, two):
        with pytest.raises(ValueError, match="not booked yet"):
            book.book(again)


def test_how_many_positions_are_held_counts_each_strategys_by_itself() -> None:
    book = ledger()
    held = []
    for deal in (fill(Side.BUY, "1", "100"), fill(Side.BUY, "1", "100", who="b"), fill(Side.BUY, "1", "100"), fill(Side.SELL, "2", "100")):
        book.book(deal)
        held.append((book.open_positions, book.holders(BTC.key)))
    assert held == [(1, ("a",)), (2, ("a", "b")), (2, ("a", "b")), (1, ("b",))]


def test_a_purchase_needs_its_price_and_fee_and_a_short_its_margin() -> None:
    book = ledger(leverage=Decimal(2))
    assert book.affords(fill(Side.BUY, "100", "99.9", "10"))
    assert not book.affords(fill(Side.BUY, "100", "99.9", "10.00000001"))
    assert book.affords(fill(Side.SELL, "199", "100", "50"))
    assert not book.affords(fill(Side.SELL, "199", "100", "50.00000001"))
    assert book.entries == 1  # asking moves nothing


def test_what_a_short_ties_up_buys_nothing_but_the_short_back() -> None:
    book = ledger()
    book.book(fill(Side.SELL, "100", "100"))
    assert book.available("USDT") == 0
    assert not book.affords(fill(Side.BUY, "1", "1", key=ETH.key))
    assert book.affords(fill(Side.BUY, "100", "200"))
    assert not book.affords(fill(Side.BUY, "100", "200.01"))
    assert book.affords(msgspec.structs.replace(fill(Side.BUY, "100", "200.01"), fill_source=LIQUIDATION))


def test_a_fee_in_what_is_bought_makes_the_holding_smaller() -> None:
    book = ledger()
    entry, change = book.book(msgspec.structs.replace(fill(Side.BUY, "1", "100", "0.001"), fee_asset="BTC"))
    assert sums(entry) == {"USDT": 0, "BTC": 0}
    assert (change.quantity, change.cost, change.realised) == money("0.999", "99.9", "-0.1")
    assert (book.cash, book.equity) == money("9900", "9999.9")  # 0.001 at 100 is gone
    assert book.balances[("expense:fees", "BTC")] == Decimal("0.001")
    assert (book.position("a", BTC.key), book.net[BTC.key]) == money("0.999", "0.999")


def test_a_fee_in_what_is_traded_of_a_closing_purchase_leaves_a_short_of_that_size() -> None:
    book = ledger()
    book.book(fill(Side.SELL, "1", "100"))
    _, change = book.book(msgspec.structs.replace(fill(Side.BUY, "1", "90", "0.001"), fee_asset="BTC"))
    assert (change.quantity, change.cost, change.realised) == money("-0.001", "-0.09", "9.91")
    assert book.equity == OPENING + 10 - Decimal("0.1")  # marked at 100


def test_a_fee_in_a_third_asset_needs_a_balance_of_it() -> None:
    coin = instrument("BNB")
    book = Ledger({BTC.key: BTC, coin.key: coin}, "USDT", {"USDT": OPENING, "BNB": Decimal(1)}, conversions={"BNB": coin.key})
    book.mark(BTC.key, 100.0, START_NS)
    paid = msgspec.structs.replace(fill(Side.BUY, "1", "100", "0.02"), fee_asset="BNB")
    assert book.equity == OPENING  # a coin without a mark is worth nothing yet
    book.mark(coin.key, 300.0, START_NS)
    assert book.equity == OPENING + 300
    assert book.affords(paid)
    assert not book.affords(msgspec.structs.replace(paid, fee=Decimal("1.01")))
    book.book(paid)
    assert (book.wallet["BNB"], book.fees, book.equity) == money("0.98", "6", "10294")


def test_several_quote_assets_are_told_in_one_by_the_mark_of_a_pair() -> None:
    sol, euro = instrument("SOL", symbol="SOL/EUR", quote="EUR"), instrument("EUR")
    book = Ledger({sol.key: sol, euro.key: euro}, "USDT", {"USDT": OPENING, "EUR": Decimal(1000)}, conversions={"EUR": euro.key})
    book.mark(sol.key, 20.0, START_NS)
    book.mark(euro.key, 1.1, START_NS)
    assert (book.cash, book.equity, book.available("EUR")) == money("11100", "11100", "1000")
    assert not book.affords(fill(Side.BUY, "51", "20", key=sol.key))  # no other asset pays for it
    book.book(fill(Side.BUY, "10", "20", key=sol.key))
    assert (book.wallet["EUR"], book.cash, book.exposure(sol.key)) == money("800", "10880", "220")
    book.mark(sol.key, 25.0, START_NS)
    book.mark(euro.key, 1.2, START_NS)
    assert (book.equity, book.gross_exposure) == (OPENING + 800 * Decimal("1.2") + 250 * Decimal("1.2"), Decimal(300))


def test_a_pair_may_be_quoted_the_other_way_round() -> None:
    pair = instrument("USDT", symbol="USDT/PLN", quote="PLN")
    with exact_money():
        book = Ledger({pair.key: pair}, "USDT", {"PLN": Decimal(1000)}, conversions={"PLN": pair.key})
        book.mark(pair.key, 3.0, START_NS)
        assert book.prices.rate("PLN") == Decimal("0.333333333333")
        assert book.equity == Decimal("333.333333333")
        book.mark(pair.key, -1.0, START_NS)  # no price: the rate stays
        assert book.prices.rate("PLN") == Decimal("0.333333333333")


def test_folding_the_entries_gives_the_ledger_back() -> None:
    book = ledger(leverage=Decimal(3))
    entries = [book.opening]
    deals = fill(Side.SELL, "3", "100", "1"), fill(Side.BUY, "1", "90", "0.5"), fill(Side.BUY, "4", "10", key=ETH.key, who="b")
    entries += [book.book(one)[0] for one in deals]
    entries += book.settle(BTC.key, Decimal("0.001"), START_NS + 1)
    again = Ledger.folded({BTC.key: BTC, ETH.key: ETH}, "USDT", entries, leverage=Decimal(3))
    assert again.state() == book.state()
    assert (again.cash, again.available("USDT"), again.holders(BTC.key)) == (book.cash, book.available("USDT"), ("a",))
    with pytest.raises(ValueError, match="not booked yet"):
        again.book(msgspec.structs.replace(fill(Side.BUY, "4", "10"), id=entries[3].fill_id))


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(1, 10**6)), min_size=1, max_size=8), st.integers(-3000, 3000))
def test_splitting_a_position_changes_no_funding(parts: list[tuple[int, int]], rate: int) -> None:
    """By fills, by prices, and by strategies: what is paid depends on what is held, and by no digit more."""
    with exact_money():
        whole, split, many = (Ledger({BTC.key: BTC}, "USDT", Decimal(10**12)) for _ in range(3))
        lots = sum(size for size, _ in parts)
        for book in (whole, split, many):
            book.mark(BTC.key, 123.45, START_NS)
        if lots:
            whole.book(fill(Side.BUY if lots > 0 else Side.SELL, Decimal(abs(lots)) / 1000, "100"))
        for number, (size, price) in enumerate(parts):
            if size:
                deal = Side.BUY if size > 0 else Side.SELL, Decimal(abs(size)) / 1000, Decimal(price) / 100
                split.book(fill(*deal))
                many.book(fill(*deal, who=f"s{number}"))
        paid = [-sum(each.amount for entry in book.settle(BTC.key, Decimal(rate) / 10**6, START_NS) for each in entry.postings[:1])
                for book in (whole, split, many)]  # fmt: skip
    assert paid == [Decimal(lots) / 1000 * Decimal("123.45") * Decimal(rate) / 10**6] * 3


def test_without_a_mark_there_is_no_funding() -> None:
    book = Ledger({BTC.key: BTC}, "USDT", OPENING)
    book.book(fill(Side.BUY, "1", "100"))
    assert (book.settle(BTC.key, Decimal("0.01"), START_NS), book.equity) == ([], Decimal(9900))


class Deal(NamedTuple):
    """A random happening: a mark, then part of what is possible is traded."""

    who: str
    key: str
    mark: float
    buy: bool
    lots: int
    price: Decimal
    fee: Decimal


deals = st.builds(
    Deal,
    who=st.sampled_from("ab"),
    key=st.sampled_from([BTC.key, ETH.key]),
    mark=st.floats(0.01, 1e6),
    buy=st.booleans(),
    lots=st.integers(1, 5000),
    price=st.decimals(min_value=Decimal("0.01"), max_value=10**5, places=4),
    fee=st.decimals(min_value=0, max_value=10, places=8),
)


class Reference:
    """Cash, holdings and what they cost: averages in Fractions, no postings."""

    def __init__(self) -> None:
        self.cash = Fraction(OPENING)
        self.fees = Fraction(0)
        self.held: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.cost: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.realised: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.closings = 0
        self.marks = {BTC.key: Fraction(100), ETH.key: Fraction(10)}

    def trade(self, deal: Deal, quantity: Fraction) -> None:
        key, price = (deal.who, deal.key), Fraction(deal.price)
        self.cash -= quantity * price + Fraction(deal.fee)
        self.fees += Fraction(deal.fee)
        if quantity * self.held[key] >= 0:
            self.cost[key] += quantity * price
        else:
            released = self.cost[key] * -quantity / self.held[key]
            self.cost[key] -= released
            self.realised[key] += -quantity * price - released
            self.closings += 1
        self.held[key] += quantity

    @property
    def equity(self) -> Fraction:
        return self.cash + sum(quantity * self.marks[key] for (_, key), quantity in self.held.items())


@given(st.lists(deals, max_size=25))
def test_equity_is_opening_plus_profit_less_fees_after_any_fills_and_marks(happenings: list[Deal]) -> None:
    with exact_money():
        book, judge = ledger(), Reference()
        for number, deal in enumerate(happenings):
            book.mark(deal.key, deal.mark, START_NS + number)
            judge.marks[deal.key] = Fraction(repr(deal.mark))
            held = book.position(deal.who, deal.key)
            lots = Decimal(deal.lots) / 1000
            if held and (held > 0) != deal.buy:
                lots = min(lots, abs(held))  # a position ends before one of the other side begins
            entry, change = book.book(fill(Side.BUY if deal.buy else Side.SELL, lots, deal.price, deal.fee, who=deal.who, key=deal.key))
            judge.trade(deal, Fraction(lots if deal.buy else -lots))
            assert all(amount == 0 for amount in sums(entry).values())
            assert (change.quantity, change.strategy) == (book.position(deal.who, deal.key), deal.who)
            compare(book, judge)


def compare(book: Ledger, judge: Reference) -> None:
    assert Fraction(book.cash) == judge.cash
    assert Fraction(book.equity) == judge.equity
    assert Fraction(book.fees) == judge.fees
    realised = sum((Fraction(each.realised) for each in book.books.values()), Fraction(0))
    unrealised = sum(
        (Fraction(each.quantity) * judge.marks[key] - Fraction(each.cost) for (_, key), each in book.books.items()), Fraction(0)
    )
    assert Fraction(book.equity) == Fraction(OPENING) + realised + unrealised - judge.fees
    for key, each in book.books.items():
        assert Fraction(each.quantity) == judge.held[key]
        assert abs(Fraction(each.realised) - judge.realised[key]) <= judge.closings * Fraction(CASH_STEP)
        assert each.quantity or not each.cost
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for (_, asset), amount in book.balances.items():
        totals[asset] += amount
    assert not any(totals.values())
    cash = sum(amount for (account, asset), amount in book.balances.items() if asset == "USDT" and account.endswith((":cash", ":margin")))
    assert cash == book.cash
