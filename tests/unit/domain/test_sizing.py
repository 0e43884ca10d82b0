"""From a wished exposure to an order: whole lots, never more than wished, never through zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import OrderLeg, Side
from dudzian_daemon.domain.sizing import leg_to_target

LOT = Decimal("0.001")


def sized(position: str, target: str, *, budget: str = "3500", price: str = "100") -> OrderLeg | None:
    with exact_money():
        return leg_to_target("X", Decimal(position), Decimal(target), Decimal(budget), Decimal(price), LOT)


def leg(side: Side, quantity: str, *, reduce_only: bool) -> OrderLeg:
    return OrderLeg(instrument="X", side=side, quantity=Decimal(quantity), reduce_only=reduce_only)


@pytest.mark.parametrize(
    ("position", "target", "expected"),
    [
        ("0", "0.1", leg(Side.BUY, "3.5", reduce_only=False)),
        ("3.5", "0.1", None),
        ("3", "0.1", leg(Side.BUY, "0.5", reduce_only=False)),
        ("5", "0.1", leg(Side.SELL, "1.5", reduce_only=True)),
        ("5", "0", leg(Side.SELL, "5", reduce_only=True)),
        ("5", "-0.1", leg(Side.SELL, "5", reduce_only=True)),  # a reversal stops at zero
        ("-5", "0.1", leg(Side.BUY, "5", reduce_only=True)),
        ("0", "-0.1", leg(Side.SELL, "3.5", reduce_only=False)),
        ("0", "0", None),
        ("0", "0.00001", None),  # 0.00035 is less than a lot
    ],
)
def test_the_order_that_reaches_the_target(position: str, target: str, expected: OrderLeg | None) -> None:
    assert sized(position, target) == expected


def test_a_size_is_rounded_down_to_the_lot() -> None:
    assert sized("0", "0.1", price="30.1") == leg(Side.BUY, "11.627", reduce_only=False)  # 350 / 30.1 = 11.6279...


@given(
    st.decimals(min_value=-1, max_value=1, places=4),
    st.decimals(min_value=1, max_value=10**6, places=8),
    st.decimals(min_value=Decimal("0.01"), max_value=10**5, places=8),
)
def test_from_flat_the_exposure_is_the_wish_less_a_part_of_a_lot(target: Decimal, budget: Decimal, price: Decimal) -> None:
    with exact_money():
        order = leg_to_target("X", Decimal(0), target, budget, price, LOT)
    wished = abs(Fraction(target) * Fraction(budget)) / Fraction(price)
    got = Fraction(0) if order is None else Fraction(order.quantity)
    assert got <= wished < got + Fraction(LOT)
    assert order is None or (order.side is Side.BUY) == (target > 0)
