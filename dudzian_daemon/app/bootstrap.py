"""The composition root: the only place that picks classes. Order and policy of every listener are to be seen here in one piece."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from prometheus_client import CollectorRegistry
from rich.console import Console

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.cycle_follower import CycleFollower, mark
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.event_lines import Names
from dudzian_daemon.adapters.files import ensure_dir, require_regular_or_absent
from dudzian_daemon.adapters.fold_marks import FoldFile
from dudzian_daemon.adapters.head_file import HeadFile, HeadKeeper
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.journal_reader import is_begun
from dudzian_daemon.adapters.journal_recovery import identity_of
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.app.alerting import alert_sink
from dudzian_daemon.app.preparation import Prepared, run_facts
from dudzian_daemon.app.recovery import Recovered
from dudzian_daemon.app.replay_windows import replay_windows, require_sound, silent_schedules
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
from dudzian_daemon.services.live.pace import LivePace
from dudzian_daemon.services.session import Session
from dudzian_daemon.services.tape_budget import tape_budget
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.sink import AlertSink
from dudzian_daemon.sinks.console import ConsoleView
from dudzian_daemon.sinks.execution_log import log_refusals
from dudzian_daemon.sinks.ledger import LedgerFiles, LedgerSink
from dudzian_daemon.sinks.metrics import TOPICS, MetricsSink
from dudzian_daemon.sinks.projections import DecisionLog
from dudzian_daemon.sinks.reports import ReportSink
from dudzian_daemon.sinks.risk_state import RiskStateSink
from dudzian_daemon.sinks.self_check import SelfCheckSink
from dudzian_daemon.sinks.status import LeftBooks, Status, StatusSink, status_path, unit_lines
from dudzian_daemon.sinks.telemetry import SchedulerSet, TelemetrySink, telemetry_path
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.state import encode_state
from dudzian_daemon.trading.step import Core

if TYPE_CHECKING:
    from dudzian_daemon.services.live.feed import LiveFeed

#: Queued cycles a sink may be behind before its queue drops (and counts) or reads back from the journal.
QUEUE_SIZE: Final = 4096
#: Where a failed self-check says what differs, below the data folder.
SELF_CHECK_FOLDER: Final = Path("run") / "self_check"
#: Where folds over a session are kept between its runs, below the data folder.
FOLDS_FOLDER: Final = Path("run") / "folds"


Sink = DecisionLog | LedgerSink | SelfCheckSink | ConsoleView | MetricsSink | TelemetrySink | RiskStateSink | AlertSink


class SessionStart(msgspec.Struct, frozen=True):
    """How the run's session begins: signed by `key`, told on `channels`, and where it is an earlier run's, from what was `recovered`."""

    key: SigningKey
    recovered: Recovered | None = None
    channels: tuple[OpenChannel, ...] = ()


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
    alerts: AlertSink
    silent_schedules: Sequence[str]
    live: LiveFeed | None = None


def assemble(
    prepared: Prepared,
    start: SessionStart,
    clock: Clock,
    units: UnitRegistry,
    bus: Bus,
    registry: CollectorRegistry,
    readiness: Callable[[], Readiness],
    console: Console | None,
) -> Assembly:
    """Build core, session and sinks; opens the journal and the decision log, so it blocks: nothing else may run yet."""
    key, recovered = start.key, start.recovered
    store = candles_of(prepared.chosen, prepared.data_folder)
    with exact_money():
        driver = Driver(Core(prepared.spec))
        opening = driver.core.ledger.equity
    driver = driver if recovered is None else recovered.driver
    core = driver.core
    live = _live_feed(prepared, driver, clock, bus, registry) if prepared.live else None
    windows = [] if live is not None else replay_windows(prepared.config, prepared.environment, core, store)
    require_sound(windows, store)
    feed = live or ReplayFeed(store, windows, digest_rows, driver.feed)
    decision_log = open_decision_log(prepared, key)  # before the journal: what is wrong with it must not leave a session behind
    journal = open_journal(prepared, key, clock) if recovered is None else resume_journal(prepared, key, clock, recovered)
    follow = partial(follower, bus=bus, journal=journal)

    def marks(name: str) -> FoldFile:
        return FoldFile(prepared.data_folder / FOLDS_FOLDER / prepared.artifact, name, journal.folder, key)

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
    if recovered is not None:
        metrics.go_on(core)
    self_check = SelfCheckSink(
        core, follow("self_check"), bus, clock, log_id=journal.log_id, folder=prepared.data_folder / SELF_CHECK_FOLDER
    )
    session = Session(
        driver,
        feed,
        Pace(clock, prepared.speed) if live is None else LivePace(clock, live.command_instant),
        journal,
        bus,
        clock,
        store_rows=store_rows,
        observe_commit=metrics.observe_commit,
    )
    budget_bytes = int(prepared.config.runtime.journal.tape_mb_per_day * 1e6)
    session.let_through = tape_budget(driver, journal, budget_bytes).offer
    publish_head = partial(bus.publish, events.SESSION_HEAD)
    session.keep_head = HeadKeeper(HeadFile(journal.folder, key), journal.head, publish_head, clock).keep
    if recovered is not None:
        session.stepped_before(recovered.rerun_ns)
    risk_state = RiskStateSink(core, bus, clock, environment=prepared.environment, log_id=journal.log_id, data_folder=prepared.data_folder)

    self_check.halt = partial(session.own_command, "self_check", "kill_switch", {"on": "yes", "reason": "self_check"})
    log_refusals(bus)
    auto_trader = AutoTrader(bus, core.execution, clock=clock, by="instant")
    status = StatusSink(
        bus,
        Status(
            environment=prepared.environment,
            log_id=journal.log_id,
            pid=os.getpid(),
            started_at=clock.wall_ns(),
            sequence=core.sequence,
            instant=core.instant,
            cash=core.ledger.cash,
            equity=core.ledger.equity,
        ),
        status_path(prepared.data_folder),
        clock,
        lambda status: complete(status, units, bus, readiness()),
        LeftBooks(
            positions=core.ledger.state().positions,
            prices={instrument: price for instrument, (price, _) in core.ledger.export().last.items()},
            orders=core.execution.open_orders,
        ),
    )

    def inspect(record: CycleRecord) -> bool:
        risk_state.look(record)
        status.look(record, core.execution.open_orders)
        return self_check.inspect(record)

    session.inspect = inspect
    report = ReportSink(follow("report"), marks("report"), environment=prepared.environment, log_id=journal.log_id, opening_equity=opening)
    alerts = alert_sink(
        prepared.config,
        prepared.environment,
        prepared.data_folder,
        start.channels,
        follow("alerts"),
        bus,
        clock,
        journal.sequence,
    )
    files = ledger_files(prepared, key)
    sinks: list[Sink] = [
        DecisionLog(
            follow("decision_log"),
            decision_log,
            clock,
            environment=prepared.environment,
            begun=mark([decision_log.path], journal.log_id),
        ),
        TelemetrySink(
            follow("telemetry"),
            LineFile(telemetry_path(prepared.data_folder)),
            scheduler_set(prepared),
            clock,
            root=prepared.data_folder,
            artifact=prepared.artifact,
            marks=marks("telemetry"),
        ),
        LedgerSink(
            follow("ledger"),
            files,
            clock,
            environment=prepared.environment,
            begun=mark(sorted(files.folder.glob("ledger-*.jsonl")), journal.log_id),
        ),
        self_check,
        risk_state,
        metrics,
        alerts,
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
        alerts,
        [] if live is not None else silent_schedules(prepared.chosen, core, windows, store),
        live,
    )


def _live_feed(prepared: Prepared, driver: Driver, clock: Clock, bus: Bus, registry: CollectorRegistry) -> LiveFeed:
    from dudzian_daemon.app.live import feed_metrics, live_feed  # only now: clients of venues are a tenth of a second and 10 MB

    feed = live_feed(prepared, driver, clock, bus)
    registry.register(feed_metrics(feed))
    return feed


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
    segment_lines = prepared.config.runtime.journal.segment_lines
    journal = SessionJournal.create(prepared.data_folder, prepared.artifact, key, clock=clock, segment_lines=segment_lines)
    for source in prepared.plugins.values():
        journal.put_object(source.source)
    _append_run(journal, prepared, facts_of(prepared), clock)
    return journal


def resume_journal(prepared: Prepared, key: SigningKey, clock: Clock, recovered: Recovered) -> SessionJournal:
    """The journal of a session that goes on: what it was found like, this run, and after an accepted change the state it begins with."""
    segment_lines = prepared.config.runtime.journal.segment_lines
    journal = SessionJournal.resume(recovered.file, key, recovered.chain, clock=clock, segment_lines=segment_lines)
    for source in prepared.plugins.values():
        journal.put_object(source.source)
    if recovered.session.state != "stopped":
        journal.append_entry("recovered", recovered.facts, {"at": clock.wall_ns()})
    change = {"change": recovered.change} if recovered.change else {}
    _append_run(journal, prepared, facts_of(prepared) | change, clock)
    if change:
        journal.append_checkpoint(encode_state(recovered.driver.export()), "change")
    journal.commit_now()
    return journal


def facts_of(prepared: Prepared) -> dict[str, Any]:
    """Member `d` of this process's `run` entry."""
    return run_facts(prepared, platform.python_version(), f"{sys.platform}-{platform.machine()}")


def _append_run(journal: SessionJournal, prepared: Prepared, facts: dict[str, Any], clock: Clock) -> None:
    written = {"plan_sha256": prepared.plan_sha256} if prepared.plan_sha256 else {}
    journal.append_entry("run", facts, {"at": clock.wall_ns(), "host": platform.node(), "pid": os.getpid(), **written})
    journal.identity = identity_of(encode(facts))


def open_decision_log(prepared: Prepared, key: SigningKey) -> ChainedLog:
    """The artifact's decision log, one chain over all sessions: resumed if it is there, else begun."""
    folder = prepared.data_folder / prepared.config.risk.decision_log.path
    ensure_dir(folder)
    path = folder / f"{prepared.artifact}.jsonl"
    require_regular_or_absent(path)
    if path.exists() and not is_begun(path):
        return ChainedLog.resume(path, key, faults="decision_log")
    path.unlink(missing_ok=True)
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
    """A queue of durable cycles that reads from the journal what earlier runs recorded, and what its bound dropped."""
    queue = bus.subscribe_queued(events.CYCLE_DURABLE, name=name, size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
    return CycleFollower(queue, journal.folder, recorded=journal.sequence)


def complete(status: Status, units: UnitRegistry, bus: Bus, readiness: Readiness) -> None:
    """What the status says of parts that do not speak on the bus."""
    status.ready, status.not_ready = readiness.ready, tuple(readiness.reasons)
    status.units = unit_lines(units.snapshot())
    status.dropped = {name: counts.dropped for name, counts in bus.statistics().items() if counts.dropped}


def notes(prepared: Prepared) -> list[str]:
    """What the head of the view says beside the state."""
    if prepared.live:
        return ["live market data", str(prepared.data_folder)]
    speed = "as fast as possible" if prepared.speed is None else f"{prepared.speed:,.10g} x real time"
    return [f"speed {speed}", str(prepared.data_folder)]
