"""Limits hold at every point of time, whichever open orders fill, in part or whole, or are cancelled, in any order.

The judge is ten lines of Fractions that know no code of the gate: held and open quantities of each side, times a price.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import ApprovedGroup, Fill, Order, OrderGroup, OrderLeg, Side
from dudzian_daemon.domain.risk import BucketLimits
from dudzian_daemon.testing.market import START_NS, limits, schedule
from tests.unit.trading.desk import BTC, ETH
from tests.unit.trading.gate import Account

PRICES = {BTC.key: Fraction(100), ETH.key: Fraction(10)}
EQUITY = Fraction(10_000)
PROFILE = limits(
    max_position_pct=Decimal("0.3"),
    max_leverage=Decimal("0.8"),
    max_net_exposure=Decimal("0.5"),
    max_open_positions=1,
    max_daily_loss_pct=Decimal(1),
    hard_drawdown_pct=Decimal(1),
)
BUCKET = BucketLimits(name="few", max_position_pct=Decimal("0.2"), max_notional=Decimal(3_500))

WISHES = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([BTC.key, ETH.key]),
    st.sampled_from(list(Side)),
    st.decimals("0.001", "90", places=3),
    st.booleans(),
)
ACTS = st.lists(st.one_of(WISHES, st.tuples(st.sampled_from(["fill", "part", "cancel"]), st.integers(0, 9))), min_size=1, max_size=25)


class Book:
    """An account, its open orders, and what they come to."""

    def __init__(self) -> None:
        self.account = Account(
            PROFILE,
            allow_short=True,
            schedules=[schedule(name, [BTC, ETH], bucket="few" if name == "a" else "") for name in ("a", "b", "c")],
            buckets={"few": BUCKET},
        )
        self.open: list[Order] = []
        self.count = 0

    def wish(self, strategy: str, key: str, side: Side, quantity: Decimal, reduces: bool) -> None:
        self.count += 1
        leg = OrderLeg(instrument=key, side=side, quantity=quantity, reduce_only=reduces)
        usual: dict[str, Any] = {
            "signal_id": f"s{self.count}",
            "schedule": strategy,
            "profile": "balanced",
            "instant": START_NS + self.count * 10**9,
        }
        answer = self.account.gate.judge(OrderGroup(id=f"g{self.count}", strategy=strategy, legs=(leg,), **usual))
        if isinstance(answer, ApprovedGroup):
            assert answer.legs[0].quantity <= quantity
            self.open.append(self._order(answer))

    def act(self, what: str, number: int) -> None:
        if not self.open:
            return
        order = self.open.pop(number % len(self.open))
        if what == "cancel":
            self.account.gate.release(order.id)
            return
        quantity = order.left if what == "fill" else order.left / 2
        self._book(order, quantity)
        after = msgspec.structs.replace(order, filled=order.filled + quantity)
        self.account.gate.filled(after, self._fill(order, quantity), after.left)
        if after.left:
            self.open.append(after)

    def side(self, key: str, side: Side, strategies: str = "abc", *, pending: bool = True) -> Fraction:
        """Value of one side of an instrument: what is held, and what open orders may add."""
        sign = 1 if side is Side.BUY else -1
        held = sum((max(sign * Fraction(self.account.ledger.position(name, key)), Fraction(0)) for name in strategies), Fraction(0))
        orders = [
            each
            for each in self.open
            if (each.instrument, each.side) == (key, side) and not each.reduce_only and each.strategy in strategies
        ]
        return (held + sum((Fraction(each.left) for each in orders if pending), Fraction(0))) * PRICES[key]

    def check(self) -> None:
        longs, shorts = ({key: self.side(key, side) for key in PRICES} for side in Side)
        assert max(*longs.values(), *shorts.values()) <= Fraction("0.3") * EQUITY
        assert sum(longs.values()) + sum(shorts.values()) <= Fraction("0.8") * EQUITY
        assert max(sum(longs.values()), sum(shorts.values())) <= Fraction("0.5") * EQUITY
        assert sum(1 for key in PRICES if longs[key] or shorts[key]) <= 1
        kept = [Fraction(self.account.gate.exposure(side)) for side in Side]
        assert kept == [sum(longs.values()), sum(shorts.values())]
        few = [self.side(key, side, "a") for key in PRICES for side in Side]
        assert max(few) <= Fraction("0.2") * EQUITY
        assert sum(few) <= 3_500
        for key in PRICES:
            assert abs(Fraction(self.account.ledger.net.get(key, Decimal(0)))) * PRICES[key] <= Fraction("0.3") * EQUITY
            for name in "abc":
                closing = self.account.gate.reserved_reducing(name, key)
                assert closing <= abs(self.account.ledger.position(name, key))
        assert set(self.account.gate.reservations.open) == {order.id for order in self.open}

    def _order(self, answer: ApprovedGroup) -> Order:
        group, leg = answer.group, answer.legs[0]
        return Order(
            id=group.order_id(0),
            group_id=group.id,
            signal_id=group.signal_id,
            strategy=group.strategy,
            schedule=group.schedule,
            instrument=leg.instrument,
            side=leg.side,
            quantity=leg.quantity,
            reduce_only=leg.reduce_only,
            accepted_at=group.instant,
            active_at=group.instant,
        )

    def _fill(self, order: Order, quantity: Decimal) -> Fill:
        price = Decimal(PRICES[order.instrument].numerator)
        return Fill(
            id=f"{order.id}#{self.account.ledger.entries}",
            order_id=order.id,
            signal_id=order.signal_id,
            strategy=order.strategy,
            schedule=order.schedule,
            instrument=order.instrument,
            side=order.side,
            quantity=quantity,
            reference_price=price,
            slippage=Decimal(0),
            price=price,
            fee=Decimal(0),
            fee_asset="USDT",
            filled_at=START_NS + self.count,
            fill_source="open_print",
            inside_bar=False,
            preset="p",
        )

    def _book(self, order: Order, quantity: Decimal) -> None:
        self.account.ledger.book(self._fill(order, quantity))


@settings(max_examples=300, deadline=None)
@given(ACTS)
def test_limits_hold_at_every_point_with_open_orders_counted(acts: list[tuple[Any, ...]]) -> None:
    with exact_money():
        book = Book()
        for act in acts:
            if len(act) == 2:
                book.act(*act)
            else:
                book.wish(*act)
            book.check()
