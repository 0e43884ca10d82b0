"""Who listens to a session: every sink with its queue, its policy and its place, to be seen here in one piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from rich.console import Console

from dudzian_daemon.adapters.cycle_follower import CycleFollower, Left, mark
from dudzian_daemon.adapters.event_lines import Names
from dudzian_daemon.adapters.fold_marks import FoldFile
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_reader import latest_cycles, sessions
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.adapters.log_segments import files_here
from dudzian_daemon.adapters.process_usage import process_usage
from dudzian_daemon.adapters.segmented_log import SegmentedLog
from dudzian_daemon.app.alerting import alert_sink
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.run_logs import ledger_files
from dudzian_daemon.domain import events
from dudzian_daemon.domain.resources import ResourceUse
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.service import Readiness, UnitRegistry
from dudzian_daemon.services.resource_watch import ResourceWatch
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.sink import AlertSink
from dudzian_daemon.sinks.console import ConsoleView
from dudzian_daemon.sinks.ledger import LedgerSink
from dudzian_daemon.sinks.metrics import TOPICS, MetricsSink
from dudzian_daemon.sinks.projections import DecisionLog
from dudzian_daemon.sinks.reports import ReportSink
from dudzian_daemon.sinks.resource_metrics import ResourceMetrics
from dudzian_daemon.sinks.risk_state import RiskStateSink
from dudzian_daemon.sinks.self_check import SelfCheckSink
from dudzian_daemon.sinks.status import LeftBooks, Status, StatusSink, status_path, unit_lines
from dudzian_daemon.sinks.telemetry.runs import SchedulerSet, telemetry_path
from dudzian_daemon.sinks.telemetry.sink import TelemetrySink
from dudzian_daemon.trading.step import Core

#: Queued cycles a sink may be behind before its queue drops (and counts) or reads back from the journal.
QUEUE_SIZE: Final = 4096
#: Where a failed self-check says what differs, below the data folder.
SELF_CHECK_FOLDER: Final = Path("run") / "self_check"
#: Where folds over a session are kept between its runs, below the data folder.
FOLDS_FOLDER: Final = Path("run") / "folds"

Sink = DecisionLog | LedgerSink | SelfCheckSink | ConsoleView | MetricsSink | TelemetrySink | RiskStateSink | AlertSink


class Listeners:
    """Makes the sinks of one run. Metrics and view may lose cycles, counted; the others read back from the journal what they missed."""

    def __init__(
        self, prepared: Prepared, key: SigningKey, clock: Clock, bus: Bus, core: Core, journal: SessionJournal, opening_equity: Decimal
    ) -> None:
        self._prepared = prepared
        self._key = key
        self._clock = clock
        self._bus = bus
        self._core = core
        self._journal = journal
        self._opening_equity = opening_equity

    def metrics(self, registry: CollectorRegistry, *, resumed: bool) -> MetricsSink:
        """The figures of `/metrics`."""
        queue = self._bus.subscribe_queued(TOPICS, name="metrics", size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
        sink = MetricsSink(registry, queue, self._bus, self._clock, self._prepared.spec.profiles)
        if resumed:
            sink.go_on(self._core)
        return sink

    def self_check(self) -> SelfCheckSink:
        """Compares the account with what its records make it."""
        folder = self._prepared.data_folder / SELF_CHECK_FOLDER
        return SelfCheckSink(self._core, self._follow("self_check"), self._bus, self._clock, log_id=self._journal.log_id, folder=folder)

    def risk_state(self) -> RiskStateSink:
        """The file that `show-risk-state` reads where no daemon runs."""
        return RiskStateSink(
            self._core,
            self._bus,
            self._clock,
            environment=self._prepared.environment,
            log_id=self._journal.log_id,
            data_folder=self._prepared.data_folder,
        )

    def resources(self, registry: CollectorRegistry) -> ResourceWatch:
        """Who holds the process against its budgets, and its figures."""
        watch = ResourceWatch(self._prepared.config.runtime.resource_limits, process_usage, self._bus, self._clock)
        registry.register(ResourceMetrics(lambda: watch.uses))
        return watch

    def status(self, units: UnitRegistry, readiness: Callable[[], Readiness], resources: ResourceWatch) -> StatusSink:
        """The file that `dudzian status`, `positions` and `orders` read."""
        core = self._core
        begun = Status(
            environment=self._prepared.environment,
            log_id=self._journal.log_id,
            pid=os.getpid(),
            started_at=self._clock.wall_ns(),
            sequence=core.sequence,
            instant=core.instant,
            cash=core.ledger.cash,
            equity=core.ledger.equity,
        )
        books = LeftBooks(
            positions=core.ledger.state().positions,
            prices={instrument: price for instrument, (price, _) in core.ledger.export().last.items()},
            orders=core.execution.open_orders,
        )
        path = status_path(self._prepared.data_folder)

        def completed(status: Status) -> None:
            complete(status, units, self._bus, readiness(), resources.uses)

        return StatusSink(self._bus, begun, path, self._clock, completed, books)

    def alerts(self, channels: Sequence[OpenChannel]) -> AlertSink:
        """What people are told."""
        return alert_sink(
            self._prepared.config,
            self._prepared.environment,
            self._prepared.data_folder,
            channels,
            self._follow("alerts"),
            self._bus,
            self._clock,
            self._journal.sequence,
        )

    def report(self) -> ReportSink:
        """What the run did, told at its end."""
        return ReportSink(
            self._follow("report"),
            self._marks("report"),
            environment=self._prepared.environment,
            log_id=self._journal.log_id,
            opening_equity=self._opening_equity,
        )

    def projections(self, decision_log: SegmentedLog) -> list[Sink]:
        """Files that say again, in another form, what the journal says."""
        environment, log_id, data_folder = self._prepared.environment, self._journal.log_id, self._prepared.data_folder
        files = ledger_files(self._prepared, self._key)
        decision_files = [path for path in files_here(decision_log.written) if path.suffix != ".gz"]
        daily = sorted(files.folder.glob("ledger-*.jsonl"))
        decisions = DecisionLog(
            self._follow("decision_log", left_to_tell(data_folder, self._prepared.artifact, log_id, decision_files)),
            decision_log,
            self._clock,
            environment=environment,
            begun=mark(decision_files, log_id),
        )
        telemetry = TelemetrySink(
            self._follow("telemetry"),
            LineFile(telemetry_path(data_folder)),
            scheduler_set(self._prepared),
            self._clock,
            root=data_folder,
            artifact=self._prepared.artifact,
            marks=self._marks("telemetry"),
        )
        ledger = LedgerSink(
            self._follow("ledger", left_to_tell(data_folder, self._prepared.artifact, log_id, daily)),
            files,
            self._clock,
            environment=environment,
            begun=mark(daily, log_id),
        )
        return [decisions, telemetry, ledger]

    def view(self, console: Console) -> ConsoleView:
        """The live view of a terminal."""
        queue = self._bus.subscribe_queued("session.*", name="console", size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
        names = Names(list(self._prepared.spec.strategies), self._prepared.spec.instruments)
        return ConsoleView(
            queue,
            console,
            environment=self._prepared.environment,
            opening_equity=self._opening_equity,
            notes=notes(self._prepared),
            names=names,
        )

    def _follow(self, name: str, left: Left | None = None) -> CycleFollower:
        """A queue of durable cycles that reads from the journal what earlier runs recorded, and what its bound dropped."""
        queue = self._bus.subscribe_queued(events.CYCLE_DURABLE, name=name, size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
        return CycleFollower(queue, self._journal.folder, recorded=self._journal.sequence, left=left)

    def _marks(self, name: str) -> FoldFile:
        return FoldFile(self._prepared.data_folder / FOLDS_FOLDER / self._prepared.artifact, name, self._journal.folder, self._key)


def left_to_tell(root: Path, artifact: str, log_id: str, projection: Sequence[Path]) -> Left | None:
    """What the projection lacks of the session before `log_id`, if that one is closed; None where nothing of it is told here any more."""
    before = next((session for session in sessions(root, artifact) if session.log_id != log_id), None)
    if before is None or before.state != "closed":
        return None
    told, newest = mark(projection, before.log_id), latest_cycles(before.folder, 1)
    return Left(before.folder, told, newest[-1].record.sequence) if told.sequence and newest else None


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


def complete(status: Status, units: UnitRegistry, bus: Bus, readiness: Readiness, resources: Sequence[ResourceUse]) -> None:
    """What the status says of parts that do not speak on the bus."""
    status.ready, status.not_ready = readiness.ready, tuple(readiness.reasons)
    status.units = unit_lines(units.snapshot())
    status.resources = list(resources)
    counts = bus.statistics()
    status.dropped = {name: each.lost for name, each in counts.items() if each.lost}
    status.merged = {name: each.merged for name, each in counts.items() if each.merged}


def notes(prepared: Prepared) -> list[str]:
    """What the head of the view says beside the state."""
    if prepared.live:
        return ["live market data", str(prepared.data_folder)]
    speed = "as fast as possible" if prepared.speed is None else f"{prepared.speed:,.10g} x real time"
    return [f"speed {speed}", str(prepared.data_folder)]
