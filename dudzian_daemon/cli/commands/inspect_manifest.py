"""Show what the candle manifest of an environment says is stored: rows, first and last bar per series.

Times are the opens of bars, UTC. `missing` counts the bars that lack between first and last; --holes lists them, for which the months
with holes are read. Otherwise the data is not read; every read of candles checks it against this manifest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dudzian_daemon.cli.output import emit_json, emit_text

if TYPE_CHECKING:
    from dudzian_daemon.adapters.candle_store import ParquetCandleStore
    from dudzian_daemon.adapters.manifest import Manifest, MonthFile
    from dudzian_daemon.domain.market import Series

EXAMPLES = """Examples:

  dudzian inspect-manifest --environment binance_paper

  dudzian inspect-manifest -e demo --json
"""


class SeriesEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One series of the manifest; timestamps are opens of bars."""

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


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose candles; default: the default environment.")] = None,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Only this pair (BTC_USDT or the venue's name); repeatable.")] = None,
    interval: Annotated[list[str] | None, typer.Option("--interval", help="Only this length of candle (1d or D1); repeatable.")] = None,
    holes: Annotated[
        bool, typer.Option("--holes", help="List the holes between first and last bar: open of the first, end of the last.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file.")] = None,
) -> None:
    """Resolve the environment's store, read its manifest, report."""
    import anyio

    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.adapters.candle_store import store_of
    from dudzian_daemon.adapters.damaged_files import quarantined
    from dudzian_daemon.adapters.manifest import FILE_NAME, read_manifest
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ).config
    name = loaded.environment_id(environment)
    settings = loaded.environment(name)
    pairs = {loaded.instrument(text, settings.exchange).key for text in symbol or ()}
    granularities = {granularity_named(text) for text in interval or ()}
    store = store_of(settings, data_folder.resolve(data_dir, os.environ))

    async def manifest_of_store() -> Manifest:
        return await read_manifest(store.root, immutable=store.read_only)

    manifest = anyio.run(manifest_of_store)
    entries = [
        _entry(store, series, files, list_holes=holes)
        for series, files in manifest.by_series.items()
        if (not pairs or series.instrument in pairs) and (not granularities or series.granularity in granularities)
    ]
    document = {
        "environment": name,
        "manifest_path": str(store.root / FILE_NAME),
        "interrupted_files": len(manifest.intended),
        "quarantined_files": len(quarantined(store.root)),
        "entries": entries,
    }
    if json:
        emit_json(document)
    else:
        emit_text(_table(store.root / FILE_NAME, entries, len(manifest.intended)))


def _entry(store: ParquetCandleStore, series: Series, files: Sequence[MonthFile], *, list_holes: bool) -> SeriesEntry:
    from dudzian_daemon.adapters.venue_gaps import load_venue_gaps

    known = [] if store.read_only else load_venue_gaps(store.root).get(series, [])
    first, last, rows = files[0].first_ms, files[-1].last_ms, sum(file.rows for file in files)
    return SeriesEntry(
        symbol=series.instrument,
        interval=series.granularity,
        row_count=rows,
        missing=(last - first) * 1_000_000 // series.step_ns + 1 - rows,
        first_timestamp_ms=first,
        first_timestamp_iso=_iso(first),
        last_timestamp_ms=last,
        last_timestamp_iso=_iso(last),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        sources=sorted({name for file in files for name in file.source.split("+")}),
        live_rows=len(store.live(series)),
        revisions=len(store.revisions(series)),
        venue_gap_rows=sum(span.length_ns for span in known) // series.step_ns,
        holes=_holes(store, series) if list_holes else None,
    )


def _holes(store: ParquetCandleStore, series: Series) -> list[tuple[str, str]]:
    from dudzian_daemon.adapters.series_audit import audited, iso_second
    from dudzian_daemon.domain.spans import Span

    audit = audited(store, series)
    if audit.first_open is None or audit.last_end is None:
        return []
    return [(iso_second(hole.start), iso_second(hole.end)) for hole in audit.holes(Span(audit.first_open, audit.last_end))]


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _table(path: Path, entries: Sequence[SeriesEntry], interrupted: int) -> str:
    lines = [f"{path}: {len(entries)} series, {sum(entry.row_count for entry in entries)} candles"]
    if interrupted:
        lines.append(f"{interrupted} month files of an interrupted write are not counted; the next write settles them")
    if not (entries or interrupted):
        lines.append("nothing here: `dudzian seed-paper-cache` makes up candles")
    if entries:
        lines.append(f"{'symbol':<24} {'interval':<8} {'rows':>8} {'missing':>8}  {'first':<20}  {'last':<20}  sources")
    lines += [
        f"{entry.symbol:<24} {entry.interval:<8} {entry.row_count:>8} {entry.missing:>8}  "
        f"{entry.first_timestamp_iso:<20}  {entry.last_timestamp_iso:<20}  {', '.join(entry.sources)}"
        for entry in entries
    ]
    lines += [f"{entry.symbol} {entry.interval}: hole [{start}, {end})" for entry in entries for start, end in entry.holes or ()]
    return "\n".join(lines)
