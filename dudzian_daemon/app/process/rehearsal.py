"""A rehearsal: the scheduler's set over the stored candles with the kill switch on. Signals are judged and refused, nothing is traded.

What remains of it is the telemetry of its runs, marked as those of a dry run: no session, no journal, no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.app.listeners import scheduler_set
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.replay_windows import replay_windows, require_sound
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.sinks.telemetry.runs import RunMeter, ScheduleRun, encoded, telemetry_path
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import read_window, window_ticks

_AT_ONCE: Final = 1_000


class Rehearsed(msgspec.Struct, kw_only=True):
    """Schema `dudzian.rehearsal/1`: runs and signals by schedule, the slowest run, and what must be 0."""

    schema: str = "dudzian.rehearsal/1"
    environment: str
    scheduler: str
    telemetry: str
    runs: dict[str, int]
    signals: dict[str, int]
    faults: int = 0
    max_latency_ms: float = 0.0
    orders: int = 0


def rehearse(options: RunOptions, env: Mapping[str, str], clock: Clock) -> Rehearsed:
    """Play all windows (or until each schedule has run) and append the telemetry. Raises what the run would raise."""
    prepared = prepare(options, env)
    known = scheduler_set(prepared)
    path = telemetry_path(prepared.data_folder)
    answer = Rehearsed(
        environment=prepared.environment,
        scheduler=known.scheduler,
        telemetry=str(path),
        runs=dict.fromkeys(known.schedules, 0),
        signals=dict.fromkeys(known.schedules, 0),
    )
    meter, waiting = RunMeter(known, dry_run=True), set(known.schedules)
    file, lines = LineFile(path), list[ScheduleRun]()
    for record, duration_ns in _cycles(prepared, clock):
        answer.faults += len(record.faults)
        answer.orders += len(record.fills)
        for run in meter.take(CycleDurable(record=record, log_id="", line=0, line_hash="", duration_s=duration_ns / SECOND_NS)):
            answer.runs[run.schedule] += 1
            answer.signals[run.schedule] += run.signals
            answer.max_latency_ms = max(answer.max_latency_ms, run.latency_ms)
            lines.append(run)
        waiting.difference_update(record.due)
        if len(lines) >= _AT_ONCE:
            file.append(encoded(lines))
            lines.clear()
        if options.run_once and not waiting:
            break
    if lines:
        file.append(encoded(lines))
    return answer


def _cycles(prepared: Prepared, clock: Clock) -> Iterator[tuple[CycleRecord, int]]:
    """Every cycle with the duration (ns) of its step; the first one switches the kill switch on."""
    with exact_money():
        driver = Driver(Core(prepared.spec))
    store = candles_of(prepared.chosen, prepared.data_folder)
    windows = replay_windows(prepared.config, prepared.environment, driver.core, store)
    require_sound(windows, store)
    halted = partial(driver.command, "dry_run", "kill_switch", {"on": "yes"}, now=windows[0].start)
    yield from _timed(clock, halted)
    previous_end: int | None = None
    for window in windows:
        found = read_window(store, window)
        for tick in window_ticks(window, found, previous_end, digest_rows):
            yield from _timed(clock, partial(driver.advance, tick))
        previous_end = window.end


def _timed(clock: Clock, step: Callable[[], Iterator[CycleRecord]]) -> list[tuple[CycleRecord, int]]:
    before = clock.monotonic_ns()
    with exact_money():
        records = list(step())
    duration_ns = clock.monotonic_ns() - before
    return [(record, duration_ns) for record in records]


def rehearsal_lines(answer: Rehearsed) -> Iterator[str]:
    """The rehearsal for people."""
    runs = sum(answer.runs.values())
    done = f"{_counted(runs, 'run')}, {_counted(answer.orders, 'order')} filled"
    yield f"rehearsal     {answer.environment}, scheduler {answer.scheduler}: {done}"
    for name, count in answer.runs.items():
        yield f"schedule      {name}: {_counted(count, 'run')}, {_refused(answer.signals[name])}"
    yield f"slowest run   {answer.max_latency_ms:.1f} ms; faults of strategies: {answer.faults}"
    yield f"telemetry     {answer.telemetry}"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _refused(signals: int) -> str:
    return _counted(signals, "signal") + {0: "", 1: ", refused"}.get(signals, ", all refused")
