"""The configuration as frozen structs, one per YAML section; defaults are visible here and nowhere else.

Money and limits are Decimals, dates are UTC midnights. Look names up by the methods of `CoreConfig`: they accept every
spelling and raise `ConfigError` with the known names.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field

from dudzian_daemon.config import lookup
from dudzian_daemon.config.alerts import Alerts
from dudzian_daemon.config.fields import (
    Amount,
    Asset,
    Channel,
    Count,
    Days,
    DottedName,
    FeeRate,
    Fraction,
    Granularity,
    Host,
    InputPath,
    Label,
    Leverage,
    Multiple,
    Name,
    OutputPath,
    Permission,
    Positive,
    PositiveFraction,
    Scalar,
    Scope,
    Seconds,
    Section,
    Symbol,
    Text,
    Variable,
    Version,
    about,
)
from dudzian_daemon.config.universe import Credential, Funding, InstrumentEntry
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, FundingTerms, Instrument

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


class Capital(Section, frozen=True, kw_only=True):
    """What a strategy or profile may say of the account it wants to start with; only amounts above 0 count."""

    paper_balance: Annotated[Amount | None, about("opening cash in the valuation asset")] = None
    paper_capital: Annotated[Amount | None, about("the same, if `paper_balance` says nothing")] = None
    initial_balance: Annotated[Amount | None, about("the same, after those")] = None
    starting_balance: Annotated[Amount | None, about("the same, after those")] = None
    max_position_usd: Annotated[Amount | None, about("largest position; over `max_position_pct` it gives an opening cash")] = None


class FeeEntry(Section, frozen=True, kw_only=True):
    """What a venue charges from a day on."""

    valid_from: Annotated[date, about("first day, UTC")]
    maker: Annotated[FeeRate, about("fee of a resting order, share of its value; below 0: rebate")]
    taker: Annotated[FeeRate, about("fee of an order that takes, as a share of its value")]
    source: Annotated[Text, about("where the rates are from, and when they were read")] = ""


class PresetEntry(Section, frozen=True, kw_only=True):
    """What the simulator assumes where the data is silent; docs/reference/simulator.md describes each number."""

    description: Annotated[Text, about("one line for people")] = ""
    slippage_bps: Annotated[Multiple, about("slippage against the taker, in basis points")] = Decimal(5)
    latency_ms: Annotated[int, Meta(ge=0, le=60_000, description="time an order needs to the venue, in milliseconds")] = 0
    quote_depth: Annotated[Multiple, about("what can be had at a quote's price, as a multiple of the size it displays")] = Decimal(1)
    open_volume_share: Annotated[Multiple, about("most an order takes of an open print, as a share of the last bar's volume")] = Decimal(
        "0.1"
    )
    bar_volume_share: Annotated[Multiple, about("most that is filled inside a bar, as a share of its volume")] = Decimal("0.1")
    memory_ms: Annotated[int, Meta(ge=0, le=86_400_000, description="time in which what we took of a price level comes back")] = 10_000
    touch_fills: Annotated[bool, about("true: a bar that only touches a limit price fills it; false: it must trade through")] = True
    venue_fees: Annotated[dict[Name, tuple[FeeEntry, ...]], about("fees by venue, oldest first; else paper_trading's")] = field(
        default_factory=dict
    )


def shipped_presets() -> dict[str, PresetEntry]:
    """The presets of a configuration that lists none."""
    return {
        "candle_default": PresetEntry(),
        "quote_default": PresetEntry(slippage_bps=Decimal(1), latency_ms=100),
        "optimistic": PresetEntry(
            slippage_bps=Decimal(0),
            quote_depth=Decimal(5),
            open_volume_share=Decimal(1),
            bar_volume_share=Decimal(1),
            memory_ms=0,
        ),
        "pessimistic": PresetEntry(
            slippage_bps=Decimal(15),
            latency_ms=500,
            quote_depth=Decimal("0.5"),
            open_volume_share=Decimal("0.025"),
            bar_volume_share=Decimal("0.025"),
            memory_ms=60_000,
            touch_fills=False,
        ),
    }


class PaperTrading(Section, frozen=True, kw_only=True):
    """The simulated account and venue."""

    valuation_asset: Annotated[Asset, about("asset in which equity is told")] = "USDT"
    paper_balance: Annotated[Amount | None, about("opening cash in the valuation asset, before every other source")] = None
    initial_balances: Annotated[
        Annotated[dict[Asset, Amount], Meta(min_length=1)] | None,
        about("opening cash by asset; default: 10000 of the valuation asset"),
    ] = None
    quote_assets: Annotated[tuple[Asset, ...], about("what instruments may be paid in beside the valuation asset")] = ()
    conversions: Annotated[dict[Asset, Symbol], about("pair whose price converts an asset into the valuation asset")] = field(
        default_factory=dict
    )
    ledger_directory: Annotated[OutputPath, about("folder of the ledger's daily files, below the data folder")] = "data/ledger"
    ledger_retention_days: Annotated[Days, about("days a ledger file is kept")] = 730
    ledger_fsync: Annotated[bool, about("false: ledger files are written, but not synced to the disk")] = True
    position_size: Annotated[PositiveFraction, about("share of its strategy's budget an entry takes when its signal names none")] = Decimal(
        "0.1"
    )
    allow_short: Annotated[bool, about("true: strategies may sell what they do not hold, against margin")] = False
    default_leverage: Annotated[Leverage, about("a short blocks its proceeds and 1 / leverage of them as margin")] = Decimal(1)
    preset: Annotated[Name, about("which of `execution_presets` the simulator works by")] = "candle_default"
    maker_fee: Annotated[FeeRate, about("fee of a resting order, share of its value; below 0: rebate")] = Decimal("0.0004")
    taker_fee: Annotated[FeeRate, about("fee of an order that takes, as a share of its value")] = Decimal("0.0006")
    slippage_bps: Annotated[Multiple | None, about("instead of the preset's slippage, in basis points")] = None
    latency_ms: Annotated[Annotated[int, Meta(ge=0, le=60_000)] | None, about("instead of the preset's latency, in milliseconds")] = None
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1, description="seed of everything drawn by chance")] = 0


class PaperOverride(Section, frozen=True, kw_only=True):
    """What an environment changes of the top section `paper_trading`; a key left out is inherited."""

    valuation_asset: Annotated[Asset | None, about("see `paper_trading`")] = None
    paper_balance: Annotated[Amount | None, about("see `paper_trading`")] = None
    quote_assets: Annotated[tuple[Asset, ...] | None, about("see `paper_trading`")] = None
    conversions: Annotated[dict[Asset, Symbol] | None, about("replaces the whole map")] = None
    ledger_directory: Annotated[OutputPath | None, about("see `paper_trading`")] = None
    ledger_retention_days: Annotated[Days | None, about("see `paper_trading`")] = None
    ledger_fsync: Annotated[bool | None, about("see `paper_trading`")] = None
    initial_balances: Annotated[Annotated[dict[Asset, Amount], Meta(min_length=1)] | None, about("replaces the whole map")] = None
    position_size: Annotated[PositiveFraction | None, about("see `paper_trading`")] = None
    allow_short: Annotated[bool | None, about("see `paper_trading`")] = None
    default_leverage: Annotated[Leverage | None, about("see `paper_trading`")] = None
    preset: Annotated[Name | None, about("see `paper_trading`")] = None
    maker_fee: Annotated[FeeRate | None, about("see `paper_trading`")] = None
    taker_fee: Annotated[FeeRate | None, about("see `paper_trading`")] = None
    slippage_bps: Annotated[Multiple | None, about("see `paper_trading`")] = None
    latency_ms: Annotated[Annotated[int, Meta(ge=0, le=60_000)] | None, about("see `paper_trading`")] = None
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**53 - 1)] | None, about("see `paper_trading`")] = None


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


class Strategy(Capital, frozen=True, kw_only=True):
    """A strategy plugin with its parameters."""

    description: Annotated[Text, about("one line for people")] = ""
    plugin: Annotated[Name, about("file in plugins/strategies, without .py")]
    parameters: Annotated[dict[Name, Scalar], about("the plugin's `Params`")] = field(default_factory=dict)
    max_position_pct: Annotated[Fraction | None, about("share of the account that `max_position_usd` is")] = None


class Controller(Section, frozen=True, kw_only=True):
    """How often a single-strategy run ticks."""

    tick_seconds: Annotated[Seconds, about("seconds between two ticks")]
    interval: Annotated[Granularity, about("candles it decides on")]


#: Shorts below this share of their value are closed, by the name of the risk profile, if it says nothing itself.
MAINTENANCE_MARGINS: Final = MappingProxyType({"conservative": Decimal("0.30"), "balanced": Decimal("0.20"), "aggressive": Decimal("0.10")})
MAINTENANCE_MARGIN: Final = Decimal("0.25")


class RiskProfile(Capital, frozen=True, kw_only=True):
    """Limits of the risk gate. A limit of 0 allows nothing."""

    notional_capital: Annotated[Amount | None, about("opening cash, after the other names")] = None
    maintenance_margin_pct: Annotated[
        Fraction | None,
        about("a short below this share of its value is closed; default: 0.30 conservative, 0.20 balanced, 0.10 aggressive, else 0.25"),
    ] = None
    description: Annotated[Text, about("one line for people")] = ""
    backtest_only: Annotated[bool, about("true: no environment and no schedule may use it")] = False
    max_daily_loss_pct: Annotated[Fraction, about("loss of a UTC day, as a share of its first equity")]
    max_position_pct: Annotated[Fraction, about("one position, as a share of equity")]
    target_volatility: Annotated[Multiple, about("risk budget of a position with a stop, as a share of equity")]
    max_leverage: Annotated[Multiple, about("longs and shorts together, as a multiple of equity")]
    max_net_exposure: Annotated[Multiple | None, about("longs alone and shorts alone, as a multiple of equity; default: max_leverage")] = (
        None
    )
    stop_loss_atr_multiple: Annotated[Multiple, about("least distance of a declared stop, in ATR")]
    catastrophe_stop_pct: Annotated[
        Fraction, about("loss at which a directional position without a stop of its own is closed, as a share of its cost")
    ] = Decimal("0.2")
    max_open_positions: Annotated[Count, about("positions open at one time")]
    hard_drawdown_pct: Annotated[Fraction, about("fall from the highest equity, as a share of it")]
    data_quality: Annotated[DataQuality, about("completeness of data")] = DataQuality()
    strategy_allocations: Annotated[dict[Name, Fraction], about("share of equity per strategy, or of `manual_override`")] = field(
        default_factory=dict
    )


class InstrumentBucket(Section, frozen=True, kw_only=True):
    """A group of instruments with limits of its own."""

    symbols: Annotated[tuple[Symbol, ...], Meta(min_length=1, description="members, from instruments.yaml")]
    max_position_pct: Annotated[Fraction, about("one position, as a share of equity")]
    max_notional_usd: Annotated[Amount, about("all positions together, in US dollars")]
    tags: Annotated[tuple[Name, ...], about("words to find it by")] = ()


class DecisionLog(Section, frozen=True, kw_only=True):
    """The signed decision log, a projection of the journal."""

    path: Annotated[OutputPath, about("folder, below the data folder")] = "logs/decision_journal"
    signing_key_id: Annotated[Label, about("name of the signing key; never the key itself")] = "risk-ci"
    signing_key_path: Annotated[InputPath | None, about("file with the key; default: the keychain")] = None
    algorithm: Annotated[Literal["HMAC-SHA256"], about("signature algorithm")] = "HMAC-SHA256"


class PreTrade(Section, frozen=True, kw_only=True):
    """Controls of every opening order, whoever sends it. A limit of 0 allows nothing."""

    price_collar_bps: Annotated[
        Annotated[Decimal, Meta(extra_json_schema={"minimum": 0, "maximum": 1_000_000})],
        about("farthest a price of an order may be from the last price, in basis points"),
    ] = Decimal(1000)
    max_order_value: Annotated[Amount, about("largest value of one order, in the valuation asset")] = Decimal(250_000)
    max_order_quantity: Annotated[Amount, about("largest quantity of one order, in what is traded")] = Decimal(10_000_000)
    strategy_orders_per_second: Annotated[Count, about("orders of one strategy within a second of input time")] = 20
    strategy_orders_per_minute: Annotated[Count, about("orders of one strategy within a minute of input time")] = 120
    total_orders_per_second: Annotated[Count, about("all orders within a second of input time")] = 60
    total_orders_per_minute: Annotated[Count, about("all orders within a minute of input time")] = 360
    duplicate_window_seconds: Annotated[
        int, Meta(ge=0, le=86_400, description="an equal order within this time is a duplicate; 0: only equal client ids are")
    ] = 5
    repeated_executions: Annotated[Count, about("fills in one direction without a new signal")] = 100
    max_reference_bars: Annotated[Count, about("oldest price to judge an order by, in candles of its instrument")] = 2
    max_reference_age_seconds: Annotated[Seconds, about("oldest price to judge an order by, in seconds, however long the candles")] = (
        172_800
    )


class Risk(Section, frozen=True, kw_only=True):
    """Risk settings that belong to no single profile."""

    pre_trade: Annotated[PreTrade, about("controls of single orders")] = PreTrade()
    decision_log: Annotated[DecisionLog, about("signed decision log")] = DecisionLog()
    instrument_buckets: Annotated[dict[Name, InstrumentBucket], about("groups of instruments by name")] = field(default_factory=dict)


class Schedule(Section, frozen=True, kw_only=True):
    """When one strategy decides, on what, and under which limits."""

    strategy: Annotated[Name, about("which of `strategies`")]
    instrument_bucket: Annotated[Name, about("which of risk.instrument_buckets")]
    venues: Annotated[tuple[Name, ...], about("venues of each instrument, one a leg; empty: the environment's exchange")] = ()
    risk_profile: Annotated[Name, about("which of `risk_profiles`")]
    interval: Annotated[Granularity, about("candles it decides on")]
    cadence_seconds: Annotated[Seconds, about("seconds between two decisions, on a grid of UTC")]
    max_drift_seconds: Annotated[Seconds, about("a decision later than this is reported")] = 60
    warmup_bars: Annotated[Count, about("candles before the first decision; the strategy may need more")] = 0
    max_signals: Annotated[Positive, about("signals taken from one decision")] = 10
    priority: Annotated[int, Meta(ge=0, le=1_000_000, description="order of schedules due at one instant, lowest first")] = 100


class AccessToken(Section, frozen=True, kw_only=True):
    """A token that may control a running scheduler: where it is kept and what it is good for; never the token itself."""

    token_id: Annotated[Label, about("its name in commands, and the name of its keychain entry")] = "scheduler-local"
    token_env: Annotated[Variable, about("environment variable that holds it; it goes before the keychain")] = "CORE_SCHEDULER_TOKEN"
    scopes: Annotated[tuple[Scope, ...], about("what it allows")] = ("runtime.schedule.read", "runtime.schedule.write")


class Scheduler(Section, frozen=True, kw_only=True):
    """A set of schedules that run together."""

    telemetry_namespace: Annotated[DottedName, about("prefix of its telemetry")] = "runtime.multi_strategy"
    decision_log_category: Annotated[DottedName, about("category of its decisions in the log")] = "runtime.scheduler"
    health_check_interval: Annotated[Seconds, about("seconds between two health reports")] = 120
    rbac_tokens: Annotated[tuple[AccessToken, ...], about("tokens that may control it; empty: the owner of the data folder may")] = ()
    schedules: Annotated[dict[Name, Schedule], Meta(min_length=1, description="its schedules by name")]


class KillSwitchToken(Section, frozen=True, kw_only=True):
    """The token of `POST /kill-switch`: where it is kept; never the token itself."""

    token_id: Annotated[Label, about("the name of its keychain entry")] = "kill-switch"
    token_env: Annotated[Variable, about("environment variable that holds it; it goes before the keychain")] = "DUDZIAN_KILL_SWITCH_TOKEN"


class MetricsHttp(Section, frozen=True, kw_only=True):
    """The Prometheus and health endpoint, and the kill switch by HTTP."""

    enabled: Annotated[bool, about("false: no port is opened")] = True
    host: Annotated[Host, about("address to listen on; keep it on loopback")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="TCP port; 0 lets the system choose")] = 9108
    kill_switch_token: Annotated[KillSwitchToken | None, about("token of `POST /kill-switch`; none: there is no such endpoint")] = None


class ResourceLimits(Section, frozen=True, kw_only=True):
    """Budgets of the process; passing one is an alert, never a stop."""

    cpu_percent: Annotated[float, Meta(gt=0, le=100_000, description="of one core")] = 65.0
    memory_mb: Annotated[float, Meta(gt=0, le=10_000_000, description="resident memory, in MB")] = 2048.0
    io_read_mb_s: Annotated[float, Meta(gt=0, le=1_000_000, description="reading, in MB per second")] = 120.0
    io_write_mb_s: Annotated[float, Meta(gt=0, le=1_000_000, description="writing, in MB per second")] = 80.0
    headroom_warning_threshold: Annotated[float, Meta(gt=0, le=1, description="share of a budget at which to warn")] = 0.8


class WatchdogLimits(Section, frozen=True, kw_only=True):
    """When a strategy's call is named, when the process ends for it and a restart quarantines it, and what its calls may take together."""

    warn_seconds: Annotated[float, Meta(ge=0.05, le=600, description="it is named with its stack after this, and a fifth of a second")] = (
        0.5
    )
    limit_seconds: Annotated[float, Meta(ge=0.1, le=3_600, description="the process ends after this; more than `warn_seconds`")] = 30.0
    budget_seconds: Annotated[
        float, Meta(ge=0.1, le=60, description="of the last minute in calls of a fifth of a second or more: it is quarantined after this")
    ] = 20.0


class JournalFiles(Section, frozen=True, kw_only=True):
    """The files of a session's journal; nothing of what they say depends on them."""

    segment_lines: Annotated[int, Meta(ge=10, le=1_000_000, description="lines of a segment; it ends with the day (UTC) in any case")] = (
        50_000
    )
    tape_mb_per_day: Annotated[
        float,
        Meta(
            gt=0, le=1_000_000, description="MB that quotes and books may put on record in a day of the market; beyond, the latest of each"
        ),
    ] = 500.0


class Runtime(Section, frozen=True, kw_only=True):
    """What runs in the process."""

    multi_strategy_schedulers: Annotated[dict[Name, Scheduler], about("schedulers by name")] = field(default_factory=dict)
    metrics_http: Annotated[MetricsHttp, about("metrics and health endpoint")] = MetricsHttp()
    resource_limits: Annotated[ResourceLimits, about("budgets of the process")] = ResourceLimits()
    watchdog: Annotated[WatchdogLimits, about("limits of a strategy's call")] = WatchdogLimits()
    journal: Annotated[JournalFiles, about("files of the journal")] = JournalFiles()


class StopBudgets(Section, frozen=True, kw_only=True):
    """Seconds each stage of a stop may take before it is named as overrun."""

    feed: Annotated[float, Meta(gt=0, le=60, description="feeds and scheduler")] = 1.0
    cycle: Annotated[float, Meta(gt=0, le=60, description="the cycle that runs")] = 2.0
    close_positions: Annotated[float, Meta(gt=0, le=60, description="closing paper positions")] = 2.0
    sinks: Annotated[float, Meta(gt=0, le=60, description="draining sinks")] = 2.0
    report: Annotated[float, Meta(gt=0, le=60, description="final report and state")] = 2.0
    adapters: Annotated[float, Meta(gt=0, le=60, description="closing files and connections")] = 1.0


class Shutdown(Section, frozen=True, kw_only=True):
    """How a stop goes."""

    close_positions: Annotated[
        Literal["operator", "always", "never"],
        about("operator: a person's stop closes paper positions, a service manager's keeps them"),
    ] = "operator"
    budgets_seconds: Annotated[StopBudgets, about("time per stage, in seconds")] = StopBudgets()


class Mail(Section, frozen=True, kw_only=True):
    """How the daily report is mailed; never the password itself."""

    host: Annotated[Host, about("SMTP server")]
    port: Annotated[int, Meta(ge=1, le=65_535, description="TCP port; 465 is taken as TLS from the first byte")] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"], about("none: only for a server on this machine; its certificate is checked otherwise")
    ] = "starttls"
    sender: Annotated[Text, about("address in From")]
    recipients: Annotated[tuple[Text, ...], Meta(min_length=1, description="addresses in To")]
    user: Annotated[Text | None, about("user name; none: no login")] = None
    password_env: Annotated[Variable, about("environment variable that holds the password; it goes before the keychain")] = (
        "DUDZIAN_SMTP_PASSWORD"
    )
    password_id: Annotated[Label, about("the name of the password's keychain entry")] = "smtp-report"
    timeout_seconds: Annotated[Seconds, about("seconds to wait for the server")] = 30


class Retention(Section, frozen=True, kw_only=True):
    """How long what is written stays where it was written, and how long it is kept in the archive at least."""

    hot_days: Annotated[Days, about("days after which logs and journals are compressed and moved to the archive")] = 30
    archive_months: Annotated[int, Meta(ge=24, le=1200, description="months an archived report or smoke run is kept at least")] = 24
    record_days: Annotated[
        int, Meta(ge=730, le=36_500, description="days an archived journal, decision log or ledger is kept at least")
    ] = 730
    archive_path: Annotated[OutputPath, about("folder of the archive, below the data folder")] = "audit/archive"


class Reporting(Section, frozen=True, kw_only=True):
    """Reports: who gets them, and how long they are kept."""

    mail: Annotated[Mail | None, about("mailing of the daily report; none: not mailed")] = None
    age_recipients: Annotated[tuple[Text, ...], about("age public keys (age1...) that reports are encrypted to")] = ()
    timezone: Annotated[Text, about("time zone of local times in reports")] = "UTC"
    retention: Annotated[Retention, about("how long what is written is kept")] = Retention()


class Logging(Section, frozen=True, kw_only=True):
    """The runtime log."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], about("least severity written")] = "INFO"
    format: Annotated[Literal["auto", "console", "json"], about("of stderr; auto: console on a terminal, else json")] = "auto"
    file_format: Annotated[Literal["json", "console"], about("of the log file; console: for people")] = "json"
    file_mb: Annotated[int, Meta(ge=1, le=1024, description="a log file is rotated at this size, in MiB")] = 16
    files_kept: Annotated[int, Meta(ge=1, le=99, description="rotated files that are kept: NAME.log.1 is the newest")] = 5


class CoreConfig(Section, frozen=True, kw_only=True):
    """The whole configuration: core.yaml, the instruments of instruments.yaml and the credentials/ folder."""

    version: Annotated[Version, about("version of the file format")]
    default_environment: Annotated[Name, about("environment of a command that names none; an alias will do")]
    environments: Annotated[dict[Name, Environment], Meta(min_length=1, description="environments by name")]
    strategies: Annotated[dict[Name, Strategy], about("strategies by name")] = field(default_factory=dict)
    controllers: Annotated[dict[Name, Controller], about("controllers by name")] = field(default_factory=dict)
    risk_profiles: Annotated[dict[Name, RiskProfile], Meta(min_length=1, description="risk profiles by name")]
    risk: Annotated[Risk, about("decision log and buckets")] = Risk()
    paper_trading: Annotated[PaperTrading, about("simulated account and venue")] = PaperTrading()
    execution_presets: Annotated[
        dict[Name, PresetEntry], Meta(min_length=1, description="assumptions of the simulator by name; default: those that ship")
    ] = field(default_factory=shipped_presets)
    runtime: Annotated[Runtime, about("what runs in the process")] = Runtime()
    shutdown: Annotated[Shutdown, about("how a stop goes")] = Shutdown()
    logging: Annotated[Logging, about("runtime log")] = Logging()
    alerts: Annotated[Alerts, about("who is told what; alerts.yaml beside core.yaml goes before it")] = Alerts()
    reporting: Annotated[Reporting, about("reports and how long things are kept")] = Reporting()
    instruments: Annotated[dict[Name, InstrumentEntry], about("read from instruments.yaml")] = field(default_factory=dict)
    credentials: Annotated[dict[Name, Credential], about("read from credentials/<environment>.yaml")] = field(default_factory=dict)

    def environment_id(self, name: str | None = None) -> str:
        """The environment's own name for a name or an alias; None means the default environment."""
        wanted = name or self.default_environment
        aliases = {alias: key for key, entry in self.environments.items() for alias in entry.aliases}
        return aliases.get(wanted) or lookup.known("environment", wanted, self.environments, also=aliases)

    def environment(self, name: str | None = None) -> Environment:
        """The environment with that name or alias; None means the default one."""
        return self.environments[self.environment_id(name)]

    def artifact_name(self, environment: str | None = None) -> str:
        """Name of the environment in files and folders it writes."""
        key = self.environment_id(environment)
        return self.environments[key].artifact_name or key

    def paper(self, environment: str | None = None) -> PaperTrading:
        """The simulated account of an environment: its own settings over the common ones, slippage and latency over the preset's."""
        own = self.environment(environment).paper_trading
        changes = {} if own is None else {key: value for key, value in msgspec.structs.asdict(own).items() if value is not None}
        merged = msgspec.structs.replace(self.paper_trading, **changes)
        preset = self.preset(merged.preset)
        return msgspec.structs.replace(
            merged,
            slippage_bps=preset.slippage_bps if merged.slippage_bps is None else merged.slippage_bps,
            latency_ms=preset.latency_ms if merged.latency_ms is None else merged.latency_ms,
        )

    def preset(self, name: str) -> PresetEntry:
        """The execution preset of that name."""
        return self.execution_presets[lookup.known("execution preset", name, self.execution_presets)]

    def data_quality(self, environment: str | None = None) -> DataQuality:
        """Completeness rules of an environment, its risk profile's when it has none."""
        chosen = self.environment(environment)
        return chosen.data_quality or self.profile(chosen.risk_profile).data_quality

    def profile(self, name: str) -> RiskProfile:
        """The risk profile of that name."""
        return self.risk_profiles[lookup.known("risk profile", name, self.risk_profiles)]

    def strategy(self, name: str) -> Strategy:
        """The strategy of that name."""
        return self.strategies[lookup.known("strategy", name, self.strategies)]

    def controller(self, name: str) -> Controller:
        """The controller of that name."""
        return self.controllers[lookup.known("controller", name, self.controllers)]

    def scheduler(self, name: str) -> Scheduler:
        """The scheduler of that name."""
        return self.runtime.multi_strategy_schedulers[lookup.known("scheduler", name, self.runtime.multi_strategy_schedulers)]

    def bucket(self, name: str) -> InstrumentBucket:
        """The instrument bucket of that name."""
        return self.risk.instrument_buckets[lookup.known("instrument bucket", name, self.risk.instrument_buckets)]

    def instrument(self, symbol: str, venue: str) -> Instrument:
        """The instrument with the venue's rules; `symbol` as BTC_USDT, BTC/USDT, BTCUSDT or the venue's own, in any case."""
        key = lookup.instrument_key(symbol, self.instruments, venue)
        entry = self.instruments[key]
        rules = entry.venues[lookup.known(f"venue of {key}", venue, entry.venues)]
        return Instrument(
            venue=venue,
            symbol=f"{entry.base}/{entry.quote}",
            base=entry.base,
            quote=entry.quote,
            tick_size=rules.tick_size,
            lot_size=rules.lot_size,
            min_quantity=rules.min_quantity,
            min_notional=rules.min_notional,
            funding=None if rules.funding is None else _funding_terms(rules.funding),
        )

    def universe(self, environment: str | None = None) -> tuple[Instrument, ...]:
        """The instruments an environment may trade, in the order they are written."""
        chosen = self.environment(environment)
        wanted = chosen.instrument_universe or tuple(key for key, entry in self.instruments.items() if chosen.exchange in entry.venues)
        return tuple(self.instrument(symbol, chosen.exchange) for symbol in wanted)


def _funding_terms(funding: Funding) -> FundingTerms:
    rates = tuple((midnight_ns(each.valid_from) + each.hour * HOUR_NS, each.rate) for each in funding.rates)
    return FundingTerms(funding.interval_hours * HOUR_NS, funding.rate, rates)
