"""A second account in Fractions and plain dicts: it takes what the records say happened and shares no arithmetic with the product."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import ceil

from dudzian_daemon.domain.orders import Fill
from dudzian_daemon.domain.records import CycleRecord

CENT = Fraction(1, 10**8)
Key = tuple[str, str]


def up(value: Fraction) -> Fraction:
    return ceil(value / CENT) * CENT


def cut(value: Fraction) -> Fraction:
    return int(value / CENT) * CENT


class ReferenceAccount:
    """Cash by asset; quantity, cost, profit and margin by (strategy, instrument); marks by instrument."""

    def __init__(self, quotes: dict[str, str], cash: dict[str, int], leverage: int, maintenance: Fraction) -> None:
        self.quotes = quotes
        self.cash = {asset: Fraction(cash.get(asset, 0)) for asset in {*quotes.values(), *cash}}
        self.opened = dict(self.cash)
        self.leverage, self.maintenance = leverage, maintenance
        self.quantity: dict[Key, Fraction] = defaultdict(Fraction)
        self.cost: dict[Key, Fraction] = defaultdict(Fraction)
        self.profit: dict[Key, Fraction] = defaultdict(Fraction)
        self.margin: dict[Key, Fraction] = defaultdict(Fraction)
        self.smooth: dict[Key, Fraction] = defaultdict(Fraction)  # cost at the unrounded average price
        self.fees: dict[str, Fraction] = defaultdict(Fraction)
        self.funded: dict[str, Fraction] = defaultdict(Fraction)
        self.marks: dict[str, Fraction] = {}
        self.closings = 0
        self.orders: dict[str, tuple[Fraction, Fraction]] = {}
        self.ended: set[str] = set()

    # -- what happens ----------------------------------------------------------------------------------------------

    def fill(self, fill: Fill) -> None:
        key, quote = (fill.strategy, fill.instrument), self.quotes[fill.instrument]
        amount, price = Fraction(fill.quantity) * (1 if fill.side == "buy" else -1), Fraction(fill.price)
        self.cash[quote] -= amount * price
        self.cash[fill.fee_asset] -= Fraction(fill.fee)
        self.fees[fill.fee_asset] += Fraction(fill.fee)
        held = self.quantity[key]
        closed = min(abs(amount), abs(held)) if held * amount < 0 else Fraction(0)
        if closed:
            self.closings += 1
            sign = 1 if held > 0 else -1
            whole = closed == abs(held)
            released = self.cost[key] if whole else cut(self.cost[key] * closed / abs(held))
            freed = self.margin[key] if whole else cut(self.margin[key] * closed / abs(held))
            self.smooth[key] -= self.smooth[key] * closed / abs(held)
            self.cost[key] -= released
            self.margin[key] -= freed
            self.profit[key] += sign * closed * price - released
        opened = amount + closed if amount < 0 else amount - closed
        self.cost[key] += opened * price
        self.smooth[key] += opened * price
        if opened < 0:
            self.margin[key] += up(-opened * price / self.leverage)
        self.quantity[key] += amount
        order, filled = self.orders[fill.order_id]
        self.orders[fill.order_id] = order, filled + abs(amount)
        assert filled + abs(amount) <= order, "an order is filled beyond its quantity"

    def fund(self, instrument: str, rate: Fraction) -> None:
        """Everyone who holds it pays (or, short, receives) its value at the last mark times the rate."""
        quote = self.quotes[instrument]
        for (_, name), quantity in self.quantity.items():
            if name == instrument:
                paid = quantity * self.marks[instrument] * rate
                self.cash[quote] -= paid
                self.funded[quote] += paid

    def lives(self, record: CycleRecord) -> None:
        """Orders are accepted with a verdict, change only while they live, and end once."""
        allowed = {verdict.group_id for verdict in record.verdicts if verdict.outcome != "refused"}
        for result in record.results:
            if result.status == "rejected":
                continue
            assert result.order_id not in self.ended, f"{result.order_id} has ended and changes again"
            if result.status == "accepted":
                assert result.order_id not in self.orders
                assert result.order_id.rpartition(".")[0] in allowed
                self.orders[result.order_id] = Fraction(result.quantity), Fraction(0)
            assert result.order_id in self.orders
        for fill in record.fills:
            self.fill(fill)
        for result in record.results:
            if result.status == "filled":
                quantity, filled = self.orders[result.order_id]
                assert filled == Fraction(result.quantity) <= quantity
            if result.status in ("filled", "cancelled", "expired"):
                self.ended.add(result.order_id)

    # -- what must be ----------------------------------------------------------------------------------------------

    def broken(self, key: Key, price: Fraction) -> bool:
        """Whether the margin of a short no longer carries it at this price."""
        quantity = self.quantity[key]
        return quantity < 0 and self.margin[key] - self.cost[key] + quantity * price < -quantity * price * self.maintenance

    def worth(self, rates: dict[str, Fraction]) -> Fraction:
        """Equity in the asset that the rates are in."""
        held = sum(
            (quantity * self.marks[name] * rates[self.quotes[name]] for (_, name), quantity in self.quantity.items() if quantity),
            Fraction(0),
        )
        return held + self.money(rates)

    def money(self, rates: dict[str, Fraction]) -> Fraction:
        """All cash in the asset that the rates are in."""
        return sum((amount * rates[asset] for asset, amount in self.cash.items()), Fraction(0))
