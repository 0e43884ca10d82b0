"""The account balances to the last digit, whatever is filled and marked; a reference in Fractions, of ten lines, is the judge."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.money import CASH_STEP, exact_money
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.testing.market import START_NS
from dudzian_daemon.trading.ledger import Entry, Ledger
from tests.unit.trading.desk import BTC, ETH

OPENING = Decimal(10_000)


def ledger() -> Ledger:
    book = Ledger({BTC.key: BTC, ETH.key: ETH}, "USDT", OPENING)
    book.mark(BTC.key, 100.0, START_NS)
    book.mark(ETH.key, 10.0, START_NS)
    return book


def fill(
    side: Side, quantity: str | Decimal, price: str | Decimal, fee: str | Decimal = "0", *, who: str = "a", key: str = BTC.key
) -> Fill:
    return Fill(
        id="f",
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
    price = book.last_price(BTC.key)
    assert price is not None
    assert (price.price, price.instant) == (Decimal("249.9"), START_NS + 2)


def test_nothing_is_known_of_an_instrument_before_its_first_price() -> None:
    book = Ledger({BTC.key: BTC}, "USDT", OPENING)
    assert (book.last_price(BTC.key), book.last_quote(BTC.key)) == (None, None)
    assert (book.position("a", BTC.key), book.exposure(BTC.key)) == money("0", "0")


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
    cash = sum(amount for (account, asset), amount in book.balances.items() if asset == "USDT" and account.endswith(":cash"))
    assert cash == book.cash
