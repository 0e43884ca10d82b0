"""What is held and what open orders may add, kept in total by side as the limits ask for it, instead of summed anew for each order.

The ledger tells of every movement of a position, the reservations of every open order that comes, changes or ends. Values are in
the valuation asset at the last prices and are worked out when they are asked for, at most once a price.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Final

from dudzian_daemon.domain.money import EXACT, ZERO
from dudzian_daemon.domain.orders import Side
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.reservations import Reservation, Reservations
from dudzian_daemon.trading.spec import MANUAL, MANUAL_BUCKET, SessionSpec

#: A part of the account that has totals of its own: all of it, an instrument, a bucket, or a bucket's share of an instrument.
Scope = tuple[str, str]
ACCOUNT: Final[Scope] = ("", "")


class SideTotal:
    """One side of one scope: quantities held by instrument (positive), and the notional of its open orders by quote asset."""

    __slots__ = ("_marks", "_quantities", "_reserved", "_value")

    def __init__(self) -> None:
        self._quantities: dict[str, Decimal] = {}
        self._reserved: dict[str, Decimal] = {}
        self._value = ZERO
        self._marks = -1

    def hold(self, instrument: str, change: Decimal) -> None:
        """The side's quantity of an instrument has changed."""
        self._quantities[instrument] = self._quantities.get(instrument, ZERO) + change
        self._marks = -1

    def reserve(self, quote: str, change: Decimal) -> None:
        """What open orders may add has changed."""
        self._reserved[quote] = self._reserved.get(quote, ZERO) + change

    def value(self, ledger: Ledger) -> Decimal:
        """All of it at the last prices."""
        if self._marks != ledger.prices.marks:
            with localcontext(EXACT):  # kept for later: whoever asks first, a reader of the state perhaps, must not round it
                self._value = sum((held * ledger.prices.unit_value(key) for key, held in self._quantities.items() if held), ZERO)
            self._marks = ledger.prices.marks
        total = self._value
        for quote, notional in self._reserved.items():
            if notional:
                total += notional * ledger.prices.rate(quote)
        return total


class Exposures:
    """Single writer of the totals of one account's ledger and reservations."""

    def __init__(self, spec: SessionSpec, ledger: Ledger, reservations: Reservations) -> None:
        self._ledger = ledger
        self._reservations = reservations
        self._quotes = {key: instrument.quote for key, instrument in spec.instruments.items()}
        self._buckets = _buckets(spec)
        self._totals: dict[tuple[Scope, Side], SideTotal] = {}
        #: By strategy, instrument and side the totals that they count in.
        self._counted_in: dict[tuple[str, str, Side], tuple[SideTotal, ...]] = {}
        #: How many strategies hold an instrument or have an opening order in it.
        self._users: dict[str, int] = {}
        self.rebuild()
        ledger.watchers.append(self._moved)
        reservations.watchers.append(self._reserved)

    def rebuild(self) -> None:
        """Count everything anew: ledger and reservations have become another's."""
        self._totals, self._counted_in, self._users = {}, {}, {}
        for (strategy, instrument), book in self._ledger.books.items():
            self._moved(strategy, instrument, ZERO, book.quantity)
        for each in self._reservations.open.values():
            self._reserved(each, 1)

    def account(self, side: Side) -> Decimal:
        """All longs (buy) or all shorts (sell)."""
        return self._value(ACCOUNT, side)

    def instrument(self, instrument: str, side: Side) -> Decimal:
        """What all strategies together have of an instrument."""
        return self._value(("", instrument), side)

    def bucket(self, bucket: str, side: Side, instrument: str = "") -> Decimal:
        """What the strategies of a bucket have, of everything or of one instrument."""
        return self._value((bucket, instrument), side)

    def instruments(self) -> int:
        """How many instruments are held or may come to be."""
        return len(self._users)

    def has(self, instrument: str) -> bool:
        """Whether the instrument is held or may come to be."""
        return instrument in self._users

    def bucket_of(self, strategy: str, instrument: str) -> str | None:
        """The bucket that the strategy's orders in the instrument count in, None for none."""
        return MANUAL_BUCKET if strategy == MANUAL else self._buckets.get((strategy, instrument))

    def _value(self, scope: Scope, side: Side) -> Decimal:
        total = self._totals.get((scope, side))
        return ZERO if total is None else total.value(self._ledger)

    def _moved(self, strategy: str, instrument: str, before: Decimal, after: Decimal) -> None:
        for side, old, new in ((Side.BUY, max(before, ZERO), max(after, ZERO)), (Side.SELL, max(-before, ZERO), max(-after, ZERO))):
            if old != new:
                for total in self._totals_of(strategy, instrument, side):
                    total.hold(instrument, new - old)
        self._use(instrument, bool(after) - bool(before))

    def _reserved(self, each: Reservation, sign: int) -> None:
        if each.reduce_only:
            return
        quote, change = self._quotes[each.instrument], each.notional * sign
        for total in self._totals_of(each.strategy, each.instrument, each.side):
            total.reserve(quote, change)
        self._use(each.instrument, sign)

    def _use(self, instrument: str, change: int) -> None:
        if change:
            self._users[instrument] = self._users.get(instrument, 0) + change
            if not self._users[instrument]:
                del self._users[instrument]

    def _totals_of(self, strategy: str, instrument: str, side: Side) -> tuple[SideTotal, ...]:
        """The totals that one side of a strategy's position in an instrument counts in."""
        totals = self._counted_in.get((strategy, instrument, side))
        if totals is None:
            bucket = self.bucket_of(strategy, instrument)
            scopes = [ACCOUNT, ("", instrument)] if bucket is None else [ACCOUNT, ("", instrument), (bucket, ""), (bucket, instrument)]
            totals = tuple(self._totals.setdefault((scope, side), SideTotal()) for scope in scopes)
            self._counted_in[strategy, instrument, side] = totals
        return totals


def _buckets(spec: SessionSpec) -> Mapping[tuple[str, str], str]:
    """By strategy and instrument the name of the bucket, where it is defined."""
    owners = {(each.strategy, key): each.bucket for each in spec.schedules for key in each.instruments}
    return {key: name for key, name in owners.items() if name in spec.buckets}
