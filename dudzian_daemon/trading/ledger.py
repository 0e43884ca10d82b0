"""Double-entry account of cash, margin, positions, fees and funding, per strategy and in total; the single writer of balances.

Every entry's postings add up to zero in each asset, and `apply` is the only way in which anything moves: folding the entries
of a session gives its ledger back. Amounts are exact and in the quote asset of their instrument; what is told in the
valuation asset is converted by the last mark of a declared pair (docs/reference/ledger.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import ONE, ZERO
from dudzian_daemon.domain.orders import Fill
from dudzian_daemon.domain.records import LedgerEntry, PositionChange, Posting
from dudzian_daemon.trading.entries import CASH, FEES, LIQUIDATION, MARGIN, Book, fill_entry, funding_entry, wallet_change
from dudzian_daemon.trading.prices import Prices


class LedgerState(msgspec.Struct, frozen=True):
    """All that the entries up to number `entries` have made: balances by account and asset, and positions, both in order."""

    entries: int
    balances: tuple[Posting, ...]
    positions: tuple[PositionChange, ...]


class LedgerMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a ledger knows, as it is kept: an amount's number of decimals is part of what later records say.

    `booked` are the fills at `booked_at` (ns), the newest that are booked.
    """

    entries: int
    balances: tuple[Posting, ...]
    wallet: dict[str, Decimal]
    margins: dict[str, Decimal]
    proceeds: dict[str, Decimal]
    books: tuple[PositionChange, ...]
    net: dict[str, Decimal]
    last: dict[str, tuple[float, int]]
    values: dict[str, Decimal]
    held: dict[str, Decimal]
    rates: dict[str, Decimal]
    booked_at: int
    booked: tuple[str, ...]


class Ledger:
    """Opens with `opening` units of the valuation asset, or of several assets; moves only by entries and marks.

    A short position ties up its proceeds and, as margin, 1 / `leverage` of them. `conversions` names for each further
    asset the instrument, against the valuation asset, whose mark converts it; until the first mark it is worth nothing.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        valuation_asset: str,
        opening: Decimal | Mapping[str, Decimal],
        *,
        leverage: Decimal = ONE,
        conversions: Mapping[str, str] | None = None,
        source: str = "opening",
    ) -> None:
        balances = {valuation_asset: opening} if isinstance(opening, Decimal) else {valuation_asset: ZERO, **opening}
        self._prepare(instruments, valuation_asset, leverage, conversions or {})
        self.opening = self._open(balances, source)

    @classmethod
    def folded(
        cls,
        instruments: Mapping[str, Instrument],
        valuation_asset: str,
        entries: Iterable[LedgerEntry],
        *,
        leverage: Decimal = ONE,
        conversions: Mapping[str, str] | None = None,
    ) -> Ledger:
        """The ledger that these entries, the opening one first, have made; it knows no marks yet."""
        ledger = cls.__new__(cls)
        ledger._prepare(instruments, valuation_asset, leverage, conversions or {})
        recorded = iter(entries)
        ledger.opening = next(recorded)
        ledger.apply(ledger.opening)
        for entry in recorded:
            ledger.apply(entry)
        return ledger

    def _prepare(
        self, instruments: Mapping[str, Instrument], valuation_asset: str, leverage: Decimal, conversions: Mapping[str, str]
    ) -> None:
        self._instruments = instruments
        self._leverage = leverage
        self.valuation_asset = valuation_asset
        self.entries = 0
        self.balances: dict[tuple[str, str], Decimal] = {}
        #: Cash by asset, what is tied up included.
        self.wallet: dict[str, Decimal] = dict.fromkeys((valuation_asset, *(each.quote for each in instruments.values())), ZERO)
        self._margins: dict[str, Decimal] = {}
        self._proceeds: dict[str, Decimal] = {}
        self.books: dict[tuple[str, str], Book] = {}
        self.net: dict[str, Decimal] = {}
        self._holders: dict[str, tuple[str, ...]] = {}
        self.prices = Prices(instruments, valuation_asset, conversions)
        self._value: dict[str, Decimal] = {}
        self._held: dict[str, Decimal] = dict.fromkeys(self.wallet, ZERO)
        self._booked: tuple[int, set[str]] = (0, set())
        self._prospect: tuple[Fill | None, LedgerEntry | None] = (None, None)
        #: How many positions are held, each strategy's by itself.
        self.open_positions = 0
        #: Told of every movement of a position: strategy, instrument, signed quantity before and after.
        self.watchers: list[Callable[[str, str, Decimal, Decimal], None]] = []

    def _open(self, balances: Mapping[str, Decimal], source: str) -> LedgerEntry:
        postings = [
            posting
            for asset, amount in sorted(balances.items())
            for posting in (Posting(f"account{CASH}", asset, amount), Posting("owner:capital", asset, -amount))
        ]
        entry = LedgerEntry(number=1, kind="opening", instant=0, postings=tuple(postings), reference=source)
        self.apply(entry)
        return entry

    # -- what it says ----------------------------------------------------------------------------------------------

    @property
    def cash(self) -> Decimal:
        """All cash, what shorts tie up included, in the valuation asset."""
        if len(self.wallet) == 1:
            return self.wallet[self.valuation_asset]
        return self._valued(self.wallet)

    @property
    def fees(self) -> Decimal:
        """All fees paid so far, in the valuation asset; those paid in what an instrument trades count in its cost instead."""
        return self._valued({asset: self.balances.get((FEES, asset), ZERO) for asset in self.wallet})

    @property
    def equity(self) -> Decimal:
        """Cash plus the marked value of all positions, in the valuation asset."""
        if len(self.wallet) == 1:
            return self.wallet[self.valuation_asset] + self._held[self.valuation_asset]
        return self._valued(self.wallet) + self._valued(self._held)

    @property
    def gross_exposure(self) -> Decimal:
        """Sum of the absolute marked values of the net positions, in the valuation asset."""
        return sum((abs(self.exposure(name)) for name in self._value), ZERO)

    def exposure(self, instrument: str) -> Decimal:
        """Marked value of the net position, signed, in the valuation asset."""
        value = self._value.get(instrument)
        return ZERO if value is None else value * self.prices.rate_of(instrument)

    def blocked(self, asset: str) -> Decimal:
        """Cash that short positions tie up: their proceeds and their margin."""
        return self._proceeds.get(asset, ZERO) + self._margins.get(asset, ZERO)

    def available(self, asset: str) -> Decimal:
        """Cash that may be spent."""
        return self.wallet.get(asset, ZERO) - self.blocked(asset)

    def affords(self, fill: Fill) -> bool:
        """Whether the cash, in every asset it touches, is there for an execution; a reduction may use what its short ties up.

        A liquidation is not asked: what it costs beyond the cash is the account's debt.
        """
        if fill.fill_source == LIQUIDATION:
            return True
        entry = self._entry(fill)
        book = self.books.get((fill.strategy, fill.instrument), Book())
        reduces = abs(book.quantity + entry.quantity) < abs(book.quantity)
        quote = self._instruments[fill.instrument].quote
        for asset in {posting.asset: None for posting in entry.postings if posting.account.endswith((CASH, MARGIN))}:
            left = self.wallet.get(asset, ZERO) + wallet_change(entry, asset)
            if asset == quote and not reduces:
                left -= self.blocked(asset) + entry.margin - (entry.cost if book.quantity + entry.quantity < 0 else ZERO)
            if left < 0:
                return False
        return True

    def position(self, strategy: str, instrument: str) -> Decimal:
        """Signed quantity the strategy holds."""
        book = self.books.get((strategy, instrument))
        return ZERO if book is None else book.quantity

    def holders(self, instrument: str) -> tuple[str, ...]:
        """Strategies that hold some of it, in order of their names."""
        return self._holders.get(instrument, ())

    def state(self) -> LedgerState:
        """All balances and positions as values, in the order of their names; what a fold must arrive at."""
        balances = tuple(Posting(account, asset, amount) for (account, asset), amount in sorted(self.balances.items()) if amount)
        return LedgerState(self.entries, balances, tuple(self._change(*key) for key in sorted(self.books)))

    def export(self) -> LedgerMemory:
        """All of it, to be restored."""
        return LedgerMemory(
            entries=self.entries,
            balances=tuple(Posting(account, asset, amount) for (account, asset), amount in self.balances.items()),
            wallet=dict(self.wallet),
            margins=dict(self._margins),
            proceeds=dict(self._proceeds),
            books=tuple(self._change(*key) for key in self.books),
            net=dict(self.net),
            last=dict(self.prices.last),
            values=dict(self._value),
            held=dict(self._held),
            rates=dict(self.prices.rates),
            booked_at=self._booked[0],
            booked=tuple(sorted(self._booked[1])),
        )

    def restore(self, memory: LedgerMemory) -> None:
        """Be as the ledger was that said so; its instruments and conversions must be this one's too."""
        self.entries = memory.entries
        self.balances = {(each.account, each.asset): each.amount for each in memory.balances}
        self.wallet |= memory.wallet
        self._margins, self._proceeds = dict(memory.margins), dict(memory.proceeds)
        self.books = {(each.strategy, each.instrument): Book(each.quantity, each.cost, each.realised, each.margin) for each in memory.books}
        self.open_positions, self._holders = 0, {}
        for (strategy, instrument), book in self.books.items():
            if book.quantity:
                self._hold(strategy, instrument, holds=True)
        self.net, self._value = dict(memory.net), dict(memory.values)
        self._held |= memory.held
        self.prices.restore(memory.last, memory.rates)
        self._booked = (memory.booked_at, set(memory.booked))

    # -- what moves it ---------------------------------------------------------------------------------------------

    def mark(self, instrument: str, price: float, instant: int) -> None:
        """Value the net position of `instrument` at `price`, and what its mark converts."""
        self.prices.mark(instrument, price, instant)
        if self.net.get(instrument):
            self._revalue(instrument)

    def book(self, fill: Fill) -> tuple[LedgerEntry, PositionChange]:
        """Book one execution: cash, holding, margin, fee; returns the entry and the strategy's position after it.

        Raises `ValueError` for an execution that is booked already or older than the newest: booking twice is no way to money.
        """
        newest, booked = self._booked
        if fill.filled_at < newest or (fill.filled_at == newest and fill.id in booked):
            msg = f"fill {fill.id} of {fill.filled_at}: expected one that is not booked yet, newest is of {newest}"
            raise ValueError(msg)
        entry = self._entry(fill)
        self.apply(entry)
        return entry, self._change(fill.strategy, fill.instrument)

    def settle(self, instrument: str, rate: Decimal, instant: int) -> list[LedgerEntry]:
        """Book funding: each position pays its marked value times `rate` (a fraction; shorts receive); exact, so it splits freely."""
        last = self.prices.last_price(instrument)
        if last is None:
            return []
        made = []
        for strategy in self.holders(instrument):
            value = self.books[strategy, instrument].quantity * last.price
            entry = funding_entry(self.entries + 1, strategy, self._instruments[instrument], value, rate, instant)
            self.apply(entry)
            made.append(entry)
        return made

    def apply(self, entry: LedgerEntry) -> None:
        """Move everything by one entry. One that was applied before changes nothing; `ValueError` for one that skips a number."""
        if entry.number <= self.entries:
            return
        if entry.number != self.entries + 1:
            msg = f"expected ledger entry {self.entries + 1}, found {entry.number}"
            raise ValueError(msg)
        self.entries = entry.number
        for posting in entry.postings:
            self._post(posting)
        if entry.quantity:
            self._move(entry)
        if entry.fill_id:
            if entry.instant != self._booked[0]:
                self._booked = (entry.instant, set())
            self._booked[1].add(entry.fill_id)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _entry(self, fill: Fill) -> LedgerEntry:
        """What booking the fill would be; nothing moves yet. Worked out once for the question whether it is affordable and the booking."""
        asked, entry = self._prospect
        if asked is fill and entry is not None and entry.number == self.entries + 1:
            return entry
        before = self.books.get((fill.strategy, fill.instrument), Book())
        mark = self.prices.last_price(fill.instrument)
        value = ZERO if mark is None else mark.price
        entry = fill_entry(self.entries + 1, fill, self._instruments[fill.instrument], before, self._leverage, value)
        self._prospect = (fill, entry)
        return entry

    def _post(self, posting: Posting) -> None:
        key, asset = (posting.account, posting.asset), posting.asset
        self.balances[key] = self.balances.get(key, ZERO) + posting.amount
        if posting.account.endswith(CASH):
            self.wallet[asset] = self.wallet.get(asset, ZERO) + posting.amount
        elif posting.account.endswith(MARGIN):
            self.wallet[asset] = self.wallet.get(asset, ZERO) + posting.amount
            self._margins[asset] = self._margins.get(asset, ZERO) + posting.amount

    def _move(self, entry: LedgerEntry) -> None:
        key = (entry.strategy, entry.instrument)
        book = self.books.get(key)
        if book is None:
            book = self.books[key] = Book()
        quote = self._instruments[entry.instrument].quote
        before, held = _owed(book), book.quantity
        book.quantity += entry.quantity
        book.cost += entry.cost
        book.realised += entry.realised
        if entry.margin:
            book.margin += entry.margin
        self._proceeds[quote] = self._proceeds.get(quote, ZERO) + _owed(book) - before
        self.net[entry.instrument] = self.net.get(entry.instrument, ZERO) + entry.quantity
        if entry.instrument in self.prices.last:
            self._revalue(entry.instrument)
        if bool(book.quantity) != bool(held):
            self._hold(entry.strategy, entry.instrument, holds=bool(book.quantity))
        for watcher in self.watchers:
            watcher(entry.strategy, entry.instrument, held, book.quantity)

    def _hold(self, strategy: str, instrument: str, *, holds: bool) -> None:
        """A strategy's position in the instrument has begun or ended."""
        others = [name for name in self._holders.get(instrument, ()) if name != strategy]
        self._holders[instrument] = tuple(sorted([*others, strategy])) if holds else tuple(others)
        self.open_positions += 1 if holds else -1

    def _change(self, strategy: str, instrument: str) -> PositionChange:
        book = self.books[strategy, instrument]
        return PositionChange(
            strategy=strategy,
            instrument=instrument,
            quantity=book.quantity,
            cost=book.cost,
            realised=book.realised,
            margin=book.margin,
        )

    def _revalue(self, instrument: str) -> None:
        mark = self.prices.last_price(instrument)
        value = ZERO if mark is None else self.net[instrument] * mark.price
        self._held[self._instruments[instrument].quote] += value - self._value.get(instrument, ZERO)
        self._value[instrument] = value

    def _valued(self, amounts: Mapping[str, Decimal]) -> Decimal:
        return sum((amount * self.prices.rate(asset) for asset, amount in amounts.items() if amount), ZERO)


def _owed(book: Book) -> Decimal:
    return -book.cost if book.quantity < 0 else ZERO
