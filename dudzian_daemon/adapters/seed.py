"""Made-up candles for working without network: equal on every machine, in every process, for every window that holds them.

A price is a pure function of (seed, instrument, time): hashed noise on ten scales of time, whose sum moves like a random
walk but needs no history. At a second venue a symbol has the prices of the first one, and a small hashed basis on top.
Integers throughout; a float is made once, from the finished number of ticks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, WriteReport
from dudzian_daemon.adapters.manifest import SEEDED
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, GRANULARITIES, Candle, Instrument, Series

#: About what a unit of the base asset cost in USDT at the start of 2024.
_BASE_PRICES: Final[Mapping[str, Fraction]] = MappingProxyType(
    {
        "BTC": Fraction(42_000),
        "ETH": Fraction(2_300),
        "BNB": Fraction(310),
        "SOL": Fraction(100),
        "LTC": Fraction(73),
        "MATIC": Fraction("0.97"),
        "XRP": Fraction("0.62"),
        "ADA": Fraction("0.60"),
    }
)
_UNKNOWN_PRICE: Final = Fraction(10)
#: A price moves in ticks: below this many it would hardly move.
_LEAST_TICKS: Final = 1_000
#: Traded value of a day, in the quote asset.
_TURNOVER: Final = 50_000_000

_UNIT: Final = 2**40
#: Longest and shortest scale of the noise: 60 s times 4 to the power of 0..9 (182 days). Each is twice as strong as the
#: one before, as a random walk wants it; together they reach at most 54 % from the base price.
_SCALES_MS: Final = tuple(60_000 * 4**power for power in range(10))
_STRENGTH: Final = Fraction(53, 100_000)
#: A second venue strays from the first by at most this (basis points), in straight lines from one draw to the next: a little
#: more than the bundled arbitrage enters at (18, after the 2 it takes for the width of the book), so that it enters now and then.
_BASIS_BPS: Final = 22
_BASIS_SCALE_MS: Final = 3_840_000
#: A candle is seen at so many moments between its open and its close.
_MOMENTS: Final = 4

#: Granularity that every instrument of an environment is given, whatever its scheduler takes.
USUAL_GRANULARITY: Final = "1d"


class SeedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What to make up: bars of `granularity` in [start, end) ns, out of `seed`."""

    granularity: str
    start: int
    end: int
    seed: int


class SeedSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What one series is given. `market` is the key of the instrument whose prices it follows: its own, or the one of the first venue."""

    instrument: Instrument
    window: SeedWindow
    market: str

    @property
    def series(self) -> Series:
        """Its name in the store."""
        return Series(self.instrument.key, self.window.granularity)


def planned(
    config: CoreConfig, environment: str, start: int, end: int, *, seed: int, most_rows: int, granularities: Sequence[str] = ()
) -> list[SeedSeries]:
    """What to make up in [start, end) ns (midnights): days of every instrument, and all series the environment's scheduler takes.

    `granularities` are made instead of days, and of the scheduler's series only those. A series that would have more than
    `most_rows` gets the last ones, in whole days if that is one at least. Instruments of derived venues need no candles.
    """
    chosen = config.environment(environment)
    wanted = [(instrument, each) for each in granularities or (USUAL_GRANULARITY,) for instrument in config.universe(environment)]
    for schedule in config.scheduler(chosen.scheduler).schedules.values():
        if not granularities or schedule.interval in granularities:
            venues = [venue for venue in schedule.venues or (chosen.exchange,) if venue not in chosen.derived_venues]
            symbols = config.bucket(schedule.instrument_bucket).symbols
            wanted += [(config.instrument(symbol, venue), schedule.interval) for symbol in symbols for venue in venues]
    return [
        SeedSeries(
            instrument=instrument,
            window=_bounded(SeedWindow(granularity=granularity, start=start, end=end, seed=seed), most_rows),
            market=f"{chosen.exchange}:{instrument.symbol}",
        )
        for instrument, granularity in dict.fromkeys(wanted)
    ]


def _bounded(window: SeedWindow, most_rows: int) -> SeedWindow:
    longest = most_rows * GRANULARITIES[window.granularity]
    if window.end - window.start <= longest:
        return window
    return msgspec.structs.replace(window, start=window.end - (longest // DAY_NS * DAY_NS or longest))


def seeded_candles(instrument: Instrument, window: SeedWindow, market: str | None = None) -> list[Candle]:
    """The made-up candles of one instrument, oldest first; prices are whole ticks, volumes whole lots. `market`: as in `SeedSeries`."""
    step = GRANULARITIES[window.granularity]
    first = -(-window.start // step) * step
    prices = _Prices(instrument, window.seed, market or instrument.key)
    return [_candle(prices, window, opened, opened + step) for opened in range(first, window.end - step + 1, step)]


def cache_of(name: str, environment: Environment, instruments: Sequence[Instrument], data_folder: Path) -> ParquetCandleStore:
    """The candle cache of a paper environment. Raises `ConfigError` for one that must not or cannot be filled by hand."""
    if environment.mode != "paper" or environment.candle_source != "cache" or environment.data_cache_path is None:
        expected = "`mode: paper`, `candle_source: cache` and a `data_cache_path`"
        found = f"{environment.mode}, {environment.candle_source}, {environment.data_cache_path or 'no path'}"
        msg = f"environment {name} cannot be seeded: expected {expected}, found {found}"
        raise ConfigError(msg)
    if not instruments:
        msg = f"environment {name} cannot be seeded: no instrument of instruments.yaml has a venue {environment.exchange!r}"
        raise ConfigError(msg)
    return ParquetCandleStore(data_folder / environment.data_cache_path)


def seed_store(
    store: ParquetCandleStore, plan: Sequence[SeedSeries], *, done: Callable[[SeedSeries], None], dry_run: bool = False
) -> dict[Series, WriteReport]:
    """Write the made-up candles of all series, telling `done` after each; what is there already is not written again.

    Raises `ConfigError` before anything is written when the store holds other candles than seeded ones.
    """
    store.require_room_for(SEEDED)
    reports: dict[Series, WriteReport] = {}
    for each in plan:
        if dry_run:
            reports[each.series] = WriteReport(added=(each.window.end - each.window.start) // each.series.step_ns)
        else:
            candles = seeded_candles(each.instrument, each.window, each.market)
            reports[each.series] = store.write(each.series, candles, source=SEEDED)
        done(each)
    return reports


class _Prices:
    """The price of one instrument at any moment, in ticks; quickest when the moments come in their order."""

    def __init__(self, instrument: Instrument, seed: int, market: str) -> None:
        self.instrument = instrument
        self.tick, self.lot = Fraction(instrument.tick_size), Fraction(instrument.lot_size)
        self._middle = int(max(_LEAST_TICKS, _BASE_PRICES.get(instrument.base, _UNKNOWN_PRICE) // self.tick))
        self._noise = [_Noise(f"{seed}|{market}|{power}", scale) for power, scale in enumerate(_SCALES_MS)]
        self._basis = None if market == instrument.key else _Noise(f"{seed}|{instrument.key}|basis", _BASIS_SCALE_MS)

    def at(self, at_ms: int) -> int:
        """The price at a moment."""
        deviation = 0
        for power, noise in enumerate(self._noise):
            deviation += (noise.at(at_ms) << power) // noise.scale
        price = self._middle + self._middle * deviation * _STRENGTH.numerator // (_UNIT * _STRENGTH.denominator)
        if self._basis is None:
            return price
        return price + price * self._basis.at(at_ms) * _BASIS_BPS // (self._basis.scale * _UNIT * 10_000)


class _Noise:
    """Even draws at the multiples of `scale` (ms), straight lines between them."""

    def __init__(self, name: str, scale: int) -> None:
        self.scale = scale
        self._name = name
        self._cell: int | None = None
        self._before = self._after = 0

    def at(self, at_ms: int) -> int:
        """The value at a moment, times `scale`: within `_UNIT` times `scale` of 0."""
        cell, rest = divmod(at_ms, self.scale)
        if cell != self._cell:
            self._cell = cell
            self._before, self._after = _hashed(f"{self._name}|{cell}"), _hashed(f"{self._name}|{cell + 1}")
        return self._before * (self.scale - rest) + self._after * rest


def _candle(prices: _Prices, window: SeedWindow, opened: int, end: int) -> Candle:
    key, tick, lot = prices.instrument.key, prices.tick, prices.lot
    start_ms, step_ms = opened // 1_000_000, (end - opened) // 1_000_000
    path = [prices.at(start_ms + step_ms * part // _MOMENTS) for part in range(_MOMENTS + 1)]
    share = _hashed(f"{window.seed}|{key}|{window.granularity}|volume|{opened}") + 2 * _UNIT
    value = _TURNOVER * share * (end - opened) * tick.denominator * lot.denominator
    lots = value // (2 * _UNIT * DAY_NS * path[-1] * tick.numerator * lot.numerator)
    return Candle(
        instant=end,
        instrument=key,
        granularity=window.granularity,
        end=end,
        open=path[0] * tick.numerator / tick.denominator,
        high=max(path) * tick.numerator / tick.denominator,
        low=min(path) * tick.numerator / tick.denominator,
        close=path[-1] * tick.numerator / tick.denominator,
        volume=lots * lot.numerator / lot.denominator,
    )


def _hashed(text: str) -> int:
    """An even draw from [-2**40, 2**40), the same for the same text everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") % (2 * _UNIT) - _UNIT
