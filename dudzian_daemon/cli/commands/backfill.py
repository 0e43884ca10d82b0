"""Fetch the candles an environment lacks into its cache: page by page, stored as they come; run again, it goes on where it was.

Without --since it fetches the backfill windows of instruments.yaml. Holes between bars are fetched too; what the venue itself does not
have (before a listing, an outage) is remembered and not asked for again. Damaged files are moved to the store's _quarantine folder and
their bars fetched anew. The log is logs/backfill.log below the data folder. Exit 0 done, 1 a series failed, 2 wrong input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.candle_store import ParquetCandleStore
    from dudzian_daemon.app.backfill.fill import SeriesOutcome, Told
    from dudzian_daemon.app.backfill.plan import SeriesPlan, Wish
    from dudzian_daemon.app.coverage.manifest_report import ManifestReport
    from dudzian_daemon.config.schema import CoreConfig

EXAMPLES = """Examples:

  dudzian backfill --environment paper --granularity 1d --since 2016-01-01

  dudzian backfill -e binance_paper --latest-only

  dudzian backfill -e binance_paper --plan-only --symbol BTC_USDT
"""


class ReportFormat(StrEnum):
    """How to say what is stored."""

    NONE = "none"
    TABLE = "table"
    JSON = "json"


LOG: Final = Path("logs", "backfill.log")
_INTERRUPTED: Final = 130


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose cache; default: the default environment.")] = None,
    granularity: Annotated[
        list[str] | None, typer.Option("--granularity", "--interval", help="Only candles of this length: 1d, D1, 1h, ...; repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="YYYY-MM-DD", help="From this day on, UTC; before a listing is fine.")
    ] = None,
    date_window: Annotated[
        str | None, typer.Option("--date-window", metavar="START:END", help="Only these days, UTC, END included.")
    ] = None,
    latest_only: Annotated[bool, typer.Option("--latest-only", help="Only what is newer than the newest stored candle.")] = False,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Only this pair (BTC_USDT or the venue's name); repeatable.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Say what would be fetched; ask nobody, write nothing.")] = False,
    throttle_seconds: Annotated[
        float,
        typer.Option("--throttle-seconds", min=0, max=3600, help="Wait this long between two requests, beside the venue's own limit."),
    ] = 0.0,
    recheck_gaps: Annotated[bool, typer.Option("--recheck-gaps", help="Ask again for what the venue did not have.")] = False,
    rebuild_manifest: Annotated[
        bool, typer.Option("--rebuild-manifest", help="First make a damaged manifest anew from the files that prove themselves.")
    ] = False,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Ask another host instead of the venue's own.")] = None,
    ws_url: Annotated[
        str | None, typer.Option("--ws-url", help="Held to the venue's hosts like --base-url; a backfill asks by REST.")
    ] = None,
    refresh_seconds: Annotated[
        int | None, typer.Option("--refresh-seconds", min=1, max=86_400, help="Begin again after so long, until Ctrl-C.")
    ] = None,
    manifest_report_format: Annotated[
        ReportFormat, typer.Option("--manifest-report-format", help="At the end say what is stored, as `dudzian inspect-manifest` does.")
    ] = ReportFormat.NONE,
    from_store: Annotated[Path | None, typer.Option("--from-store", help="Take candles from this store instead of the venue.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Resolve names, plan, fetch, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.candle_store import store_of
    from dudzian_daemon.app.backfill.plan import planned
    from dudzian_daemon.app.coverage.manifest_report import manifest_report
    from dudzian_daemon.app.venues import addresses
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ).config
    name = loaded.environment_id(environment)
    loaded = load(config, env=os.environ, cli=addresses(name, base_url, ws_url)).config
    folder = data_folder.resolve(data_dir, os.environ)
    _require_together(json=json, plan_only=plan_only, refresh_seconds=refresh_seconds, report=manifest_report_format)
    store = store_of(loaded.environment(name), folder)
    if store.read_only:
        msg = f"environment {name} reads the shipped sample, which nobody fills; choose one with `candle_source: cache`"
        raise ConfigError(msg)
    if rebuild_manifest and not plan_only:
        _rebuild(store, loaded.environment(name).exchange)
    store.require_room_for(loaded.environment(name).exchange)
    while True:
        wish = _wish(name, granularity or (), symbol or (), _span(since, date_window), latest_only=latest_only)
        plans = planned(loaded, wish, store)
        if plan_only:
            _report(name, plans, [], [], json=json)
            return
        moved = _prepared(store, plans, recheck_gaps=recheck_gaps)
        if moved or recheck_gaps:
            plans = planned(loaded, wish, store)
        outcomes = _fetched(loaded, name, store, plans, folder, from_store, throttle_seconds, quiet=json)
        stored = None if manifest_report_format is ReportFormat.NONE else manifest_report(store, name)
        _report(name, plans, outcomes, moved, json=json, stored=stored, stored_as_json=manifest_report_format is ReportFormat.JSON)
        if refresh_seconds is None:
            raise typer.Exit(1 if any(outcome.status == "failed" for outcome in outcomes) else 0)
        _rest(refresh_seconds)


def _require_together(*, json: bool, plan_only: bool, refresh_seconds: int | None, report: ReportFormat) -> None:
    if refresh_seconds is not None and (json or plan_only):
        other = "--json" if json else "--plan-only"
        msg = f"--refresh-seconds: expected a backfill that goes on, found {other} beside it, which answers once"
        raise ConfigError(msg)
    if json and report is ReportFormat.TABLE:
        msg = "--manifest-report-format: expected json or none beside --json, found table"
        raise ConfigError(msg)


def _rest(seconds: int) -> None:
    """Wait for the next round. Ends the command on Ctrl-C."""
    import anyio

    from dudzian_daemon.kernel.clock import SystemClock

    try:
        anyio.run(SystemClock().sleep, seconds)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _wish(
    name: str, granularities: Sequence[str], symbols: Sequence[str], span: tuple[int | None, int | None], *, latest_only: bool
) -> Wish:
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.app.backfill.plan import Wish
    from dudzian_daemon.kernel.clock import SystemClock

    return Wish(
        environment=name,
        now=SystemClock().wall_ns(),
        since=span[0],
        until=span[1],
        symbols=tuple(symbols),
        granularities=tuple(granularity_named(text) for text in granularities),
        latest_only=latest_only,
    )


def _span(since: str | None, date_window: str | None) -> tuple[int | None, int | None]:
    """First instant and end, ns; None where the command line says nothing. Raises `ConfigError` for a span that has not begun."""
    from dudzian_daemon.cli.moments import day_ns, window_ns
    from dudzian_daemon.kernel.clock import SystemClock

    if since is not None and date_window is not None:
        msg = "expected --since or --date-window, found both"
        raise ConfigError(msg)
    span: tuple[int, int | None]
    if date_window is not None:
        option, text, span = "--date-window", date_window, window_ns(date_window, "--date-window")
    elif since is not None:
        option, text, span = "--since", since, (day_ns(since, "--since"), None)
    else:
        return None, None
    if span[0] > SystemClock().wall_ns():
        msg = f"{option}: expected a first day that has begun, found {text!r}, of which no venue has a candle yet"
        raise ConfigError(msg)
    return span


def _rebuild(store: ParquetCandleStore, source: str) -> None:
    from dudzian_daemon.adapters.manifest_rebuild import rebuild_manifest

    done = rebuild_manifest(store.root, source=source)
    if done is None:
        note("--rebuild-manifest: the manifest is intact, nothing was made anew")
    else:
        note(f"--rebuild-manifest: {done.files} month files are in the new manifest, {len(done.moved)} files were moved to _quarantine")


def _prepared(store: ParquetCandleStore, plans: Sequence[SeriesPlan], *, recheck_gaps: bool) -> list[Path]:
    from dudzian_daemon.adapters.venue_gaps import forget_venue_gaps
    from dudzian_daemon.app.backfill.plan import moved_away

    if recheck_gaps:
        forget_venue_gaps(store.root, [plan.series for plan in plans])
    return moved_away(store, plans)


def _fetched(
    config: CoreConfig,
    name: str,
    store: ParquetCandleStore,
    plans: Sequence[SeriesPlan],
    folder: Path,
    from_store: Path | None,
    throttle_seconds: float,
    *,
    quiet: bool,
) -> list[SeriesOutcome]:
    import anyio
    import anyio.to_thread

    from dudzian_daemon.app.backfill.fill import Manner
    from dudzian_daemon.app.backfill.run import filled
    from dudzian_daemon.app.backfill.sources import VenuePlace, store_source, venue_source
    from dudzian_daemon.app.plugins.places import plugin_folders
    from dudzian_daemon.domain.ports import CandleSource
    from dudzian_daemon.kernel import logs
    from dudzian_daemon.kernel.clock import SystemClock

    exchange = config.environment(name).exchange
    place = VenuePlace(plugin_folders(None, os.environ), folder, store, SystemClock())

    async def opened() -> CandleSource:
        if from_store is None:
            return await venue_source(config, name, plans, place)
        return await anyio.to_thread.run_sync(store_source, config, from_store, exchange)

    async def run() -> list[SeriesOutcome]:
        with _progress(plans, shown=sys.stderr.isatty() and not quiet) as told:
            manner = Manner(SystemClock(), throttle_seconds, is_venue=from_store is None)
            return await filled(config, store, plans, opened, manner, told)

    logs.configure(config.logging.level, json=True, file=folder / LOG, quiet=True)
    logs.logger("backfill").info("backfill begins", environment=name, missing_rows=sum(plan.missing_rows for plan in plans))
    try:
        return anyio.run(run)
    except KeyboardInterrupt:
        note("backfill: interrupted; what came is stored, run it again to go on")
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        logs.close()


@contextmanager
def _progress(plans: Sequence[SeriesPlan], *, shown: bool) -> Iterator[Told]:
    """A bar over all bars of all series, with rate and time to go."""
    if not shown:
        yield lambda _plan, _rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("backfill", total=sum(plan.missing_rows for plan in plans), rate="")

        def told(plan: SeriesPlan, rows: int) -> None:
            progress.update(task, advance=rows, description=f"{plan.series.instrument} {plan.series.granularity}")
            speed = progress.tasks[0].speed
            progress.update(task, rate="" if speed is None else f"{speed:,.0f} candles/s")

        yield told


def _report(
    name: str,
    plans: Sequence[SeriesPlan],
    outcomes: Sequence[SeriesOutcome],
    moved: Sequence[Path],
    *,
    json: bool,
    stored: ManifestReport | None = None,
    stored_as_json: bool = False,
) -> None:
    """Say what was done, and what is stored now if that was asked for."""
    from dudzian_daemon.app.coverage.manifest_report import manifest_table

    if json:
        emit_json(_document(name, plans, outcomes, moved) | ({} if stored is None else {"manifest": stored}))
        return
    _say(name, plans, outcomes, moved)
    if stored is not None and stored_as_json:
        emit_json(stored)
    elif stored is not None:
        emit_text(manifest_table(stored))


def _say(name: str, plans: Sequence[SeriesPlan], outcomes: Sequence[SeriesOutcome], moved: Sequence[Path]) -> None:
    for path in moved:
        emit_text(f"damaged, moved to {path}")
    if outcomes:
        for each in outcomes:
            emit_text(f"{each.venue}:{each.symbol} {each.interval}: {_told(each)}")
        added, requests = sum(each.added for each in outcomes), sum(each.requests for each in outcomes)
        emit_text(f"{name}: {added} candles added with {requests} requests")
        return
    for plan in plans:
        emit_text(
            f"{plan.venue}:{plan.symbol} {plan.series.granularity}: {plan.missing_rows} candles to fetch in {_holes(plan)}, "
            f"{plan.stored_rows} are there{', some files are damaged' if plan.damaged else ''}"
        )
    emit_text(f"{name}: {sum(plan.missing_rows for plan in plans)} candles to fetch (plan only)")


def _holes(plan: SeriesPlan) -> str:
    return "1 hole" if len(plan.holes) == 1 else f"{len(plan.holes)} holes"


def _told(outcome: SeriesOutcome) -> str:
    text = f"{outcome.status.replace('_', ' ')}, {outcome.added} added"
    text += f", {outcome.revised} revised" if outcome.revised else ""
    text += f", {outcome.venue_gap_rows} that the venue does not have" if outcome.venue_gap_rows else ""
    text += f", {outcome.left_rows} not there yet" if outcome.left_rows else ""
    return text + (f": {outcome.error}" if outcome.error else "")


def _document(name: str, plans: Sequence[SeriesPlan], outcomes: Sequence[SeriesOutcome], moved: Sequence[Path]) -> dict[str, Any]:
    from dudzian_daemon.adapters.series_audit import iso_second

    return {
        "environment": name,
        "quarantined": [str(path) for path in moved],
        "plan": [
            {
                "symbol": plan.symbol,
                "interval": plan.series.granularity,
                "venue": plan.venue,
                "start": iso_second(plan.window.start),
                "end": iso_second(plan.window.end),
                "stored_rows": plan.stored_rows,
                "missing_rows": plan.missing_rows,
                "holes": len(plan.holes),
                "damaged": list(plan.damaged),
            }
            for plan in plans
        ],
        "series": outcomes,
    }
