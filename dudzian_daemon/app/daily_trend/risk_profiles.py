"""The risk profiles for an audit: limits, data quality, who uses them, and the road a change of them has to take."""

from __future__ import annotations

from typing import Any

import msgspec

from dudzian_daemon.app.daily_trend.runtime_plan import profile_facts
from dudzian_daemon.config.references import MANUAL
from dudzian_daemon.config.risk import RiskProfile
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError

#: A change is tried on stored candles, then on paper; what would come after is not built.
PIPELINE = ("demo", "paper", "live")


class RiskProfiles(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.risk_profiles/1`."""

    schema: str = "dudzian.risk_profiles/1"
    environment: str
    environment_found: bool
    environment_profile: str | None
    available_profiles: tuple[str, ...]
    profiles: dict[str, dict[str, Any]]
    environments: dict[str, str]


def risk_profiles(config: CoreConfig, environment: str | None) -> RiskProfiles:
    """All profiles; an environment that there is not is told, and hides nothing."""
    try:
        name, found = config.environment_id(environment), True
    except ConfigError:
        name, found = environment or "", False
    users = {key: entry.risk_profile for key, entry in config.environments.items()}
    return RiskProfiles(
        environment=name,
        environment_found=found,
        environment_profile=users.get(name),
        available_profiles=tuple(config.risk_profiles),
        profiles={key: _profile(config, key, profile, users) for key, profile in config.risk_profiles.items()},
        environments=users,
    )


def _profile(config: CoreConfig, name: str, profile: RiskProfile, users: dict[str, str]) -> dict[str, Any]:
    by_hand = MANUAL in profile.strategy_allocations
    schedules = [
        f"{scheduler}.{key}"
        for scheduler, entry in config.runtime.multi_strategy_schedulers.items()
        for key, schedule in entry.schedules.items()
        if schedule.risk_profile == name
    ]
    return profile_facts(name, profile) | {
        "classification": "research" if profile.backtest_only else "manual" if by_hand else "trading",
        "associated_environments": [key for key, used in users.items() if used == name],
        "associated_schedules": schedules,
        "requires_manual_controls": by_hand,
        "deployment_pipeline": {"mandatory": True, "stages": PIPELINE, "built": PIPELINE[:2]},
        "notes": profile.description,
    }
