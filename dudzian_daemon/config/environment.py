"""One environment: where its market comes from, what it replays, who is told."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, field

from dudzian_daemon.config.fields import (
    Channel,
    Days,
    Fraction,
    Granularity,
    Label,
    Multiple,
    Name,
    OutputPath,
    Permission,
    Positive,
    Scalar,
    Seconds,
    Section,
    Symbol,
    Text,
    about,
)
from dudzian_daemon.config.paper import PaperOverride
from dudzian_daemon.domain.market import DAY_NS

_EPOCH = date(1970, 1, 1).toordinal()


def midnight_ns(day: date) -> int:
    """The UTC midnight at which `day` begins, in nanoseconds since 1970."""
    return (day.toordinal() - _EPOCH) * DAY_NS


class DataQuality(Section, frozen=True, kw_only=True):
    """How complete stored candles must be."""

    max_gap_minutes: Annotated[
        int, Meta(ge=0, le=10_000_000, description="longest hole in a series, in minutes; a longer one is an error")
    ] = 1440
    min_ok_ratio: Annotated[Fraction, about("smallest share of series without any finding")] = Decimal("0.9")


class ReplayWindow(Section, frozen=True, kw_only=True):
    """A stretch of stored candles to replay."""

    start: Annotated[date, about("first day, UTC")]
    end: Annotated[date, about("day after the last one, UTC; later than `start`")]
    instruments: Annotated[tuple[Symbol, ...], Meta(min_length=1, description="instruments to replay, from instruments.yaml")]
    granularity: Annotated[Granularity | None, about("only candles of this length; default: all that the schedules take")] = None

    @property
    def start_ns(self) -> int:
        """First instant of the window."""
        return midnight_ns(self.start)

    @property
    def end_ns(self) -> int:
        """First instant after the window."""
        return midnight_ns(self.end)


class Replay(Section, frozen=True, kw_only=True):
    """How stored candles are turned into a running market."""

    speed: Annotated[
        Annotated[int, Meta(ge=1, le=10**9)] | Literal["max"],
        about("seconds of market time per second of wall time, or `max`"),
    ] = 160_000
    windows: Annotated[tuple[ReplayWindow, ...], about("what to replay; empty: all candles there are")] = ()


class AlertThrottle(Section, frozen=True, kw_only=True):
    """When an alert that was already sent is suppressed."""

    window_seconds: Annotated[Seconds, about("an equal alert within this time is suppressed")] = 300
    max_entries: Annotated[Positive, about("how many sent alerts are remembered")] = 4096
    exclude_severities: Annotated[tuple[Name, ...], about("severities that are never suppressed")] = ("critical",)
    exclude_categories: Annotated[tuple[Name, ...], about("categories that are never suppressed")] = ("health",)


class AlertAudit(Section, frozen=True, kw_only=True):
    """The record of every alert sent."""

    path: Annotated[OutputPath, about("file, below the data folder")] = "logs/alerts_audit.jsonl"
    retention_days: Annotated[Days, about("days kept")] = 730


class DecisionJournal(Section, frozen=True, kw_only=True):
    """The authoritative journal of the environment's sessions."""

    path: Annotated[OutputPath, about("folder, below the data folder")] = "data/journal"
    retention_days: Annotated[Days, about("days kept")] = 730


class DerivedVenue(Section, frozen=True, kw_only=True):
    """A second venue for demonstrations: prices of a real one, moved by a declared basis. Everything from it is marked synthetic."""

    source: Annotated[Name, about("venue whose candles it is derived from")]
    basis_bps: Annotated[Multiple, about("largest distance of its prices from the source's, in basis points")] = Decimal(30)
    period_bars: Annotated[Positive, about("bars over which the basis swings")] = 12
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1, description="seed of the swings")] = 0


class Environment(Section, frozen=True, kw_only=True):
    """One way to run: which venue, which data, which account, which rules."""

    description: Annotated[Text, about("one line for people")] = ""
    enabled: Annotated[bool, about("false: may be written down but not started")] = True
    aliases: Annotated[tuple[Name, ...], about("other names of the environment")] = ()
    mode: Annotated[Literal["demo", "paper"], about("demo: sample data; paper: paper money. Live trading is not built")]
    exchange: Annotated[Name, about("venue, as named in instruments.yaml and plugins/exchanges")]
    artifact_name: Annotated[Label | None, about("its name in files and folders; default: the environment's")] = None
    candle_source: Annotated[Literal["sample", "cache"], about("sample: ships with the package; cache: data_cache_path")] = "cache"
    data_cache_path: Annotated[OutputPath | None, about("candle cache, below the data folder")] = None
    risk_profile: Annotated[Name, about("default risk profile")]
    default_strategy: Annotated[Name | None, about("strategy taken when the command names none")] = None
    default_controller: Annotated[Name | None, about("controller taken when the command names none")] = None
    scheduler: Annotated[Name, about("which of runtime.multi_strategy_schedulers runs here")]
    offline_mode: Annotated[bool, about("true: no network at all")] = True
    instrument_universe: Annotated[tuple[Symbol, ...], about("instruments allowed here; empty: all of the venue")] = ()
    data_quality: Annotated[DataQuality | None, about("instead of the risk profile's")] = None
    credential_purpose: Annotated[Name | None, about("what the credential is for")] = None
    keychain_key: Annotated[Label | None, about("name of the keychain entry; never the secret itself")] = None
    required_permissions: Annotated[tuple[Permission, ...], about("what the credential must allow")] = ()
    forbidden_permissions: Annotated[tuple[Permission, ...], about("what it must not allow")] = ("withdraw",)
    ip_allowlist: Annotated[tuple[str, ...], about("addresses or networks the credential is bound to")] = ()
    alert_channels: Annotated[tuple[Channel, ...], about("active alert channels, `type:name`")] = ()
    alert_throttle: Annotated[AlertThrottle, about("suppression of repeated alerts")] = AlertThrottle()
    alert_audit: Annotated[AlertAudit, about("record of alerts sent")] = AlertAudit()
    decision_journal: Annotated[DecisionJournal, about("where the journal lies")] = DecisionJournal()
    adapter_settings: Annotated[dict[Name, Scalar], about("handed to the exchange plugin as it stands")] = field(default_factory=dict)
    derived_venues: Annotated[dict[Name, DerivedVenue], about("synthetic second venues by name")] = field(default_factory=dict)
    replay: Annotated[Replay, about("replay of stored candles")] = Replay()
    paper_trading: Annotated[PaperOverride | None, about("differences from the top section `paper_trading`")] = None
