"""Maintenance margin: which short positions a price has eaten up, and what they cost the venue to close.

A short stands alone (isolated): its proceeds and margin less what it would cost to buy back must stay at or above its
profile's share of that cost. Longs are paid in full and are never liquidated.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec

from dudzian_daemon.domain.market import Book as DepthBook
from dudzian_daemon.domain.market import Candle, OpenPrint, Quote
from dudzian_daemon.domain.money import BPS, CASH_STEP, EXACT, ONE, ZERO, from_float, quantise_up, reciprocal, units
from dudzian_daemon.domain.orders import Order, Side
from dudzian_daemon.trading.entries import Book
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.reservations import Reservation, Reservations
from dudzian_daemon.trading.spec import MANUAL, SessionSpec

PriceInput = OpenPrint | Quote | DepthBook | Candle


class MarginCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A short that its margin does not carry at `price`: `equity` is what it has there, `required` what it would need."""

    strategy: str
    instrument: str
    profile: str
    price: Decimal
    equity: Decimal
    required: Decimal


class MarginWatch:
    """Reads the ledger, moves nothing: the core closes what is called."""

    def __init__(self, spec: SessionSpec, ledger: Ledger) -> None:
        self._ledger = ledger
        self._instruments = spec.instruments
        self._profiles = {(each.strategy, key): each.profile for each in spec.schedules for key in each.instruments}
        self._ratios = {name: limits.maintenance_margin_pct for name, limits in spec.profiles.items()}

    def calls(self, shown: PriceInput) -> list[MarginCall]:
        """The shorts that this price does not carry: at the print or ask itself, or inside a bar where its range first breaks them."""
        key, books = shown.instrument, self._ledger.books
        shorts = [strategy for strategy in self._ledger.holders(key) if books[strategy, key].quantity < 0]
        worst = _worst(shown) if shorts else None
        if worst is None:
            return []
        return [self._call(strategy, key, shown, worst) for strategy in shorts if self._broken(strategy, key, books[strategy, key], worst)]

    def liquidation_price(self, strategy: str, instrument: str) -> Decimal | None:
        """The lowest price, on the tick, that the short would not survive; None for what is no short."""
        book = self._ledger.books.get((strategy, instrument), Book())
        if book.quantity >= 0:
            return None
        tick = self._instruments[instrument].tick_size
        per_price = -book.quantity * (ONE + self.ratio(strategy, instrument))
        return units(book.margin - book.cost, per_price, tick) + tick

    def ratio(self, strategy: str, instrument: str) -> Decimal:
        """Share of the cost of buying a short back that its profile wants kept."""
        return self._ratios[self._profile(strategy, instrument)]

    def _profile(self, strategy: str, instrument: str) -> str:
        """An operator's own positions are under the profile `manual`."""
        return self._profiles.get((strategy, instrument), MANUAL)

    def _call(self, strategy: str, key: str, shown: PriceInput, worst: Decimal) -> MarginCall:
        book, price = self._ledger.books[strategy, key], worst
        if isinstance(shown, Candle):  # somewhere between open and high: at the first price that breaks it
            first, opened = self.liquidation_price(strategy, key), from_float(shown.open)
            price = worst if first is None else min(max(first, opened), worst)
        equity = book.margin - book.cost + book.quantity * price
        required = -book.quantity * price * self.ratio(strategy, key)
        return MarginCall(
            strategy=strategy, instrument=key, profile=self._profile(strategy, key), price=price, equity=equity, required=required
        )

    def _broken(self, strategy: str, key: str, book: Book, price: Decimal) -> bool:
        return book.margin - book.cost + book.quantity * price < -book.quantity * price * self.ratio(strategy, key)


class MarginTotals:
    """What shorts must keep and what open orders need in cash, by quote asset; kept in total, told by ledger and reservations."""

    def __init__(self, spec: SessionSpec, ledger: Ledger, reservations: Reservations) -> None:
        self._spec = spec
        self._ledger = ledger
        self._reservations = reservations
        self._watch = MarginWatch(spec, ledger)
        self._factors: dict[tuple[str, Side], Decimal] = {}
        #: By quote asset and instrument: short quantity times the ratio of the profile it is under.
        self._weights: dict[str, dict[str, Decimal]] = {}
        self._needs: dict[str, Decimal] = {}
        #: By quote asset what `maintenance` is, and the number of marks it was worked out at.
        self._maintained: dict[str, tuple[int, Decimal]] = {}
        self.rebuild()
        ledger.watchers.append(self._moved)
        reservations.watchers.append(self._reserved)

    def rebuild(self) -> None:
        """Count everything anew: ledger and reservations have become another's."""
        self._weights, self._needs, self._maintained = {}, {}, {}
        for (strategy, instrument), book in self._ledger.books.items():
            self._moved(strategy, instrument, ZERO, book.quantity)
        for each in self._reservations.open.values():
            self._reserved(each, 1)

    def maintenance(self, asset: str) -> Decimal:
        """What all shorts paid in `asset` need at the last prices; worked out once a price."""
        marks = self._ledger.prices.marks
        known, total = self._maintained.get(asset, (-1, ZERO))
        if known != marks:
            total = ZERO
            with localcontext(EXACT):  # kept for later: whoever asks first, a reader of the state perhaps, must not round it
                for key, weight in self._weights.get(asset, {}).items():
                    mark = self._ledger.prices.last_price(key) if weight else None
                    if mark is not None:
                        total += weight * mark.price
            self._maintained[asset] = (marks, total)
        return total

    def reserved(self, asset: str) -> Decimal:
        """Cash that open opening orders paid in `asset` may take."""
        return self._needs.get(asset, ZERO)

    def needed(self, instrument: str, side: Side) -> Decimal:
        """Cash that a unit of opening notional takes: a purchase its price, a short sale its margin; slippage and fee both."""
        factor = self._factors.get((instrument, side))
        if factor is None:
            preset = self._spec.preset
            periods = preset.venue_fees.get(self._spec.instruments[instrument].venue, ())
            fee = max((preset.taker_fee, *(period.taker for period in periods)))
            slippage = preset.slippage_bps * BPS
            margin = quantise_up(reciprocal(self._spec.leverage), CASH_STEP)
            factor = (ONE + slippage) * (ONE + fee) if side is Side.BUY else margin + slippage + fee
            self._factors[instrument, side] = factor
        return factor

    def _moved(self, strategy: str, instrument: str, before: Decimal, after: Decimal) -> None:
        change = max(-after, ZERO) - max(-before, ZERO)
        if change:
            quote = self._spec.instruments[instrument].quote
            self._maintained.pop(quote, None)
            weights = self._weights.setdefault(quote, {})
            weights[instrument] = weights.get(instrument, ZERO) + change * self._watch.ratio(strategy, instrument)

    def _reserved(self, each: Reservation, sign: int) -> None:
        if not each.reduce_only:
            quote = self._spec.instruments[each.instrument].quote
            needed = each.notional * self.needed(each.instrument, each.side) * sign
            self._needs[quote] = self._needs.get(quote, ZERO) + needed


def rests_before(order: Order, call: MarginCall) -> bool:
    """Whether a resting stop of the called position would have been met on the way to the price of the call."""
    stop = order.stop_level if order.stop_level is not None else order.terms.stop_price
    mine = (order.strategy, order.instrument) == (call.strategy, call.instrument)
    return mine and order.reduce_only and stop is not None and stop <= call.price


def _worst(shown: PriceInput) -> Decimal | None:
    """The highest price a buyer has met there; None for what is no price."""
    if isinstance(shown, DepthBook):
        value = shown.asks[0][0] if shown.asks else 0.0
    else:
        value = shown.price if isinstance(shown, OpenPrint) else shown.ask if isinstance(shown, Quote) else shown.high
    return from_float(value) if value - value == 0.0 and value > 0 else None
