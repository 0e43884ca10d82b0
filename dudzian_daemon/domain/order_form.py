"""An order as text arguments: read into side, terms and link in one place, for the core and for the command line.

The names are those of the command `order_place` (docs/reference/commands.md). What parses need not make sense: `sensible` says
what does not, before anything is sent; the gate refuses it in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from dudzian_daemon.domain.fills import incomplete
from dudzian_daemon.domain.orders import Link, OrderKind, OrderTerms, Side, TimeInForce

#: Of an instant in nanoseconds: those of the year 2286.
_MOST_DIGITS: Final = 19

_Name = TypeVar("_Name", bound=StrEnum)


class OrderForm(msgspec.Struct, frozen=True, kw_only=True):
    """One order, or the linked orders, that the arguments ask for; all of an `oco` are of `side`, exits of a bracket of the other."""

    side: Side
    reduce_only: bool
    terms: tuple[OrderTerms, ...]
    link: Link


def read_form(arguments: Mapping[str, str]) -> OrderForm:
    """Raises `ValueError`, naming the argument and what was found, for what cannot be read."""
    side = _one_of(Side, arguments, "side", None)
    exits = _exits(arguments)
    link = arguments.get("link", "")
    if link not in ("", "oco"):
        msg = f"link: expected oco, found {link!r}"
        raise ValueError(msg)
    if link and exits:
        msg = "take_profit and stop_loss are exits that go with an entry; an oco has its two prices in limit_price and stop_price"
        raise ValueError(msg)
    return OrderForm(
        side=side,
        reduce_only=arguments.get("reduce_only") == "yes",
        terms=_either(arguments) if link else (_terms(arguments), *exits),
        link="oco" if link else "bracket" if exits else "",
    )


def sensible(form: OrderForm) -> None:
    """Raises `ValueError` for terms that no gate lets pass, whatever the market: the first of them, in one clause."""
    for terms in form.terms:
        for name in ("limit_price", "stop_price", "trail"):
            price: Decimal | None = getattr(terms, name)
            if price is not None and not (price.is_finite() and price > 0):
                msg = f"{name}: expected a number above 0, found {price}"
                raise ValueError(msg)
        fault = incomplete(terms)
        if fault is not None:
            raise ValueError(fault)
    if form.link == "bracket" and form.reduce_only:
        msg = "take_profit and stop_loss go with an order that opens; to exit what is held, order an oco that is reduce_only"
        raise ValueError(msg)
    if form.link:
        _require_order(form)


def _require_order(form: OrderForm) -> None:
    """Of a pair of exits the limit is the better price, the stop the worse one."""
    pair = form.terms if form.link == "oco" else form.terms[1:]
    sells = (form.side is Side.SELL) == (form.link == "oco")
    limit = next((each.limit_price for each in pair if each.kind is OrderKind.LIMIT), None)
    stop = next((each.stop_price for each in pair if each.stop_price is not None), None)
    if limit is not None and stop is not None and (limit <= stop if sells else limit >= stop):
        names = ("limit_price", "stop_price") if form.link == "oco" else ("take_profit", "stop_loss")
        msg = f"expected {names[0]} {'above' if sells else 'below'} {names[1]}, found {limit} and {stop}"
        raise ValueError(msg)


def _terms(arguments: Mapping[str, str]) -> OrderTerms:
    return OrderTerms(
        kind=_one_of(OrderKind, arguments, "kind", OrderKind.MARKET),
        limit_price=_price(arguments, "limit_price"),
        stop_price=_price(arguments, "stop_price"),
        trail=_price(arguments, "trail"),
        time_in_force=_one_of(TimeInForce, arguments, "time_in_force", TimeInForce.GTC),
        expires_at=_instant(arguments, "expires_at"),
        post_only=arguments.get("post_only") == "yes",
    )


def _either(arguments: Mapping[str, str]) -> tuple[OrderTerms, ...]:
    """The two legs of an `oco`: a limit order, and a stop that has a limit of its own if `stop_limit_price` is given."""
    stop, limit = _price(arguments, "stop_price"), _price(arguments, "stop_limit_price")
    force, expires_at = _one_of(TimeInForce, arguments, "time_in_force", TimeInForce.GTC), _instant(arguments, "expires_at")
    return (
        OrderTerms(kind=OrderKind.LIMIT, limit_price=_price(arguments, "limit_price"), time_in_force=force, expires_at=expires_at),
        OrderTerms(
            kind=OrderKind.STOP if limit is None else OrderKind.STOP_LIMIT,
            stop_price=stop,
            limit_price=limit,
            time_in_force=force,
            expires_at=expires_at,
        ),
    )


def _exits(arguments: Mapping[str, str]) -> tuple[OrderTerms, ...]:
    """The exits of a bracket: a limit order that takes the profit, a stop that ends the loss."""
    profit, loss = _price(arguments, "take_profit"), _price(arguments, "stop_loss")
    takes = () if profit is None else (OrderTerms(kind=OrderKind.LIMIT, limit_price=profit),)
    return takes if loss is None else (*takes, OrderTerms(kind=OrderKind.STOP, stop_price=loss))


def _one_of(kinds: type[_Name], arguments: Mapping[str, str], name: str, usual: _Name | None) -> _Name:
    text = arguments.get(name)
    if text is None and usual is not None:
        return usual
    try:
        return kinds(text or "")
    except ValueError:
        msg = f"{name}: expected one of {', '.join(kinds)}, found {text!r}"
        raise ValueError(msg) from None


def _price(arguments: Mapping[str, str], name: str) -> Decimal | None:
    text = arguments.get(name)
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        msg = f"{name}: expected a number above 0, found {text!r}"
        raise ValueError(msg) from None


def _instant(arguments: Mapping[str, str], name: str) -> int | None:
    text = arguments.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        msg = f"{name}: expected nanoseconds since 1970 UTC, found {text!r}"
        raise ValueError(msg)
    return int(text)
