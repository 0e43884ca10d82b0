"""A session inside another program: the daemon's core, journal and bus, stepped by that program instead of the supervisor.

One thread steps it; AutoTrader and the frontend services may be read from any. Stepping blocks on the disk: not on an event loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from anyio.from_thread import BlockingPortal, start_blocking_portal

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.files import ensure_dir
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.keychain import signing_key
from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.replay_windows import replay_windows
from dudzian_daemon.app.run_logs import open_journal
from dudzian_daemon.domain.cycle_events import Timing, messages
from dudzian_daemon.domain.errors import StorageError
from dudzian_daemon.domain.market import Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock, SystemClock
from dudzian_daemon.services.auto_trader import AutoTrader
from dudzian_daemon.services.frontend import (
    ExchangeManager,
    FrontendServices,
    LiveExecutionRouter,
    MarketIntelAggregator,
    MultiExchangeAccountManager,
)
from dudzian_daemon.trading.controllers import TradingController
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window, end_window, read_window, window_ticks

#: Lines that may wait for one sync while no caller waits for a cycle.
LINES_TOGETHER: Final = 64


class StoredInputs:
    """The windows of a session as inputs, one after the other; a window that could not be read is read again by the next call."""

    def __init__(self, store: CandleStore, windows: Sequence[Window]) -> None:
        self._store = store
        self._windows = windows
        self._number = 0
        self._ticks: Iterator[Tick] | None = None

    def next(self) -> Tick | WindowEnd | None:
        """The next tick or end of a window, None after the last one. Raises what the store raises."""
        if self._number == len(self._windows):
            return None
        window = self._windows[self._number]
        if self._ticks is None:
            previous_end = self._windows[self._number - 1].end if self._number else None
            self._ticks = window_ticks(window, read_window(self._store, window), previous_end, digest_rows)
        tick = next(self._ticks, None)
        if tick is not None:
            return tick
        self._ticks = None
        self._number += 1
        return WindowEnd(self._number, last=self._number == len(self._windows))


class EmbeddedSession:
    """One session, as `bootstrap_environment` makes it: every cycle passes the gate, is journalled, and reaches the bus once durable."""

    def __init__(self, prepared: Prepared, store: CandleStore, journal: SessionJournal, portal: BlockingPortal, clock: Clock) -> None:
        with exact_money():
            core = Core(prepared.spec)
        self.prepared = prepared
        self.core = core
        self.bus = Bus()
        self.auto_trader = AutoTrader(self.bus, core.execution, clock=clock, by="instant")
        self.frontend = FrontendServices(
            ExchangeManager(prepared.spec.instruments, store),
            LiveExecutionRouter(),
            MultiExchangeAccountManager(self.bus, prepared.spec.opening_balance),
            MarketIntelAggregator(self.bus),
        )
        self.data_ended = False
        windows = replay_windows(prepared.config, prepared.environment, core, candles_of(prepared.chosen, prepared.data_folder))
        self._inputs = StoredInputs(store, windows)
        self._driver = Driver(core)
        self._journal = journal
        self._portal = portal
        self.clock = clock
        self._timings: list[Timing] = []

    @property
    def execution(self) -> PaperTradingExecutionService:
        """The simulator: whatever the environment, there is no other execution."""
        return self.core.execution

    @property
    def risk_engine(self) -> ThresholdRiskEngine:
        """The gate."""
        return self.core.gate

    @property
    def controller(self) -> TradingController:
        """The one road from a signal to an order."""
        return self.core.controller

    @property
    def content_chain(self) -> str:
        """Link of the content chain after the last cycle: two sessions are equal when these are."""
        return self._journal.content

    @property
    def journal_folder(self) -> Path:
        """Where the signed journal lies."""
        return self._journal.folder

    def advance(self, wanted: Callable[[CycleRecord], bool]) -> CycleRecord | None:
        """Play inputs until a cycle is `wanted`; it is durable and released when it is returned. None at the end of the data."""
        found: CycleRecord | None = None
        while found is None and not self.data_ended:
            item = self._inputs.next()
            if item is None:
                self.data_ended = True
                break
            for record in self._take(item):
                found = record if found is None and wanted(record) else found
            if self._journal.pending >= LINES_TOGETHER:
                self._release()
        self._release()
        return found

    def close_book(self) -> None:
        """Record that the program stops and, unless the configuration says never, close what is held on the last prices."""
        if self.core.sequence == 0 or self.data_ended:
            return
        close = "no" if self.prepared.config.shutdown.close_positions == "never" else "yes"
        command = self._driver.command(f"operator-{self._driver.last[0] + 1}", "stop", {"reason": "operator", "close_positions": close})
        self._record(command)
        self._record(self._driver.snapshot())
        self._release()

    def _take(self, item: Tick | WindowEnd) -> list[CycleRecord]:
        if isinstance(item, WindowEnd):
            return self._record(end_window(self._driver, item))
        for rows in item.rows.values():
            self._journal.put_object(encode(rows))
        return self._record(self._driver.advance(item))

    def _record(self, cycles: Iterator[CycleRecord]) -> list[CycleRecord]:
        started, before = self.clock.wall_ns(), self.clock.monotonic_ns()
        with exact_money():
            records = list(cycles)
        timing = Timing(started, self.clock.monotonic_ns() - before)
        for record in records:
            self._journal.append(record, wall={"started_ns": timing.started_ns, "duration_ns": timing.duration_ns})
            self._timings.append(timing)
        return records

    def _release(self) -> None:
        self._journal.flush_quiet()
        released = self._portal.call(self._journal.commit)
        timings, self._timings = self._timings[: len(released)], self._timings[len(released) :]
        for cycle, timing in zip(released, timings, strict=True):
            for topic, message in messages(cycle, timing, self._journal.log_id):
                self.bus.publish(topic, message)


@contextmanager
def bootstrap_environment(
    environment: str | None = None,
    *,
    config: Path | None = None,
    data_dir: Path | None = None,
    plugins_dir: Path | None = None,
    modules: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Iterator[EmbeddedSession]:
    """A session of an environment, ready to be stepped: configuration, plugins, key, journal, gate and paper execution.

    Only one process at a time has a data folder. Leaving the block is an operator's stop. Raises `DudzianError` before anything starts.
    """
    variables = os.environ if env is None else env
    options = RunOptions(config=config, environment=environment, data_dir=data_dir, plugins_dir=plugins_dir, modules=tuple(modules))
    prepared = prepare(options, variables)
    settings = prepared.config.risk.decision_log
    key_file = None if settings.signing_key_path is None else Path(settings.signing_key_path)
    store = candles_of(prepared.chosen, prepared.data_folder)
    with ExitStack() as stack:
        ensure_dir(prepared.data_folder)
        stack.callback(InstanceLock.acquire(prepared.data_folder).release)
        watch = clock or SystemClock()
        journal = open_journal(prepared, signing_key(settings.signing_key_id, env=variables, key_file=key_file), watch)
        stack.callback(journal.abandon)
        portal = stack.enter_context(start_blocking_portal())
        session = EmbeddedSession(prepared, store, journal, portal, watch)
        try:
            yield session
        except BaseException:
            with suppress(StorageError):  # the fault that is being told already
                portal.call(journal.close, "stopped", {"reason": "fault", "sequence": journal.sequence})
            raise
        session.close_book()
        reason = "end_of_data" if session.data_ended else "operator"
        portal.call(journal.close, "closed", {"reason": reason, "sequence": journal.sequence})


def bootstrap_frontend_services(session: EmbeddedSession) -> FrontendServices:
    """What the fronts of this process share: every call answers with the same objects."""
    return session.frontend
