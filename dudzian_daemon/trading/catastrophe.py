"""The last line for directional positions whose strategy declares no stop: closed when too much of their cost is lost."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import OrderGroup, OrderLeg, Protection
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.spec import MANUAL, SessionSpec


class StopMet(msgspec.Struct, frozen=True, gc=False):
    """A position at its catastrophe stop; `limit` and `loss` are in the quote asset."""

    strategy: str
    instrument: str
    profile: str
    limit: Decimal
    loss: Decimal


class CatastropheStops:
    """Reads the ledger. State: the protection each position was opened under, and the positions that are being closed."""

    def __init__(self, spec: SessionSpec, ledger: Ledger) -> None:
        self._ledger = ledger
        self._limits = {(each.strategy, key): spec.profiles.get(each.profile) for each in spec.schedules for key in each.instruments}
        self._by_hand = spec.profiles.get(MANUAL)
        self.protections: dict[str, Protection] = {}
        self.closing: dict[str, bool] = {}

    def opened(self, group: OrderGroup, leg: OrderLeg) -> None:
        """An opening order has passed the gate."""
        self.protections[f"{group.strategy} {leg.instrument}"] = leg.protection

    def met(self, instrument: str) -> list[StopMet]:
        """Positions in the instrument that are at their stop for the first time since they were opened."""
        found = []
        for strategy in self._ledger.holders(instrument):
            stop = self._stop(strategy, instrument)
            if stop is not None:
                self.closing[f"{strategy} {instrument}"] = True
                found.append(stop)
        return found

    def is_closing(self, strategy: str, instrument: str) -> bool:
        """True from the moment its stop is met until the position is flat."""
        return f"{strategy} {instrument}" in self.closing

    def flat(self, strategy: str, instrument: str) -> None:
        """The position has ended: the next one is a new one."""
        self.closing.pop(f"{strategy} {instrument}", None)

    def _stop(self, strategy: str, instrument: str) -> StopMet | None:
        limits = self._limits.get((strategy, instrument), self._by_hand)
        mark = self._ledger.prices.last_price(instrument)
        if limits is None or mark is None:
            return None
        book = self._ledger.books[strategy, instrument]
        loss = book.cost - book.quantity * mark.price
        if loss <= ZERO:
            return None
        key = f"{strategy} {instrument}"
        if key in self.closing or self.protections.get(key, Protection.NONE) in (Protection.STOP, Protection.HEDGED):
            return None
        limit = limits.catastrophe_stop_pct * abs(book.cost)
        return StopMet(strategy, instrument, limits.name, limit, loss) if loss >= limit else None
