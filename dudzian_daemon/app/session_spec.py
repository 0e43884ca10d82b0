"""From the configuration to a `SessionSpec`: names become values, once, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.config.schema import CoreConfig, Environment, RiskProfile
from dudzian_daemon.config.schema import Schedule as ScheduleConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.fees import ExecutionPreset
from dudzian_daemon.domain.market import SECOND_NS, Instrument
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.risk import RiskLimits
from dudzian_daemon.trading.spec import Schedule, SessionSpec

_MILLISECOND_NS = 1_000_000


def strategies_of(config: CoreConfig, environment: str) -> list[str]:
    """Names of the strategies the environment's schedules run."""
    scheduler = config.scheduler(config.environment(environment).scheduler)
    return sorted({schedule.strategy for schedule in scheduler.schedules.values()})


def session_spec(config: CoreConfig, environment: str, strategies: Mapping[str, Strategy]) -> SessionSpec:
    """What the environment's session is made of. Raises `ConfigError` on what only shows when names meet."""
    chosen = config.environment(environment)
    paper = config.paper(environment)
    scheduler = config.scheduler(chosen.scheduler)
    instruments: dict[str, Instrument] = {}
    schedules = []
    for name, entry in scheduler.schedules.items():
        venues = entry.venues or (chosen.exchange,)
        symbols = config.bucket(entry.instrument_bucket).symbols
        members = [_instrument(config, chosen, symbol, venue) for symbol in symbols for venue in venues]
        _require_legs(name, entry, strategies[entry.strategy], len(venues))
        instruments |= {member.key: member for member in members}
        schedules.append(_schedule(name, entry, config.profile(entry.risk_profile), members, paper.position_size))
    _require_one_owner(schedules)
    _require_valuation(instruments, paper.valuation_asset)
    return SessionSpec(
        instruments=instruments,
        schedules=tuple(schedules),
        strategies={name: strategies[name] for name in sorted({schedule.strategy for schedule in schedules})},
        profiles={name: limits(name, config.profile(name)) for name in sorted({schedule.profile for schedule in schedules})},
        preset=ExecutionPreset(
            name=paper.preset,
            maker_fee=paper.maker_fee,
            taker_fee=paper.taker_fee,
            slippage_bps=paper.slippage_bps,
            latency_ns=paper.latency_ms * _MILLISECOND_NS,
        ),
        valuation_asset=paper.valuation_asset,
        opening_balance=paper.initial_balances.get(paper.valuation_asset, Decimal(0)),
        allow_short=paper.allow_short,
        leverage=paper.default_leverage,
    )


def limits(name: str, profile: RiskProfile) -> RiskLimits:
    """The profile's limits as the gate enforces them."""
    return RiskLimits(
        name=name,
        max_daily_loss_pct=profile.max_daily_loss_pct,
        max_position_pct=profile.max_position_pct,
        max_leverage=profile.max_leverage,
        max_open_positions=profile.max_open_positions,
        hard_drawdown_pct=profile.hard_drawdown_pct,
    )


def _schedule(name: str, entry: ScheduleConfig, profile: RiskProfile, members: list[Instrument], position_size: Decimal) -> Schedule:
    allocations = profile.strategy_allocations
    return Schedule(
        name=name,
        strategy=entry.strategy,
        instruments=tuple(member.key for member in members),
        granularity=entry.interval,
        cadence_ns=entry.cadence_seconds * SECOND_NS,
        profile=entry.risk_profile,
        allocation=allocations.get(entry.strategy, Decimal(0)) if allocations else Decimal(1),
        position_size=position_size,
        max_signals=entry.max_signals,
        priority=entry.priority,
    )


def _instrument(config: CoreConfig, environment: Environment, symbol: str, venue: str) -> Instrument:
    """The instrument at a real venue, or at a derived one with the rules of its source."""
    derived = environment.derived_venues.get(venue)
    if derived is None:
        return config.instrument(symbol, venue)
    return msgspec.structs.replace(config.instrument(symbol, derived.source), venue=venue, synthetic=True)


def _require_legs(name: str, entry: ScheduleConfig, strategy: Strategy, venues: int) -> None:
    if strategy.legs != venues:
        msg = (
            f"schedule {name!r}: strategy {entry.strategy!r} trades {strategy.legs} instrument(s) together, "
            f"found {venues} venue(s); give `venues` as many names as it has legs"
        )
        raise ConfigError(msg)


def _require_one_owner(schedules: list[Schedule]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for schedule in schedules:
        for instrument in schedule.instruments:
            other = owners.setdefault((schedule.strategy, instrument), schedule.name)
            if other != schedule.name:
                msg = (
                    f"schedules {other!r} and {schedule.name!r} both run strategy {schedule.strategy!r} on {instrument}; "
                    "give one of them a strategy entry of its own, so that each position has one owner"
                )
                raise ConfigError(msg)


def _require_valuation(instruments: Mapping[str, Instrument], asset: str) -> None:
    for instrument in instruments.values():
        if instrument.quote != asset:
            msg = f"{instrument.key} is paid in {instrument.quote}, but equity is told in {asset}; use instruments quoted in {asset}"
            raise ConfigError(msg)
