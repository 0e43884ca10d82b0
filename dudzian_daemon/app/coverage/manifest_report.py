"""What a store says is in it, series by series: for `dudzian inspect-manifest`, and at the end of a backfill."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import anyio
import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.damaged_files import quarantined
from dudzian_daemon.adapters.manifest import FILE_NAME, Manifest, MonthFile, read_manifest
from dudzian_daemon.adapters.series_audit import audited, iso_second
from dudzian_daemon.adapters.venue_gaps import load_venue_gaps
from dudzian_daemon.domain.market import Series
from dudzian_daemon.domain.spans import Span


class SeriesEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One series; timestamps are opens of bars. `row_count` and `files` are the month files', `live_rows` are in day files alone."""

    symbol: str
    interval: str
    row_count: int
    missing: int
    first_timestamp_ms: int
    first_timestamp_iso: str
    last_timestamp_ms: int
    last_timestamp_iso: str
    files: int
    bytes: int
    sources: list[str]
    live_rows: int = 0
    revisions: int = 0
    venue_gap_rows: int = 0
    holes: list[tuple[str, str]] | None = None


class ManifestReport(msgspec.Struct, frozen=True, kw_only=True):
    """A store and its series; `interrupted_files` are month files of a write that was not finished."""

    environment: str
    manifest_path: str
    interrupted_files: int
    quarantined_files: int
    entries: list[SeriesEntry]


def manifest_report(
    store: ParquetCandleStore,
    environment: str,
    *,
    pairs: Collection[str] = (),
    granularities: Collection[str] = (),
    holes: bool = False,
) -> ManifestReport:
    """The report over these instruments and granularities, all if none is named. Blocks. Raises `IntegrityError`."""

    async def manifest_of_store() -> Manifest:
        return await read_manifest(store.root, immutable=store.read_only)

    manifest = anyio.run(manifest_of_store)
    entries = [
        _entry(store, series, manifest.by_series.get(series, []), list_holes=holes)
        for series in store.series()
        if (not pairs or series.instrument in pairs) and (not granularities or series.granularity in granularities)
    ]
    return ManifestReport(
        environment=environment,
        manifest_path=str(store.root / FILE_NAME),
        interrupted_files=len(manifest.intended),
        quarantined_files=len(quarantined(store.root)),
        entries=entries,
    )


def manifest_table(report: ManifestReport) -> str:
    """The report for people."""
    entries, interrupted = report.entries, report.interrupted_files
    rows = sum(entry.row_count + entry.live_rows for entry in entries)
    lines = [f"{report.manifest_path}: {len(entries)} series, {rows} candles"]
    if interrupted:
        lines.append(f"{interrupted} month files of an interrupted write are not counted; the next write settles them")
    if not (entries or interrupted):
        name = report.environment
        lines.append(
            f"nothing here: `dudzian backfill -e {name}` fetches candles, `dudzian seed-paper-cache -e {name}` makes some up instead"
        )
    if entries:
        lines.append(f"{'symbol':<24} {'interval':<8} {'rows':>8} {'missing':>8}  {'first':<20}  {'last':<20}  sources")
    lines += [
        f"{entry.symbol:<24} {entry.interval:<8} {entry.row_count + entry.live_rows:>8} {entry.missing:>8}  "
        f"{entry.first_timestamp_iso:<20}  {entry.last_timestamp_iso:<20}  {', '.join(entry.sources)}"
        for entry in entries
    ]
    lines += [f"{entry.symbol} {entry.interval}: hole [{start}, {end})" for entry in entries for start, end in entry.holes or ()]
    return "\n".join(lines)


def _entry(store: ParquetCandleStore, series: Series, files: Sequence[MonthFile], *, list_holes: bool) -> SeriesEntry:
    known = [] if store.read_only else load_venue_gaps(store.root).get(series, [])
    live = [(candle.end - series.step_ns) // 1_000_000 for candle in store.live(series)]
    opens = [*(at for file in files for at in (file.first_ms, file.last_ms)), *live]
    first, last, rows = min(opens), max(opens), sum(file.rows for file in files)
    return SeriesEntry(
        symbol=series.instrument,
        interval=series.granularity,
        row_count=rows,
        missing=(last - first) * 1_000_000 // series.step_ns + 1 - rows - len(live),
        first_timestamp_ms=first,
        first_timestamp_iso=_iso(first),
        last_timestamp_ms=last,
        last_timestamp_iso=_iso(last),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        sources=sorted({name for file in files for name in file.source.split("+")} | ({"live"} if live else set())),
        live_rows=len(live),
        revisions=len(store.revisions(series)),
        venue_gap_rows=sum(span.length_ns for span in known) // series.step_ns,
        holes=_holes(store, series) if list_holes else None,
    )


def _holes(store: ParquetCandleStore, series: Series) -> list[tuple[str, str]]:
    audit = audited(store, series)
    if audit.first_open is None or audit.last_end is None:
        return []
    return [(iso_second(hole.start), iso_second(hole.end)) for hole in audit.holes(Span(audit.first_open, audit.last_end))]


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
