"""The simulated venue: single writer of open orders and of what they took. Takes approved groups only.

Docs: docs/reference/simulator.md. A market order fills on open prints, quotes and books whose instant is >= its
`active_at`, never on a candle's close and never in the step that accepted it; limits and stops also inside a bar's range.
The reference price is a price the data shows; slippage is a separate amount.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset, taker_price
from dudzian_daemon.domain.fills import CATCH_UP, LAST_PRICE, Bar, bar_of, book_levels, one_level, quote_levels, unsound, volume
from dudzian_daemon.domain.market import GRANULARITIES, Book, Candle, Instrument, OpenPrint, Quote
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import (
    MARKET_TERMS,
    ApprovedGroup,
    Fill,
    Liquidity,
    Match,
    Order,
    OrderLeg,
    OrderResult,
    OrderStatus,
    Side,
    TimeInForce,
)
from dudzian_daemon.trading.executions import Origin, filled, origin_of, outcome, result
from dudzian_daemon.trading.matching import (
    NOW_OR_NEVER,
    Displayed,
    Met,
    Trade,
    bar_budget,
    is_idle,
    is_stop,
    meet_bar_limit,
    meet_bar_stop,
    meet_levels,
)
from dudzian_daemon.trading.order_book import OwnConsumption, Taken
from dudzian_daemon.trading.pinned_presets import PinnedPresets
from dudzian_daemon.trading.resting_orders import Bracket, RestingOrders

#: What the simulator can match against.
PriceInput = OpenPrint | Quote | Book | Candle


class Bars(msgspec.Struct):
    """Of an instrument's execution series: the last closed bar's volume, and what orders took since the open of the next."""

    volume: float | None = None
    taken: Decimal = ZERO


class VenueMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Open orders in their order, linked groups, what we took out of the market, and bars, all by instrument or group.

    `preset` is what new positions fill by, `pinned` by `strategy instrument` what those fill by that were opened under another.
    """

    preset: ExecutionPreset
    pinned: dict[str, ExecutionPreset]
    orders: dict[str, tuple[Order, ...]]
    brackets: dict[str, Bracket]
    taken: dict[str, tuple[Taken, ...]]
    bars: dict[str, Bars]


class PaperTradingExecutionService:
    """Orders in, fills out; it knows no balances and no limits.

    `position(strategy, instrument)` is what a reduce-only order may still reduce, signed, when it is about to fill.
    """

    def __init__(self, instruments: Mapping[str, Instrument], preset: ExecutionPreset, position: Callable[[str, str], Decimal]) -> None:
        self._instruments = instruments
        self._presets = PinnedPresets(preset)
        self._position = position
        self._book = RestingOrders()
        self._own = OwnConsumption(preset.memory_ns)
        self._bars: dict[str, Bars] = {}

    @property
    def open_orders(self) -> list[Order]:
        """All open orders, oldest first within an instrument."""
        return self._book.all()

    @property
    def has_open_orders(self) -> bool:
        """Whether there is any."""
        return bool(self._book.orders)

    def has_open_orders_in(self, instrument: str) -> bool:
        """Whether there is any of that instrument."""
        return instrument in self._book.orders

    @property
    def next_expiry(self) -> int | None:
        """The earliest instant (ns) at which an open order expires."""
        if not self._book.orders:
            return None
        return min((order.terms.expires_at for order in self.open_orders if order.terms.expires_at is not None), default=None)

    def export(self) -> VenueMemory:
        """All of it, to be restored."""
        return VenueMemory(
            preset=self._presets.preset,
            pinned=dict(self._presets.pinned),
            orders={instrument: tuple(orders.values()) for instrument, orders in self._book.orders.items()},
            brackets={group: msgspec.structs.replace(bracket) for group, bracket in self._book.brackets.items()},
            taken={instrument: tuple(taken) for instrument, taken in self._own.taken.items()},
            bars={instrument: msgspec.structs.replace(bars) for instrument, bars in self._bars.items()},
        )

    def restore(self, memory: VenueMemory) -> None:
        """Be as the venue was that said so, but for its preset: that of new positions is this one's."""
        self._presets.restore(memory.pinned)
        self._own.longest_ns = self._presets.longest_memory_ns
        self._book.orders = {instrument: {order.id: order for order in orders} for instrument, orders in memory.orders.items()}
        self._book.brackets = {group: msgspec.structs.replace(bracket) for group, bracket in memory.brackets.items()}
        self._own.taken = {instrument: list(taken) for instrument, taken in memory.taken.items()}
        self._bars = {instrument: msgspec.structs.replace(bars) for instrument, bars in memory.bars.items()}

    def submit(self, approved: ApprovedGroup, instant: int) -> list[OrderResult]:
        """Accept every leg of the group; it may fill from the next price input on.

        Raises `ValueError` for a leg whose numbers or terms the gate should have refused.
        """
        for leg in approved.legs:
            fault = unsound(leg, self._instruments[leg.instrument])
            if fault is not None:
                msg = f"{leg.instrument}: {fault}; the gate refuses such a leg"
                raise ValueError(msg)
        self._unpin(approved)
        orders = [self._order(approved, leg, number, instant) for number, leg in enumerate(approved.legs)]
        for order in orders:
            self._book.put(order)
        return [result(order, OrderStatus.ACCEPTED, terms=None if order.terms == MARKET_TERMS else order.terms) for order in orders]

    def match(self, price: PriceInput) -> Iterable[Match]:
        """What this input does to the open orders of its instrument, oldest first.

        Book each match before asking for the next one: reduce-only orders look at the position. An order that has been
        withdrawn meanwhile gets no further match.
        """
        if price.instrument in self._book.orders:
            return self._match_bar(price) if isinstance(price, Candle) else self._match_levels(price)
        self._bars_after(price)
        return ()

    def expire(self, instant: int) -> list[Match]:
        """End the orders whose `expires_at` is not after `instant`."""
        return self._expired(self.open_orders, instant)

    def cancel(
        self,
        *,
        code: str,
        schedules: Collection[str] | None = None,
        group_id: str | None = None,
        order_id: str | None = None,
    ) -> list[tuple[Order, OrderResult]]:
        """End all open orders, or only those that signals of `schedules` have put there, those of one group, or one.

        Exits of a bracket whose entry is cancelled unfilled end with it.
        """
        ended: list[Match] = []
        for order in self.open_orders:
            meant = schedules is None or (order.signal_id and order.schedule in schedules)
            if meant and group_id in (None, order.group_id) and order_id in (None, order.id) and self._book.find(order):
                ended += self._book.end(order, code)
        return [(match.order, outcome(match)) for match in ended]

    def refuse(self, order: Order, fill: Fill, code: str) -> list[Match]:
        """The account cannot bear this fill: it never happened, and the order ends."""
        without = msgspec.structs.replace(order, filled=order.filled - fill.quantity, fills=order.fills - 1)
        return self._book.end(without, code, OrderStatus.CANCELLED if without.fills else OrderStatus.REJECTED)

    def liquidate(self, order: Order, price: Decimal, instant: int, *, inside_bar: bool) -> Iterator[Match]:
        """The venue itself closes a position through this order: at once and as a whole, at `price` and slippage."""
        preset = self._presets.of(order.strategy, order.instrument)
        paid = taker_price(price, order.side, preset, self._instruments[order.instrument].tick_size)
        trade = Trade(order.left, price, paid, Liquidity.TAKER)
        yield from self._trade(Met(order, (trade,)), Origin("liquidation", instant, inside_bar))

    def _unpin(self, approved: ApprovedGroup) -> None:
        """What is flat and has no order begins anew, under the session's preset."""
        strategy = approved.group.strategy
        for instrument in [leg.instrument for leg in approved.legs if self._presets.pinned]:
            if not self._position(strategy, instrument) and all(order.strategy != strategy for order in self._book.of(instrument)):
                self._presets.release(strategy, instrument)

    def _expired(self, orders: list[Order], instant: int) -> list[Match]:
        ended: list[Match] = []
        for order in orders:
            if order.terms.expires_at is not None and order.terms.expires_at <= instant and self._book.find(order):
                ended += self._book.end(order, "expired", OrderStatus.EXPIRED)
        return ended

    # -- the two ways to match -------------------------------------------------------------------------------------

    def _match_levels(self, price: OpenPrint | Quote | Book) -> Iterator[Match]:
        bars = self._bars_after(price)
        rules = self._instruments.get(price.instrument)
        sides: dict[tuple[Side, str], Displayed] = {}  # the same for every order of a side and preset until one takes something
        yield from self._expired(self._book.of(price.instrument), price.instant)
        for order in self._book.of(price.instrument):
            now = self._book.find(order)
            if now is None or rules is None or order.dormant or not _is_active(now, price):
                continue
            preset = self._presets.of(now.strategy, now.instrument)
            key = (now.side, "" if preset is self._presets.preset else now.strategy)
            side = sides.get(key) or sides.setdefault(key, self._displayed(price, now.side, preset, bars, rules.lot_size))
            if is_idle(now, side):
                continue
            met = meet_levels(now, side, self._book.open_quantity(now), preset, rules.tick_size, rules.lot_size)
            if met.trades:
                sides.clear()
            yield from self._trade(met, origin_of(price))

    def _match_bar(self, candle: Candle) -> Iterator[Match]:
        """Inside a bar the adverse order of events is assumed: stops before limits, then the stops of exits whose entry the bar filled."""
        bars = self._bars.setdefault(candle.instrument, Bars())
        yield from self._expired(self._book.of(candle.instrument), candle.end - 1)
        orders = self._book.of(candle.instrument)
        bar = bar_of(candle, GRANULARITIES[candle.granularity]) if orders else None
        if bar is not None:
            waiting = [
                order
                for order in orders
                if order.active_at <= bar.start and not order.dormant and order.terms.time_in_force not in NOW_OR_NEVER
            ]
            for order in sorted(waiting, key=lambda order: not is_stop(order)):
                if (now := self._book.find(order)) is not None:
                    yield from self._in_bar(now, bar, bars, fresh=False)
            for order in orders:
                now = self._book.find(order)
                if order.dormant and now is not None and not now.dormant and is_stop(now):
                    yield from self._in_bar(now, bar, bars, fresh=True)
        self._bars_after(candle)

    def _bars_after(self, price: PriceInput) -> Bars:
        """An open print begins a bar, of which nothing is taken; a candle ends one."""
        bars = self._bars.get(price.instrument)
        if bars is None:
            bars = self._bars[price.instrument] = Bars()
        if isinstance(price, Candle):
            bars.volume = price.volume
        if isinstance(price, (Candle, OpenPrint)):
            bars.taken = ZERO
        return bars

    def _in_bar(self, order: Order, bar: Bar, bars: Bars, *, fresh: bool) -> Iterator[Match]:
        rules, preset = self._instruments[order.instrument], self._presets.of(order.strategy, order.instrument)
        budget = bar_budget(bar, preset.bar_volume_share, bars.taken, rules.lot_size)
        wanted = self._book.open_quantity(order)
        if is_stop(order):
            met = meet_bar_stop(order, bar, budget, wanted, preset, rules.tick_size, fresh=fresh)
        else:
            met = meet_bar_limit(order, bar, budget, wanted, preset, rules.tick_size)
        yield from self._trade(met, Origin(bar.source, bar.seen, inside_bar=True))

    def _displayed(self, price: OpenPrint | Quote | Book, side: Side, preset: ExecutionPreset, bars: Bars, lot: Decimal) -> Displayed:
        """What a taker of `side` meets, less what we took: of a print what earlier orders took of it, of a level what is not back yet."""
        if isinstance(price, OpenPrint):
            # Before the first bar has closed nothing is known that could bound a print.
            share = volume(bars.volume or 0.0) * preset.open_volume_share
            levels = left = one_level(price.price, None if bars.volume is None else max(share - bars.taken, ZERO))
        else:
            levels = book_levels(price, side) if isinstance(price, Book) else quote_levels(price, side, preset.quote_depth)
            left = self._own.left(price.instrument, side, levels, price.instant, preset.memory_ns)
        best = levels[0].price if levels else None
        return Displayed(best, tuple(level for level in left if level.quantity is None or level.quantity >= lot))

    # -- from trades to fills --------------------------------------------------------------------------------------

    def _trade(self, met: Met, origin: Origin) -> Iterator[Match]:
        """The order's new state and its fills; the last one tells the shortfall, and the end of the order if it comes to one."""
        order, quantities = met.order, [trade.quantity for trade in met.trades]
        preset = self._presets.of(order.strategy, order.instrument)
        self._book.put(order)
        if order.terms.time_in_force is TimeInForce.FOK and sum(quantities, ZERO) > self._reducible(order):
            yield from self._book.end(order, "reduce_only")
            return
        for number, trade in enumerate(met.trades, start=1):
            quantity = min(trade.quantity, self._reducible(order))
            if quantity <= 0:
                yield from self._book.end(order, "reduce_only")
                return
            order, fill = filled(order, trade, quantity, origin, self._instruments[order.instrument], preset)
            self._book.put(order)
            shortfall = met.shortfall or None if number == len(met.trades) else None
            yield Match(
                order=order, status=OrderStatus.PARTIALLY_FILLED if order.left else OrderStatus.FILLED, fill=fill, shortfall=shortfall
            )
            if self._book.find(order) is None:  # the core could not book it
                return
            self._remember(order, trade, quantity, origin)
            yield from self._book.filled(order, quantity)
            if self._book.find(order) is None:
                return
            if quantity < trade.quantity:
                yield from self._book.end(order, "reduce_only")
                return
        if met.ends is not None:
            yield from self._book.end(order, met.ends, shortfall=met.shortfall or None)

    def _reducible(self, order: Order) -> Decimal:
        """How much of the order may fill without more than closing the position, if that is all it may do."""
        if not order.reduce_only:
            return order.left
        held = self._position(order.strategy, order.instrument)
        return max(held if order.side is Side.SELL else -held, ZERO)

    def _remember(self, order: Order, trade: Trade, quantity: Decimal, origin: Origin) -> None:
        if origin.remembered:
            self._own.remember(order.instrument, Taken(order.side, trade.reference, quantity, origin.instant))
        elif origin.source in ("open_print", "candle", CATCH_UP):
            self._bars[order.instrument].taken += quantity

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
            active_at=instant + group.held_ns + self._presets.of(group.strategy, leg.instrument).latency_ns,
            terms=leg.terms,
            link=group.link,
            dormant=group.link == "bracket" and number > 0,
            stop_level=leg.terms.stop_price,
        )


def _is_active(order: Order, price: OpenPrint | Quote | Book) -> bool:
    """True if the order has reached the venue; after a snapshot of last prices no price will come, so latency has no meaning."""
    return order.active_at <= price.instant or (isinstance(price, Quote) and price.source == LAST_PRICE)
