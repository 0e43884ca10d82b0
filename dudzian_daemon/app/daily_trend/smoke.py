"""The smoke run: a window of stored candles through the daemon's own step, once, without network, journal or port; a report is left.

It proves that configuration, plugins, candles, gate and simulator work together here. Its report is not evidence of a session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Any, Final, Literal

import msgspec

from dudzian_daemon.adapters.derived_venue import DerivedVenueStore, candles_of
from dudzian_daemon.adapters.files import ensure_dir, os_errors, sync_folder, write_atomic
from dudzian_daemon.adapters.zip_archive import write_zip
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.replay_windows import replay_windows, require_sound
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.market import DAY_NS, Tick
from dudzian_daemon.domain.money import ZERO, exact_money, plain
from dudzian_daemon.domain.orders import OrderStatus
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import file_stamp, iso_utc
from dudzian_daemon.sinks.ledger import ledger_lines
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window

SUMMARY: Final = "summary.json"
_MEGABYTE: Final = 1_000_000
_MONTHS: Final = 24


class SmokeRefused(DudzianError):
    """What the smoke run needs is not there: the candles of its window, or a precheck that says go."""

    exit_code = 5


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Room where the report lies, in megabytes of 10^6 bytes; `low` is below the threshold."""

    status: Literal["ok", "low"]
    free_mb: float
    total_mb: float
    threshold_mb: float | None


class SmokeSummary(msgspec.Struct, kw_only=True):
    """Schema `dudzian.smoke_summary/1`. Amounts are in the valuation asset."""

    schema: str = "dudzian.smoke_summary/1"
    environment: str
    strategy: str
    schedule: str
    risk_profile: str
    window: dict[str, str]
    cycles: int
    decisions: int
    orders: list[dict[str, Any]]
    ledger_entries: int
    metrics: dict[str, Any]
    alert_snapshot: dict[str, Any]
    risk_state: dict[str, Any]
    data_checks: dict[str, Any]
    storage: Storage
    warnings: list[str]


class SmokeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where the report lies, and the digest of its summary."""

    folder: Path
    summary: SmokeSummary
    summary_sha256: str
    archive: Path | None
    archive_sha256: str

    @property
    def summary_path(self) -> Path:
        """The summary's file."""
        return self.folder / SUMMARY


class _Collected:
    """Takes the cycles of the run and keeps what the report tells."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self.ledger: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        self.cycles = self.decisions = 0
        self.sides = {"buy": 0, "sell": 0}
        self.notional = self.fees = self.realised = ZERO
        self.symbols: dict[str, dict[str, Any]] = {}
        self.values: dict[tuple[str, str], Decimal] = {}

    def store_rows(self, tick: Tick) -> None:
        """Nothing names them: there is no journal."""

    def append(self, record: CycleRecord) -> None:
        """Keep what one cycle did."""
        self.cycles += 1
        self.decisions += bool(record.due)
        durable = CycleDurable(record=record, log_id="smoke", line=0, line_hash="", duration_s=0.0)
        self.ledger += [line for _, line in ledger_lines(durable, self._environment)]
        for fill in record.fills:
            value = fill.quantity * fill.price
            self.sides[fill.side.value] += 1
            self.notional += value
            self.fees += fill.fee
            each = self.symbols.setdefault(fill.instrument, {"fills": 0, "notional": ZERO, "fees": ZERO})
            each["fills"] += 1
            each["notional"] += value
            each["fees"] += fill.fee
        for entry in record.entries:
            self.realised += entry.realised
            if entry.instrument:
                self.values[(entry.strategy, entry.instrument)] = entry.position_value
        self.orders += [
            {"order_id": each.order_id, "symbol": each.instrument, "side": each.side, "quantity": each.quantity, "price": each.price}
            for each in record.results
            if each.status is OrderStatus.FILLED
        ]

    def metrics(self) -> dict[str, Any]:
        """The figures over all fills."""
        return {
            "side_counts": self.sides,
            "notional": plain(self.notional),
            "total_fees": plain(self.fees),
            "realized_pnl_total": plain(self.realised),
            "last_position_value": plain(sum(self.values.values(), ZERO)),
            "per_symbol": self.symbols,
        }


def storage_of(base: Path, threshold_mb: float | None) -> Storage:
    """Room at `base`, which is made if it is missing. Raises what the disk refuses."""
    ensure_dir(base)
    with os_errors(base):
        found = disk_usage(base)
    free = round(found.free / _MEGABYTE, 1)
    low = threshold_mb is not None and free < threshold_mb
    return Storage(status="low" if low else "ok", free_mb=free, total_mb=round(found.total / _MEGABYTE, 1), threshold_mb=threshold_mb)


def smoke(
    prepared: Prepared,
    base: Path,
    storage: Storage,
    precheck: Mapping[str, Any],
    ask_channels: Callable[[], dict[str, Any]],
    now_ns: int,
    *,
    archive: bool,
) -> SmokeReport:
    """Play the window and write the report into a new folder below `base`. Raises `SmokeRefused` before anything is written.

    `ask_channels` says how the alert channels are; it is asked once the window is played.
    """
    with exact_money():
        core = Core(prepared.spec)
    store = candles_of(prepared.chosen, prepared.data_folder)
    windows = replay_windows(prepared.config, prepared.environment, core, store)
    require_sound(windows, store)
    coverage = _covered(windows, store)
    collected = _Collected(prepared.environment)
    with exact_money():
        simulate(core, windows, store, recorder=collected)
    (schedule,) = prepared.spec.schedules
    summary = SmokeSummary(
        environment=prepared.environment,
        strategy=schedule.strategy,
        schedule=schedule.name,
        risk_profile=schedule.profile,
        window={"start": iso_utc(windows[0].start)[:10], "end": iso_utc(windows[-1].end - DAY_NS)[:10]},
        cycles=collected.cycles,
        decisions=collected.decisions,
        orders=collected.orders,
        ledger_entries=len(collected.ledger),
        metrics=collected.metrics(),
        alert_snapshot=ask_channels(),
        risk_state={name: core.gate.state(name) for name in core.gate.states},
        data_checks={"coverage": coverage, "paper_precheck": dict(precheck)},
        storage=storage,
        warnings=_warnings(windows, store, storage, precheck),
    )
    return _written(base, collected.ledger, summary, now_ns, archive=archive)


def _written(base: Path, ledger: list[dict[str, Any]], summary: SmokeSummary, now_ns: int, *, archive: bool) -> SmokeReport:
    name = f"daily_trend_smoke_{file_stamp(now_ns)}_{summary.environment}"
    folder = base / name
    number = 1
    while folder.exists():
        number += 1
        folder = base / f"{name}_{number}"
    told = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
    digest = sha256(told).hexdigest()
    files = {
        "ledger.jsonl": b"".join(msgspec.json.encode(line) + b"\n" for line in ledger),
        SUMMARY: told,
        "summary.txt": _text(summary, digest).encode(),
        "README.txt": _readme(digest).encode(),
    }
    _write_whole(folder, files)
    path = folder.with_suffix(".zip") if archive else None
    if path is not None:
        write_zip(path, files)
    packed = "" if path is None else sha256(path.read_bytes()).hexdigest()
    return SmokeReport(folder=folder, summary=summary, summary_sha256=digest, archive=path, archive_sha256=packed)


def _write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """The folder with all the files, or nothing: it gets its name once they are there."""
    unfinished = folder.with_name(f".{folder.name}.tmp")
    ensure_dir(unfinished)
    try:
        for name, data in files.items():
            write_atomic(unfinished / name, data)
        with os_errors(folder):
            unfinished.replace(folder)
            sync_folder(folder.parent)
    except BaseException:
        rmtree(unfinished, ignore_errors=True)
        raise


def _covered(windows: list[Window], store: DerivedVenueStore) -> dict[str, str]:
    """How much of the window each series has. Raises `SmokeRefused` naming those that lack some of it."""
    found, missing = {}, []
    for window in windows:
        for series in sorted(window.series):
            have = sum(max(0, min(each.end, window.end) - max(each.start, window.start)) for each in store.ranges(series))
            share = have / (window.end - window.start)
            name = f"{series.instrument} {series.granularity}"
            found[name] = f"{share:.1%}"
            if share < 1:
                missing.append(f"{name} ({share:.0%})")
    if missing:
        span = f"{iso_utc(windows[0].start)[:10]} to {iso_utc(windows[-1].end)[:10]}"
        msg = f"smoke run: candles of {span} are missing: {', '.join(missing)}; seed or backfill them first: dudzian seed-paper-cache"
        raise SmokeRefused(msg)
    return found


def _warnings(windows: list[Window], store: DerivedVenueStore, storage: Storage, precheck: Mapping[str, Any]) -> list[str]:
    warnings = []
    for window in windows:
        for series, bars in sorted(window.series.items()):
            before = window.start - bars * series.step_ns
            have = sum(max(0, min(each.end, window.start) - max(each.start, before)) for each in store.ranges(series)) // series.step_ns
            if have < bars:
                warnings.append(
                    f"insufficient_warm_up: {series.instrument} {series.granularity} has {have} of {bars} bars before the window"
                )
    if storage.status == "low":
        warnings.append(f"low_space: {storage.free_mb:,.0f} MB are free, {storage.threshold_mb:,.0f} MB are wanted")
    if precheck.get("status") not in ("ok", None):
        warnings.append(f"paper_precheck: {precheck['status']} {precheck.get('reason', '')}".rstrip())
    return warnings


def _text(summary: SmokeSummary, digest: str) -> str:
    metrics, storage = summary.metrics, summary.storage
    lines = [
        f"Smoke run of {summary.environment}: {summary.strategy} ({summary.schedule}), risk profile {summary.risk_profile}",
        f"window            {summary.window['start']} to {summary.window['end']} (UTC, both days included)",
        f"decisions         {summary.decisions} in {summary.cycles} cycles",
        f"orders            {len(summary.orders)} filled, {metrics['side_counts']['buy']} buys, {metrics['side_counts']['sell']} sells",
        f"figures           notional {metrics['notional']}, fees {metrics['total_fees']}, realised {metrics['realized_pnl_total']}",
        f"alert channels    {summary.alert_snapshot['status']}",
        f"precheck          {summary.data_checks['paper_precheck'].get('status')}",
        f"storage           {storage.status}, {storage.free_mb:,.0f} MB free of {storage.total_mb:,.0f} MB",
        *(f"warning           {text}" for text in summary.warnings),
        f"summary.json      SHA-256 {digest}",
    ]
    return "\n".join(lines) + "\n"


def _readme(digest: str) -> str:
    return (
        "What to do with this folder\n\n"
        "1. Copy the SHA-256 of summary.json and the text of summary.txt into docs/audit/paper_trading_log.md\n"
        f"   (section B1; `dudzian run-daily-trend --paper-smoke` has done it unless it was told not to): {digest}\n"
        "2. Note the status of the alert channels beside it.\n"
        "3. Keep ledger.jsonl with the package, unchanged, in the audit vault; do not edit any file here.\n"
        f"4. Keep the package for at least {_MONTHS} months. `dudzian retention run` removes none that is younger.\n"
    )
