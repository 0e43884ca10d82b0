"""What must hold in every account, told by records alone: it shares no arithmetic with the ledger it checks.

`SelfCheck` follows a session cycle by cycle (cheap: only what a cycle touched); `Fold` adds up all entries. The names are
those of docs/reference/ledger.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Fill, Order, OrderResult, OrderStatus, Outcome, Side
from dudzian_daemon.domain.records import CycleRecord, Difference, LedgerEntry, PositionChange, Posting
from dudzian_daemon.domain.risk import TradingState
from dudzian_daemon.trading.entries import LIQUIDATION
from dudzian_daemon.trading.ledger import Ledger, LedgerState
from dudzian_daemon.trading.spec import MANUAL

_OPEN: Final = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


class _OpenOrder(msgspec.Struct):
    quantity: Decimal
    filled: Decimal


class SelfCheck:
    """Follows one session from its first cycle: `look` at every record in order, with the ledger as it is just after it."""

    def __init__(self, instruments: Mapping[str, Instrument], profiles: Mapping[tuple[str, str], str]) -> None:
        """`profiles` is the risk profile by strategy and instrument."""
        self._instruments = instruments
        self._profiles = profiles
        self.sequence = 0
        self.cash: dict[str, Decimal] = {}
        self.positions: dict[tuple[str, str], Decimal] = {}
        self._net: dict[str, Decimal] = {}
        self._orders: dict[str, _OpenOrder] = {}
        self._reducing: set[str] = set()

    def go_on(self, ledger: Ledger, orders: Iterable[Order], sequence: int, reducing: Iterable[str]) -> None:
        """Follow a restored session from here: its ledger, open orders and reducing profiles after cycle `sequence` are taken as right."""
        self.sequence = sequence
        self.cash, self._net = dict(ledger.wallet), dict(ledger.net)
        self.positions = {key: book.quantity for key, book in ledger.books.items()}
        self._orders = {order.id: _OpenOrder(order.quantity, order.filled) for order in orders}
        self._reducing = set(reducing)

    def look(self, record: CycleRecord, ledger: Ledger) -> list[Difference]:
        """All that does not hold in this cycle."""
        return [*self._absorb(record), *self._compare(ledger, record)]

    def _absorb(self, record: CycleRecord) -> Iterator[Difference]:
        """What is wrong with the record itself: sequence, orders without a verdict, fills without an order."""
        if record.sequence != self.sequence + 1:
            yield self._difference(record, "INV-12", "sequence", self.sequence + 1, record.sequence)
        self.sequence = record.sequence
        yield from self._lives(record)
        for entry in record.entries:
            if not entry.fill_id:  # the opening; and funding, which falls due before anything else in its step
                self._add_cash(entry)
        for fill in record.fills:
            yield from self._fill(record, fill)
        for result in record.results:
            if result.status not in _OPEN:
                self._orders.pop(result.order_id, None)
        for change in record.risk:
            if change.state == TradingState.ACTIVE:
                self._reducing.discard(change.profile)
            elif change.state == TradingState.REDUCING:
                self._reducing.add(change.profile)

    def _compare(self, ledger: Ledger, record: CycleRecord) -> Iterator[Difference]:
        """Where the ledger is not what the records say, for what this cycle touched; cash and equity in whole."""
        for change in record.positions:
            yield from self._position(record, change, ledger)
        for asset, amount in self.cash.items():
            if ledger.wallet.get(asset, ZERO) != amount:
                yield self._difference(record, "INV-01", asset, amount, ledger.wallet.get(asset, ZERO))
        yield from self._worth(record, ledger)

    def _lives(self, record: CycleRecord) -> Iterator[Difference]:
        """An approved group is submitted in its own cycle: its verdict and its orders lie in one record."""
        approved = {verdict.group_id for verdict in record.verdicts if verdict.outcome is not Outcome.REFUSED}
        for result in record.results:
            if result.status is not OrderStatus.ACCEPTED:
                continue
            if result.order_id.rpartition(".")[0] not in approved:
                yield self._difference(record, "INV-12", result.order_id, "a verdict that allows the order", "none")
            yield from self._accepted(record, result)

    def _accepted(self, record: CycleRecord, result: OrderResult) -> Iterator[Difference]:
        if result.order_id in self._orders:
            yield self._difference(record, "INV-13", result.order_id, "a new order", "one that is open")
        self._orders[result.order_id] = _OpenOrder(result.quantity, ZERO)

    def _fill(self, record: CycleRecord, fill: Fill) -> Iterator[Difference]:
        instrument, key = self._instruments[fill.instrument], (fill.strategy, fill.instrument)
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self.cash[instrument.quote] = self.cash.get(instrument.quote, ZERO) - signed * fill.price
        if fill.fee_asset == instrument.base:
            signed -= fill.fee
        else:
            self.cash[fill.fee_asset] = self.cash.get(fill.fee_asset, ZERO) - fill.fee
        before = self.positions.get(key, ZERO)
        self.positions[key] = before + signed
        self._net[fill.instrument] = self._net.get(fill.instrument, ZERO) + signed
        if fill.fill_source != LIQUIDATION:
            yield from self._overdrawn(record, fill, instrument, signed)
        if self._profiles.get(key, MANUAL) in self._reducing and abs(before + signed) > abs(before):
            yield self._difference(record, "INV-11", fill.id, f"no more than {abs(before)} while reducing", abs(before + signed))
        if fill.price <= 0 or fill.quantity <= 0 or fill.price % instrument.tick_size:
            yield self._difference(record, "INV-19", fill.id, "price and quantity above 0, on the tick", f"{fill.quantity} at {fill.price}")
        yield from self._filled(record, fill)

    def _overdrawn(self, record: CycleRecord, fill: Fill, instrument: Instrument, signed: Decimal) -> Iterator[Difference]:
        """No order of ours takes a balance below 0; funding and a liquidation may have."""
        paid = {instrument.quote} if signed > 0 else set()
        for asset in sorted(paid | ({fill.fee_asset} - {instrument.base, instrument.quote})):
            if self.cash[asset] < 0:
                yield self._difference(record, "INV-04", f"{fill.id} {asset}", "cash >= 0", self.cash[asset])

    def _filled(self, record: CycleRecord, fill: Fill) -> Iterator[Difference]:
        order = self._orders.get(fill.order_id)
        if order is None:
            yield self._difference(record, "INV-12", fill.id, "an open order", f"no order {fill.order_id}")
            return
        order.filled += fill.quantity
        if order.filled > order.quantity:
            yield self._difference(record, "INV-07", fill.order_id, f"at most {order.quantity}", order.filled)

    def _position(self, record: CycleRecord, change: PositionChange, ledger: Ledger) -> Iterator[Difference]:
        key, instrument = (change.strategy, change.instrument), change.instrument
        expected, found = self.positions.get(key, ZERO), ledger.position(*key)
        if expected != found:
            yield self._difference(record, "INV-02", f"{key[0]} {key[1]}", expected, found)
        if not found and ledger.books[key].cost + ledger.books[key].margin:
            yield self._difference(record, "INV-02", f"{key[0]} {key[1]}", "no cost and no margin when flat", ledger.books[key].cost)
        if self._net.get(instrument, ZERO) != ledger.net.get(instrument, ZERO):
            yield self._difference(record, "INV-16", instrument, self._net.get(instrument, ZERO), ledger.net.get(instrument, ZERO))

    def _worth(self, record: CycleRecord, ledger: Ledger) -> Iterator[Difference]:
        worth = sum((amount * ledger.prices.rate(asset) for asset, amount in self.cash.items()), ZERO)
        for instrument, quantity in self._net.items():
            mark = ledger.prices.last_price(instrument) if quantity else None
            if mark is not None:
                worth += quantity * mark.price * ledger.prices.rate_of(instrument)
        if worth != ledger.equity:
            yield self._difference(record, "INV-03", "equity", worth, ledger.equity)
        if record.equity != worth:
            yield self._difference(record, "INV-03", "recorded equity", worth, record.equity)

    def _add_cash(self, entry: LedgerEntry) -> None:
        for posting in entry.postings:
            if posting.account.endswith((":cash", ":margin")):
                self.cash[posting.asset] = self.cash.get(posting.asset, ZERO) + posting.amount

    def _difference(self, record: CycleRecord, rule: str, subject: str, expected: object, found: object) -> Difference:
        return Difference(rule=rule, sequence=record.sequence, subject=subject, expected=str(expected), found=str(found))


class Fold:
    """The sum of all entries so far; what the ledger's `state` must be at the same entry."""

    def __init__(self) -> None:
        self.entries = 0
        self._balances: dict[tuple[str, str], Decimal] = {}
        self._positions: dict[tuple[str, str], PositionChange] = {}

    def go_on(self, state: LedgerState) -> None:
        """Add to what the entries of earlier runs have made."""
        self.entries = state.entries
        self._balances = {(each.account, each.asset): each.amount for each in state.balances}
        self._positions = {(each.strategy, each.instrument): each for each in state.positions}

    def add(self, entry: LedgerEntry) -> Iterator[Difference]:
        """Add one entry; told when its number is not the next, or its postings leave something over."""
        if entry.number != self.entries + 1:
            yield _folded("INV-09", f"entry {entry.number}", self.entries + 1, entry.number)
        self.entries = entry.number
        over: dict[str, Decimal] = {}
        for posting in entry.postings:
            key = (posting.account, posting.asset)
            self._balances[key] = self._balances.get(key, ZERO) + posting.amount
            over[posting.asset] = over.get(posting.asset, ZERO) + posting.amount
        for asset, amount in over.items():
            if amount:
                yield _folded("INV-05", f"entry {entry.number} {asset}", 0, amount)
        if entry.quantity:
            self._move(entry)

    def state(self) -> LedgerState:
        """As `Ledger.state`."""
        balances = tuple(Posting(account, asset, amount) for (account, asset), amount in sorted(self._balances.items()) if amount)
        return LedgerState(self.entries, balances, tuple(self._positions[key] for key in sorted(self._positions)))

    def _move(self, entry: LedgerEntry) -> None:
        key = (entry.strategy, entry.instrument)
        before = self._positions.get(key)
        self._positions[key] = PositionChange(
            strategy=entry.strategy,
            instrument=entry.instrument,
            quantity=entry.quantity + (ZERO if before is None else before.quantity),
            cost=entry.cost + (ZERO if before is None else before.cost),
            realised=entry.realised + (ZERO if before is None else before.realised),
            margin=entry.margin + (ZERO if before is None else before.margin),
        )


def differences(expected: LedgerState, found: LedgerState) -> list[Difference]:
    """Where a ledger's state is not the fold of its entries."""
    wanted, has = _named(expected), _named(found)
    subjects = sorted({**wanted, **has})
    return [_folded("INV-09", each, wanted.get(each), has.get(each)) for each in subjects if wanted.get(each) != has.get(each)]


def _named(state: LedgerState) -> dict[str, object]:
    balances: dict[str, object] = {f"{each.account} {each.asset}": each.amount for each in state.balances}
    positions = {f"{each.strategy} {each.instrument}": each for each in state.positions}
    return {"entries": state.entries, **balances, **positions}


def _folded(rule: str, subject: str, expected: object, found: object) -> Difference:
    return Difference(rule=rule, sequence=0, subject=subject, expected=str(expected), found=str(found))
