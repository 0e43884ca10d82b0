"""Restricting a run to one schedule of its environment's scheduler: the strategy's, on the candles of the controller."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.overlay import Flag
from dudzian_daemon.config.runtime import Schedule
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError

_WINDOW_EXPECTED: Final = "expected two days as 2024-01-01:2024-02-15, the second not before the first"


class DateWindow(msgspec.Struct, frozen=True):
    """Days of a run, UTC; both are of it."""

    start: date
    end: date

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        return f"{self.start}:{self.end}"


class OneSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said of the one schedule; None takes the environment's default, or the schedule's own."""

    strategy: str | None = None
    controller: str | None = None
    risk_profile: str | None = None
    window: DateWindow | None = None
    history_bars: int | None = None
    health_interval: int | None = None


class Selected(msgspec.Struct, frozen=True, kw_only=True):
    """The names that were resolved."""

    strategy: str
    controller: str
    schedule: str


def parse_window(text: str) -> DateWindow:
    """`2024-01-01:2024-02-15`. Raises `ConfigError`."""
    first, _, last = text.partition(":")
    try:
        window = DateWindow(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        window = None
    if window is None or window.end < window.start:
        msg = f"--date-window: {_WINDOW_EXPECTED}, found {text!r}"
        raise ConfigError(msg)
    return window


def select(config: CoreConfig, environment: str, wanted: OneSchedule) -> Selected:
    """Find the schedule. Raises `ConfigError` with the names there are, or for a default that is missing."""
    chosen = config.environment(environment)
    strategy = _named(config, environment, "strategy", wanted.strategy, chosen.default_strategy)
    controller = _named(config, environment, "controller", wanted.controller, chosen.default_controller)
    _listed("strategy", strategy, list(config.strategies))
    _listed("controller", controller, list(config.controllers))
    if wanted.risk_profile is not None:
        _listed("risk profile", wanted.risk_profile, list(config.risk_profiles))
    interval = config.controller(controller).interval
    schedules = config.scheduler(chosen.scheduler).schedules
    for name, schedule in schedules.items():
        if (schedule.strategy, schedule.interval) == (strategy, interval):
            return Selected(strategy=strategy, controller=controller, schedule=name)
    known = ", ".join(f"{schedule.strategy} on {schedule.interval}" for schedule in schedules.values())
    msg = (
        f"scheduler {chosen.scheduler!r} of environment {environment!r} has no schedule of strategy {strategy!r} on {interval}, "
        f"the candles of controller {controller!r}; it has: {known}"
    )
    raise ConfigError(msg)


def flags(config: CoreConfig, environment: str, wanted: OneSchedule, selected: Selected) -> dict[str, Flag]:
    """What the command line changes, by dotted path of the configuration."""
    chosen = config.environment(environment)
    own, scheduler = f"environments.{environment}", f"runtime.multi_strategy_schedulers.{chosen.scheduler}"
    schedule = f"{scheduler}.schedules.{selected.schedule}"
    given: dict[str, tuple[str, Any]] = {
        f"{own}.default_strategy": ("--strategy", wanted.strategy),
        f"{own}.default_controller": ("--controller", wanted.controller),
        f"{own}.risk_profile": ("--risk-profile", wanted.risk_profile),
        f"{schedule}.risk_profile": ("--risk-profile", wanted.risk_profile),
        f"{schedule}.warmup_bars": ("--history-bars", wanted.history_bars),
        "alerts.health_interval_seconds": ("--health-interval", wanted.health_interval),
    }
    if wanted.window is not None:
        symbols = list(config.bucket(config.scheduler(chosen.scheduler).schedules[selected.schedule].instrument_bucket).symbols)
        after = wanted.window.end + timedelta(days=1)
        entry = {"start": wanted.window.start.isoformat(), "end": after.isoformat(), "instruments": symbols}
        given[f"{own}.replay.windows"] = ("--date-window", [entry])
    return {path: Flag(name, value) for path, (name, value) in given.items() if value is not None}


def restricted(loaded: LoadedConfig, environment: str, schedule: str) -> LoadedConfig:
    """The configuration with that schedule alone in the environment's scheduler; the others keep no trace in it."""
    config = loaded.config
    name = config.environment(environment).scheduler
    scheduler = config.scheduler(name)
    alone: Mapping[str, Schedule] = {schedule: scheduler.schedules[schedule]}
    schedulers = {**config.runtime.multi_strategy_schedulers, name: msgspec.structs.replace(scheduler, schedules=dict(alone))}
    runtime = msgspec.structs.replace(config.runtime, multi_strategy_schedulers=schedulers)
    return LoadedConfig(msgspec.structs.replace(config, runtime=runtime), loaded.files, loaded.warnings, loaded.document)


def _named(config: CoreConfig, environment: str, what: str, given: str | None, default: str | None) -> str:
    wanted = given or default
    if wanted is None:
        known = ", ".join(config.strategies if what == "strategy" else config.controllers) or "none"
        msg = f"environment {environment!r} names no default_{what}: set it in the configuration or give --{what}; known: {known}"
        raise ConfigError(msg)
    return wanted


def _listed(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        msg = f"unknown {what} {name!r}; known: {', '.join(names) or 'none'}"
        raise ConfigError(msg)
