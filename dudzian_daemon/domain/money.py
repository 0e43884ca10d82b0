"""Exact money: one Decimal context that refuses to round, and the only functions that may.

Every amount in fills and the ledger is a Decimal. The context traps `Inexact`, so that rounding anywhere but in
`quantise` is an exception and not a silent cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from typing import Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
BPS: Final = Decimal("0.0001")
#: Smallest unit in which cash amounts (fees) are kept, in any quote asset.
CASH_STEP: Final = Decimal("0.00000001")

EXACT: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ROUNDING: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


@contextmanager
def exact_money() -> Iterator[None]:
    """Run the block (a session, a backtest, a test) under the context that traps `Inexact`."""
    with localcontext(EXACT):
        yield


def from_float(value: float) -> Decimal:
    """Decimal of the float's shortest round-trip text: 0.1 becomes exactly 0.1. NaN and infinity raise `ValueError`."""
    if value - value != 0.0:
        msg = f"expected a finite number, found {value!r}"
        raise ValueError(msg)
    return Decimal(repr(value))


def plain(value: Decimal) -> Decimal:
    """The same number without zeros at the end of its decimals: how it was arrived at leaves no trace."""
    if not value:
        return ZERO
    if not value.is_finite():
        return value
    short = value.normalize(_ROUNDING)
    return short.quantize(ONE, context=_ROUNDING) if short == short.to_integral_value() else short


def quantise_down(value: Decimal, step: Decimal) -> Decimal:
    """Largest multiple of `step` that is <= value."""
    return _quantise(value, step, ROUND_FLOOR)


def quantise_up(value: Decimal, step: Decimal) -> Decimal:
    """Smallest multiple of `step` that is >= value."""
    return _quantise(value, step, ROUND_CEILING)


def units(amount: Decimal, price: Decimal, step: Decimal) -> Decimal:
    """How much `amount` buys at `price`, in whole multiples of `step`, rounded towards zero. `price` and `step` > 0."""
    return amount // (price * step) * step


def _quantise(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    multiple = _ROUNDING.divide(value, step)
    return multiple.to_integral_value(rounding=rounding, context=_ROUNDING) * step


def reciprocal(value: Decimal) -> Decimal:
    """1 / `value` to 80 digits: for rates that are then quantised, never for amounts."""
    return _ROUNDING.divide(ONE, value)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """`amount` * `part` / `whole`, rounded towards zero to `CASH_STEP`; the caller keeps the rest, so nothing is lost."""
    return amount * part // (whole * CASH_STEP) * CASH_STEP
