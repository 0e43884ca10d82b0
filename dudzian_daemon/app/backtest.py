"""The backtest: stored candles through the daemon's own step, as fast as it goes, on a virtual clock.

It writes nothing unless a journal is wanted; without one no cycle is encoded or hashed.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import DerivedVenueStore, candles_of
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.keychain import signing_key
from dudzian_daemon.app.backtest_result import BacktestResult, JournalText, day_of, result_of
from dudzian_daemon.app.performance import Performance
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.replay import replay_windows
from dudzian_daemon.app.session_spec import session_spec
from dudzian_daemon.config.schema import CoreConfig, ReplayWindow, Schedule, midnight_ns
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import Clock, SystemClock
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window, end_window, read_window, window_ticks

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from dudzian_daemon.adapters.journal import SessionJournal

#: Lines of a journal that are synced together: nobody waits for a cycle of a backtest.
_LINES_TOGETHER: Final = 512
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
        return result_of(arranged.prepared, arranged.windows, performance, options.profile)
    with recording(arranged.prepared, env, SystemClock()) as journal:
        performance = simulate(arranged.core, arranged.windows, arranged.store, recorder=journal, progress=progress)
    return result_of(arranged.prepared, arranged.windows, performance, options.profile, journal.text)


def arrange(options: BacktestOptions, env: Mapping[str, str]) -> Arranged:
    """Resolve names, dates and windows. Raises `ConfigError` or `PluginError`; writes nothing."""
    if options.first is not None and options.last is not None and options.first > options.last:
        msg = f"--from: expected a day that is not after --to {options.last}, found {options.first}"
        raise ConfigError(msg)
    prepared = prepare(RunOptions(config=options.config, environment=options.environment, data_dir=options.data_dir), env)
    config = narrowed(prepared.config, prepared.environment, options.strategies, options.profile)
    spec = session_spec(config, prepared.environment, prepared.spec.strategies)
    with exact_money():
        core = Core(spec)
    store = candles_of(config.environment(prepared.environment), prepared.data_folder)
    if options.first is not None or options.last is not None:
        config = _dated(config, prepared.environment, options, core, store)
    windows = [window for window in replay_windows(config, prepared.environment, core, store) if window.series]
    if not windows:
        msg = f"no replay window of environment {prepared.environment!r} has candles that {', '.join(spec.strategies)} takes; give --from and --to"
        raise ConfigError(msg)
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
            for count, tick in enumerate(window_ticks(window, found, previous_end, core.execution_series, digest)):
                if not count % _TICKS_BETWEEN:
                    meter.tell(tick.instant)
                if tick.rows and recorder is not None:
                    recorder.store_rows(tick)
                performance.see(tick)
                for record in driver.advance(tick):
                    take(record)
            for record in end_window(driver, WindowEnd(number, last=number == len(windows))):
                take(record)
            performance.end_window(driver.last[0], bars)
            meter.end(window, bars)
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
    stored = day_of(whole.start), day_of(whole.end - 1)
    first, last = options.first or stored[0], options.last or stored[1]
    if first > stored[1] or last < stored[0] or first > last:
        msg = f"--from/--to: expected days from {stored[0]} to {stored[1]}, where candles are stored, found {first} to {last}"
        raise ConfigError(msg)
    schedules = config.scheduler(config.environment(environment).scheduler).schedules.values()
    pairs = sorted({symbol for schedule in schedules for symbol in config.bucket(schedule.instrument_bucket).symbols})
    return _with_windows(config, environment, (ReplayWindow(start=first, end=last + _DAY, instruments=tuple(pairs)),))


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
    """Turns instants into progress; within a window bars are taken to be evenly spread."""

    def __init__(self, windows: Sequence[Window], progress: Progress | None) -> None:
        self._progress = progress
        self._all_ns = sum(window.end - window.start for window in windows)
        self._bars_before = self._ns_before = 0
        self._window = windows[0]
        self._bars = 0

    def begin(self, window: Window, bars: int) -> None:
        self._window, self._bars = window, bars

    def tell(self, instant: int) -> None:
        if self._progress is not None:
            passed = instant - self._window.start
            bars = self._bars_before + self._bars * passed // (self._window.end - self._window.start)
            self._progress(bars, (self._ns_before + passed) / self._all_ns)

    def end(self, window: Window, bars: int) -> None:
        self.tell(window.end)
        self._bars_before += bars
        self._ns_before += window.end - window.start


# -- on record ---------------------------------------------------------------------------------------------------------


class JournalRecorder:
    """Writes every cycle into a session's signed journal; lines are synced many at a time, on another thread's loop."""

    def __init__(self, journal: SessionJournal, portal: BlockingPortal, clock: Clock) -> None:
        self._journal = journal
        self._portal = portal
        self._clock = clock
        self._before = clock.monotonic_ns()

    @property
    def text(self) -> JournalText:
        """Where it lies and what it says."""
        journal = self._journal
        return JournalText(log_id=journal.log_id, folder=str(journal.folder), content_chain=journal.content, cycles=journal.sequence)

    def store_rows(self, tick: Tick) -> None:
        """Keep the rows beside the journal."""
        for rows in tick.rows.values():
            self._journal.put_object(encode(rows))

    def append(self, record: CycleRecord) -> None:
        """Seal one cycle; now and then make all of them durable. Raises `StorageError`."""
        now = self._clock.monotonic_ns()
        self._journal.append(record, wall={"started_ns": self._clock.wall_ns(), "duration_ns": now - self._before})
        self._before = now
        if self._journal.pending >= _LINES_TOGETHER:
            self._portal.call(self._journal.commit)

    def close(self, kind: str, reason: str) -> None:
        """Write the last entry."""
        self._portal.call(self._journal.close, kind, {"reason": reason, "sequence": self._journal.sequence})


@contextmanager
def recording(prepared: Prepared, env: Mapping[str, str], clock: Clock) -> Iterator[JournalRecorder]:
    """A new session below the data folder, closed at the end of the block; interrupted, it says so in its last entry."""
    from anyio.from_thread import start_blocking_portal

    from dudzian_daemon.app.bootstrap import open_journal  # the daemon's parts come with it: only where a journal is wanted

    settings = prepared.config.risk.decision_log
    key = signing_key(settings.signing_key_id, env=env, key_file=None if settings.signing_key_path is None else Path(settings.signing_key_path))
    if key.created:
        sys.stderr.write(f"dudzian: made the signing key {key.id!r} of the decision log: {key.source}\n")
    journal = open_journal(prepared, key, clock)
    try:
        with start_blocking_portal() as portal:
            recorder = JournalRecorder(journal, portal, clock)
            try:
                yield recorder
            except KeyboardInterrupt:
                recorder.close("stopped", "interrupted")
                raise
            recorder.close("closed", "end_of_data")
    finally:
        journal.abandon()
