"""The composition root: the only place that picks classes. Order and policy of every listener are to be seen here in one piece."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from rich.console import Console

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.event_lines import Names
from dudzian_daemon.adapters.files import ensure_dir
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.app.preparation import Prepared, run_facts
from dudzian_daemon.app.replay import replay_windows, require_sound, silent_schedules
from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.pace import Pace
from dudzian_daemon.kernel.service import Readiness, UnitRegistry
from dudzian_daemon.services.auto_trader import AutoTrader
from dudzian_daemon.services.feed import ReplayFeed
from dudzian_daemon.services.session import Session
from dudzian_daemon.sinks.console import ConsoleView
from dudzian_daemon.sinks.execution_log import log_refusals
from dudzian_daemon.sinks.ledger import LedgerFiles, LedgerSink
from dudzian_daemon.sinks.metrics import TOPICS, MetricsSink
from dudzian_daemon.sinks.projections import DecisionLog
from dudzian_daemon.sinks.reports import ReportSink
from dudzian_daemon.sinks.risk_state import RiskStateSink
from dudzian_daemon.sinks.self_check import SelfCheckSink
from dudzian_daemon.sinks.status import Status, StatusSink, status_path, unit_lines
from dudzian_daemon.sinks.telemetry import SchedulerSet, TelemetrySink, telemetry_path
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core

#: Queued cycles a sink may be behind before its queue drops (and counts) or reads back from the journal.
QUEUE_SIZE: Final = 4096
#: Where a failed self-check says what differs, below the data folder.
SELF_CHECK_FOLDER: Final = Path("run") / "self_check"


Sink = DecisionLog | LedgerSink | SelfCheckSink | ConsoleView | MetricsSink | TelemetrySink | RiskStateSink


class Assembly(msgspec.Struct, frozen=True):
    """The wired parts of one run, not yet started."""

    bus: Bus
    units: UnitRegistry
    core: Core
    journal: SessionJournal
    session: Session
    sinks: tuple[Sink, ...]
    report: ReportSink
    status: StatusSink
    metrics: MetricsSink
    auto_trader: AutoTrader
    silent_schedules: Sequence[str]


def assemble(
    prepared: Prepared,
    key: SigningKey,
    clock: Clock,
    units: UnitRegistry,
    bus: Bus,
    registry: CollectorRegistry,
    readiness: Callable[[], Readiness],
    console: Console | None,
) -> Assembly:
    """Build core, session and sinks; opens the journal and the decision log, so it blocks: nothing else may run yet."""
    store = candles_of(prepared.chosen, prepared.data_folder)
    with exact_money():
        core = Core(prepared.spec)
    windows = replay_windows(prepared.config, prepared.environment, core, store)
    require_sound(windows, store)
    feed = ReplayFeed(store, windows, digest_rows)
    decision_log = open_decision_log(prepared, key)  # before the journal: what is wrong with it must not leave a session behind
    journal = open_journal(prepared, key, clock)
    opening = core.ledger.equity

    def store_rows(tick: Tick) -> None:
        for rows in tick.rows.values():
            journal.put_object(encode(rows))

    metrics = MetricsSink(
        registry,
        bus.subscribe_queued(TOPICS, name="metrics", size=QUEUE_SIZE, policy=Policy.DROP_OLDEST),
        bus,
        clock,
        prepared.spec.profiles,
    )
    self_check = SelfCheckSink(
        core, follower("self_check", bus, journal), bus, clock, log_id=journal.log_id, folder=prepared.data_folder / SELF_CHECK_FOLDER
    )
    session = Session(
        Driver(core),
        feed,
        Pace(clock, prepared.speed),
        journal,
        bus,
        clock,
        store_rows=store_rows,
        observe_commit=metrics.observe_commit,
    )
    risk_state = RiskStateSink(core, bus, clock, environment=prepared.environment, log_id=journal.log_id, data_folder=prepared.data_folder)

    def inspect(record: CycleRecord) -> bool:
        risk_state.look(record)
        return self_check.inspect(record)

    session.inspect = inspect
    self_check.halt = partial(session.command, "self_check", "kill_switch", {"on": "yes", "reason": "self_check"})
    log_refusals(bus)
    auto_trader = AutoTrader(bus, core.execution, clock=clock, by="instant")
    status = StatusSink(
        bus,
        Status(environment=prepared.environment, log_id=journal.log_id, pid=os.getpid(), started_at=clock.wall_ns()),
        status_path(prepared.data_folder),
        clock,
        lambda status: complete(status, units, bus, readiness()),
    )
    report = ReportSink(follower("report", bus, journal), environment=prepared.environment, log_id=journal.log_id, opening_equity=opening)
    sinks: list[Sink] = [
        DecisionLog(follower("decision_log", bus, journal), decision_log, clock, environment=prepared.environment),
        TelemetrySink(
            follower("telemetry", bus, journal),
            LineFile(telemetry_path(prepared.data_folder)),
            scheduler_set(prepared),
            clock,
            root=prepared.data_folder,
            artifact=prepared.artifact,
        ),
        LedgerSink(follower("ledger", bus, journal), ledger_files(prepared, key), clock, environment=prepared.environment),
        self_check,
        risk_state,
        metrics,
    ]
    if console is not None:
        queue = bus.subscribe_queued("session.*", name="console", size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
        names = Names(list(prepared.spec.strategies), prepared.spec.instruments)
        view = ConsoleView(queue, console, environment=prepared.environment, opening_equity=opening, notes=notes(prepared), names=names)
        sinks.append(view)
    return Assembly(
        bus,
        units,
        core,
        journal,
        session,
        tuple(sinks),
        report,
        status,
        metrics,
        auto_trader,
        silent_schedules(prepared.chosen, core, windows, store),
    )


def scheduler_set(prepared: Prepared) -> SchedulerSet:
    """What telemetry says of the run's scheduler."""
    scheduler = prepared.config.scheduler(prepared.chosen.scheduler)
    return SchedulerSet(
        environment=prepared.environment,
        scheduler=prepared.chosen.scheduler,
        namespace=scheduler.telemetry_namespace,
        schedules={schedule.name: schedule for schedule in prepared.spec.schedules},
        max_drift_seconds={name: schedule.max_drift_seconds for name, schedule in scheduler.schedules.items()},
    )


def open_journal(prepared: Prepared, key: SigningKey, clock: Clock) -> SessionJournal:
    """A new session's journal with its `run` entry and the sources of its plugins, durable."""
    journal = SessionJournal.create(prepared.data_folder, prepared.artifact, key, clock=clock)
    for source in prepared.plugins.values():
        journal.put_object(source.source)
    facts = run_facts(prepared, platform.python_version(), f"{sys.platform}-{platform.machine()}")
    journal.append_entry("run", facts, {"at": clock.wall_ns(), "host": platform.node(), "pid": os.getpid()})
    return journal


def open_decision_log(prepared: Prepared, key: SigningKey) -> ChainedLog:
    """The artifact's decision log, one chain over all sessions: resumed if it is there, else begun."""
    folder = prepared.data_folder / prepared.config.risk.decision_log.path
    ensure_dir(folder)
    path = folder / f"{prepared.artifact}.jsonl"
    if path.exists():
        return ChainedLog.resume(path, key, faults="decision_log")
    log = ChainedLog.create(path, new_log_id(), key, faults="decision_log")
    log.append(encode(genesis(prepared.artifact, "dudzian", signed=True, projection=True)), b"{}")
    log.commit_now()
    return log


def ledger_files(prepared: Prepared, key: SigningKey) -> LedgerFiles:
    """Where the ledger's daily files go: a folder for each artifact."""
    paper = prepared.config.paper(prepared.environment)
    return LedgerFiles(
        folder=prepared.data_folder / paper.ledger_directory / prepared.artifact,
        artifact=prepared.artifact,
        key=key,
        retention_days=paper.ledger_retention_days,
        fsync=paper.ledger_fsync,
    )


def follower(name: str, bus: Bus, journal: SessionJournal) -> CycleFollower:
    """A queue of durable cycles that reads back from the journal what its bound dropped."""
    queue = bus.subscribe_queued(events.CYCLE_DURABLE, name=name, size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
    return CycleFollower(queue, journal.folder)


def complete(status: Status, units: UnitRegistry, bus: Bus, readiness: Readiness) -> None:
    """What the status says of parts that do not speak on the bus."""
    status.ready, status.not_ready = readiness.ready, tuple(readiness.reasons)
    status.units = unit_lines(units.snapshot())
    status.dropped = {name: counts.dropped for name, counts in bus.statistics().items() if counts.dropped}


def notes(prepared: Prepared) -> list[str]:
    """What the head of the view says beside the state."""
    speed = "as fast as possible" if prepared.speed is None else f"{prepared.speed:,.10g} x real time"
    return [f"speed {speed}", str(prepared.data_folder)]
