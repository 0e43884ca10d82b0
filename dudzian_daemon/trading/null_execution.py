"""What stands where no execution service was configured: it answers every order with `skipped` and fills nothing."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from dudzian_daemon.domain.orders import OrderLeg, Side


class SkippedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that went nowhere; `symbol` is the instrument's name, `size` is in its base asset."""

    symbol: str
    side: Side
    size: Decimal
    status: Literal["skipped"] = "skipped"


class NullExecutionService:
    """Keeps no book: there is nothing to cancel, to match or to fill, so it needs no approval either."""

    def execute(self, legs: Iterable[OrderLeg]) -> list[SkippedOrder]:
        """One `skipped` answer a leg."""
        return [SkippedOrder(symbol=leg.instrument, side=leg.side, size=leg.quantity) for leg in legs]
