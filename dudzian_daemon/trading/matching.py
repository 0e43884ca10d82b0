"""How one order meets one price input: triggers, walks, and the trades that come of it. It reads orders and changes none.

A `Trade` is a quantity at a reference price of the data; fees, identity and bookkeeping are the service's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset, taker_price
from dudzian_daemon.domain.fills import Bar, Level, at_or_better, is_triggered, not_worse, stop_level, trailed, waits_for_stop, walk, worse
from dudzian_daemon.domain.money import ZERO, quantise_down
from dudzian_daemon.domain.orders import Liquidity, Order, OrderKind, Side, TimeInForce

NOW_OR_NEVER: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class Trade(msgspec.Struct, frozen=True, gc=False):
    """So much at this price; `reference` is the price the data shows."""

    quantity: Decimal
    reference: Decimal
    price: Decimal
    liquidity: Liquidity


class Displayed(msgspec.Struct, frozen=True, gc=False):
    """What a taker of one side meets: the best price displayed, and what is left to have, level by level."""

    best: Decimal | None
    levels: tuple[Level, ...]


class Met(msgspec.Struct, frozen=True, gc=False):
    """What came of it: the order (triggered, trailed, resting), its trades, and why it ends before it is filled.

    `shortfall` is what it wanted at once and the data did not show.
    """

    order: Order
    trades: tuple[Trade, ...] = ()
    ends: str | None = None
    shortfall: Decimal = ZERO


def is_idle(order: Order, side: Displayed) -> bool:
    """True if nothing can come of it: no price, or nothing left at a price of an order that goes on waiting."""
    if waits_for_stop(order) or order.terms.time_in_force in NOW_OR_NEVER:
        return False
    limit = order.terms.limit_price
    if limit is None:
        return not side.levels
    return order.resting and not (side.levels and at_or_better(side.levels[0].price, limit, order.side))


def meet_levels(order: Order, side: Displayed, wanted: Decimal, preset: ExecutionPreset, tick: Decimal, lot: Decimal) -> Met:
    """An open print, a quote or a book against an order of that side; `wanted` is its open quantity."""
    best = side.best
    if waits_for_stop(order):
        if best is None:
            return Met(order)
        order = trailed(order, best) if order.stop_level is None else order
        if not is_triggered(order, best):
            return Met(trailed(order, best))
        order = msgspec.structs.replace(order, triggered=True)
    limit = order.terms.limit_price
    crosses = best is not None and at_or_better(best, limit, order.side)
    if order.terms.post_only and not order.resting and crosses:
        return Met(order, ends="post_only")
    had = walk(side.levels, wanted, limit, order.side, lot)
    missing = wanted - sum((level.quantity or ZERO for level in had), ZERO)
    force = order.terms.time_in_force
    if force is TimeInForce.FOK and missing:
        return Met(order, ends="fok", shortfall=missing)
    trades = tuple(_trade(order, level, preset, tick) for level in had)
    if limit is not None:
        order = msgspec.structs.replace(order, resting=True)
    return Met(order, trades, "ioc" if force is TimeInForce.IOC and missing else None, missing if limit is None or trades else ZERO)


def _trade(order: Order, level: Level, preset: ExecutionPreset, tick: Decimal) -> Trade:
    """A resting limit order trades at its limit whatever the level, a taker at the level's price and slippage, never beyond its limit."""
    quantity, limit = level.quantity or ZERO, order.terms.limit_price
    if order.resting and limit is not None:
        return Trade(quantity, level.price, limit, Liquidity.MAKER)
    price = not_worse(taker_price(level.price, order.side, preset, tick), limit, order.side)
    return Trade(quantity, level.price, price, Liquidity.TAKER)


def meet_bar_stop(order: Order, bar: Bar, budget: Decimal, wanted: Decimal, preset: ExecutionPreset, tick: Decimal, *, fresh: bool) -> Met:
    """A stop inside a bar's range: it is tested against the adverse extreme where it stood before the bar, then moved.

    `fresh` is an exit whose entry was filled inside this very bar: the open came before it.
    """
    adverse, favourable = (bar.high, bar.low) if order.side is Side.BUY else (bar.low, bar.high)
    if order.stop_level is None:
        order = trailed(order, bar.open)
    level = stop_level(order)
    if level is None or not is_triggered(order, adverse):
        return Met(trailed(order, favourable))
    order = msgspec.structs.replace(order, triggered=True)
    return _taken_in_bar(order, level if fresh else worse(level, bar.open, order.side), budget, wanted, preset, tick)


def meet_bar_limit(order: Order, bar: Bar, budget: Decimal, wanted: Decimal, preset: ExecutionPreset, tick: Decimal) -> Met:
    """A limit or take-profit price inside a bar's range: a resting order trades at its limit, a new one that crossed the open takes."""
    favourable = bar.low if order.side is Side.BUY else bar.high
    if waits_for_stop(order):
        level = stop_level(order)
        if level is None or not _reached(level, favourable, order.side, preset):
            return Met(order)
        return _taken_in_bar(msgspec.structs.replace(order, triggered=True), level, budget, wanted, preset, tick)
    limit = order.terms.limit_price
    if limit is None:
        return Met(order)
    crosses = not order.resting and at_or_better(bar.open, limit, order.side)
    if crosses and order.terms.post_only:
        return Met(order, ends="post_only")
    rested = msgspec.structs.replace(order, resting=True)
    quantity = min(wanted, budget)
    if quantity <= 0 or not (crosses or _reached(limit, favourable, order.side, preset)):
        return Met(rested)
    liquidity = Liquidity.TAKER if crosses else Liquidity.MAKER
    return Met(rested, (Trade(quantity, limit, limit, liquidity),), shortfall=wanted - quantity)


def bar_budget(bar: Bar, share: Decimal, taken: Decimal, lot: Decimal) -> Decimal:
    """How much of the bar's volume our orders may still have, in whole lots."""
    return max(quantise_down(bar.volume * share, lot) - taken, ZERO)


def _taken_in_bar(order: Order, reference: Decimal, budget: Decimal, wanted: Decimal, preset: ExecutionPreset, tick: Decimal) -> Met:
    limit = order.terms.limit_price
    if limit is not None and not at_or_better(reference, limit, order.side):
        return Met(msgspec.structs.replace(order, resting=True))  # what came after within the bar is not known: it rests
    price = not_worse(taker_price(reference, order.side, preset, tick), limit, order.side)
    quantity = min(wanted, budget)
    trades = (Trade(quantity, reference, price, Liquidity.TAKER),) if quantity > 0 else ()
    order = msgspec.structs.replace(order, resting=limit is not None)
    return Met(order, trades, shortfall=wanted - quantity)


def _reached(price: Decimal, favourable: Decimal, side: Side, preset: ExecutionPreset) -> bool:
    """True if the bar traded at a price at which a resting order is taken to be filled."""
    return at_or_better(favourable, price, side) and (preset.touch_fills or favourable != price)


def is_stop(order: Order) -> bool:
    """True for an order that an adverse price triggers."""
    return waits_for_stop(order) and order.terms.kind is not OrderKind.TAKE_PROFIT
