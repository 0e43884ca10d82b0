"""What a worker keeps between trials: the prepared configuration, the plugin, and the candles it has read.

`measure` and `record` are what an executor is given: module functions of plain values, so that they reach another process.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from dudzian_daemon.adapters.derived_venue import DerivedVenueStore, candles_of
from dudzian_daemon.app.backtest.run import Arranged, BacktestOptions, arranged_of, prepared_for, simulate
from dudzian_daemon.app.plugins.loader import PluginSource, make_strategy, require_startable
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.sweep.grid import Combination
from dudzian_daemon.app.sweep.trials import Decision, Figures, Recorded, figures_of
from dudzian_daemon.domain.market import Candle, Series, Tick
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.content import ContentChain

_end = attrgetter("end")


class Setting(msgspec.Struct, frozen=True):
    """What all trials of a sweep have in common. `env` are the variables that the configuration reads; `fingerprint` names the inputs."""

    options: BacktestOptions
    strategy: str
    env: tuple[tuple[str, str], ...]
    fingerprint: str = ""


class Task(msgspec.Struct, frozen=True):
    """One combination over the days of `options`."""

    setting: Setting
    options: BacktestOptions
    parameters: Combination


class RememberedCandles:
    """Reads each series once, as far as it was asked for, and gives slices of it."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store
        self._known: dict[Series, tuple[int, int, Sequence[Candle]]] = {}

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        """As the store behind it."""
        known = self._known.get(series)
        if known is None or start < known[0] or end > known[1]:
            first, last = (start, end) if known is None else (min(start, known[0]), max(end, known[1]))
            known = self._known[series] = (first, last, self._store.read(series, first, last))
        rows = known[2]
        return rows[bisect_left(rows, start + series.step_ns, key=_end) : bisect_right(rows, end, key=_end)]


class Workbench:
    """The prepared session of a sweep, ready to be given other parameters."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.prepared = prepared_for(setting.options, dict(setting.env))
        self.store: DerivedVenueStore = candles_of(self.prepared.chosen, self.prepared.data_folder)
        self.candles = RememberedCandles(self.store)

    @property
    def source(self) -> PluginSource:
        """The plugin."""
        return self.prepared.plugins[self.setting.strategy]

    @property
    def configured(self) -> Mapping[str, Any]:
        """The parameters that the configuration gives it."""
        return self.prepared.config.strategies[self.setting.strategy].parameters

    def arranged(self, options: BacktestOptions, parameters: Combination) -> Arranged:
        """Core and windows with these parameters over the days of `options`. Raises `ConfigError` or `PluginError`."""
        return arranged_of(self._with(parameters), options, self.store)

    def _with(self, parameters: Combination) -> Prepared:
        """What was prepared, its strategy made anew."""
        name, replace = self.setting.strategy, msgspec.structs.replace
        prepared = self.prepared
        entry = prepared.config.strategies[name]
        entry = replace(entry, parameters={**entry.parameters, **parameters})
        strategy = make_strategy(self.source, entry.parameters)
        for schedule in prepared.spec.schedules:
            if schedule.strategy == name:
                require_startable(self.source, strategy, schedule)
        config = replace(prepared.config, strategies=prepared.config.strategies | {name: entry})
        spec = replace(prepared.spec, strategies={**prepared.spec.strategies, name: strategy})
        return replace(prepared, loaded=replace(prepared.loaded, config=config), spec=spec)


class _Content:
    """Seals every cycle as a journal does and keeps the decisions; writes nothing."""

    def __init__(self) -> None:
        self._chain = ContentChain()
        self._decisions: list[Decision] = []

    def store_rows(self, tick: Tick) -> None:
        """Warm-up rows are named by their digest in the cycle."""

    def append(self, record: CycleRecord) -> None:
        """One cycle."""
        self._chain.seal(record)
        self._decisions += [
            Decision(signal.instant, signal.instrument, signal.intent.value, signal.target or 0.0) for signal in record.signals
        ]

    @property
    def recorded(self) -> Recorded:
        """All of it."""
        return Recorded(self._chain.link, self._chain.sequence, tuple(self._decisions))


@lru_cache(maxsize=2)
def workbench(setting: Setting) -> Workbench:
    """The workbench of a sweep in this process."""
    return Workbench(setting)


def measure(task: Task) -> Figures:
    """Play the combination through the daemon's step. Raises `DudzianError`."""
    bench = workbench(task.setting)
    arranged = bench.arranged(task.options, task.parameters)
    return figures_of(simulate(arranged.core, arranged.windows, bench.candles))


def record(task: Task) -> tuple[Figures, Recorded]:
    """The same, with the content that a journal of it would have."""
    bench = workbench(task.setting)
    arranged = bench.arranged(task.options, task.parameters)
    content = _Content()
    performance = simulate(arranged.core, arranged.windows, bench.candles, recorder=content)
    return figures_of(performance), content.recorded
