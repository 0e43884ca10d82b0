"""From a wished exposure to a quantity: pure, exact, rounded down to the lot."""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.money import ZERO, units
from dudzian_daemon.domain.orders import OrderLeg, Side


def leg_to_target(
    instrument: str, position: Decimal, target: Decimal, budget: Decimal, price: Decimal, lot_size: Decimal
) -> OrderLeg | None:
    """The order that moves `position` to `target` (signed fraction of `budget`) at `price`; None when it is there already.

    A move through zero stops at zero: the gate refuses reversals, and closing first is what the operator wants.
    """
    wanted = units(target * budget, price, lot_size) if target else ZERO
    if position and wanted * position < 0:
        wanted = ZERO
    change = wanted - position
    if not change:
        return None
    side = Side.BUY if change > 0 else Side.SELL
    reduces = position != 0 and change * position < 0
    return OrderLeg(instrument=instrument, side=side, quantity=abs(change), reduce_only=reduces)
