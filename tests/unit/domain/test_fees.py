"""Costs of a fill: the price moves against the trader, to a tick, and never for free."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.fees import FeePeriod, charged, taker_price
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Liquidity, Side
from dudzian_daemon.testing.market import preset

USUAL = preset()
prices = st.decimals(min_value=Decimal("0.00000001"), max_value=10**7, places=8, allow_nan=False, allow_infinity=False)
ticks = st.sampled_from([Decimal(text) for text in ("0.00000001", "0.0001", "0.01", "0.05", "1")])


@pytest.mark.parametrize(
    ("reference", "side", "tick", "paid"),
    [
        ("100", Side.BUY, "0.01", "100.05"),  #  five basis points
        ("100", Side.SELL, "0.01", "99.95"),
        ("100", Side.BUY, "0.1", "100.1"),  # rounded to the tick, against the trader
        ("100", Side.SELL, "0.1", "99.9"),
        ("100.02", Side.BUY, "0.05", "100.1"),
        ("100.02", Side.SELL, "0.05", "99.95"),
        ("0.004", Side.SELL, "0.01", "0.01"),  # never below one tick
        ("0.004", Side.BUY, "0.01", "0.01"),
    ],
)
def test_the_price_of_a_taker(reference: str, side: Side, tick: str, paid: str) -> None:
    with exact_money():
        assert taker_price(Decimal(reference), side, USUAL, Decimal(tick)) == Decimal(paid)


@given(prices, ticks, st.integers(0, 500))
def test_a_price_is_on_the_tick_and_against_the_trader_by_the_slippage_and_less_than_a_tick_more(
    reference: Decimal, tick: Decimal, bps: int
) -> None:
    costs = preset(slippage_bps=Decimal(bps))
    with exact_money():
        bought, sold = (Fraction(taker_price(reference, side, costs, tick)) for side in (Side.BUY, Side.SELL))
    up, down = (Fraction(reference) * (1 + sign * Fraction(bps, 10_000)) for sign in (1, -1))
    step = Fraction(tick)
    assert bought == math.ceil(up / step) * step
    assert sold == max(math.floor(down / step) * step, step)


def test_the_fee_of_an_order_is_rounded_up_once_however_it_was_split() -> None:
    with exact_money():
        assert charged(Decimal("0.06"), Decimal(0)) == Decimal("0.06")
        assert charged(Decimal("0.000000001"), Decimal(0)) == Decimal("0.00000001")
        assert charged(Decimal("0.000000002"), Decimal("0.00000001")) == 0
        assert charged(Decimal("-0.000000019"), Decimal(0)) == Decimal("-0.00000001")  # a rebate is rounded against the trader too


def test_the_rates_are_those_of_the_venue_and_the_day() -> None:
    early, late = (FeePeriod(valid_from=at, maker=Decimal(at), taker=Decimal(at + 1)) for at in (10, 20))
    costs = preset(venue_fees={"kraken": (early, late)})
    assert [costs.rates("kraken", at).rate(Liquidity.TAKER) for at in (9, 10, 19, 20)] == [Decimal("0.0006"), 11, 11, 21]
    assert costs.rates("binance", 15).rate(Liquidity.MAKER) == Decimal("0.0004")
