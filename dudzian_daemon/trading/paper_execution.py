"""The simulated venue: single writer of the book of resting orders. Takes approved groups only.

A market order fills on the first open print or quote whose instant is >= its `active_at`, never on a candle's close
and never in the step that accepted it. The reference price is the price the data shows; slippage is a separate amount.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dudzian_daemon.domain.fees import ExecutionPreset, taker_fee, taker_price
from dudzian_daemon.domain.market import Instrument, OpenPrint, Quote
from dudzian_daemon.domain.money import from_float
from dudzian_daemon.domain.orders import ApprovedGroup, Fill, Order, OrderLeg, OrderResult, OrderStatus, Side


class PaperTradingExecutionService:
    """Orders in, fills out; it knows no balances and no limits."""

    def __init__(self, instruments: Mapping[str, Instrument], preset: ExecutionPreset) -> None:
        self._instruments = instruments
        self._preset = preset
        self._resting: dict[str, list[Order]] = {}

    @property
    def open_orders(self) -> list[Order]:
        """All resting orders, oldest first within an instrument."""
        return [order for orders in self._resting.values() for order in orders]

    def submit(self, approved: ApprovedGroup, instant: int) -> list[OrderResult]:
        """Accept every leg of the group; it may fill from the next price input on."""
        results = []
        for number, leg in enumerate(approved.legs):
            order = self._order(approved, leg, number, instant)
            self._resting.setdefault(order.instrument, []).append(order)
            results.append(result(order, OrderStatus.ACCEPTED))
        return results

    def match(self, price: OpenPrint | Quote) -> list[tuple[Order, Fill]]:
        """Fill what this print or quote fills, oldest order first; filled orders leave the book."""
        orders = self._resting.get(price.instrument)
        if not orders:
            return []
        snapshot = isinstance(price, Quote) and price.source == "last_price"  # no later price will come: latency has no meaning
        active = [order for order in orders if snapshot or order.active_at <= price.instant]
        if len(active) == len(orders):
            del self._resting[price.instrument]
        else:
            self._resting[price.instrument] = [order for order in orders if order.active_at > price.instant]
        return [(order, self._fill(order, price)) for order in active]

    def cancel(
        self, *, code: str, schedules: Collection[str] | None = None, group_id: str | None = None
    ) -> list[tuple[Order, OrderResult]]:
        """Take all resting orders out of the book, or only those that signals of `schedules` have put there, or those of one group."""
        cancelled = [
            order
            for order in self.open_orders
            if (schedules is None or (order.signal_id and order.schedule in schedules)) and group_id in (None, order.group_id)
        ]
        gone = {order.id for order in cancelled}
        kept = {name: [order for order in orders if order.id not in gone] for name, orders in self._resting.items()}
        self._resting = {name: orders for name, orders in kept.items() if orders}
        return [(order, result(order, OrderStatus.CANCELLED, code=code)) for order in cancelled]

    def _order(self, approved: ApprovedGroup, leg: OrderLeg, number: int, instant: int) -> Order:
        group = approved.group
        return Order(
            id=group.order_id(number),
            group_id=group.id,
            signal_id=leg.signal_id or group.signal_id,
            strategy=group.strategy,
            schedule=group.schedule,
            instrument=leg.instrument,
            side=leg.side,
            quantity=leg.quantity,
            reduce_only=leg.reduce_only,
            accepted_at=instant,
            active_at=instant + group.held_ns + self._preset.latency_ns,
        )

    def _fill(self, order: Order, price: OpenPrint | Quote) -> Fill:
        instrument = self._instruments[order.instrument]
        if isinstance(price, OpenPrint):
            shown, source = price.price, "open_print"
        else:
            shown, source = (price.ask if order.side is Side.BUY else price.bid), price.source
        reference = from_float(shown)
        paid = taker_price(reference, order.side, self._preset, instrument.tick_size)
        return Fill(
            id=f"{order.id}#1",
            order_id=order.id,
            signal_id=order.signal_id,
            strategy=order.strategy,
            schedule=order.schedule,
            instrument=order.instrument,
            side=order.side,
            quantity=order.quantity,
            reference_price=reference,
            slippage=abs(paid - reference),
            price=paid,
            fee=taker_fee(order.quantity * paid, self._preset),
            fee_asset=instrument.quote,
            filled_at=price.instant,
            fill_source=source,
            inside_bar=False,
            preset=self._preset.name,
            synthetic=instrument.synthetic,
        )


def result(order: Order, status: OrderStatus, *, fill: Fill | None = None, code: str | None = None) -> OrderResult:
    """The order's change of state as a record."""
    return OrderResult(
        order_id=order.id,
        signal_id=order.signal_id,
        strategy=order.strategy,
        instrument=order.instrument,
        side=order.side,
        status=status,
        quantity=order.quantity,
        price=None if fill is None else fill.price,
        code=code,
    )
