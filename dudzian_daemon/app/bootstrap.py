"""The composition root: the only place that picks classes. Who listens, in which order and with which policy: `listeners.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry
from rich.console import Console

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.head_file import HeadFile, HeadKeeper
from dudzian_daemon.adapters.heads import HeadSigner
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.app.listeners import Listeners, Sink
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.recovery import Recovered
from dudzian_daemon.app.replay_windows import replay_windows, require_sound, silent_schedules
from dudzian_daemon.app.run_logs import open_decision_log, open_journal, resume_journal
from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.pace import Pace
from dudzian_daemon.kernel.service import Readiness, UnitRegistry
from dudzian_daemon.services.auto_trader import AutoTrader
from dudzian_daemon.services.feed import ReplayFeed
from dudzian_daemon.services.live.pace import LivePace
from dudzian_daemon.services.resource_watch import ResourceWatch
from dudzian_daemon.services.session import Session
from dudzian_daemon.services.tape_budget import tape_budget
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.sink import AlertSink
from dudzian_daemon.sinks.execution_log import log_refusals
from dudzian_daemon.sinks.metrics import MetricsSink
from dudzian_daemon.sinks.reports import ReportSink
from dudzian_daemon.sinks.risk_state import RiskStateSink
from dudzian_daemon.sinks.self_check import SelfCheckSink
from dudzian_daemon.sinks.status import StatusSink
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core

if TYPE_CHECKING:
    from dudzian_daemon.services.live.feed import LiveFeed


class SessionStart(msgspec.Struct, frozen=True):
    """How the run's session begins: signed by `key`, told on `channels`, and where it is an earlier run's, from what was `recovered`.

    Heads are signed by `head_signer` too, if there is one.
    """

    key: SigningKey
    recovered: Recovered | None = None
    channels: tuple[OpenChannel, ...] = ()
    head_signer: HeadSigner | None = None


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
    resources: ResourceWatch
    auto_trader: AutoTrader
    alerts: AlertSink
    silent_schedules: Sequence[str]
    live: LiveFeed | None = None


class Market(msgspec.Struct, frozen=True):
    """Where the session's inputs come from: the venues as it happens, or windows of stored candles."""

    feed: ReplayFeed | LiveFeed
    live: LiveFeed | None
    silent_schedules: Sequence[str]


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
    driver, opening_equity = _driver(prepared, recovered)
    core = driver.core
    market = _market(prepared, driver, clock, bus, registry)
    decision_log = open_decision_log(prepared, key, clock)  # before the journal: what is wrong with it must not leave a session behind
    journal = open_journal(prepared, key, clock) if recovered is None else resume_journal(prepared, key, clock, recovered)

    listeners = Listeners(prepared, key, clock, bus, core, journal, opening_equity)
    metrics = listeners.metrics(registry, resumed=recovered is not None)
    self_check, risk_state = listeners.self_check(), listeners.risk_state()
    resources = listeners.resources(registry)
    status = listeners.status(units, readiness, resources)
    alerts = listeners.alerts(start.channels)
    log_refusals(bus)
    session = _session(market, driver, journal, bus, clock, prepared, metrics.observe_commit)
    heads = HeadFile(journal.folder, key, start.head_signer)
    session.durable.keep_head = HeadKeeper(heads, journal.head, partial(bus.publish, events.SESSION_HEAD), clock).keep
    if recovered is not None:
        session.stepped_before(recovered.rerun_ns)
    _look_at_cycles(session, core, risk_state, status, self_check)
    view = [] if console is None else [listeners.view(console)]
    sinks = (*listeners.projections(decision_log), self_check, risk_state, metrics, alerts, *view)
    report, auto_trader = listeners.report(), AutoTrader(bus, core.execution, clock=clock, by="instant")
    silent, live = market.silent_schedules, market.live
    return Assembly(bus, units, core, journal, session, sinks, report, status, metrics, resources, auto_trader, alerts, silent, live)


def _driver(prepared: Prepared, recovered: Recovered | None) -> tuple[Driver, Decimal]:
    """The core as the session goes on or begins, and the equity that the session began with."""
    with exact_money():
        new = Driver(Core(prepared.spec))
        opening_equity = new.core.ledger.equity
    return new if recovered is None else recovered.driver, opening_equity


def _look_at_cycles(session: Session, core: Core, risk_state: RiskStateSink, status: StatusSink, self_check: SelfCheckSink) -> None:
    """What is looked at just after each step, and what the self-check does where the account is not what its records make it."""

    def inspect(record: CycleRecord) -> bool:
        risk_state.look(record)
        status.look(record, core.execution.open_orders)
        return self_check.inspect(record)

    session.inspect = inspect
    self_check.halt = partial(session.own_command, "self_check", "kill_switch", {"on": "yes", "reason": "self_check"})


def _market(prepared: Prepared, driver: Driver, clock: Clock, bus: Bus, registry: CollectorRegistry) -> Market:
    if prepared.live:
        live = _live_feed(prepared, driver, clock, bus, registry)
        return Market(live, live, [])
    store = candles_of(prepared.chosen, prepared.data_folder)
    windows = replay_windows(prepared.config, prepared.environment, driver.core, store)
    require_sound(windows, store)
    silent = silent_schedules(prepared.chosen, driver.core, windows, store)
    return Market(ReplayFeed(store, windows, digest_rows, driver.feed), None, silent)


def _live_feed(prepared: Prepared, driver: Driver, clock: Clock, bus: Bus, registry: CollectorRegistry) -> LiveFeed:
    from dudzian_daemon.app.live import feed_metrics, live_feed  # only now: clients of venues are a tenth of a second and 10 MB

    feed = live_feed(prepared, driver, clock, bus)
    registry.register(feed_metrics(feed))
    return feed


def _session(
    market: Market,
    driver: Driver,
    journal: SessionJournal,
    bus: Bus,
    clock: Clock,
    prepared: Prepared,
    observe_commit: Callable[[float], None],
) -> Session:
    def store_rows(tick: Tick) -> None:
        for rows in tick.rows.values():
            journal.put_object(encode(rows))

    pace = Pace(clock, prepared.speed) if market.live is None else LivePace(clock, market.live.command_instant)
    session = Session(driver, market.feed, pace, journal, bus, clock, store_rows=store_rows, observe_commit=observe_commit)
    budget_bytes = int(prepared.config.runtime.journal.tape_mb_per_day * 1e6)
    session.let_through = tape_budget(driver, journal, budget_bytes).offer
    return session
