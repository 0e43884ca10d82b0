"""A session that gets its market as a live one does: piece by piece, in any order, at times of a clock that a test moves.

The candle store plays the market; the settle barrier makes ticks of what arrives; driver, core and signed journal are the daemon's own.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from anyio.from_thread import start_blocking_portal

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.app.backtest.journal import JournalRecorder
from dudzian_daemon.app.backtest.result import JournalText
from dudzian_daemon.app.preparation import Prepared, run_facts
from dudzian_daemon.app.replay_windows import replay_windows
from dudzian_daemon.domain.market import Candle, OpenPrint, Series, Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.barrier import Barrier, MarketInput
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window, end_window, read_window, window_ticks

#: Pieces of the market that arrive one after the other, each with its time (ns); the feed looks at the barrier behind each.
Piece = tuple[int, Sequence[MarketInput]]
#: Makes pieces of all inputs of one instant.
Delivery = Callable[[int, list[MarketInput]], Iterable[Piece]]

KEY = SigningKey(id="risk-ci", secret=bytes(32), source="test")


def at_once(instant: int, items: list[MarketInput]) -> Iterator[Piece]:
    """Everything when it happens."""
    yield instant, items


def live_session(prepared: Prepared, delivery: Delivery = at_once, facts: dict[str, Any] | None = None) -> JournalText:
    """One whole session with a closed journal. `facts` is what its `run` entry says; looking it up costs more than the session."""
    clock = ManualClock(wall_ns=0)
    journal = SessionJournal.create(prepared.data_folder, prepared.artifact, KEY, clock=clock)
    for source in prepared.plugins.values():
        journal.put_object(source.source)
    journal.append_entry("run", facts or facts_of(prepared), {"at": clock.wall_ns()})
    with start_blocking_portal() as portal:
        recorder = JournalRecorder(journal, portal, clock)
        _Market(prepared, clock, recorder).play(delivery)
        recorder.close("closed", "end_of_data")
    return recorder.text


def facts_of(prepared: Prepared) -> dict[str, Any]:
    """What a `run` entry says of this code on this machine."""
    return run_facts(prepared, platform.python_version(), f"{sys.platform}-{platform.machine()}")


class _Market:
    def __init__(self, prepared: Prepared, clock: ManualClock, journal: JournalRecorder) -> None:
        with exact_money():
            core = Core(prepared.spec)
        self._driver = Driver(core)
        self._clock = clock
        self._journal = journal
        self._store = candles_of(prepared.chosen, prepared.data_folder)
        self._windows = replay_windows(prepared.config, prepared.environment, core, self._store)

    def play(self, delivery: Delivery) -> None:
        previous_end: int | None = None
        for number, window in enumerate(self._windows, start=1):
            found = read_window(self._store, window)
            opening, *ticks = window_ticks(window, found, previous_end, digest_rows)
            self._journal.store_rows(opening)
            self._step([opening])
            self._deliver(self._barrier(window, opening), sorted(self._pieces(ticks, delivery), key=lambda piece: piece[0]))
            self._write(end_window(self._driver, WindowEnd(number, last=number == len(self._windows))))
            previous_end = window.end

    def _pieces(self, ticks: Iterable[Tick], delivery: Delivery) -> Iterator[Piece]:
        for instant, group in groupby(ticks, key=attrgetter("instant")):
            items: list[MarketInput] = [item for tick in group for item in tick.inputs if isinstance(item, Candle | OpenPrint)]
            yield from delivery(instant, items)

    def _deliver(self, barrier: Barrier, pieces: Iterable[Piece]) -> None:
        """The clock moves from arrival to arrival, and stops where the barrier has to be looked at in between."""
        for arrival, items in pieces:
            while barrier.next_deadline < arrival:
                self._look(barrier, barrier.next_deadline)
            self._move_to(arrival)
            for item in items:
                barrier.offer(item, self._clock.wall_ns())
            self._step(barrier.advance(self._clock.wall_ns()))
        self._look(barrier, barrier.next_deadline)

    def _look(self, barrier: Barrier, deadline: int) -> None:
        self._move_to(deadline)
        self._step(barrier.advance(deadline))
        for lacking in barrier.missing(deadline):  # asked again, the venue has nothing
            barrier.declare_missing(lacking, deadline)
        self._step(barrier.advance(deadline))

    def _barrier(self, window: Window, opening: Tick) -> Barrier:
        barrier = Barrier({series: _first_end(series, window.start) for series in window.series})
        barrier.passed(opening.instant, opening.phase)
        return barrier

    def _move_to(self, instant: int) -> None:
        self._clock.jump_wall((instant - self._clock.wall_ns()) / 1e9)
        self._clock.jump_wall((instant - self._clock.wall_ns()) / 1e9)  # the first jump lands some ns beside it
        assert self._clock.wall_ns() == instant

    def _step(self, ticks: Iterable[Tick]) -> None:
        for tick in ticks:
            self._write(self._driver.advance(tick))

    def _write(self, records: Iterator[CycleRecord]) -> None:
        with exact_money():
            done = list(records)
        for record in done:
            self._journal.append(record)


def _first_end(series: Series, start: int) -> int:
    return (start // series.step_ns + 1) * series.step_ns
