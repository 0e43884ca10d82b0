"""From flat to flat: partial fills, shorts, several positions at once, and what of it the ledger says too."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.domain.round_trips import RoundTrip, RoundTrips
from dudzian_daemon.testing.market import instrument
from dudzian_daemon.trading.ledger import Ledger

BTC, ETH = instrument("BTC"), instrument("ETH")


class Deal(NamedTuple):
    """Signed quantity at a price, with its fee."""

    quantity: str
    price: str
    fee: str = "0"
    key: str = BTC.key
    strategy: str = "a"


def fill(number: int, deal: Deal, *, synthetic: bool = False) -> Fill:
    quantity, price = Decimal(deal.quantity), Decimal(deal.price)
    return Fill(
        id=f"f{number}",
        order_id=f"o{number}",
        signal_id="",
        strategy=deal.strategy,
        schedule=deal.strategy,
        instrument=deal.key,
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity),
        reference_price=price,
        slippage=Decimal(0),
        price=price,
        fee=Decimal(deal.fee),
        fee_asset="USDT",
        filled_at=number,
        fill_source="open_print",
        inside_bar=False,
        preset="candle_default",
        synthetic=synthetic,
    )


def folded(*deals: Deal, synthetic: bool = False) -> RoundTrips:
    """Deals booked by the ledger, then folded."""
    trips, ledger = RoundTrips(), Ledger({each.key: each for each in (BTC, ETH)}, "USDT", Decimal(1_000_000))
    with exact_money():
        for number, deal in enumerate(deals, start=1):
            booked = fill(number, deal, synthetic=synthetic)
            ledger.mark(deal.key, float(deal.price), number)
            _, change = ledger.book(booked)
            trips.add(booked, change)
    return trips


def test_a_long_one_in_two_entries_and_two_exits() -> None:
    found = folded(Deal("1", "100", "0.1"), Deal("3", "120", "0.4"), Deal("-2", "130", "0.2"), Deal("-2", "110", "0.2"))
    assert found.done == [
        RoundTrip(
            strategy="a",
            instrument=BTC.key,
            side=Side.BUY,
            opened_at=1,
            closed_at=4,
            quantity=Decimal(4),
            entry_price=115.0,
            exit_price=120.0,
            profit=Decimal("19.1"),
            fees=Decimal("0.9"),
        )
    ]
    assert found.held["a", BTC.key].quantity == 0


def test_a_short_one_gains_by_a_fall() -> None:
    (trip,) = folded(Deal("-2", "100", "1"), Deal("2", "90", "1")).done
    assert (trip.side, trip.quantity, trip.entry_price, trip.exit_price) == (Side.SELL, Decimal(2), 100.0, 90.0)
    assert (trip.profit, trip.fees) == (Decimal(18), Decimal(2))


def test_what_is_still_held_is_no_round_trip() -> None:
    found = folded(Deal("2", "100"), Deal("-1", "150"))
    assert found.done == []
    assert found.held["a", BTC.key].quantity == 1


def test_the_second_trip_does_not_count_the_first_again() -> None:
    found = folded(Deal("1", "100"), Deal("-1", "110", "1"), Deal("1", "100"), Deal("-1", "95", "1"))
    assert [(trip.profit, trip.fees, trip.opened_at) for trip in found.done] == [(Decimal(9), Decimal(1), 1), (Decimal(-6), Decimal(1), 3)]


def test_strategies_and_instruments_are_kept_apart() -> None:
    found = folded(
        Deal("1", "100"), Deal("1", "10", key=ETH.key), Deal("1", "101", strategy="b"), Deal("-1", "102", strategy="b"), Deal("-1", "103")
    )
    assert [(trip.strategy, trip.instrument, trip.profit) for trip in found.done] == [
        ("b", BTC.key, Decimal(1)),
        ("a", BTC.key, Decimal(3)),
    ]


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_trip_on_derived_prices_is_marked(synthetic: bool) -> None:
    (trip,) = folded(Deal("1", "100"), Deal("-1", "101"), synthetic=synthetic).done
    assert trip.synthetic is synthetic


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 500)), min_size=1, max_size=12))
def test_profits_are_the_cash_that_came_of_them(entries: list[tuple[int, int]]) -> None:
    deals = [Deal(str(quantity), str(price), "0.25") for quantity, price in entries]
    bought = sum(quantity for quantity, _ in entries)
    (trip,) = folded(*deals, Deal(str(-bought), "250", "0.25")).done
    paid = sum(quantity * price for quantity, price in entries)
    assert trip.profit == bought * 250 - paid - Decimal("0.25") * (len(entries) + 1)
    assert trip.quantity == bought
