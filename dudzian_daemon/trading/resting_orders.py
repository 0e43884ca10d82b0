"""The book of our own open orders, oldest first within an instrument, and the groups whose legs hang together.

In an `oco` group the first fill of one leg cancels the others. In a `bracket` leg 0 is the entry: its first fill puts the
other legs, the exits, to work; together they exit what was entered and no more, and an entry that ends unfilled ends them.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Match, Order, OrderStatus

#: Codes of orders that end without being told to.
OCO, ENTRY_ENDED = "oco", "entry_ended"


class Bracket(msgspec.Struct):
    """How much of the entry is filled, and how much of that its exits have sold again; quantities in the base asset."""

    entry_id: str
    entered: Decimal = ZERO
    exited: Decimal = ZERO
    entering: bool = True


class RestingOrders:
    """Single writer of open orders. State: `orders` by instrument and order id, `brackets` by group id."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Order]] = {}
        self.brackets: dict[str, Bracket] = {}

    def all(self) -> list[Order]:
        """Every open order."""
        return [order for orders in self.orders.values() for order in orders.values()]

    def of(self, instrument: str) -> list[Order]:
        """The open orders of an instrument, oldest first."""
        return list(self.orders.get(instrument, {}).values())

    def find(self, order: Order) -> Order | None:
        """The order as it is now, None if it has ended."""
        return self.orders.get(order.instrument, {}).get(order.id)

    def put(self, order: Order) -> None:
        """Add the order, or replace it where it stands."""
        self.orders.setdefault(order.instrument, {})[order.id] = order
        if order.link == "bracket":
            self.brackets.setdefault(order.group_id, Bracket(order.id))

    def open_quantity(self, order: Order) -> Decimal:
        """What may still be filled of the order: of a bracket's exit no more than was entered and not exited."""
        bracket = self._bracket_of_exit(order)
        return order.left if bracket is None else min(order.left, bracket.entered - bracket.exited)

    def filled(self, order: Order, quantity: Decimal) -> list[Match]:
        """`quantity` more of the order is filled, `order` is as it is now; returns the orders that this ends."""
        if order.left:
            self.put(order)
        ended = self._siblings_of_filled(order, quantity)
        if not order.left:
            ended += self.ended(order)
        return ended

    def end(self, order: Order, code: str, status: OrderStatus = OrderStatus.CANCELLED, shortfall: Decimal | None = None) -> list[Match]:
        """The order ends without being filled, and with it what hangs on it; the order itself first."""
        return [Match(order=order, status=status, code=code, shortfall=shortfall), *self.ended(order)]

    def ended(self, order: Order) -> list[Match]:
        """Take the order out of the book; returns the exits that end with a bracket's entry."""
        orders = self.orders.get(order.instrument, {})
        orders.pop(order.id, None)
        if not orders:
            self.orders.pop(order.instrument, None)
        ended: list[Match] = []
        bracket = self.brackets.get(order.group_id)
        if bracket is not None and bracket.entry_id == order.id:
            bracket.entering = False
            ended = self._trim(order, bracket)
        if bracket is not None and not self._of_group(order):
            self.brackets.pop(order.group_id, None)
        return ended

    def _siblings_of_filled(self, order: Order, quantity: Decimal) -> list[Match]:
        if order.link == "oco":
            return [match for sibling in self._of_group(order) if sibling.id != order.id for match in self.end(sibling, OCO)]
        if order.link != "bracket":
            return []
        bracket = self.brackets[order.group_id]
        if bracket.entry_id == order.id:
            bracket.entered += quantity
            for sibling in self._of_group(order):
                if sibling.dormant:
                    self.put(msgspec.structs.replace(sibling, dormant=False))
            return []
        bracket.exited += quantity
        if bracket.entering or bracket.exited < bracket.entered:
            return []
        return [match for sibling in self._of_group(order) if sibling.id != order.id for match in self.end(sibling, OCO)]

    def _trim(self, entry: Order, bracket: Bracket) -> list[Match]:
        """The entry is over: its exits are cut down to what was entered, or end with it."""
        ended = []
        for sibling in self._of_group(entry):
            quantity = min(sibling.quantity, sibling.filled + bracket.entered - bracket.exited)
            if quantity > sibling.filled:
                self.put(msgspec.structs.replace(sibling, quantity=quantity))
            else:
                ended += self.end(sibling, ENTRY_ENDED)
        return ended

    def _of_group(self, order: Order) -> list[Order]:
        return [each for each in self.of(order.instrument) if each.group_id == order.group_id]

    def _bracket_of_exit(self, order: Order) -> Bracket | None:
        bracket = self.brackets.get(order.group_id)
        return None if bracket is None or bracket.entry_id == order.id else bracket
