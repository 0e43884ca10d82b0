"""What the fronts of one process share beside AutoTrader: venues, the refusing router, the account, market figures.

They listen to what is durable and keep immutable snapshots, which any thread may read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NoReturn

import msgspec

from dudzian_daemon.domain.errors import LiveBlocked
from dudzian_daemon.domain.events import CYCLE_DURABLE, MARKET_CANDLE, CycleDurable
from dudzian_daemon.domain.market import Candle, Instrument, Series
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.kernel.bus import Bus


class ExchangeManager:
    """The venues of a session, their instruments and their stored candles. It holds no keys and sends nothing."""

    def __init__(self, instruments: Mapping[str, Instrument], store: CandleStore) -> None:
        self._instruments = instruments
        self._store = store

    @property
    def venues(self) -> tuple[str, ...]:
        """Names of the venues that are traded."""
        return tuple(sorted({instrument.venue for instrument in self._instruments.values()}))

    def instruments(self, venue: str) -> tuple[Instrument, ...]:
        """What is traded at a venue."""
        return tuple(instrument for instrument in self._instruments.values() if instrument.venue == venue)

    def candles(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        """Stored candles in [start, end), ns. Blocks on the disk."""
        return self._store.read(series, start, end)


class LiveExecutionRouter:
    """Stands where a road to real exchanges would be, and refuses."""

    live_allowed: Final = False

    def submit(self, *orders: object) -> NoReturn:
        """Always refused. Raises `LiveBlocked`."""
        msg = (
            f"live trading refused: {len(orders)} order(s) were not sent; this package trades on paper only, it has no road to an exchange"
        )
        raise LiveBlocked(msg)


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The one paper account after cycle `sequence`; `positions` are signed quantities by venue, instrument and strategy."""

    sequence: int = 0
    instant: int = 0
    cash: Decimal
    equity: Decimal
    positions: Mapping[str, Mapping[str, Mapping[str, Decimal]]] = MappingProxyType({})


class MultiExchangeAccountManager:
    """The account as of the last durable cycle, told by venue."""

    def __init__(self, bus: Bus, opening: Decimal) -> None:
        self._held: dict[tuple[str, str], Decimal] = {}
        self._snapshot = AccountSnapshot(cash=opening, equity=opening)
        bus.subscribe(CYCLE_DURABLE, self._on_cycle, name="accounts")

    def snapshot(self) -> AccountSnapshot:
        """The latest snapshot; it never changes."""
        return self._snapshot

    def _on_cycle(self, _topic: str, durable: CycleDurable) -> None:
        record = durable.record
        for change in record.positions:
            self._held[(change.instrument, change.strategy)] = change.quantity
        positions: dict[str, dict[str, dict[str, Decimal]]] = {}
        for (instrument, strategy), quantity in sorted(self._held.items()):
            if quantity:
                positions.setdefault(instrument.partition(":")[0], {}).setdefault(instrument, {})[strategy] = quantity
        self._snapshot = AccountSnapshot(
            sequence=record.sequence, instant=record.instant, cash=record.cash, equity=record.equity, positions=positions
        )


class MarketIntel(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a series' latest candle: `change` of the close since the one before (None for the first) and `spread` of high and
    low are fractions of a price; `turnover` is in the quote asset; `candles` is how many were seen.
    """

    end: int
    close: float
    change: float | None
    spread: float
    turnover: float
    candles: int


class MarketIntelAggregator:
    """Market figures for every front from one place, by series."""

    def __init__(self, bus: Bus) -> None:
        self._intel: Mapping[Series, MarketIntel] = {}
        bus.subscribe(MARKET_CANDLE, self._on_candle, name="market_intel")

    def snapshot(self) -> Mapping[Series, MarketIntel]:
        """The latest figures; the mapping never changes."""
        return self._intel

    def _on_candle(self, _topic: str, candle: Candle) -> None:
        series = Series(candle.instrument, candle.granularity)
        before = self._intel.get(series)
        intel = MarketIntel(
            end=candle.end,
            close=candle.close,
            change=None if before is None or before.close <= 0 else candle.close / before.close - 1.0,
            spread=(candle.high - candle.low) / candle.close if candle.close > 0 else 0.0,
            turnover=candle.volume * candle.close,
            candles=1 if before is None else before.candles + 1,
        )
        self._intel = {**self._intel, series: intel}


class FrontendServices(msgspec.Struct, frozen=True):
    """What all fronts of a process share."""

    exchanges: ExchangeManager
    live_router: LiveExecutionRouter
    accounts: MultiExchangeAccountManager
    market_intel: MarketIntelAggregator
