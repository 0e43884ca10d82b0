"""The backtest: stored candles through the daemon's own step, as fast as it goes, on a virtual clock.

It writes nothing unless a journal is wanted; without one no cycle is encoded or hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Final, Protocol

import msgspec

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import DerivedVenueStore, candles_of
from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.backtest.result import BacktestResult, day_of, result_of
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.replay_windows import replay_windows, require_sound
from dudzian_daemon.app.session_spec import session_spec
from dudzian_daemon.config.environment import ReplayWindow
from dudzian_daemon.config.runtime import Schedule
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window, end_window, read_window, window_ticks

#: Ticks between two calls of `Progress`.
_TICKS_BETWEEN: Final = 1024
_DAY: Final = timedelta(days=1)

#: Called now and then with the bars done so far and the share of all windows that lies behind.
Progress = Callable[[int, float], None]


class BacktestOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `first` and `last` are days, both included; without them the environment's own windows are played."""

    config: Path | None = None
    environment: str | None = None
    data_dir: Path | None = None
    strategies: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    profile: str | None = None
    journal: bool = False
    plugins_dir: Path | None = None


class Recorder(Protocol):
    """Takes every cycle, in order."""

    def store_rows(self, tick: Tick) -> None:
        """The tick has warm-up rows: keep them before a cycle names them."""
        ...

    def append(self, record: CycleRecord) -> None:
        """One cycle."""
        ...


class Arranged(msgspec.Struct, frozen=True):
    """A backtest that could start."""

    prepared: Prepared
    core: Core
    windows: Sequence[Window]
    store: DerivedVenueStore


def run(options: BacktestOptions, env: Mapping[str, str], progress: Progress | None = None) -> BacktestResult:
    """Arrange and simulate. Raises `DudzianError` for the command line."""
    arranged = arrange(options, env)
    if not options.journal:
        performance = simulate(arranged.core, arranged.windows, arranged.store, progress=progress)
        return result_of(arranged.prepared, arranged.windows, performance)

    from dudzian_daemon.app.backtest.journal import recording  # the daemon's parts come with it

    with recording(arranged.prepared, env, SystemClock()) as journal:
        performance = simulate(arranged.core, arranged.windows, arranged.store, recorder=journal, progress=progress)
    return result_of(arranged.prepared, arranged.windows, performance, journal.text)


def arrange(options: BacktestOptions, env: Mapping[str, str]) -> Arranged:
    """Resolve names, dates and windows. Raises `ConfigError` or `PluginError`; writes nothing."""
    arranged = arranged_of(prepared_for(options, env), options)
    require_sound(arranged.windows, arranged.store)
    return arranged


def prepared_for(options: BacktestOptions, env: Mapping[str, str]) -> Prepared:
    """The configuration and its plugins. Raises `ConfigError` or `PluginError`."""
    if options.first is not None and options.last is not None and options.first > options.last:
        msg = f"--from: expected a day that is not after --to {options.last}, found {options.first}"
        raise ConfigError(msg)
    named = RunOptions(config=options.config, environment=options.environment, data_dir=options.data_dir, plugins_dir=options.plugins_dir)
    return prepare(named, env)


def arranged_of(prepared: Prepared, options: BacktestOptions, store: DerivedVenueStore | None = None) -> Arranged:
    """Core and windows of what was prepared; candles are not checked yet. A `store` that is given is that of the environment."""
    config = narrowed(prepared.config, prepared.environment, options.strategies, options.profile)
    spec = session_spec(config, prepared.environment, prepared.spec.strategies)
    with exact_money():
        core = Core(spec)
    store = store or candles_of(config.environment(prepared.environment), prepared.data_folder)
    if options.first is not None or options.last is not None:
        config = _dated(config, prepared.environment, options, core, store)
    windows = replay_windows(config, prepared.environment, core, store)
    plugins = {name: source for name, source in prepared.plugins.items() if name in spec.strategies}
    loaded = msgspec.structs.replace(prepared.loaded, config=config)
    return Arranged(msgspec.structs.replace(prepared, loaded=loaded, plugins=plugins, spec=spec), core, windows, store)


def narrowed(config: CoreConfig, environment: str, strategies: Sequence[str], profile: str | None) -> CoreConfig:
    """The configuration with the schedules of some strategies only (none named: all), under another profile, with its own artifact name."""
    replace = msgspec.structs.replace
    chosen = config.environments[environment]
    scheduler = config.scheduler(chosen.scheduler)
    schedules = _of_strategies(scheduler.schedules, environment, strategies)
    if profile is not None:
        config.profile(profile)
        schedules = {name: replace(schedule, risk_profile=profile) for name, schedule in schedules.items()}
    chosen = replace(chosen, artifact_name=f"backtest_{environment}", risk_profile=profile or chosen.risk_profile)
    schedulers = config.runtime.multi_strategy_schedulers | {chosen.scheduler: replace(scheduler, schedules=schedules)}
    return replace(
        config,
        environments=config.environments | {environment: chosen},
        runtime=replace(config.runtime, multi_strategy_schedulers=schedulers),
    )


def simulate(
    core: Core, windows: Sequence[Window], store: CandleStore, *, recorder: Recorder | None = None, progress: Progress | None = None
) -> Performance:
    """Drive the core through all windows, as the daemon's session does; the one thing missing is the waiting."""
    driver, performance = Driver(core), Performance(core)
    take = performance.add if recorder is None else _both(performance, recorder)
    digest = _first_row if recorder is None else digest_rows
    meter = _Meter(windows, progress)
    previous_end: int | None = None
    with exact_money():
        for number, window in enumerate(windows, start=1):
            found = read_window(store, window)
            bars = sum(map(len, found.rows.values()))
            meter.begin(window, bars)
            performance.begin_window(found)
            for count, tick in enumerate(window_ticks(window, found, previous_end, digest)):
                if not count % _TICKS_BETWEEN:
                    meter.tell(tick.instant)
                if tick.rows and recorder is not None:
                    recorder.store_rows(tick)
                performance.see(tick)
                for record in driver.advance(tick):
                    take(record)
            for record in end_window(driver, WindowEnd(number, last=number == len(windows))):
                take(record)
            performance.end_window(driver.last[0])
            meter.end()
            previous_end = window.end
    return performance


# -- what is asked for -------------------------------------------------------------------------------------------------


def _of_strategies(schedules: Mapping[str, Schedule], environment: str, wanted: Sequence[str]) -> dict[str, Schedule]:
    known = sorted({schedule.strategy for schedule in schedules.values()})
    unknown = [name for name in wanted if name not in known]
    if unknown:
        msg = f"--strategies: environment {environment!r} does not run {', '.join(map(repr, unknown))}; known: {', '.join(known)}"
        raise ConfigError(msg)
    return {name: schedule for name, schedule in schedules.items() if not wanted or schedule.strategy in wanted}


def _dated(config: CoreConfig, environment: str, options: BacktestOptions, core: Core, store: DerivedVenueStore) -> CoreConfig:
    """The configuration with one window from `first` to `last`, each by default as far as candles are stored."""
    (whole,) = replay_windows(_with_windows(config, environment, ()), environment, core, store)
    stored = _stored_days(whole, store)
    first, last = options.first or stored[0][0], options.last or stored[-1][1]
    outside = first < stored[0][0] or last > stored[-1][1]
    if outside or not any(first <= end and start <= last for start, end in stored):
        days = ", ".join(f"{start} to {end}" for start, end in stored)
        msg = f"--from, --to: expected days of which candles are stored ({days}), found {first} to {last}"
        raise ConfigError(msg)
    schedules = config.scheduler(config.environment(environment).scheduler).schedules.values()
    pairs = sorted({symbol for schedule in schedules for symbol in config.bucket(schedule.instrument_bucket).symbols})
    return _with_windows(config, environment, (ReplayWindow(start=first, end=last + _DAY, instruments=tuple(pairs)),))


def _stored_days(whole: Window, store: DerivedVenueStore) -> list[tuple[date, date]]:
    """First and last day of each stretch in which some series has candles, in order."""
    stretches: list[tuple[date, date]] = []
    for found in sorted((each for series in whole.series for each in store.ranges(series)), key=attrgetter("start")):
        first, last = day_of(found.start), day_of(found.end - 1)
        if stretches and first <= stretches[-1][1] + _DAY:
            stretches[-1] = (stretches[-1][0], max(last, stretches[-1][1]))
        else:
            stretches.append((first, last))
    return stretches


def _with_windows(config: CoreConfig, environment: str, windows: tuple[ReplayWindow, ...]) -> CoreConfig:
    replace = msgspec.structs.replace
    chosen = config.environments[environment]
    chosen = replace(chosen, replay=replace(chosen.replay, windows=windows))
    return replace(config, environments=config.environments | {environment: chosen})


# -- while it runs -----------------------------------------------------------------------------------------------------


def _first_row(rows: Sequence[Candle]) -> str:
    """Names warm-up rows where nothing is recorded: by what they are rows of, which is enough inside one tick."""
    return f"{rows[0].instrument} {rows[0].granularity}" if rows else ""


def _both(performance: Performance, recorder: Recorder) -> Callable[[CycleRecord], None]:
    def take(record: CycleRecord) -> None:
        performance.add(record)
        recorder.append(record)

    return take


class _Meter:
    """Turns instants into progress. A window counts for as many bars as fit into it; within it they are taken to be evenly spread."""

    def __init__(self, windows: Sequence[Window], progress: Progress | None) -> None:
        self._progress = progress
        self._expected = sum(map(_bars_that_fit, windows))
        self._expected_before = self._bars_before = 0
        self._window = windows[0]
        self._bars = 0

    def begin(self, window: Window, bars: int) -> None:
        self._window, self._bars = window, bars

    def tell(self, instant: int) -> None:
        if self._progress is not None:
            window = self._window
            passed = (instant - window.start) / (window.end - window.start)
            share = (self._expected_before + _bars_that_fit(window) * passed) / self._expected
            self._progress(self._bars_before + int(self._bars * passed), share)

    def end(self) -> None:
        self.tell(self._window.end)
        self._bars_before += self._bars
        self._expected_before += _bars_that_fit(self._window)


def _bars_that_fit(window: Window) -> int:
    return sum((window.end - window.start) // series.step_ns for series in window.series)
