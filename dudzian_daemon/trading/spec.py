"""What a session is made of, resolved: the core is built from this and nothing else, so equal specs and inputs give equal records."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset
from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import ONE
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.risk import RiskLimits


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a strategy runs, on what, with how much.

    The grid is UTC multiples of `cadence_ns`. `allocation` is the share of equity that is the strategy's budget and
    `position_size` the fraction of it that an entry without a target takes. Lower `priority` runs first.
    """

    name: str
    strategy: str
    instruments: tuple[str, ...]
    granularity: str
    cadence_ns: int
    profile: str
    allocation: Decimal
    position_size: Decimal
    max_signals: int
    priority: int = 100


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the core needs to know. Keys of `instruments` are instrument keys, of `strategies` strategy names.

    A short position blocks its proceeds and 1 / `leverage` of them as margin. A group of several legs that is not filled
    after `leg_timeout_ns` is unwound. A strategy is quarantined after `quarantine_after` recorded faults; those in
    `quarantined` start that way.
    """

    instruments: Mapping[str, Instrument]
    schedules: tuple[Schedule, ...]
    strategies: Mapping[str, Strategy]
    profiles: Mapping[str, RiskLimits]
    preset: ExecutionPreset
    valuation_asset: str
    opening_balance: Decimal
    max_decision_age_ns: int = 3_600_000_000_000
    allow_short: bool = False
    leverage: Decimal = ONE
    leg_timeout_ns: int = 30_000_000_000
    quarantine_after: int = 3
    quarantined: tuple[str, ...] = ()
