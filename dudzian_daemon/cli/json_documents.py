"""Documents of `--json` that commands put together of several parts and that are no struct of their own."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from dudzian_daemon.adapters.journal_archive import Packed
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.app.backfill.fill import SeriesOutcome
from dudzian_daemon.app.coverage.manifest_report import SeriesEntry
from dudzian_daemon.app.coverage.report import CoverageReport
from dudzian_daemon.app.credentials import SecretState
from dudzian_daemon.app.key_rotation import KeyAge
from dudzian_daemon.app.left_sessions import HeldPosition, SessionLine
from dudzian_daemon.app.plugins.check import Listed
from dudzian_daemon.app.plugins.check import Report as PluginReport
from dudzian_daemon.app.precheck.archive import SavedReport
from dudzian_daemon.app.precheck.findings import Finding
from dudzian_daemon.app.retention import Result
from dudzian_daemon.app.send_alert import Sent
from dudzian_daemon.cli.checklist import Line
from dudzian_daemon.cli.commands.positions import PositionLine
from dudzian_daemon.cli.commands.strategy import StrategyLine
from dudzian_daemon.config.files import ConfigFile
from dudzian_daemon.config.provenance import Problem
from dudzian_daemon.domain.orders import OrderResult, Verdict
from dudzian_daemon.domain.records import CycleRecord, RiskChange
from dudzian_daemon.services.inbox import Reply
from dudzian_daemon.sinks.alerts.book import ChannelHealth, Tracked
from dudzian_daemon.sinks.status import OpenOrder


class Consent(TypedDict):
    """A change that was looked at, and whether it was accepted; `expires_at` is ns."""

    log_id: str
    change: Any
    accepted: bool
    file: NotRequired[str]
    expires_at: NotRequired[int]


class Alerts(TypedDict):
    """Alerts that are not closed, how channels are, and how many alerts wait for one."""

    alerts: list[Tracked]
    channels: dict[str, ChannelHealth]
    waiting: int


class AlertChange(TypedDict):
    """What an operator said of an alert."""

    id: str
    state: str
    operator: str
    note: str


class Delivery(TypedDict):
    """What became of a message, channel by channel."""

    sent: bool
    channels: list[Sent]


class Archived(TypedDict):
    """An archived report with its digest and its row."""

    schema: str
    path: str
    sha256: str
    retention_until: str
    audit_id: str


class AuditRow(TypedDict):
    """What was entered into the audit log."""

    schema: str
    path: str
    kind: str
    id: str
    timestamp: str
    operator: str
    text: str
    notes: str
    severity: NotRequired[str]


class BackfillPlan(TypedDict):
    """What lacks of a series; times are UTC."""

    symbol: str
    interval: str
    venue: str
    start: str
    end: str
    stored_rows: int
    missing_rows: int
    holes: int
    damaged: list[str]


class Backfill(TypedDict):
    """What lacks, and what was fetched of it."""

    environment: str
    quarantined: list[str]
    plan: list[BackfillPlan]
    series: list[SeriesOutcome]


class KeyRotation(TypedDict):
    """How old the keys of environments are."""

    register: str
    status: str
    updated: bool
    keys: list[KeyAge]


class ListedCycle(TypedDict):
    """A recorded cycle, its line and its wall times."""

    log_id: str
    line: int
    wall: dict[str, Any]
    cycle: CycleRecord


class CyclesSummary(TypedDict):
    """Counts of the cycles that were asked for."""

    log_id: str
    total: int
    filters: dict[str, Any]
    config: dict[str, Any]
    orders: dict[str, Any]
    signals: dict[str, Any]
    results: dict[str, Any]
    duration: dict[str, Any]
    first_sequence: int | None
    last_sequence: int | None
    first_timestamp: float | None
    last_timestamp: float | None


class Doctor(TypedDict):
    """Everything that was looked at."""

    environment: str
    data_folder: str
    status: str
    checks: list[Finding]


class HeadKey(TypedDict):
    """A new key for heads, and its two files."""

    key_id: str
    private: str
    public: str


class Manifest(TypedDict):
    """What a candle manifest says is stored."""

    environment: str
    manifest_path: str
    interrupted_files: int
    quarantined_files: int
    entries: list[SeriesEntry]


class JournalArchive(TypedDict):
    """Segments that were packed, or would be."""

    schema: str
    dry_run: bool
    segments: list[Packed]


class Ordered(TypedDict):
    """The cycle that records an order by hand."""

    sequence: int
    verdicts: list[Verdict]
    results: list[OrderResult]


class Explained(TypedDict):
    """Verdicts and risk changes of a cycle."""

    sequence: int
    instant: int
    verdicts: list[Verdict]
    risk: list[RiskChange]


class Snapshot(TypedDict):
    """Whose snapshot it is, and whether its daemon runs."""

    running: bool
    environment: str
    log_id: str
    sequence: int
    instant: int


class Orders(Snapshot):
    """Open orders."""

    orders: list[OpenOrder]


class Positions(Snapshot):
    """Open positions."""

    positions: list[PositionLine]


class Precheck(TypedDict):
    """A precheck, and where its report is kept."""

    environment: str
    status: str
    coverage_status: str
    risk_status: str
    as_of: str | None
    manifest_path: str | None
    config: dict[str, Any]
    coverage: CoverageReport | None
    coverage_warnings: list[str]
    risk: dict[str, Any]
    checks: list[Finding]
    report: SavedReport | None


class Plugins(TypedDict):
    """Plugins that were found."""

    schema: str
    plugins: list[Listed]


class PluginsCheck(TypedDict):
    """What the contract suite says of plugins."""

    schema: str
    ok: bool
    plugins: list[PluginReport]


class Checklist(TypedDict):
    """A checklist with the result of each item."""

    schema: str
    checklist: str
    environment: str
    ok: bool
    items: list[Line]


class Retention(TypedDict):
    """What retention did, or would do."""

    schema: str
    dry_run: bool
    data_folder: str
    failed: int
    items: list[Result]


class Secrets(TypedDict):
    """Which secrets are there; never a value."""

    environment: str
    backend: str
    secrets: list[SecretState]


class Seeded(TypedDict):
    """Series of made-up candles that were written."""

    environment: str
    store: str
    seed: int
    source: str
    dry_run: bool
    series: list[dict[str, Any]]


class Sessions(TypedDict):
    """Sessions of a data folder."""

    data_folder: str
    sessions: list[SessionLine]


class SessionClosed(TypedDict):
    """A session that was closed, or would be."""

    closed: bool
    log_id: str | None
    artifact: NotRequired[str]
    was: NotRequired[str]
    positions: NotRequired[list[HeldPosition]]


class Stopped(TypedDict):
    """How a stop went."""

    pid: int
    ended: bool
    command: str
    reply: Reply | None


class Strategies(TypedDict):
    """Strategies of the last durable snapshot."""

    running: bool
    session: str
    strategies: list[StrategyLine]


class StrategyOrder(TypedDict):
    """What became of a suspension or a resumption."""

    command: str
    strategy: str
    accepted: bool
    reply: Reply | None


class Environment(TypedDict):
    """An environment of a configuration."""

    name: str
    default: bool
    enabled: bool
    aliases: list[str]
    mode: str
    exchange: str
    risk_profile: str
    default_strategy: str | None
    default_controller: str | None
    scheduler: str


class Validation(TypedDict):
    """What is right or wrong with a configuration."""

    valid: bool
    errors: list[Problem]
    warnings: list[Problem]
    files: list[ConfigFile]
    environments: list[Environment]
    values: NotRequired[list[dict[str, str]]]


class Verification(TypedDict):
    """Verdicts on logs."""

    verdict: str
    exit_code: int
    counts: dict[str, int]
    logs: list[LogReport]
