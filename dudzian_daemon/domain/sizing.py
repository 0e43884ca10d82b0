"""From a wished exposure to a quantity, and from a stop to the size it allows: pure, exact, rounded down to the lot."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from dudzian_daemon.domain.money import ONE, ZERO, units
from dudzian_daemon.domain.orders import OrderLeg, RefusalCode, Side

#: A stop may be this share tighter than its minimum: floats of a strategy are not exact.
STOP_TOLERANCE: Final = Decimal("0.0001")


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


def stop_distance(side: Side, price: Decimal, stop: Decimal) -> Decimal:
    """How far `stop` lies on the loss side of `price`; negative when it lies on the other."""
    return price - stop if side is Side.BUY else stop - price


def stop_fault(side: Side, price: Decimal, stop: Decimal | None, atr: Decimal | None, multiple: Decimal) -> RefusalCode | None:
    """What is wrong with the declared stop of an opening order at `price`, None if nothing.

    Needed are a positive stop and a positive ATR, and a distance of at least `multiple` ATR less `STOP_TOLERANCE`; wider is allowed.
    """
    if stop is None or atr is None or stop <= 0 or atr <= 0:
        return RefusalCode.STOP_MISSING
    distance = stop_distance(side, price, stop)
    if distance <= 0:
        return RefusalCode.STOP_WRONG_SIDE
    return RefusalCode.STOP_TOO_TIGHT if distance < multiple * atr * (ONE - STOP_TOLERANCE) else None
