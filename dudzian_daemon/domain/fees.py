"""What a fill costs beside its price: maker/taker fee and slippage, as stated by a named preset."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import BPS, CASH_STEP, quantise_down, quantise_up
from dudzian_daemon.domain.orders import Side


class ExecutionPreset(msgspec.Struct, frozen=True, kw_only=True):
    """Fee rates are fractions of the notional, slippage is in basis points of the reference price, latency in nanoseconds."""

    name: str
    maker_fee: Decimal
    taker_fee: Decimal
    slippage_bps: Decimal
    latency_ns: int


def taker_price(reference: Decimal, side: Side, preset: ExecutionPreset, tick_size: Decimal) -> Decimal:
    """Reference price moved against the taker by the slippage and rounded to the tick against the taker; never below one tick."""
    slippage = reference * preset.slippage_bps * BPS
    if side is Side.BUY:
        return quantise_up(reference + slippage, tick_size)
    return max(quantise_down(reference - slippage, tick_size), tick_size)


def taker_fee(notional: Decimal, preset: ExecutionPreset) -> Decimal:
    """Fee on `notional` in its own asset, rounded up to `CASH_STEP`."""
    return quantise_up(notional * preset.taker_fee, CASH_STEP)
