"""The coverage of an environment: every series, thresholds over all of them, figures. Reads the store, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, store_of
from dudzian_daemon.adapters.manifest import FILE_NAME
from dudzian_daemon.adapters.series_audit import audited, iso_second
from dudzian_daemon.adapters.venue_gaps import load_venue_gaps
from dudzian_daemon.app.coverage.judging import CoverageEntry, Status, Terms, judged
from dudzian_daemon.app.coverage.requirements import Needed, Selection, needed
from dudzian_daemon.config.environment import DataQuality
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError


class GapStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Age of the newest bars in minutes over some series, and what lacks in them."""

    series: int
    min_minutes: int
    median_minutes: float
    max_minutes: int
    holes: int
    missing_rows: int


class CoverageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `dudzian check-data-coverage --json` prints."""

    environment: str
    exchange: str
    manifest_path: str
    as_of: str
    requirement: str
    status: Status
    issues: tuple[str, ...]
    threshold_issues: tuple[str, ...]
    thresholds: DataQuality
    summary: Mapping[str, Any]
    gap_statistics: GapStatistics
    gap_statistics_by_interval: Mapping[str, GapStatistics]
    entries: tuple[CoverageEntry, ...]


class CoverageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Of which environment, at which moment (ns; None: now, or the end of seeded candles), limited to what, by which limits."""

    environment: str
    now: int
    as_of: int | None = None
    selection: Selection = Selection()
    manifest: Path | None = None
    max_gap_minutes: int | None = None
    min_ok_ratio: Decimal | None = None


def coverage(config: CoreConfig, data_folder: Path, question: CoverageQuestion) -> CoverageReport:
    """Judge every series. Raises `ConfigError` for unknown names, `IntegrityError` for a damaged manifest."""
    environment = config.environment(question.environment)
    store = store_of(environment, data_folder) if question.manifest is None else _store_at(question.manifest)
    limits = _limits(config, question)
    need = needed(config, question.environment, store, question.now, question.as_of, question.selection)
    gaps = {} if store.read_only else load_venue_gaps(store.root)
    terms = Terms(environment=question.environment, kind=need.kind, as_of=need.as_of, max_gap_minutes=limits.max_gap_minutes)
    entries = tuple(
        judged(each, audited(store, each.series), gaps.get(each.series, ()), terms)
        for each in sorted(need.requirements, key=lambda each: (each.symbol, each.series, each.window))
    )
    return _report(question, environment.exchange, _shown(store.root / FILE_NAME, data_folder), need, entries, limits)


def _store_at(manifest: Path) -> ParquetCandleStore:
    if manifest.name != FILE_NAME:
        msg = f"expected a manifest called {FILE_NAME}, found {manifest}"
        raise ConfigError(msg)
    return ParquetCandleStore(manifest.parent)


def _shown(path: Path, data_folder: Path) -> str:
    """Below the data folder the rest of the path: equal stores in two places give equal reports."""
    return path.relative_to(data_folder).as_posix() if path.is_relative_to(data_folder) else str(path)


def _limits(config: CoreConfig, question: CoverageQuestion) -> DataQuality:
    limits = config.data_quality(question.environment)
    if question.max_gap_minutes is not None:
        limits = msgspec.structs.replace(limits, max_gap_minutes=question.max_gap_minutes)
    if question.min_ok_ratio is not None:
        limits = msgspec.structs.replace(limits, min_ok_ratio=question.min_ok_ratio)
    return limits


def _report(
    question: CoverageQuestion, exchange: str, manifest_path: str, need: Needed, entries: tuple[CoverageEntry, ...], limits: DataQuality
) -> CoverageReport:
    summary = _summary(entries)
    breaches = _breaches(entries, limits, summary["ok_ratio"])
    return CoverageReport(
        environment=question.environment,
        exchange=exchange,
        manifest_path=manifest_path,
        as_of=iso_second(need.as_of),
        requirement=need.kind,
        status="error" if breaches or summary["error"] else "warning" if summary["warning"] else "ok",
        issues=tuple(f"{entry.name}: {issue}" for entry in entries for issue in entry.issues),
        threshold_issues=breaches,
        thresholds=limits,
        summary=summary,
        gap_statistics=_statistics(entries),
        gap_statistics_by_interval={
            interval: _statistics([entry for entry in entries if entry.interval == interval])
            for interval in sorted({entry.interval for entry in entries})
        },
        entries=entries,
    )


def _breaches(entries: Sequence[CoverageEntry], limits: DataQuality, ok_ratio: float) -> tuple[str, ...]:
    longest = max((entry.longest_hole_minutes for entry in entries), default=0)
    found = []
    if not entries:
        found.append("universe_not_defined")
    if longest > limits.max_gap_minutes:
        found.append(f"max_gap_exceeded:{longest}>{limits.max_gap_minutes}")
    if ok_ratio < limits.min_ok_ratio:
        found.append(f"ok_ratio_below_threshold:{ok_ratio}<{limits.min_ok_ratio}")
    return tuple(found)


def _summary(entries: Sequence[CoverageEntry]) -> dict[str, Any]:
    worst = max((entry for entry in entries if entry.gap_minutes is not None), key=lambda entry: entry.gap_minutes or 0, default=None)
    return {
        "total": len(entries),
        **_counts(entries),
        "ok_ratio": round(sum(entry.status == "ok" for entry in entries) / len(entries), 6) if entries else 0.0,
        "stale_entries": sum("manifest_status:stale" in entry.issues for entry in entries),
        "worst_gap": None if worst is None else {"symbol": worst.symbol, "interval": worst.interval, "gap_minutes": worst.gap_minutes},
        "by_symbol": {symbol: _counts(each for each in entries if each.symbol == symbol) for symbol in sorted({e.symbol for e in entries})},
        "by_interval": {
            interval: _counts(each for each in entries if each.interval == interval) for interval in sorted({e.interval for e in entries})
        },
    }


def _counts(entries: Iterable[CoverageEntry]) -> dict[str, int]:
    statuses = [entry.status for entry in entries]
    return {status: statuses.count(status) for status in ("ok", "warning", "error")}


def _statistics(entries: Sequence[CoverageEntry]) -> GapStatistics:
    ages = [entry.gap_minutes for entry in entries if entry.gap_minutes is not None] or [0]
    return GapStatistics(
        series=len(entries),
        min_minutes=min(ages),
        median_minutes=float(median(ages)),
        max_minutes=max(ages),
        holes=sum(entry.holes_total for entry in entries),
        missing_rows=sum(entry.missing_rows for entry in entries),
    )
