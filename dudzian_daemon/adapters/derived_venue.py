"""A second venue for demonstrations: a real venue's candles, moved by a seeded basis model. Marked synthetic everywhere.

The basis is a pure function of (seed, instrument, bar end): at the end of every `period_bars` bars it takes a value drawn
by a hash from [-basis, +basis], between them it goes in a straight line. A bar opens with the basis its predecessor closed with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec

from dudzian_daemon.adapters.candle_store import StoredRange, store_of
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.domain.market import Candle, Series

_DRAWS: Final = 1 << 53


class BasisModel(msgspec.Struct, frozen=True):
    """`basis` is the largest distance from the source's prices as a fraction of them."""

    source: str
    basis: float
    period_bars: int
    seed: int

    def at(self, instrument: str, bar: int) -> float:
        """The basis at the end of bar number `bar` since 1970."""
        node, step = divmod(bar, self.period_bars)
        share = step / self.period_bars
        return self.basis * (self._draw(instrument, node) * (1.0 - share) + self._draw(instrument, node + 1) * share)

    def _draw(self, instrument: str, node: int) -> float:
        digest = sha256(f"{self.seed}/{instrument}/{node}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") % _DRAWS) / _DRAWS * 2.0 - 1.0


class Candles(Protocol):
    """The store behind it."""

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]: ...

    def ranges(self, series: Series) -> list[StoredRange]: ...

    def verify(self, series: Series, start: int, end: int) -> None: ...


class DerivedVenueStore:
    """Reads real venues from `store` and makes up the derived ones from them."""

    def __init__(self, store: Candles, models: Mapping[str, BasisModel]) -> None:
        self._store = store
        self._models = models

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        """As the store behind it; candles of a derived venue are synthetic."""
        model = self._model(series)
        if model is None:
            return self._store.read(series, start, end)
        return [moved(candle, series, model) for candle in self._store.read(_source(series, model), start, end)]

    def ranges(self, series: Series) -> list[StoredRange]:
        """What is there of a series: of a derived one, what is there of its source."""
        model = self._model(series)
        return self._store.ranges(series if model is None else _source(series, model))

    def verify(self, series: Series, start: int, end: int) -> None:
        """As the store behind it; of a derived series, its source."""
        model = self._model(series)
        self._store.verify(series if model is None else _source(series, model), start, end)

    def _model(self, series: Series) -> BasisModel | None:
        return self._models.get(series.instrument.partition(":")[0])


def moved(candle: Candle, series: Series, model: BasisModel) -> Candle:
    """The candle as the derived venue shows it."""
    bar = candle.end // series.step_ns
    before, after = 1.0 + model.at(series.instrument, bar - 1), 1.0 + model.at(series.instrument, bar)
    return msgspec.structs.replace(
        candle,
        instrument=series.instrument,
        open=candle.open * before,
        high=candle.high * max(before, after),
        low=candle.low * min(before, after),
        close=candle.close * after,
        synthetic=True,
    )


def _source(series: Series, model: BasisModel) -> Series:
    return Series(f"{model.source}:{series.instrument.partition(':')[2]}", series.granularity)


def candles_of(environment: Environment, data_folder: Path) -> DerivedVenueStore:
    """All candles of an environment, its derived venues included. Raises `ConfigError` when it has none."""
    models = {
        name: BasisModel(venue.source, float(venue.basis_bps) / 10_000.0, venue.period_bars, venue.seed)
        for name, venue in environment.derived_venues.items()
    }
    return DerivedVenueStore(store_of(environment, data_folder), models)
