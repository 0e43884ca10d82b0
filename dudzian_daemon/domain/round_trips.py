"""From fills to round trips: what a strategy made of one instrument between flat and flat. Exact, after fees."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.domain.records import PositionChange


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """From flat to flat; `side` is that of the first fill and `quantity` all that was bought (long) or sold (short) in between.

    Prices are means over the fills, slippage included; `profit` is after `fees`; instants are in ns. A `synthetic` one was made
    on prices of a derived venue.
    """

    strategy: str
    instrument: str
    side: Side
    opened_at: int
    closed_at: int
    quantity: Decimal
    entry_price: float
    exit_price: float
    profit: Decimal
    fees: Decimal
    synthetic: bool = False


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What was still held at the end: its last price was too old to close on, or nobody asked to close it."""

    strategy: str
    instrument: str
    quantity: Decimal
    cost: Decimal


class Running(msgspec.Struct):
    """A round trip that has not ended: what was paid for `entered` and received for `left` of it."""

    side: Side
    opened_at: int
    realised: Decimal
    fees: Decimal = ZERO
    entered: Decimal = ZERO
    paid: Decimal = ZERO
    left: Decimal = ZERO
    received: Decimal = ZERO


class TripsMemory(msgspec.Struct, frozen=True):
    """Everything a fold of fills knows but the round trips it has told; `running` by strategy and instrument."""

    held: tuple[PositionChange, ...]
    running: tuple[tuple[str, str, Running], ...]


class RoundTrips:
    """Folds fills, in their order, into round trips."""

    def __init__(self) -> None:
        self.done: list[RoundTrip] = []
        #: The latest state of every position that was ever held.
        self.held: dict[tuple[str, str], PositionChange] = {}
        self._running: dict[tuple[str, str], Running] = {}

    def export(self) -> TripsMemory:
        """What it needs to go on."""
        return TripsMemory(tuple(self.held.values()), tuple((*key, running) for key, running in self._running.items()))

    def restore(self, memory: TripsMemory) -> None:
        """Go on where the fold was that said so; `done` is not part of it."""
        self.held = {(change.strategy, change.instrument): change for change in memory.held}
        self._running = {(strategy, instrument): running for strategy, instrument, running in memory.running}

    def still_open(self) -> list[OpenPosition]:
        """What is held now."""
        return [
            OpenPosition(strategy=change.strategy, instrument=change.instrument, quantity=change.quantity, cost=change.cost)
            for _, change in sorted(self.held.items())
            if change.quantity
        ]

    def add(self, fill: Fill, change: PositionChange) -> RoundTrip | None:
        """Take a fill with the position it led to; the round trip it ended, if any."""
        key = (fill.strategy, fill.instrument)
        before = self.held.get(key)
        running = self._running.setdefault(key, Running(fill.side, fill.filled_at, before.realised if before else ZERO))
        running.fees += fill.fee
        if fill.side is running.side:
            running.entered += fill.quantity
            running.paid += fill.quantity * fill.price
        else:
            running.left += fill.quantity
            running.received += fill.quantity * fill.price
        self.held[key] = change
        if change.quantity:
            return None
        del self._running[key]
        trip = _ended(running, fill, change)
        self.done.append(trip)
        return trip


def _ended(running: Running, fill: Fill, change: PositionChange) -> RoundTrip:
    return RoundTrip(
        strategy=fill.strategy,
        instrument=fill.instrument,
        side=running.side,
        opened_at=running.opened_at,
        closed_at=fill.filled_at,
        quantity=running.entered,
        entry_price=float(running.paid) / float(running.entered),
        exit_price=float(running.received) / float(running.left),
        profit=change.realised - running.realised - running.fees,
        fees=running.fees,
        synthetic=fill.synthetic,
    )
