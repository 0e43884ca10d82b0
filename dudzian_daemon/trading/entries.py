"""What one execution or funding payment books: pure arithmetic from a fill and the position before it to a balanced entry.

Rounding happens here and nowhere else in the ledger: the part of a cost that a partial close releases (cut), and margin (up).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import CASH_STEP, ONE, ZERO, share
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.domain.records import LedgerEntry, Posting

#: `fill_source` of an execution that the venue forced, for want of margin.
LIQUIDATION: Final = "liquidation"
FEES: Final = "expense:fees"
FUNDING: Final = "expense:funding"
#: Accounts that end like this are the wallet.
CASH: Final = ":cash"
MARGIN: Final = ":margin"


class Book(msgspec.Struct, gc=False):
    """One strategy's holding of one instrument: signed quantity, what it cost, the P&L it has realised (fees apart), and its margin."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    margin: Decimal = ZERO


class _Step(msgspec.Struct, frozen=True, gc=False):
    """A movement of a holding at a price; one that is not `paid` for is given away, as a fee in what is traded is."""

    signed: Decimal
    price: Decimal
    paid: bool


def fill_entry(number: int, fill: Fill, instrument: Instrument, before: Book, leverage: Decimal, mark: Decimal) -> LedgerEntry:
    """Entry `number`: the execution on top of the position `before`, which is valued at `mark` afterwards."""
    signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
    after = _after(before, _Step(signed, fill.price, paid=True), leverage)
    if fill.fee_asset == instrument.base and fill.fee:
        after = _after(after, _Step(-fill.fee, fill.price, paid=False), leverage)
    margin = after.margin - before.margin
    return LedgerEntry(
        number=number,
        kind=LIQUIDATION if fill.fill_source == LIQUIDATION else "fill",
        instant=fill.filled_at,
        postings=_postings(fill, instrument, signed, margin),
        order_id=fill.order_id,
        fill_id=fill.id,
        signal_id=fill.signal_id,
        strategy=fill.strategy,
        instrument=fill.instrument,
        quantity=after.quantity - before.quantity,
        cost=after.cost - before.cost,
        realised=after.realised - before.realised,
        margin=margin,
        leverage=leverage if before.margin or after.margin else ONE,
        position_value=after.quantity * mark,
    )


def funding_entry(number: int, strategy: str, instrument: Instrument, value: Decimal, rate: Decimal, instant: int) -> LedgerEntry:
    """Entry `number`: a position worth `value` (signed, quote asset) pays that times `rate`; exact, so it splits freely."""
    paid = value * rate
    return LedgerEntry(
        number=number,
        kind="funding",
        instant=instant,
        postings=(Posting(f"strategy:{strategy}{CASH}", instrument.quote, -paid), Posting(FUNDING, instrument.quote, paid)),
        reference=f"rate {rate}",
        strategy=strategy,
        instrument=instrument.key,
        position_value=value,
    )


def wallet_change(entry: LedgerEntry, asset: str) -> Decimal:
    """What the entry adds to the wallet."""
    amounts = (each.amount for each in entry.postings if each.asset == asset and each.account.endswith((CASH, MARGIN)))
    return sum(amounts, ZERO)


def _after(book: Book, step: _Step, leverage: Decimal) -> Book:
    """The book after one movement: what it closes is realised at its average cost, what it opens is paid in full or by margin."""
    held, signed = book.quantity, step.signed
    closed = min(abs(signed), abs(held)) if held * signed < 0 else ZERO
    opened = signed + closed if signed < 0 else signed - closed
    cost = opened * step.price - _part(book.cost, closed, abs(held))
    margin = book.margin - _part(book.margin, closed, abs(held))
    if opened < 0:
        margin += _share_up(-opened * step.price, leverage)
    realised = cost - (signed * step.price if step.paid else ZERO)
    return Book(held + signed, book.cost + cost, book.realised + realised, margin)


def _postings(fill: Fill, instrument: Instrument, signed: Decimal, margin: Decimal) -> tuple[Posting, ...]:
    strategy, venue, quote, base = f"strategy:{fill.strategy}", f"venue:{instrument.venue}", instrument.quote, instrument.base
    notional = signed * fill.price
    payer = f"{strategy}:{instrument.key}" if fill.fee_asset == base else f"{strategy}{CASH}"
    postings = [
        Posting(f"{strategy}{CASH}", quote, -notional),
        Posting(venue, quote, notional),
        Posting(f"{strategy}:{instrument.key}", base, signed),
        Posting(venue, base, -signed),
        Posting(payer, fill.fee_asset, -fill.fee),
        Posting(FEES, fill.fee_asset, fill.fee),
    ]
    if margin:
        postings += [Posting(f"{strategy}{CASH}", quote, -margin), Posting(f"{strategy}{MARGIN}", quote, margin)]
    return tuple(postings)


def _part(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The share of `amount` that goes with `part` of `whole`; all of it with the last part."""
    if not part:
        return ZERO
    return amount if part == whole else share(amount, part, whole)


def _share_up(amount: Decimal, divisor: Decimal) -> Decimal:
    """`amount` / `divisor`, rounded up to `CASH_STEP`: margin is never a fraction too small."""
    down = share(amount, ONE, divisor)
    return down if down * divisor == amount else down + CASH_STEP
