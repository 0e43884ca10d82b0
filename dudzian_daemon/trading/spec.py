"""What a session is made of, resolved: the core is built from this and nothing else, so equal specs and inputs give equal records."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.fees import ExecutionPreset
from dudzian_daemon.domain.market import GRANULARITIES, Instrument
from dudzian_daemon.domain.money import ONE, ZERO
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.domain.risk import BucketLimits, OrderControls, RiskLimits

#: Strategy, schedule and risk profile of what an operator orders by hand, and the bucket that limits it.
MANUAL: Final = "manual"
MANUAL_BUCKET: Final = "manual_override"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a strategy runs, on what, with how much.

    The grid is UTC multiples of `cadence_ns`. `allocation` is the share of equity that is the strategy's budget and
    `position_size` the fraction of it that an entry without a target takes. Lower `priority` runs first. `bucket` names the
    limits of the group its instruments belong to.
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
    bucket: str = ""


#: Under what an operator's own orders and positions are kept; it never runs.
MANUAL_SCHEDULE: Final = Schedule(
    name=MANUAL,
    strategy=MANUAL,
    instruments=(),
    granularity="1d",
    cadence_ns=GRANULARITIES["1d"],
    profile=MANUAL,
    allocation=ZERO,
    position_size=ZERO,
    max_signals=0,
    bucket=MANUAL_BUCKET,
)


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the core needs to know. Keys of `instruments` are instrument keys, of `strategies` strategy names.

    The account opens with `opening_balance` of the valuation asset and `other_balances` by asset, chosen by `opening_source`;
    `conversions` names the instrument whose mark converts each further asset.

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
    other_balances: Mapping[str, Decimal] = {}
    opening_source: str = "opening"
    conversions: Mapping[str, str] = {}
    buckets: Mapping[str, BucketLimits] = {}
    controls: OrderControls = OrderControls()
