"""The arithmetic of matching: what a price input shows, when an order is triggered, how deep it walks. No state.

Prices and quantities are exact; a level that is no price (not finite, not above 0) is no liquidity.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Book, Candle, Instrument, Quote
from dudzian_daemon.domain.money import ZERO, from_float, quantise_down
from dudzian_daemon.domain.orders import MARKET_TERMS, Order, OrderKind, OrderLeg, OrderTerms, Side, TimeInForce

#: `Quote.source` of the snapshot taken at a stop.
LAST_PRICE: Final = "last_price"


class Level(msgspec.Struct, frozen=True, gc=False):
    """So much can be had at this price; None: nothing bounds it."""

    price: Decimal
    quantity: Decimal | None


#: `fill_source` of a fill inside a bar that came after a pause.
CATCH_UP: Final = "catch_up"


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A closed candle as exact prices: from `start` (ns), and `seen` at its end or, of a straggler, later."""

    start: int
    end: int
    seen: int
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal

    @property
    def source(self) -> str:
        """What a fill inside it names: a bar that came when the one after it was over already is one that was caught up with."""
        step_ns, late_ns = self.end - self.start, self.seen - self.end
        return CATCH_UP if late_ns >= step_ns else "candle"


def bar_of(candle: Candle, step_ns: int) -> Bar | None:
    """The candle's bar, None if one of its numbers is no price."""
    if not all(map(_real, (candle.open, candle.high, candle.low))):
        return None
    prices = from_float(candle.open), from_float(candle.high), from_float(candle.low)
    return Bar(candle.end - step_ns, candle.end, candle.instant, *prices, volume(candle.volume))


def volume(traded: float) -> Decimal:
    """A bar's volume in the base asset; what is no number is no volume."""
    return from_float(traded) if _real(traded) else ZERO


def one_level(price: float, quantity: Decimal | None) -> list[Level]:
    """A single price, nothing if it is none."""
    return [Level(from_float(price), quantity)] if _real(price) else []


def quote_levels(quote: Quote, side: Side, depth: Decimal) -> list[Level]:
    """What a taker of `side` meets: the best price for `depth` times its size; a snapshot of last prices has no size."""
    price, size = (quote.ask, quote.ask_size) if side is Side.BUY else (quote.bid, quote.bid_size)
    if quote.source == LAST_PRICE:
        return one_level(price, None)
    return one_level(price, from_float(size) * depth) if _real(size) else []


def book_levels(book: Book, side: Side) -> list[Level]:
    """What a taker of `side` meets, best price first."""
    levels = book.asks if side is Side.BUY else book.bids
    return [Level(from_float(price), from_float(size)) for price, size in levels if _real(price) and _real(size)]


def at_or_better(price: Decimal, limit: Decimal | None, side: Side) -> bool:
    """True if an order of `side` with that limit may trade at `price`."""
    if limit is None:
        return True
    return price <= limit if side is Side.BUY else price >= limit


def worse(one: Decimal, other: Decimal, side: Side) -> Decimal:
    """The price that is worse for an order of `side`."""
    return max(one, other) if side is Side.BUY else min(one, other)


def not_worse(price: Decimal, limit: Decimal | None, side: Side) -> Decimal:
    """`price`, or the limit where it would be worse."""
    if limit is None:
        return price
    return min(price, limit) if side is Side.BUY else max(price, limit)


def walk(levels: Iterable[Level], wanted: Decimal, limit: Decimal | None, side: Side, lot_size: Decimal) -> list[Level]:
    """How much of `wanted` is had where: whole lots, level by level, no further than the limit. The sum is <= `wanted`."""
    had: list[Level] = []
    for level in levels:
        if wanted <= 0 or not at_or_better(level.price, limit, side):
            break
        quantity = wanted if level.quantity is None else min(wanted, quantise_down(level.quantity, lot_size))
        if quantity > 0:
            had.append(Level(level.price, quantity))
            wanted -= quantity
    return had


def is_triggered(order: Order, price: Decimal) -> bool:
    """True if `price`, one that the order could trade at, meets its stop price."""
    level = stop_level(order)
    rising = (order.side is Side.BUY) != (order.terms.kind is OrderKind.TAKE_PROFIT)
    return level is not None and (price >= level if rising else price <= level)


def stop_level(order: Order) -> Decimal | None:
    """Where the order is triggered: its stop price, for a trailing stop where it stands by now."""
    return order.stop_level if order.terms.kind is OrderKind.TRAILING_STOP else order.terms.stop_price


def trailed(order: Order, price: Decimal) -> Order:
    """The trailing stop after `price`: its level follows at the distance `trail`, and never moves back."""
    if order.terms.kind is not OrderKind.TRAILING_STOP or order.terms.trail is None or order.triggered:
        return order
    level = price + order.terms.trail if order.side is Side.BUY else price - order.terms.trail
    best = level if order.stop_level is None else min(level, order.stop_level) if order.side is Side.BUY else max(level, order.stop_level)
    return msgspec.structs.replace(order, stop_level=best)


def waits_for_stop(order: Order) -> bool:
    """True while the order has a stop price it has not met."""
    return order.terms.kind not in (OrderKind.MARKET, OrderKind.LIMIT) and not order.triggered


def unsound(leg: OrderLeg, instrument: Instrument) -> str | None:
    """What is wrong with the leg's numbers or terms as one clause, None if it can be simulated."""
    if not leg.quantity.is_finite() or leg.quantity <= 0 or leg.quantity % instrument.lot_size:
        return f"quantity {leg.quantity} is no multiple above 0 of the lot {instrument.lot_size}"
    if leg.terms is MARKET_TERMS:
        return None
    for name in ("limit_price", "stop_price", "trail"):
        value: Decimal | None = getattr(leg.terms, name)
        if value is not None and (not value.is_finite() or value <= 0 or value % instrument.tick_size):
            return f"{name} {value} is no multiple above 0 of the tick {instrument.tick_size}"
    return incomplete(leg.terms)


def incomplete(terms: OrderTerms) -> str | None:
    """What does not fit together in the terms as one clause, None if they do."""
    kind, force = terms.kind, terms.time_in_force
    limited = kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT)
    if limited != (terms.limit_price is not None) and not (kind is OrderKind.TAKE_PROFIT and terms.limit_price is not None):
        return f"a {kind} order {'needs a' if limited else 'has no'} limit_price"
    if (kind in (OrderKind.STOP, OrderKind.STOP_LIMIT, OrderKind.TAKE_PROFIT)) and terms.stop_price is None:
        return f"a {kind} order needs a stop_price"
    if kind in (OrderKind.MARKET, OrderKind.LIMIT) and terms.stop_price is not None:
        return f"a {kind} order has no stop_price"
    if (kind is OrderKind.TRAILING_STOP) != (terms.trail is not None):
        return "a trailing_stop order needs a trail, and no other has one"
    if (force is TimeInForce.GTD) != (terms.expires_at is not None):
        return "a gtd order needs expires_at, and no other has it"
    if force in (TimeInForce.IOC, TimeInForce.FOK) and kind not in (OrderKind.MARKET, OrderKind.LIMIT):
        return f"only market and limit orders can be {force}"
    if terms.post_only and (kind is not OrderKind.LIMIT or force in (TimeInForce.IOC, TimeInForce.FOK)):
        return "only a limit order that rests can be post_only"
    return None


def _real(number: float) -> bool:
    """True for a finite number above 0."""
    return number > 0.0 and number - number == 0.0
