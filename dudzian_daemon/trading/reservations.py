"""What open orders may still use up: the gate counts it beside what is held, so that no interleaving of fills breaks a limit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Order, OrderGroup, OrderKind, OrderLeg, Side


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One open order. `price` is what a unit is counted at, in the quote asset; `rests_at` the limit others of ours could hit;
    `takes` says that it is a market order.

    An exit of a bracket reserves what its entry has filled: before, there is nothing to reduce. Of linked exits only the
    largest counts, since the first that fills ends the others.
    """

    group_id: str
    strategy: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    linked: bool = False
    dormant: bool = False
    rests_at: Decimal | None = None
    takes: bool = False

    @property
    def notional(self) -> Decimal:
        """Value of what is left, in the quote asset."""
        return self.quantity * self.price


class Reservations:
    """Single writer of the reservations; `open` holds them by order id. Who watches is told of each that comes (1) or goes (-1)."""

    def __init__(self) -> None:
        self.open: dict[str, Reservation] = {}
        self.watchers: list[Callable[[Reservation, int], None]] = []
        self._of: dict[tuple[str, str], dict[str, Reservation]] = {}
        self._at: dict[tuple[str, Side], dict[str, Reservation]] = {}

    def reserve(self, group: OrderGroup, number: int, leg: OrderLeg, price: Decimal) -> None:
        """Count leg number `number` as an open order worth `price` a unit, in the place of what was reserved for it before."""
        order_id, dormant = group.order_id(number), group.link == "bracket" and number > 0
        before = self.open.get(order_id)
        if before is not None and not dormant and not before.quantity.compare_total(leg.quantity):
            return
        reservation = Reservation(
            group_id=group.id,
            strategy=group.strategy,
            instrument=leg.instrument,
            side=leg.side,
            quantity=ZERO if dormant else leg.quantity,
            price=price,
            reduce_only=leg.reduce_only,
            linked=bool(group.link),
            dormant=dormant,
            rests_at=leg.terms.limit_price if leg.terms.kind is OrderKind.LIMIT and not dormant else None,
            takes=leg.terms.kind is OrderKind.MARKET,
        )
        self._put(order_id, reservation)

    def release(self, order_id: str) -> None:
        """The order has ended."""
        ended = self.open.pop(order_id, None)
        if ended is not None:
            del self._of[ended.strategy, ended.instrument][order_id]
            del self._at[ended.instrument, ended.side][order_id]
            self._tell(ended, -1)

    def filled(self, order: Order, quantity: Decimal, left: Decimal) -> None:
        """`quantity` of the order was filled and `left` is open: what it reserves shrinks; what a bracket entered can be exited."""
        reserved = self.open.get(order.id)
        if reserved is None:
            return
        if order.link == "bracket" and not reserved.dormant:
            self._wake_exits(order, quantity)
        if left <= 0:
            self.release(order.id)
            return
        kept = max(reserved.quantity - quantity, ZERO) if reserved.dormant else left
        self._put(order.id, msgspec.structs.replace(reserved, quantity=kept))

    def restore(self, reservations: Mapping[str, Reservation]) -> None:
        """Hold exactly these, in this order; nobody is told."""
        self.open, self._of, self._at = {}, {}, {}
        for order_id, each in reservations.items():
            self._file(order_id, each)

    def opening(self) -> Iterator[Reservation]:
        """Open orders that may enlarge a position."""
        return (each for each in self.open.values() if not each.reduce_only)

    def enlarging(self, strategy: str, instrument: str) -> Decimal:
        """Quantity that open orders may add to the strategy's position, on either side."""
        return sum((each.quantity for each in self._mine(strategy, instrument) if not each.reduce_only), ZERO)

    def reducing(self, strategy: str, instrument: str, *, but: str = "") -> Decimal:
        """Quantity that open reducing orders of the strategy will close, those of the group `but` apart."""
        alone = ZERO
        largest: dict[str, Decimal] = {}
        for each in self._mine(strategy, instrument):
            if not each.reduce_only or each.group_id == but:
                continue
            if each.linked:
                largest[each.group_id] = max(largest.get(each.group_id, ZERO), each.quantity)
            else:
                alone += each.quantity
        return sum(largest.values(), alone)

    def across(self, instrument: str, side: Side, group_id: str) -> Sequence[Reservation]:
        """Open orders of other groups on the other side of the market."""
        other = self._at.get((instrument, Side.SELL if side is Side.BUY else Side.BUY))
        return [each for each in other.values() if each.group_id != group_id and not each.dormant] if other else ()

    def opposes_own(self, group: OrderGroup, leg: OrderLeg) -> bool:
        """True if an open order of the strategy may open the other side; of the group itself only where its first fill ends the others."""
        own, mine = group.id if group.link == "oco" else "", self._mine(group.strategy, leg.instrument)
        return any(not each.reduce_only and each.side is not leg.side and each.group_id != own for each in mine)

    def _mine(self, strategy: str, instrument: str) -> Collection[Reservation]:
        mine = self._of.get((strategy, instrument))
        return mine.values() if mine else ()

    def _wake_exits(self, entry: Order, quantity: Decimal) -> None:
        for order_id, each in list(self._of[entry.strategy, entry.instrument].items()):
            if each.dormant and each.group_id == entry.group_id:
                self._put(order_id, msgspec.structs.replace(each, quantity=each.quantity + quantity))

    def _put(self, order_id: str, reservation: Reservation) -> None:
        before = self.open.get(order_id)
        if before is not None:
            self._tell(before, -1)
        self._file(order_id, reservation)
        self._tell(reservation, 1)

    def _file(self, order_id: str, reservation: Reservation) -> None:
        """Into the three indexes; an order keeps its instrument and side for life."""
        self.open[order_id] = reservation
        self._of.setdefault((reservation.strategy, reservation.instrument), {})[order_id] = reservation
        self._at.setdefault((reservation.instrument, reservation.side), {})[order_id] = reservation

    def _tell(self, reservation: Reservation, sign: int) -> None:
        for watcher in self.watchers:
            watcher(reservation, sign)
