"""What a trade leaves behind: the fill with its fee and identity, and the records of an order's changes."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset, charged
from dudzian_daemon.domain.fills import LAST_PRICE
from dudzian_daemon.domain.market import Book, Instrument, OpenPrint, Quote
from dudzian_daemon.domain.orders import Fill, Match, Order, OrderResult, OrderStatus, OrderTerms
from dudzian_daemon.trading.matching import Trade


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a trade comes from, as the fill tells it."""

    source: str
    instant: int
    inside_bar: bool = False
    remembered: bool = False


def origin_of(price: OpenPrint | Quote | Book) -> Origin:
    """The source that fills on this input name."""
    if isinstance(price, OpenPrint):
        return Origin("open_print", price.instant)
    if isinstance(price, Book):
        return Origin("book", price.instant, remembered=True)
    return Origin(price.source, price.instant, remembered=price.source != LAST_PRICE)


def filled(
    order: Order, trade: Trade, quantity: Decimal, origin: Origin, instrument: Instrument, preset: ExecutionPreset
) -> tuple[Order, Fill]:
    """The order after `quantity` of the trade, and its fill. Raises `ValueError` for a price that is none."""
    due = order.fee_due + quantity * trade.price * preset.rates(instrument.venue, origin.instant).rate(trade.liquidity)
    fee = charged(due, order.fee_paid)
    after = msgspec.structs.replace(
        order, filled=order.filled + quantity, fills=order.fills + 1, fee_due=due, fee_paid=order.fee_paid + fee
    )
    if trade.price <= 0:
        msg = f"{order.id}: expected a price above 0, found {trade.price}"
        raise ValueError(msg)
    return after, Fill(
        id=f"{order.id}#{after.fills}",
        order_id=order.id,
        signal_id=order.signal_id,
        strategy=order.strategy,
        schedule=order.schedule,
        instrument=order.instrument,
        side=order.side,
        quantity=quantity,
        reference_price=trade.reference,
        slippage=abs(trade.price - trade.reference),
        price=trade.price,
        fee=fee,
        fee_asset=instrument.quote,
        filled_at=origin.instant,
        fill_source=origin.source,
        inside_bar=origin.inside_bar,
        preset=preset.name,
        synthetic=instrument.synthetic,
        liquidity=trade.liquidity,
        model=preset.model,
    )


def outcome(match: Match) -> OrderResult:
    """The match as a record."""
    return result(match.order, match.status, fill=match.fill, code=match.code, shortfall=match.shortfall)


def result(
    order: Order,
    status: OrderStatus,
    *,
    fill: Fill | None = None,
    code: str | None = None,
    terms: OrderTerms | None = None,
    shortfall: Decimal | None = None,
) -> OrderResult:
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
        filled=order.filled if order.fills else None,
        terms=terms,
        shortfall=shortfall,
    )
