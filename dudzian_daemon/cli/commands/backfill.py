"""Fetch the candles an environment lacks into its cache: page by page, stored as they come; run again, it goes on where it was.

Without --since it fetches the backfill windows of instruments.yaml. Holes between bars are fetched too; what the venue itself does not
have (before a listing, an outage) is remembered and not asked for again. Damaged files are moved to the store's _quarantine folder and
their bars fetched anew. The log is logs/backfill.log below the data folder. Exit 0 done, 1 a series failed, 2 wrong input.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dudzian_daemon.cli.option_groups import Options, grouped
from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.cli.progress import progress
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.candle_store import ParquetCandleStore
    from dudzian_daemon.app.backfill.plan import SeriesPlan, Wish
    from dudzian_daemon.app.backfill.view import Backfilled
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


_INTERRUPTED: Final = 130


class Asked(Options, frozen=True):
    """Which candles are fetched, from where, and what is told of it."""

    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose cache; default: the default environment.")] = None
    granularity: Annotated[
        list[str] | None, typer.Option("--granularity", "--interval", help="Only candles of this length: 1d, D1, 1h, ...; repeatable.")
    ] = None
    since: Annotated[str | None, typer.Option("--since", metavar="YYYY-MM-DD", help="From this day on, UTC; before a listing is fine.")] = (
        None
    )
    date_window: Annotated[str | None, typer.Option("--date-window", metavar="START:END", help="Only these days, UTC, END included.")] = (
        None
    )
    latest_only: Annotated[bool, typer.Option("--latest-only", help="Only what is newer than the newest stored candle.")] = False
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Only this pair (BTC_USDT or the venue's name); repeatable.")] = None
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Say what would be fetched; ask nobody, write nothing.")] = False
    throttle_seconds: Annotated[
        float,
        typer.Option("--throttle-seconds", min=0, max=3600, help="Wait this long between two requests, beside the venue's own limit."),
    ] = 0.0
    recheck_gaps: Annotated[bool, typer.Option("--recheck-gaps", help="Ask again for what the venue did not have.")] = False
    rebuild_manifest: Annotated[
        bool, typer.Option("--rebuild-manifest", help="First make a damaged manifest anew from the files that prove themselves.")
    ] = False
    base_url: Annotated[str | None, typer.Option("--base-url", help="Ask another host instead of the venue's own.")] = None
    ws_url: Annotated[str | None, typer.Option("--ws-url", help="Held to the venue's hosts like --base-url; a backfill asks by REST.")] = (
        None
    )
    refresh_seconds: Annotated[
        int | None, typer.Option("--refresh-seconds", min=1, max=86_400, help="Begin again after so long, until Ctrl-C.")
    ] = None
    manifest_report_format: Annotated[
        ReportFormat, typer.Option("--manifest-report-format", help="At the end say what is stored, as `dudzian inspect-manifest` does.")
    ] = ReportFormat.NONE
    from_store: Annotated[Path | None, typer.Option("--from-store", help="Take candles from this store instead of the venue.")] = None
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None


@grouped
def command(asked: Asked) -> None:
    """Resolve names, plan, fetch, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.app.backfill.plan import planned
    from dudzian_daemon.app.backfill.view import Backfilled

    _require_together(asked)
    config, name = _configuration(asked)
    folder = data_folder.resolve(asked.data_dir, os.environ)
    store = _store(config, name, folder, rebuild=asked.rebuild_manifest and not asked.plan_only)
    while True:
        wish = _wish(asked, name)
        if asked.plan_only:
            _tell(Backfilled(environment=name, plans=planned(config, wish, store)), None, asked)
            return
        done = _fetched(config, wish, store, folder, asked)
        _tell(done, None if asked.manifest_report_format is ReportFormat.NONE else store, asked)
        if asked.refresh_seconds is None:
            raise typer.Exit(1 if done.failed else 0)
        _rest(asked.refresh_seconds)


def _require_together(asked: Asked) -> None:
    if asked.refresh_seconds is not None and (asked.json or asked.plan_only):
        other = "--json" if asked.json else "--plan-only"
        msg = f"--refresh-seconds: expected a backfill that goes on, found {other} beside it, which answers once"
        raise ConfigError(msg)
    if asked.json and asked.manifest_report_format is ReportFormat.TABLE:
        msg = "--manifest-report-format: expected json or none beside --json, found table"
        raise ConfigError(msg)


def _configuration(asked: Asked) -> tuple[CoreConfig, str]:
    """With the addresses of the command line, and the environment's name."""
    from dudzian_daemon.app.venues import addresses
    from dudzian_daemon.config.load import load

    name = load(asked.config, env=os.environ).config.environment_id(asked.environment)
    return load(asked.config, env=os.environ, cli=addresses(name, asked.base_url, asked.ws_url)).config, name


def _store(config: CoreConfig, name: str, folder: Path, *, rebuild: bool) -> ParquetCandleStore:
    from dudzian_daemon.adapters.candle_store import store_of

    source = config.environment(name).exchange
    store = store_of(config.environment(name), folder)
    if store.read_only:
        msg = f"environment {name} reads the shipped sample, which nobody fills; choose one with `candle_source: cache`"
        raise ConfigError(msg)
    if rebuild:
        _rebuild(store, source)
    store.require_room_for(source)
    return store


def _rest(seconds: int) -> None:
    """Wait for the next round. Ends the command on Ctrl-C."""
    import anyio

    from dudzian_daemon.kernel.clock import SystemClock

    try:
        anyio.run(SystemClock().sleep, seconds)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _wish(asked: Asked, name: str) -> Wish:
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.app.backfill.plan import Wish
    from dudzian_daemon.kernel.clock import SystemClock

    since, until = _span(asked.since, asked.date_window)
    return Wish(
        environment=name,
        now=SystemClock().wall_ns(),
        since=since,
        until=until,
        symbols=tuple(asked.symbol or ()),
        granularities=tuple(granularity_named(text) for text in asked.granularity or ()),
        latest_only=asked.latest_only,
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


def _fetched(config: CoreConfig, wish: Wish, store: ParquetCandleStore, folder: Path, asked: Asked) -> Backfilled:
    """Ends the command on Ctrl-C."""
    from dudzian_daemon.app.backfill.run import Source, fetched, prepared
    from dudzian_daemon.app.backfill.view import Backfilled
    from dudzian_daemon.app.plugins.places import plugin_folders

    plans, moved = prepared(config, wish, store, recheck_gaps=asked.recheck_gaps)
    source = Source(folder=asked.from_store, throttle_seconds=asked.throttle_seconds, plugin_folders=plugin_folders(None, os.environ))
    try:
        with progress("backfill", "candles", sum(plan.missing_rows for plan in plans)) as bar:

            def told(plan: SeriesPlan, rows: int) -> None:
                bar.advance(rows, f"{plan.series.instrument} {plan.series.granularity}")

            outcomes = fetched(config, wish.environment, store, plans, folder, source, told)
    except KeyboardInterrupt:
        note("backfill: interrupted; what came is stored, run it again to go on")
        raise typer.Exit(_INTERRUPTED) from None
    return Backfilled(environment=wish.environment, plans=plans, outcomes=outcomes, moved=moved)


def _tell(done: Backfilled, store: ParquetCandleStore | None, asked: Asked) -> None:
    """Say what was done, and what is in the store now if one is given."""
    from dudzian_daemon.app.backfill.view import document, lines
    from dudzian_daemon.app.coverage.manifest_report import manifest_report, manifest_table

    stored = None if store is None else manifest_report(store, done.environment)
    if asked.json:
        emit_json(document(done) | ({} if stored is None else {"manifest": stored}))
        return
    emit_text("\n".join(lines(done)))
    if stored is not None and asked.manifest_report_format is ReportFormat.JSON:
        emit_json(stored)
    elif stored is not None:
        emit_text(manifest_table(stored))
