"""The life of the process: start in named phases, run, stop in stages, and the last line `Shutdown complete`."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry
from rich.console import Console

from dudzian_daemon.adapters.files import ensure_dir, os_errors, remove_unfinished, require_sole_name_or_absent, write_atomic
from dudzian_daemon.adapters.heads import read_signer
from dudzian_daemon.adapters.keychain import SigningKey, signing_key
from dudzian_daemon.adapters.metric_families import new_registry
from dudzian_daemon.adapters.platform import InstanceLock, share_one_heap
from dudzian_daemon.app.alerting import ChannelOpener
from dudzian_daemon.app.bootstrap import Assembly, SessionStart, assemble
from dudzian_daemon.app.change_consent import forget as forget_consent
from dudzian_daemon.app.listeners import QUEUE_SIZE
from dudzian_daemon.app.metrics_tls import server_context
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.process.cold_schedules import ColdSchedules
from dudzian_daemon.app.process.commands import Commands
from dudzian_daemon.app.process.ending import SessionEnd, stages, verdict
from dudzian_daemon.app.process.going_on import session_that_goes_on, tell_recovered
from dudzian_daemon.app.process.kill_switch import KillSwitch, carried, tell_on
from dudzian_daemon.app.process.metrics_port import MetricsPort
from dudzian_daemon.app.process.passive_units import PassiveUnits
from dudzian_daemon.app.process.progress import Progress
from dudzian_daemon.app.process.quarantine import QuarantineRecorded, opening_commands, read_quarantine
from dudzian_daemon.app.process.signals import StopRequested, StopSignals
from dudzian_daemon.app.process.strategy_guard import StrategyGuard, guard_of
from dudzian_daemon.app.process.tokens import held_tokens, tell_refusal
from dudzian_daemon.app.recovery import Recovered
from dudzian_daemon.domain import events
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.kernel.clock import Anchored, SystemClock
from dudzian_daemon.kernel.faults import fault_point
from dudzian_daemon.kernel.service import Unit, UnitRegistry
from dudzian_daemon.kernel.supervisor import RestartPolicy, StopReport, Supervisor
from dudzian_daemon.services.clock_watch import ClockWatch
from dudzian_daemon.services.collector import Collector
from dudzian_daemon.services.inbox import Guard, Inbox, expire_commands
from dudzian_daemon.services.service_manager import ServiceManager

if TYPE_CHECKING:
    from dudzian_daemon.adapters.http_guard import Limits
    from dudzian_daemon.adapters.metrics_http import MetricsServer

MIB: Final = 1024 * 1024
#: A venue that does not answer is asked again for ever, at least every minute.
_FEED_RESTART: Final = RestartPolicy(most_restarts=None)


def run(options: RunOptions, env: Mapping[str, str], out: TextIO, signals: StopSignals) -> int:
    """Run the daemon until its data ends or it is told to stop; returns the exit code. Raises `DudzianError` for the command line."""
    try:
        return _run(options, env, signals, out)
    except StopRequested:
        out.write("Shutdown complete\n")
        out.flush()
        return 0


def _run(options: RunOptions, env: Mapping[str, str], signals: StopSignals, out: TextIO) -> int:
    _phase("config", signals)
    prepared = prepare(options, env)
    ensure_dir(prepared.data_folder)
    _phase("key", signals)
    decision_log = prepared.config.risk.decision_log
    key = signing_key(decision_log.signing_key_id, env=env, key_file=_path(decision_log.signing_key_path))
    if key.created:
        sys.stderr.write(f"dudzian: made the signing key {key.id!r} of the decision log: {key.source}\n")
    _phase("lock", signals)
    lock = InstanceLock.acquire(prepared.data_folder)
    try:
        expire_commands(prepared.data_folder)
        for written in ("run", "logs", "data/reports"):
            remove_unfinished(prepared.data_folder / written)
        _phase("logs", signals)
        _configure_logs(prepared, options)
        if prepared.live:
            share_one_heap()
            import dudzian_daemon.app.live  # noqa: F401 - a third of a second of imports that would hold up the loop
        return anyio.run(Daemon(prepared, options, key, Anchored(SystemClock()), signals, out, env).run)
    finally:
        logs.close()
        lock.release()


class Daemon:
    """One run: hosts the parts under the supervisor and ends them in order."""

    def __init__(
        self,
        prepared: Prepared,
        options: RunOptions,
        key: SigningKey,
        clock: Anchored,
        signals: StopSignals,
        out: TextIO,
        env: Mapping[str, str],
    ) -> None:
        self._prepared = prepared
        self._options = options
        self._key = key
        signer = _path(prepared.config.risk.decision_log.head_signing_key_path)
        self._head_signer = None if signer is None else read_signer(signer)
        self._clock = clock
        self._signals = signals
        self._out = out
        self._env = env
        self._bus = Bus()
        self._units = UnitRegistry(self._unit_changed)
        self._kill_switch: KillSwitch | None = None
        self._opener = ChannelOpener(env, prepared.data_folder, offline=prepared.chosen.offline_mode)
        self._progress = Progress()
        self._manager = ServiceManager(env, clock, self._progress.status_text)
        self._log = logs.logger("daemon")

    async def run(self) -> int:
        """From the port to the last line; returns the exit code."""
        supervisor = Supervisor(clock=self._clock, units=self._units, verdict=verdict, stages=stages(self._prepared))
        end = SessionEnd(self._prepared, supervisor, self._clock)
        loop, settings = asyncio.get_running_loop(), self._prepared.config.runtime.metrics_service
        switch = self._kill_switch = KillSwitch(self._prepared.data_folder, self._clock, settings.kill_switch_token, self._env)
        self._signals.listen_on(loop, end.on_signal)
        self._signals.listen_kill_switch(partial(loop.call_soon_threadsafe, switch.on_signal))
        try:
            registry = new_registry()
            tls = await anyio.to_thread.run_sync(server_context, settings, self._clock.wall_ns()) if settings.tls else None
            server = self._port(registry, tls)
            assembly = await anyio.to_thread.run_sync(self._assemble, registry, server)  # a dozen syncs, and a fold of what was recorded
            assembly.session.opening = [*assembly.session.opening, *switch.asked_during_start()]
            guard = guard_of(self._prepared, assembly, self._clock, self._signals)
            with guard.watchdog:
                return await self._serve(supervisor, end, server, assembly, guard)
        finally:
            await self._opener.http.close()
            self._signals.leave(loop)

    async def _serve(
        self, supervisor: Supervisor, end: SessionEnd, server: MetricsPort | None, assembly: Assembly, guard: StrategyGuard
    ) -> int:
        async with supervisor:
            self._host(supervisor, end, server, assembly)
            supervisor.add(guard, stage="feed")
            supervisor.add(ClockWatch(self._clock, self._bus, assembly.session.record_entry), stage="feed")
            supervisor.add(assembly.resources, stage="feed")
            reason = await supervisor.stop_requested()
            self._manager.stopping(reason)
            self._log.info("stopping", action="stop", reason=reason)
            report = await supervisor.stop()
            return self._end(end, assembly, report)

    # -- start -----------------------------------------------------------------------------------------------------

    def _port(self, registry: CollectorRegistry, tls: ssl.SSLContext | None) -> MetricsPort | None:
        """The metrics port, held from now on. Raises what keeps it from being had."""
        _phase("port", self._signals)
        settings = self._prepared.config.runtime.metrics_service
        return MetricsPort(settings, partial(self._metrics_server, registry), tls) if settings.enabled else None

    def _assemble(self, registry: CollectorRegistry, server: MetricsPort | None) -> Assembly:
        """Wire everything; nothing runs yet. Blocks for some syncs: a stop signal waits that long. Raises what is wrong."""
        _phase("recover", self._signals)
        recovered = session_that_goes_on(self._prepared, self._options, self._key, self._clock)
        _phase("assemble", self._signals)
        opening = opening_commands(read_quarantine(self._prepared.data_folder), list(self._prepared.spec.strategies))
        if recovered is None:
            opening += carried(self._prepared.data_folder, self._prepared.environment)
        elif recovered.driver.core.gate.kill_switch:
            tell_on("the kill switch is on, as the session left it")
        console = Console(file=self._out) if self._options.show_view else None
        assembly = assemble(
            self._prepared,
            SessionStart(self._key, recovered, tuple(map(self._opener.open, self._prepared.channels.values())), self._head_signer),
            self._clock,
            self._units,
            self._bus,
            registry,
            self._progress.readiness,
            console,
        )
        self._progress.assembly = assembly
        forget_consent(self._prepared.data_folder)
        assembly.session.opening = opening
        if server is not None:
            assembly.status.status.metrics_port = server.port
            assembly.status.status.metrics_url = f"{server.url}/metrics"
        if assembly.silent_schedules:
            self._log.warning("schedules_without_candles", schedules=assembly.silent_schedules)
            names = ", ".join(assembly.silent_schedules)
            sys.stderr.write(f"dudzian: no candles for {names}: they will not decide until the candle store has the series they take\n")
        self._announce(assembly, server, recovered)
        gc.freeze()  # what the start has made stays: a full collection would walk its 60,000 objects for 50 ms between two ticks
        gc.enable()
        return assembly

    def _host(self, supervisor: Supervisor, end: SessionEnd, server: MetricsPort | None, assembly: Assembly) -> None:
        """Start everything."""
        end.host(assembly)
        if assembly.live is not None:
            collector = Collector(self._clock)
            assembly.live.on_loaded = collector.set_aside
            supervisor.add(assembly.live, stage="feed", restart=_FEED_RESTART)
            supervisor.add(collector, stage="adapters")
            ColdSchedules(assembly.core.strategies, self._bus)
        for sink in (*assembly.sinks, assembly.report):
            supervisor.add(sink, stage="sinks")
        self._host_quarantine(supervisor, assembly)
        tokens = self._prepared.config.scheduler(self._prepared.chosen.scheduler).rbac_tokens
        tell = partial(tell_refusal, assembly.status.status)
        guard = Guard([token.token_id for token in tokens], partial(held_tokens, tokens, self._env), tell)
        inbox = Inbox(self._prepared.data_folder, Commands(end, assembly).obey, self._clock, guard)
        supervisor.add(assembly.status, stage="adapters")
        supervisor.add(inbox, stage="adapters")
        if self._kill_switch is not None:
            supervisor.add(self._kill_switch, stage="adapters")
        if server is not None:
            supervisor.add(server, stage="adapters")
        if self._manager.listens:
            supervisor.add(self._manager, stage="adapters")
        PassiveUnits(self._units, self._bus).add(assembly.core)
        self._bus.subscribe(events.SESSION_STATE, partial(self._on_session_state, supervisor), name="daemon")
        if self._options.run_once:
            self._end_once_all_ran(end, assembly)

    def _host_quarantine(self, supervisor: Supervisor, assembly: Assembly) -> None:
        """Where an earlier run left strategies to quarantine, see that it comes on the record."""
        names = [arguments["strategy"] for name, arguments in assembly.session.opening if name == "quarantine"]
        if names:
            sys.stderr.write(f"dudzian: quarantined, since it did not come back in an earlier run: {', '.join(names)}\n")
            queue = self._bus.subscribe_queued(events.STRATEGY_STATE, name="quarantine", size=QUEUE_SIZE, policy=Policy.DROP_OLDEST)
            supervisor.add(QuarantineRecorded(queue, self._prepared.data_folder, names), stage="sinks")

    def _metrics_server(
        self, registry: CollectorRegistry, server_class: type[MetricsServer], listener: socket.socket, limits: Limits
    ) -> MetricsServer:
        server = server_class(
            registry,
            readiness=self._progress.readiness,
            liveness=self._progress.liveness,
            clock=self._clock,
            listener=listener,
            limits=limits,
        )
        if self._kill_switch is not None and self._kill_switch.by_http:
            server.press = self._kill_switch.press
        if self._progress.assembly is not None:
            server.before_scrape = self._progress.assembly.metrics.refresh
        return server

    def _announce(self, assembly: Assembly, server: MetricsPort | None, recovered: Recovered | None) -> None:
        port = None if server is None else server.port
        if port is not None:
            write_atomic(self._prepared.data_folder / "run" / "metrics.port", f"{port}\n".encode())
        address = "no metrics port" if server is None else f"metrics on {server.url}/metrics"
        self._out.write(f"dudzian: paper only, no order leaves this machine; {address}; session {assembly.journal.log_id}\n")
        if recovered is not None:
            tell_recovered(recovered, self._out, self._bus)
        self._out.flush()
        self._log.info("started", action="start", environment=self._prepared.environment, session=assembly.journal.log_id, port=port)

    # -- while it runs ---------------------------------------------------------------------------------------------

    def _on_session_state(self, supervisor: Supervisor, _topic: str, state: events.SessionState) -> None:
        self._log.info("session", action="session_state", state=state.state, detail=state.detail)
        if state.state == "data_ended":
            supervisor.request_stop("end_of_data")

    def _end_once_all_ran(self, end: SessionEnd, assembly: Assembly) -> None:
        """End with the instant at which the last of the schedules has run for the first time: the feed gives nothing of a later one."""
        session, inspect = assembly.session, assembly.session.inspect
        waiting = {schedule.name for schedule in self._prepared.spec.schedules}

        def look(record: CycleRecord) -> bool:
            if waiting and not waiting.difference(record.due):
                session.stop_feeding()
                end.ask("run_once", by_operator=True)
            waiting.difference_update(record.due)
            return inspect(record)

        session.inspect = look

    def _unit_changed(self, unit: Unit) -> None:
        self._bus.publish(events.UNIT_STATE, events.UnitState(name=unit.name, state=unit.state, detail=unit.detail, restarts=unit.restarts))

    # -- the end ---------------------------------------------------------------------------------------------------

    def _end(self, end: SessionEnd, assembly: Assembly, report: StopReport) -> int:
        """The last lines. A thread that hangs, in the disk or in a pipe nobody reads, would keep the process for ever: it ends at once."""
        stuck = {name for stage in report.stages for name in stage.stuck}
        if "console" not in stuck:
            screen = Console(file=self._out)
            width = screen.width if screen.is_terminal else 0
            self._out.writelines(f"{line}\n" for line in end.last_words(assembly, report, width=width))
        fault, code = end.fault(report), end.exit_code(report)
        if fault is not None:
            self._log.error("run_failed", action="stop", fault=fault)
            sys.stderr.write(f"dudzian: {fault}\n")
        self._log.info("Shutdown complete", action="stopped", reason=report.reason, forced=report.forced)
        if "console" not in stuck:
            self._out.write("Shutdown complete\n")
            self._out.flush()
        if stuck:
            logs.close()
            os._exit(code)
        return code


def _phase(name: str, signals: StopSignals) -> None:
    """A named moment of the start: a stop that has been asked for takes effect here."""
    fault_point(f"run.{name}")
    signals.require_none()


def _configure_logs(prepared: Prepared, options: RunOptions) -> None:
    """Everything goes to the runtime log, and to stderr too when there is no view."""
    settings = prepared.config.logging
    path = prepared.data_folder / "logs" / "runtime" / f"{prepared.artifact}.log"
    ensure_dir(path.parent)
    require_sole_name_or_absent(path)
    with os_errors(path):
        file = logs.LogFile(path, json=settings.file_format == "json", size=settings.file_mb * MIB, kept=settings.files_kept)
        logs.configure(settings.level, json=settings.format == "json", file=file, background=True, quiet=options.show_view)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
