"""The bridge for programs that embed a session: one controller's cycles, one by one or by a poll, manually or by AutoTrader."""

from __future__ import annotations

from typing import Final, Protocol

from dudzian_daemon.app.embedding import EmbeddedSession
from dudzian_daemon.config import lookup
from dudzian_daemon.domain.errors import ConfigError, Retryable
from dudzian_daemon.domain.orders import OrderResult, Signal
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel import logs
from dudzian_daemon.services.auto_trader import AutoTrader
from dudzian_daemon.trading.spec import Schedule

#: Seconds between two polls, and the least of them.
POLL_SECONDS: Final = 900.0
SHORTEST_POLL_SECONDS: Final = 1.0


class Stop(Protocol):
    """A `threading.Event`, or what a test has for one."""

    def wait(self, timeout: float, /) -> bool:
        """Wait at most `timeout` seconds; True: stop."""
        ...


class DailyTrendController:
    """A configured controller: one strategy on its interval. It makes the signals; what becomes of them is the session's matter."""

    def __init__(self, session: EmbeddedSession, name: str | None = None, *, strategy: str | None = None) -> None:
        chosen = session.prepared.chosen
        settings = session.prepared.config.controller(_given("controller", name, chosen.default_controller))
        wanted = _given("strategy", strategy, chosen.default_strategy)
        lookup.known("strategy", wanted, session.prepared.spec.strategies)
        self.session = session
        self.strategy = wanted
        self.interval = settings.interval
        self.tick_seconds = settings.tick_seconds
        self.schedule = _schedule(session, wanted, settings.interval)

    def is_cycle(self, record: CycleRecord) -> bool:
        """True for a cycle in which this controller decided."""
        return self.schedule.name in record.due

    def collect_signals(self, record: CycleRecord) -> tuple[Signal, ...]:
        """This controller's signals of a cycle."""
        return tuple(signal for signal in record.signals if signal.schedule == self.schedule.name)


class DailyTrendRealtimeRunner:
    """Drives the session to the controller's next cycle. With an AutoTrader every cycle needs its confirmation; without, the call is it."""

    def __init__(self, controller: DailyTrendController, auto_trader: AutoTrader | None = None) -> None:
        self.controller = controller
        self.auto_trader = auto_trader
        self.last_signals: tuple[Signal, ...] = ()
        self.last_results: tuple[OrderResult, ...] = ()
        #: Wall time (epoch seconds) at which the last cycle's step began, None before the first.
        self.last_started_at: float | None = None
        #: Polls that ended in an error that may pass.
        self.errors = 0
        self._log = logs.logger("realtime_runner")

    def run_once(self) -> CycleRecord | None:
        """The controller's next cycle, signals judged and orders with the simulator; None at the end of the data.

        Raises `ConfigError` when an AutoTrader drives it that is not confirmed; then nothing was stepped.
        """
        if self.auto_trader is not None:
            self.auto_trader.require_confirmed()
        session = self.controller.session
        record = session.advance(self.controller.is_cycle)
        if record is None:
            return None
        self.last_signals = self.controller.collect_signals(record)
        asked = {signal.id for signal in self.last_signals}
        self.last_results = tuple(result for result in record.results if result.signal_id in asked)
        event = session.auto_trader.get_last_controller_cycle()
        self.last_started_at = None if event is None else float(event["started_at"])
        return record

    def run(self, stop: Stop, *, poll_seconds: float = POLL_SECONDS) -> int:
        """Poll until `stop` says so or the data ends; how many cycles there were. Polls begin `poll_seconds` apart.

        An error that may pass is logged and counted, and the next poll tries again; any other is raised.
        """
        if not poll_seconds >= SHORTEST_POLL_SECONDS:
            msg = f"poll_seconds: expected at least {SHORTEST_POLL_SECONDS:g} seconds, found {poll_seconds!r}"
            raise ConfigError(msg)
        session, cycles = self.controller.session, 0
        while True:
            began = session.clock.monotonic_ns()
            try:
                cycles += self.run_once() is not None
            except Retryable as error:
                self.errors += 1
                self._log.warning("poll_failed", action="poll_again", error=str(error), errors=self.errors)
            took = (session.clock.monotonic_ns() - began) / 1e9
            if session.data_ended or stop.wait(max(0.0, poll_seconds - took)):
                return cycles


def _given(what: str, named: str | None, default: str | None) -> str:
    wanted = named or default
    if wanted is None:
        msg = f"the environment names no default_{what}: say which {what}"
        raise ConfigError(msg)
    return wanted


def _schedule(session: EmbeddedSession, strategy: str, interval: str) -> Schedule:
    schedules = session.prepared.spec.schedules
    for schedule in schedules:
        if (schedule.strategy, schedule.granularity) == (strategy, interval):
            return schedule
    known = ", ".join(f"{schedule.strategy} {schedule.granularity}" for schedule in schedules)
    msg = f"environment {session.prepared.environment!r} has no schedule of strategy {strategy!r} on {interval}; known: {known}"
    raise ConfigError(msg)
