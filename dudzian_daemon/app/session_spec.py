"""From the configuration to a `SessionSpec`: names become values, once, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.app.balances import Opening, opening
from dudzian_daemon.config.environment import Environment, midnight_ns
from dudzian_daemon.config.paper import PaperTrading, PresetEntry
from dudzian_daemon.config.risk import MAINTENANCE_MARGIN, MAINTENANCE_MARGINS, PreTrade, RiskProfile
from dudzian_daemon.config.runtime import Schedule as ScheduleConfig
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.fees import ExecutionPreset, FeePeriod
from dudzian_daemon.domain.market import SECOND_NS, Instrument
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.risk import BucketLimits, OrderControls, RiskLimits
from dudzian_daemon.trading.spec import MANUAL, MANUAL_BUCKET, Schedule, SessionSpec

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
    account = opening(config, environment)
    conversions = _conversions(config, chosen, paper, instruments, account)
    return SessionSpec(  # in an order that is not that of the file: equal rules make equal sessions
        instruments=dict(sorted(instruments.items())),
        schedules=tuple(sorted(schedules, key=lambda schedule: schedule.name)),
        strategies={name: strategies[name] for name in sorted({schedule.strategy for schedule in schedules})},
        profiles=_profiles(config, schedules),
        buckets=_buckets(config, schedules),
        controls=order_controls(config.risk.pre_trade),
        preset=execution_preset(paper, config.preset(paper.preset)),
        valuation_asset=paper.valuation_asset,
        opening_balance=account.balances[paper.valuation_asset],
        other_balances={asset: amount for asset, amount in account.balances.items() if asset != paper.valuation_asset},
        opening_source=account.source,
        conversions=conversions,
        allow_short=paper.allow_short,
        leverage=paper.default_leverage,
    )


def execution_preset(paper: PaperTrading, entry: PresetEntry) -> ExecutionPreset:
    """What the simulator works by: the preset, with what the account says of fees, slippage and latency."""
    return ExecutionPreset(
        name=paper.preset,
        maker_fee=paper.maker_fee,
        taker_fee=paper.taker_fee,
        slippage_bps=entry.slippage_bps if paper.slippage_bps is None else paper.slippage_bps,
        latency_ns=(entry.latency_ms if paper.latency_ms is None else paper.latency_ms) * _MILLISECOND_NS,
        venue_fees={
            venue: tuple(FeePeriod(valid_from=midnight_ns(fee.valid_from), maker=fee.maker, taker=fee.taker) for fee in fees)
            for venue, fees in entry.venue_fees.items()
        },
        quote_depth=entry.quote_depth,
        open_volume_share=entry.open_volume_share,
        bar_volume_share=entry.bar_volume_share,
        memory_ns=entry.memory_ms * _MILLISECOND_NS,
        touch_fills=entry.touch_fills,
    )


def limits(name: str, profile: RiskProfile) -> RiskLimits:
    """The profile's limits as the gate enforces them."""
    return RiskLimits(
        name=name,
        max_daily_loss_pct=profile.max_daily_loss_pct,
        max_position_pct=profile.max_position_pct,
        target_volatility=profile.target_volatility,
        max_leverage=profile.max_leverage,
        max_net_exposure=profile.max_leverage if profile.max_net_exposure is None else profile.max_net_exposure,
        stop_loss_atr_multiple=profile.stop_loss_atr_multiple,
        catastrophe_stop_pct=profile.catastrophe_stop_pct,
        max_open_positions=profile.max_open_positions,
        hard_drawdown_pct=profile.hard_drawdown_pct,
        maintenance_margin_pct=_maintenance(name, profile),
    )


def order_controls(section: PreTrade) -> OrderControls:
    """The controls of single orders as the gate applies them."""
    return OrderControls(
        price_collar_bps=section.price_collar_bps,
        max_order_value=section.max_order_value,
        max_order_quantity=section.max_order_quantity,
        strategy_orders_per_second=section.strategy_orders_per_second,
        strategy_orders_per_minute=section.strategy_orders_per_minute,
        total_orders_per_second=section.total_orders_per_second,
        total_orders_per_minute=section.total_orders_per_minute,
        duplicate_window_ns=section.duplicate_window_seconds * SECOND_NS,
        repeated_executions=section.repeated_executions,
        max_reference_bars=section.max_reference_bars,
        max_reference_age_ns=section.max_reference_age_seconds * SECOND_NS,
    )


def _profiles(config: CoreConfig, schedules: list[Schedule]) -> dict[str, RiskLimits]:
    """Those of the schedules, and the one of orders by hand if there is one."""
    names = {schedule.profile for schedule in schedules} | ({MANUAL} & set(config.risk_profiles))
    return {name: limits(name, config.profile(name)) for name in sorted(names)}


def _buckets(config: CoreConfig, schedules: list[Schedule]) -> dict[str, BucketLimits]:
    """Those of the schedules, and the one of orders by hand if there is one; research without limits has none."""
    names = {schedule.bucket for schedule in schedules if schedule.bucket} | ({MANUAL_BUCKET} & set(config.risk.instrument_buckets))
    found = {name: config.bucket(name) for name in sorted(names)}
    return {
        name: BucketLimits(name=name, max_position_pct=bucket.max_position_pct, max_notional=bucket.max_notional_usd)
        for name, bucket in found.items()
    }


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
        bucket="" if profile.backtest_only else entry.instrument_bucket,
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


def _maintenance(name: str, profile: RiskProfile) -> Decimal:
    own = profile.maintenance_margin_pct
    return MAINTENANCE_MARGINS.get(name, MAINTENANCE_MARGIN) if own is None else own


def _conversions(
    config: CoreConfig, environment: Environment, paper: PaperTrading, instruments: Mapping[str, Instrument], account: Opening
) -> dict[str, str]:
    """For each further asset of the account the instrument whose mark converts it. Raises `ConfigError` for one that has none."""
    valuation = paper.valuation_asset
    for instrument in instruments.values():
        if instrument.quote not in (valuation, *paper.quote_assets):
            msg = (
                f"{instrument.key} is paid in {instrument.quote}, but equity is told in {valuation}; use instruments quoted in "
                f"{valuation}, or add {instrument.quote} to paper_trading.quote_assets and name its pair in paper_trading.conversions"
            )
            raise ConfigError(msg)
    paid = {instrument.quote for instrument in instruments.values()} | set(account.balances)
    return {asset: _converting(config, environment, paper, instruments, asset) for asset in sorted(paid - {valuation})}


def _converting(
    config: CoreConfig, environment: Environment, paper: PaperTrading, instruments: Mapping[str, Instrument], asset: str
) -> str:
    symbol = paper.conversions.get(asset)
    if symbol is None:
        msg = f"paper_trading.conversions: expected a pair that converts {asset} into {paper.valuation_asset}, found none"
        raise ConfigError(msg)
    pair = config.instrument(symbol, environment.exchange)
    if {pair.base, pair.quote} != {asset, paper.valuation_asset}:
        msg = f"paper_trading.conversions.{asset}: expected a pair of {asset} and {paper.valuation_asset}, found {pair.symbol}"
        raise ConfigError(msg)
    if pair.key not in instruments:
        msg = f"paper_trading.conversions.{asset}: {pair.key} has no prices in this session; add it to the bucket of a schedule"
        raise ConfigError(msg)
    return pair.key
