"""What a load test plays: schedules of an environment, each once an hour of a made-up market, so that every run has the same load."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.seed import SeedSeries, planned
from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.config.load import LoadedConfig, load
from dudzian_daemon.config.runtime import ResourceLimits
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import HOUR_NS

SCHEDULER: Final = "load_test"
_INTERVAL: Final = "1h"
_HOURS_A_DAY: Final = 24
_FIRST_DAY: Final = date(2024, 1, 1)
#: A run of a schedule must be quicker (`session-check` asks the same of a session).
LATENCY_LIMIT_MS: Final = 250.0


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: decisions of each schedule, how many schedules (None: all), wall milliseconds of an hour of the market.

    Budgets that are None are those of `runtime.resource_limits`.
    """

    environment: str = "binance_paper"
    config: Path | None = None
    iterations: int = 60
    schedules: int | None = None
    pace_ms: int = 250
    cpu_budget: float | None = None
    memory_budget: float | None = None


class PlannedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.load_test_plan/1`: `iterations` are whole days of hours, `seconds` is about how long they take."""

    schema: str = "dudzian.load_test_plan/1"
    environment: str
    schedules: dict[str, str]
    symbols: tuple[str, ...]
    iterations: int
    pace_ms: int
    seconds: float
    limits: ResourceLimits


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be played, and what only a run needs: the candles, and the variables that make a daemon of `loaded`."""

    told: PlannedLoad
    series: tuple[SeedSeries, ...]
    variables: dict[str, str]
    loaded: LoadedConfig


def load_plan(settings: LoadSettings, env: Mapping[str, str]) -> LoadPlan:
    """Work it out; writes nothing. Raises `ConfigError`."""
    own = load(settings.config, env=env)
    name = own.config.environment_id(settings.environment)
    chosen = own.config.environment(name)
    if chosen.mode != "paper" or chosen.data_cache_path is None:
        msg = f"--environment: expected one of mode paper with a candle cache, found {name!r} ({chosen.mode})"
        raise ConfigError(msg)
    known = own.config.scheduler(chosen.scheduler).schedules
    wanted = len(known) if settings.schedules is None else settings.schedules
    if wanted > len(known):
        msg = f"--schedules: expected at most {len(known)}, those of scheduler {chosen.scheduler!r} ({', '.join(known)}), found {wanted}"
        raise ConfigError(msg)
    taken = {each: known[each] for each in list(known)[:wanted]}
    days = -(-settings.iterations // _HOURS_A_DAY)
    history = 1 + -(-max(schedule.warmup_bars for schedule in taken.values()) // _HOURS_A_DAY)
    first, start = _FIRST_DAY, _FIRST_DAY + timedelta(days=2 * history)
    end = start + timedelta(days=days)
    symbols = tuple(dict.fromkeys(symbol for each in taken.values() for symbol in own.config.bucket(each.instrument_bucket).symbols))
    hourly = {each: {**msgspec.to_builtins(schedule), "interval": _INTERVAL, "cadence_seconds": 3600} for each, schedule in taken.items()}
    window = {"start": start.isoformat(), "end": end.isoformat(), "instruments": list(symbols), "granularity": _INTERVAL}
    variables = _variables(name, {"schedules": hourly}, window, settings)
    loaded = load(settings.config, env={**env, **variables})
    series = planned(
        loaded.config,
        name,
        midnight_ns(first),
        midnight_ns(end),
        seed=0,
        most_rows=(end - first).days * _HOURS_A_DAY,
        granularities=[_INTERVAL],
    )
    told = PlannedLoad(
        environment=name,
        schedules={each: schedule.strategy for each, schedule in taken.items()},
        symbols=symbols,
        iterations=days * _HOURS_A_DAY,
        pace_ms=settings.pace_ms,
        seconds=(midnight_ns(end) - midnight_ns(start)) / HOUR_NS * settings.pace_ms / 1000,
        limits=_limits(loaded.config.runtime.resource_limits, settings),
    )
    return LoadPlan(told=told, series=tuple(series), variables=variables, loaded=loaded)


def _variables(name: str, scheduler: dict[str, Any], window: dict[str, Any], settings: LoadSettings) -> dict[str, str]:
    """Nobody is asked or alerted, and no port but a free one of this machine is opened."""
    values: dict[tuple[str, ...], Any] = {
        ("runtime", "multi_strategy_schedulers", SCHEDULER): scheduler,
        ("runtime", "metrics_service"): {"port": 0},
        ("environments", name, "scheduler"): SCHEDULER,
        ("environments", name, "alert_channels"): [],
        ("environments", name, "offline_mode"): True,
        ("environments", name, "candle_source"): "cache",
        ("environments", name, "replay", "windows"): [window],
        ("environments", name, "replay", "speed"): max(1, HOUR_NS // (settings.pace_ms * 1_000_000)),
        ("reporting", "package_at_stop"): False,
    }
    return {"DUDZIAN__" + "__".join(path).upper(): msgspec.json.encode(value).decode() for path, value in values.items()}


def _limits(configured: ResourceLimits, settings: LoadSettings) -> ResourceLimits:
    said = {"cpu_percent": settings.cpu_budget, "memory_mb": settings.memory_budget}
    return msgspec.structs.replace(configured, **{name: value for name, value in said.items() if value is not None})
