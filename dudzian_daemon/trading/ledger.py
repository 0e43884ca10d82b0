"""Double-entry account of cash, positions and fees, per strategy and in total; the single writer of balances.

Every entry's postings add up to zero in each asset. Equity = cash + sum of quantity * mark, exact. Amounts are in the
valuation asset unless named by another asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import ONE, ZERO, from_float, share
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.domain.records import PositionChange


class Posting(msgspec.Struct, frozen=True):
    """`amount` of `asset` moves into (positive) or out of (negative) `account`."""

    account: str
    asset: str
    amount: Decimal


class Entry(msgspec.Struct, frozen=True):
    """One balanced booking; `number` counts from 1."""

    number: int
    kind: str
    instant: int
    reference: str
    postings: tuple[Posting, ...]


class Book(msgspec.Struct):
    """One strategy's holding of one instrument: signed quantity, what it cost, and the P&L it has realised (fees apart)."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO


class Mark(msgspec.Struct, frozen=True):
    """Last price of an instrument and its instant."""

    price: Decimal
    instant: int


class Ledger:
    """Opens with `opening` units of `valuation_asset` on the account; moves only by fills and marks."""

    def __init__(self, instruments: Mapping[str, Instrument], valuation_asset: str, opening: Decimal) -> None:
        self._instruments = instruments
        self.valuation_asset = valuation_asset
        self.cash = opening
        self.fees = ZERO
        self.books: dict[tuple[str, str], Book] = {}
        self.net: dict[str, Decimal] = {}
        self._last: dict[str, tuple[float, int]] = {}
        self._value: dict[str, Decimal] = {}
        self._holdings = ZERO
        self._short_proceeds: Decimal | None = None  # None: a fill has changed them since they were last asked for
        self.entries = 0
        self.balances: dict[tuple[str, str], Decimal] = {}
        self._post(
            "opening",
            0,
            "opening",
            (Posting("account:cash", valuation_asset, opening), Posting("owner:capital", valuation_asset, -opening)),
        )

    @property
    def equity(self) -> Decimal:
        """Cash plus the marked value of all positions."""
        return self.cash + self._holdings

    @property
    def gross_exposure(self) -> Decimal:
        """Sum of the absolute marked values of the net positions."""
        return sum(map(abs, self._value.values()), ZERO)

    def blocked_cash(self, leverage: Decimal) -> Decimal:
        """Cash that short positions tie up: their proceeds, and 1 / `leverage` of them as margin."""
        if self._short_proceeds is None:
            self._short_proceeds = sum((-book.cost for book in self.books.values() if book.quantity < 0), ZERO)
        return self._short_proceeds + share(self._short_proceeds, ONE, leverage)

    def exposure(self, instrument: str) -> Decimal:
        """Marked value of the net position, signed."""
        return self._value.get(instrument, ZERO)

    def position(self, strategy: str, instrument: str) -> Decimal:
        """Signed quantity the strategy holds."""
        book = self.books.get((strategy, instrument))
        return ZERO if book is None else book.quantity

    def last_quote(self, instrument: str) -> tuple[float, int] | None:
        """Latest price as the data gave it and its instant, None before the first."""
        return self._last.get(instrument)

    def last_price(self, instrument: str) -> Mark | None:
        """Latest price as exact money, None before the first."""
        last = self._last.get(instrument)
        return None if last is None else Mark(from_float(last[0]), last[1])

    def mark(self, instrument: str, price: float, instant: int) -> None:
        """Value the net position of `instrument` at `price`."""
        self._last[instrument] = (price, instant)
        if self.net.get(instrument):
            self._revalue(instrument)

    def book(self, fill: Fill) -> tuple[Entry, PositionChange]:
        """Book one execution: cash, holding, fee; returns the entry and the strategy's position after it."""
        instrument = self._instruments[fill.instrument]
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        notional = signed * fill.price
        account = f"strategy:{fill.strategy}"
        entry = self._post(
            "fill",
            fill.filled_at,
            fill.id,
            (
                Posting(f"{account}:cash", instrument.quote, -notional),
                Posting(f"venue:{instrument.venue}", instrument.quote, notional),
                Posting(f"{account}:{instrument.key}", instrument.base, signed),
                Posting(f"venue:{instrument.venue}", instrument.base, -signed),
                Posting(f"{account}:cash", fill.fee_asset, -fill.fee),
                Posting("expense:fees", fill.fee_asset, fill.fee),
            ),
        )
        self.cash -= notional + fill.fee
        self.fees += fill.fee
        self._short_proceeds = None
        self.net[fill.instrument] = self.net.get(fill.instrument, ZERO) + signed
        self._revalue(fill.instrument)
        return entry, self._move(fill, signed, notional)

    def _move(self, fill: Fill, signed: Decimal, notional: Decimal) -> PositionChange:
        book = self.books.setdefault((fill.strategy, fill.instrument), Book())
        if book.quantity * signed >= 0:
            book.cost += notional
        else:
            released = book.cost if abs(signed) == abs(book.quantity) else share(book.cost, abs(signed), abs(book.quantity))
            book.cost -= released
            book.realised += -notional - released
        book.quantity += signed
        return PositionChange(
            strategy=fill.strategy, instrument=fill.instrument, quantity=book.quantity, cost=book.cost, realised=book.realised
        )

    def _revalue(self, instrument: str) -> None:
        price = from_float(self._last[instrument][0])
        value = self.net[instrument] * price
        self._holdings += value - self._value.get(instrument, ZERO)
        self._value[instrument] = value

    def _post(self, kind: str, instant: int, reference: str, postings: tuple[Posting, ...]) -> Entry:
        self.entries += 1
        for posting in postings:
            key = (posting.account, posting.asset)
            self.balances[key] = self.balances.get(key, ZERO) + posting.amount
        return Entry(self.entries, kind, instant, reference, postings)
