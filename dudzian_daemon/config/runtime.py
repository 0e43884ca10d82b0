"""What runs in the process and how it ends: schedules, ports, limits, the journal's files, logging."""

from typing import Annotated, Literal

from msgspec import Meta, field

from dudzian_daemon.config.fields import (
    Count,
    DottedName,
    Granularity,
    Host,
    InputPath,
    Label,
    Name,
    Positive,
    Scope,
    Seconds,
    Section,
    Variable,
    about,
)


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
    health_check_interval: Annotated[Seconds, about("seconds between two checks of every alert channel while it runs")] = 120
    rbac_tokens: Annotated[tuple[AccessToken, ...], about("tokens that may control it; empty: the owner of the data folder may")] = ()
    schedules: Annotated[dict[Name, Schedule], Meta(min_length=1, description="its schedules by name")]


class KillSwitchToken(Section, frozen=True, kw_only=True):
    """The token of `POST /kill-switch`: where it is kept; never the token itself."""

    token_id: Annotated[Label, about("the name of its keychain entry")] = "kill-switch"
    token_env: Annotated[Variable, about("environment variable that holds it; it goes before the keychain")] = "DUDZIAN_KILL_SWITCH_TOKEN"


class MetricsTls(Section, frozen=True, kw_only=True):
    """PEM files of an encrypted port; with `client_ca`, a client without a certificate of it is refused (mTLS)."""

    certificate: Annotated[InputPath, about("the server's certificate, the chain behind it")]
    key: Annotated[InputPath, about("its private key, without passphrase, readable by its owner only")]
    client_ca: Annotated[InputPath | None, about("who signs the clients' certificates; none: any client of this machine is answered")] = (
        None
    )


class MetricsService(Section, frozen=True, kw_only=True):
    """The Prometheus and health endpoint, and the kill switch by HTTP."""

    enabled: Annotated[bool, about("false: no port is opened")] = True
    host: Annotated[Host, about("address to listen on; one that is not loopback needs tls.client_ca")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="TCP port; 0 lets the system choose")] = 9108
    allowed_hosts: Annotated[tuple[Host, ...], about("names by which it may be asked, beside those of loopback and `host` itself")] = ()
    tls: Annotated[MetricsTls | None, about("certificate and key; none: plain HTTP")] = None
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
    metrics_service: Annotated[MetricsService, about("metrics and health endpoint")] = MetricsService()
    resource_limits: Annotated[ResourceLimits, about("budgets of the process")] = ResourceLimits()
    watchdog: Annotated[WatchdogLimits, about("limits of a strategy's call")] = WatchdogLimits()
    journal: Annotated[JournalFiles, about("files of the journal")] = JournalFiles()


class StopBudgets(Section, frozen=True, kw_only=True):
    """Seconds each stage of a stop may take before it is named as overrun."""

    feed: Annotated[float, Meta(gt=0, le=60, description="feeds and scheduler")] = 1.0
    cycle: Annotated[float, Meta(gt=0, le=60, description="the cycle that runs")] = 2.0
    close_positions: Annotated[float, Meta(gt=0, le=60, description="closing paper positions")] = 2.0
    sinks: Annotated[float, Meta(gt=0, le=60, description="draining sinks")] = 2.0
    report: Annotated[float, Meta(gt=0, le=60, description="final report and state")] = 10.0
    adapters: Annotated[float, Meta(gt=0, le=60, description="closing files and connections")] = 1.0


class Shutdown(Section, frozen=True, kw_only=True):
    """How a stop goes."""

    close_positions: Annotated[
        Literal["operator", "always", "never"],
        about("operator: a person's stop closes paper positions, a service manager's keeps them"),
    ] = "operator"
    budgets_seconds: Annotated[StopBudgets, about("time per stage, in seconds")] = StopBudgets()


class Logging(Section, frozen=True, kw_only=True):
    """The runtime log."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], about("least severity written")] = "INFO"
    format: Annotated[Literal["auto", "console", "json"], about("of stderr; auto: console on a terminal, else json")] = "auto"
    file_format: Annotated[Literal["json", "console"], about("of the log file; console: for people")] = "json"
    file_mb: Annotated[int, Meta(ge=1, le=1024, description="a log file is rotated at this size, in MiB")] = 16
    files_kept: Annotated[int, Meta(ge=1, le=99, description="rotated files that are kept: NAME.log.1 is the newest")] = 5
