"""Money never rounds by itself: only the quantising functions may, and they go the stated way. Fractions are the judge."""

from __future__ import annotations

import math
from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.money import CASH_STEP, exact_money, from_float, quantise_down, quantise_up, share, units

amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=8, allow_nan=False, allow_infinity=False)
positive = st.decimals(min_value=Decimal("0.00000001"), max_value=10**9, places=8, allow_nan=False, allow_infinity=False)
steps = st.sampled_from([Decimal(text) for text in ("0.00000001", "0.00001", "0.01", "0.05", "0.3", "1", "7", "25", "1000")])


@given(amounts, steps)
def test_quantise_down_is_the_floor_in_steps(value: Decimal, step: Decimal) -> None:
    with exact_money():
        assert Fraction(quantise_down(value, step)) == math.floor(Fraction(value) / Fraction(step)) * Fraction(step)


@given(amounts, steps)
def test_quantise_up_is_the_ceiling_in_steps(value: Decimal, step: Decimal) -> None:
    with exact_money():
        assert Fraction(quantise_up(value, step)) == math.ceil(Fraction(value) / Fraction(step)) * Fraction(step)


@given(amounts, steps)
def test_a_multiple_of_the_step_stays_what_it_is(value: Decimal, step: Decimal) -> None:
    with exact_money():
        multiple = quantise_down(value, step)
        assert quantise_down(multiple, step) == multiple == quantise_up(multiple, step)


@given(amounts, positive, steps)
def test_units_are_whole_lots_rounded_towards_zero(amount: Decimal, price: Decimal, step: Decimal) -> None:
    with exact_money():
        bought = units(amount, price, step)
    assert Fraction(bought) == math.trunc(Fraction(amount) / (Fraction(price) * Fraction(step))) * Fraction(step)


@given(amounts, st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_loses_less_than_a_cash_step_and_all_of_it_is_all(amount: Decimal, part: int, more: int) -> None:
    with exact_money():
        taken = share(amount, Decimal(part), Decimal(part + more))
        assert share(amount, Decimal(part + more), Decimal(part + more)) == amount
    exact = Fraction(amount) * part / (part + more)
    assert abs(Fraction(taken)) <= abs(exact) < abs(Fraction(taken)) + Fraction(CASH_STEP)


def test_rounding_outside_the_quantising_functions_is_an_exception_and_the_context_ends_with_its_block() -> None:
    with exact_money():
        with pytest.raises(Inexact):
            Decimal(1) / Decimal(3)
        with pytest.raises(Inexact):
            Decimal(10) ** 80 + 1  # 81 digits
        assert Decimal(1) / Decimal(8) == Decimal("0.125")
    assert str(Decimal(1) / Decimal(3)) == "0.3333333333333333333333333333"


def test_the_context_ends_when_its_block_raises() -> None:
    with pytest.raises(Inexact), exact_money():
        Decimal(2) / Decimal(3)
    assert Decimal(2) / Decimal(3) > 0


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (100.0, "100.0"), (1e-8, "1E-8"), (0.1 + 0.2, "0.30000000000000004"), (-2.5, "-2.5"), (5e22, "5E+22")]
)
def test_a_float_becomes_the_decimal_one_reads(value: float, text: str) -> None:
    assert str(from_float(value)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_as_money_and_is_never_longer_than_17_digits(value: float) -> None:
    exact = from_float(value)
    assert float(exact) == value
    assert len(exact.as_tuple().digits) <= 17 or "E" not in repr(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_money(value: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        from_float(value)
