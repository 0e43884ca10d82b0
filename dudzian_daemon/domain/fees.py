"""What a fill costs beside its price, and what the simulator assumes where the data is silent: the named preset."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.money import BPS, CASH_STEP, quantise_down, quantise_up
from dudzian_daemon.domain.orders import Liquidity, Side

#: Version of the simulator's rules (docs/reference/simulator.md); on every fill beside the preset's name.
MODEL: Final = 1
#: How far a price may move against a short that has just opened, without a margin call.
LEAST_MOVE: Final = BPS


class FeePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's fee rates from `valid_from` (ns) until the next period; fractions of the notional, below 0 a rebate."""

    valid_from: int
    maker: Decimal
    taker: Decimal

    def rate(self, liquidity: Liquidity) -> Decimal:
        """What a fill of that kind costs."""
        return self.maker if liquidity is Liquidity.MAKER else self.taker


class ExecutionPreset(msgspec.Struct, frozen=True, kw_only=True):
    """Fee rates are fractions of the notional, slippage is in basis points of the reference price, latency in nanoseconds.

    `maker_fee` and `taker_fee` hold where `venue_fees` has no period for venue and instant; periods are in order of time.
    `quote_depth` times the size a quote displays can be had at its price. An order takes at most `open_volume_share` of
    the last closed bar's volume on an open print, and `bar_volume_share` of a bar's own volume inside it. What we took of
    a price level comes back over `memory_ns` in four parts. With `touch_fills` a bar that only touches a limit fills it.
    `model` is the version of the rules that all this is applied by.
    """

    name: str
    maker_fee: Decimal
    taker_fee: Decimal
    slippage_bps: Decimal
    latency_ns: int
    venue_fees: Mapping[str, tuple[FeePeriod, ...]] = {}
    quote_depth: Decimal = Decimal(1)
    open_volume_share: Decimal = Decimal("0.1")
    bar_volume_share: Decimal = Decimal("0.1")
    memory_ns: int = 10_000_000_000
    touch_fills: bool = True
    model: int = MODEL

    def rates(self, venue: str, instant: int) -> FeePeriod:
        """The fee rates of `venue` at `instant`."""
        known = [period for period in self.venue_fees.get(venue, ()) if period.valid_from <= instant]
        return known[-1] if known else FeePeriod(valid_from=0, maker=self.maker_fee, taker=self.taker_fee)


def margin_carries(leverage: Decimal, maintenance: Decimal) -> bool:
    """Whether a short opened at `leverage` survives a price that is `LEAST_MOVE` higher, under a `maintenance` margin."""
    return 1 - LEAST_MOVE * leverage >= maintenance * (1 + LEAST_MOVE) * leverage


def taker_price(reference: Decimal, side: Side, preset: ExecutionPreset, tick_size: Decimal) -> Decimal:
    """Reference price moved against the taker by the slippage and rounded to the tick against the taker; never below one tick."""
    slippage = reference * preset.slippage_bps * BPS
    if side is Side.BUY:
        return quantise_up(reference + slippage, tick_size)
    return max(quantise_down(reference - slippage, tick_size), tick_size)


def charged(due: Decimal, paid: Decimal) -> Decimal:
    """What a fill is charged: the exact fee `due` on its order so far, rounded up to `CASH_STEP`, less what was `paid`.

    So the fees of an order add up to its whole exact fee rounded up once, however it was split.
    """
    return quantise_up(due, CASH_STEP) - paid
