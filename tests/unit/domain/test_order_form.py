"""An order as text: what it is read as, and what is told of one that cannot be read or makes no sense."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.domain.order_form import read_form, sensible
from dudzian_daemon.domain.orders import OrderKind, OrderTerms, TimeInForce

BUY = {"side": "buy"}


def test_a_market_order_is_the_least_there_is() -> None:
    form = read_form(BUY)
    assert (form.terms, form.link, form.reduce_only) == ((OrderTerms(),), "", False)
    sensible(form)


def test_a_bracket_is_an_entry_and_its_exits() -> None:
    form = read_form(BUY | {"kind": "limit", "limit_price": "100", "take_profit": "110", "stop_loss": "90", "post_only": "yes"})
    entry, takes, ends = form.terms
    assert form.link == "bracket"
    assert entry == OrderTerms(kind=OrderKind.LIMIT, limit_price=Decimal(100), post_only=True)
    assert takes == OrderTerms(kind=OrderKind.LIMIT, limit_price=Decimal(110))
    assert ends == OrderTerms(kind=OrderKind.STOP, stop_price=Decimal(90))
    sensible(form)


def test_an_oco_is_a_limit_order_and_a_stop_with_one_life() -> None:
    given = {"side": "sell", "link": "oco", "limit_price": "110", "stop_price": "90", "time_in_force": "gtd", "expires_at": "7"}
    life: dict[str, Any] = {"time_in_force": TimeInForce.GTD, "expires_at": 7}
    limit = OrderTerms(kind=OrderKind.LIMIT, limit_price=Decimal(110), **life)
    assert read_form(given).terms == (limit, OrderTerms(kind=OrderKind.STOP, stop_price=Decimal(90), **life))
    stop = OrderTerms(kind=OrderKind.STOP_LIMIT, stop_price=Decimal(90), limit_price=Decimal(89), **life)
    form = read_form(given | {"stop_limit_price": "89"})
    assert form.terms == (limit, stop)
    sensible(form)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"side": "hold"}, "side: expected one of buy, sell, found 'hold'"),
        ({}, "side: expected one of buy, sell, found None"),
        (BUY | {"kind": "iceberg"}, "kind: expected one of market, limit, stop, stop_limit, take_profit, trailing_stop, found 'iceberg'"),
        (BUY | {"time_in_force": "day"}, "time_in_force: expected one of gtc, ioc, fok, gtd, found 'day'"),
        (BUY | {"limit_price": "high"}, "limit_price: expected a number above 0, found 'high'"),
        (BUY | {"expires_at": "soon"}, "expires_at: expected nanoseconds since 1970 UTC, found 'soon'"),
        (BUY | {"link": "bracket"}, "link: expected oco, found 'bracket'"),
        (
            BUY | {"link": "oco", "stop_loss": "1"},
            "take_profit and stop_loss are exits that go with an entry; an oco has its two prices in limit_price and stop_price",
        ),
    ],
)
def test_what_cannot_be_read(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError) as found:
        read_form(given)
    assert str(found.value) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "limit", "limit_price": "-1"}, "limit_price: expected a number above 0, found -1"),
        ({"kind": "trailing_stop", "trail": "NaN"}, "trail: expected a number above 0, found NaN"),
        ({"kind": "stop", "stop_price": "0"}, "stop_price: expected a number above 0, found 0"),
        ({"kind": "limit"}, "a limit order needs a limit_price"),
        ({"kind": "take_profit"}, "a take_profit order needs a stop_price"),
        ({"trail": "5"}, "a trailing_stop order needs a trail, and no other has one"),
        ({"time_in_force": "gtd"}, "a gtd order needs expires_at, and no other has it"),
        ({"kind": "stop", "stop_price": "9", "time_in_force": "fok"}, "only market and limit orders can be fok"),
        ({"post_only": "yes"}, "only a limit order that rests can be post_only"),
        (
            {"stop_loss": "9", "reduce_only": "yes"},
            "take_profit and stop_loss go with an order that opens; to exit what is held, order an oco that is reduce_only",
        ),
        ({"take_profit": "90", "stop_loss": "110"}, "expected take_profit above stop_loss, found 90 and 110"),
        ({"link": "oco", "limit_price": "9", "stop_price": "9"}, "expected limit_price below stop_price, found 9 and 9"),
    ],
)
def test_what_makes_no_sense_of_a_buy(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError) as found:
        sensible(read_form(BUY | given))
    assert str(found.value) == told


def test_the_better_price_of_a_pair_is_the_limit_on_either_side() -> None:
    for side, limit, stop in (("buy", "90", "110"), ("sell", "110", "90")):
        sensible(read_form({"side": side, "link": "oco", "limit_price": limit, "stop_price": stop}))
        sensible(read_form({"side": side, "take_profit": stop, "stop_loss": limit}))
        with pytest.raises(ValueError, match="expected"):
            sensible(read_form({"side": side, "link": "oco", "limit_price": stop, "stop_price": limit}))
        with pytest.raises(ValueError, match="expected"):
            sensible(read_form({"side": side, "take_profit": limit, "stop_loss": stop}))
