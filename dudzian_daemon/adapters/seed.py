"""Made-up candles for working without network: equal on every machine, in every process, for every window that holds them.

A price is a pure function of (seed, instrument, time): hashed noise on ten scales of time, whose sum moves like a random
walk but needs no history. Integers throughout; a float is made once, from the finished number of ticks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_store import SEEDED, ParquetCandleStore, WriteReport
from dudzian_daemon.config.schema import Environment
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, Candle, Instrument, Series

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
#: A candle is seen at so many moments between its open and its close.
_MOMENTS: Final = 4


class SeedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What to make up: bars of `granularity` in [start, end) ns, out of `seed`."""

    granularity: str
    start: int
    end: int
    seed: int


def seeded_candles(instrument: Instrument, window: SeedWindow) -> list[Candle]:
    """The made-up candles of one instrument, oldest first; prices are whole ticks, volumes whole lots."""
    series = Series(instrument.key, window.granularity)
    step = series.step_ns
    first = -(-window.start // step) * step
    return [_candle(instrument, series, window.seed, opened, opened + step) for opened in range(first, window.end - step + 1, step)]


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
    store: ParquetCandleStore,
    instruments: Sequence[Instrument],
    window: SeedWindow,
    *,
    done: Callable[[Instrument], None],
    dry_run: bool = False,
) -> dict[str, WriteReport]:
    """Write the made-up candles of all instruments, telling `done` after each; what is there already is not written again.

    Raises `ConfigError` before anything is written when the store holds other candles than seeded ones.
    """
    store.require_room_for(SEEDED)
    reports: dict[str, WriteReport] = {}
    for instrument in instruments:
        series, candles = Series(instrument.key, window.granularity), seeded_candles(instrument, window)
        reports[instrument.key] = WriteReport(added=len(candles)) if dry_run else store.write(series, candles, source=SEEDED)
        done(instrument)
    return reports


def _candle(instrument: Instrument, series: Series, seed: int, opened: int, end: int) -> Candle:
    tick, lot = Fraction(instrument.tick_size), Fraction(instrument.lot_size)
    start_ms, step_ms = opened // 1_000_000, (end - opened) // 1_000_000
    path = [_ticks(instrument.key, instrument.base, tick, seed, start_ms + step_ms * part // _MOMENTS) for part in range(_MOMENTS + 1)]
    share = Fraction(_hashed(f"{seed}|{series.instrument}|{series.granularity}|volume|{opened}") + 2 * _UNIT, 2 * _UNIT)
    value = _TURNOVER * share * (end - opened) / DAY_NS
    lots = value // (path[-1] * tick * lot)
    return Candle(
        instant=end,
        instrument=series.instrument,
        granularity=series.granularity,
        end=end,
        open=float(path[0] * tick),
        high=float(max(path) * tick),
        low=float(min(path) * tick),
        close=float(path[-1] * tick),
        volume=float(lots * lot),
    )


def _ticks(key: str, base: str, tick: Fraction, seed: int, at_ms: int) -> int:
    """The price at a moment, in ticks."""
    middle = max(_LEAST_TICKS, _BASE_PRICES.get(base, _UNKNOWN_PRICE) // tick)
    deviation = 0
    for power, scale in enumerate(_SCALES_MS):
        cell, rest = divmod(at_ms, scale)
        before, after = _hashed(f"{seed}|{key}|{power}|{cell}"), _hashed(f"{seed}|{key}|{power}|{cell + 1}")
        deviation += 2**power * (before * (scale - rest) + after * rest) // scale
    return middle + middle * deviation * _STRENGTH.numerator // (_UNIT * _STRENGTH.denominator)


@lru_cache(maxsize=4096)
def _hashed(text: str) -> int:
    """An even draw from [-2**40, 2**40), the same for the same text everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") % (2 * _UNIT) - _UNIT
