"""The part of a configuration that decides what is traded, as bytes to hash, record and read back.

Ports, paths, alerts and log levels are left out, so that they never change a session's identity; a field that nobody has
listed here counts as trading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from dudzian_daemon.config.references import BY_HAND, MANUAL
from dudzian_daemon.config.risk import RiskProfile
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.money import EXACT

Entry = TypeVar("Entry")

#: Fields that do not decide what is traded, by struct.
NOT_TRADING: Final[Mapping[str, frozenset[str]]] = {
    "CoreConfig": frozenset({"shutdown", "logging", "alerts", "reporting", "credentials"}),
    "Environment": frozenset(
        {
            "description",
            "enabled",
            "aliases",
            "artifact_name",
            "data_cache_path",
            "offline_mode",
            "data_quality",
            "credential_purpose",
            "keychain_key",
            "required_permissions",
            "forbidden_permissions",
            "ip_allowlist",
            "alert_channels",
            "alert_throttle",
            "alert_audit",
            "decision_journal",
            "adapter_settings",
        }
    ),
    "PaperTrading": frozenset({"ledger_directory", "ledger_retention_days", "ledger_fsync"}),
    "PaperOverride": frozenset({"ledger_directory", "ledger_retention_days", "ledger_fsync"}),
    "PresetEntry": frozenset({"description"}),
    "FeeEntry": frozenset({"source"}),
    "Replay": frozenset({"speed"}),
    "Strategy": frozenset({"description"}),
    "RiskProfile": frozenset({"description", "data_quality"}),
    "Risk": frozenset({"decision_log"}),
    "InstrumentBucket": frozenset({"tags"}),
    "Runtime": frozenset({"metrics_service", "resource_limits", "watchdog", "journal"}),
    "Scheduler": frozenset({"telemetry_namespace", "decision_log_category", "health_check_interval", "rbac_tokens"}),
    "InstrumentEntry": frozenset({"categories", "backfill_windows"}),
}


def trading_part(config: CoreConfig, environment: str | None = None) -> CoreConfig:
    """The configuration with nothing left in it but what one environment (a name or alias) uses; it still works as one."""
    key = config.environment_id(environment)
    chosen = config.environments[key]
    scheduler = config.scheduler(chosen.scheduler)
    schedules = scheduler.schedules.values()
    strategies = {name for name in (chosen.default_strategy, *(schedule.strategy for schedule in schedules)) if name}
    buckets = _only(config.risk.instrument_buckets, {schedule.instrument_bucket for schedule in schedules})
    profiles = _only(config.risk_profiles, {chosen.risk_profile, BY_HAND, *(schedule.risk_profile for schedule in schedules)})
    pairs = {symbol for bucket in buckets.values() for symbol in bucket.symbols}
    pairs.update(chosen.instrument_universe, *(window.instruments for window in chosen.replay.windows))
    venues = {chosen.exchange, *(venue for schedule in schedules for venue in schedule.venues)}
    venues.update(derived.source for derived in chosen.derived_venues.values())
    replace = msgspec.structs.replace
    return replace(
        config,
        default_environment=key,
        environments={key: replace(chosen, paper_trading=None)},
        strategies=_only(config.strategies, strategies),
        controllers=_only(config.controllers, {chosen.default_controller or ""}),
        risk_profiles={name: _allocated(profile, strategies) for name, profile in profiles.items()},
        risk=replace(config.risk, instrument_buckets=buckets | _only(config.risk.instrument_buckets, {MANUAL})),
        paper_trading=config.paper(key),
        execution_presets=_only(config.execution_presets, {config.paper(key).preset}),
        runtime=replace(config.runtime, multi_strategy_schedulers={chosen.scheduler: scheduler}),
        instruments={pair: replace(entry, venues=_only(entry.venues, venues)) for pair, entry in _only(config.instruments, pairs).items()},
        credentials={},
    )


def canonical(config: CoreConfig, environment: str | None = None) -> bytes:
    """The trading configuration of one environment: equal bytes mean equal rules, however and wherever they were written."""
    return _encoded(trading_part(config, environment), NOT_TRADING)


def canonical_full(config: CoreConfig) -> bytes:
    """The whole configuration in the same form."""
    return _encoded(config, {})


def from_canonical(data: bytes) -> CoreConfig:
    """The configuration in `data`, with defaults for what `canonical` leaves out. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(data, type=CoreConfig)


def plainly_spelled(config: CoreConfig) -> CoreConfig:
    """The same configuration with its numbers spelled as in `canonical`: `0.1` for `0.10`, entries in their order."""
    return from_canonical(msgspec.json.encode(_plain(config, {})))


def _only(entries: Mapping[str, Entry], names: Collection[str]) -> dict[str, Entry]:
    return {name: entry for name, entry in entries.items() if name in names}


def _allocated(profile: RiskProfile, strategies: set[str]) -> RiskProfile:
    return msgspec.structs.replace(profile, strategy_allocations=_only(profile.strategy_allocations, {*strategies, MANUAL}))


def _encoded(config: CoreConfig, left_out: Mapping[str, frozenset[str]]) -> bytes:
    return msgspec.json.encode(_plain(config, left_out), order="sorted")


def _plain(value: Any, left_out: Mapping[str, frozenset[str]]) -> Any:
    if isinstance(value, msgspec.Struct):
        skipped = left_out.get(type(value).__name__, frozenset())
        return {name: _plain(item, left_out) for name, item in msgspec.structs.asdict(value).items() if name not in skipped}
    if isinstance(value, dict):
        return {key: _plain(item, left_out) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, left_out) for item in value]
    if isinstance(value, Decimal):
        return "0" if value == 0 else format(value.normalize(EXACT), "f")
    return value.isoformat() if isinstance(value, date) else value
