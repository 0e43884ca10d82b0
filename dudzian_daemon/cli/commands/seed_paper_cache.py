"""Fill an environment's candle cache with made-up candles, offline and equal on every machine.

Prices are pure functions of seed, instrument and time; running it again changes nothing. Real candles are never overwritten.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.candle_store import WriteReport
    from dudzian_daemon.adapters.seed import SeedWindow
    from dudzian_daemon.domain.market import Instrument

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2100


def command(
    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment whose cache is filled.")] = "binance_paper",
    days: Annotated[int, typer.Option("--days", min=1, max=36_500, help="Length of the window.")] = 60,
    start_date: Annotated[str, typer.Option("--start-date", metavar="YYYY-MM-DD", help="First day, UTC.")] = "2024-01-01",
    interval: Annotated[str, typer.Option("--interval", help="Length of a candle: 1d, D1, 1h, ...")] = "1d",
    seed: Annotated[int, typer.Option("--seed", help="Another number makes another market.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing when all went well.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file.")] = None,
) -> None:
    """Make the window, resolve environment and cache, write, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.seed import cache_of, seed_store
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ).config
    name = loaded.environment_id(environment)
    instruments = loaded.universe(name)
    store = cache_of(name, loaded.environment(name), instruments, data_folder.resolve(data_dir, os.environ))
    window = _window(interval, start_date, days, seed)
    with _progress(len(instruments), shown=sys.stderr.isatty() and not (quiet or json)) as done:
        reports = seed_store(store, instruments, window, done=done, dry_run=dry_run)
    document = _document(name, store.root, window, reports, dry_run=dry_run)
    if json:
        emit_json(document)
    elif not quiet:
        emit_text(_sentence(document))


def _window(interval: str, start_date: str, days: int, seed: int) -> SeedWindow:
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.adapters.seed import SeedWindow
    from dudzian_daemon.config.schema import midnight_ns

    try:
        first = date.fromisoformat(start_date)
    except ValueError:
        first = None
    if first is None or not _FIRST_YEAR <= first.year <= _LAST_YEAR:
        msg = f"--start-date: expected a day such as 2024-01-01, from {_FIRST_YEAR} to {_LAST_YEAR}, found {start_date!r}"
        raise ConfigError(msg)
    end = midnight_ns(first + timedelta(days=days))
    return SeedWindow(granularity=granularity_named(interval), start=midnight_ns(first), end=end, seed=seed)


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[Instrument], None]]:
    if not shown:
        yield lambda _instrument: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("seeding", total=total)
        yield lambda instrument: progress.update(task, advance=1, description=instrument.symbol)


def _document(name: str, root: Path, window: SeedWindow, reports: dict[str, WriteReport], *, dry_run: bool) -> dict[str, Any]:
    first, last = (datetime.fromtimestamp(at // 10**9, UTC).isoformat() for at in (window.start, window.end))
    return {
        "environment": name,
        "store": str(root),
        "interval": window.granularity,
        "start": first,
        "end": last,
        "seed": window.seed,
        "source": "seeded",
        "dry_run": dry_run,
        "instruments": reports,
    }


def _sentence(document: dict[str, Any]) -> str:
    reports: dict[str, WriteReport] = document["instruments"]
    added, same = sum(report.added for report in reports.values()), sum(report.unchanged for report in reports.values())
    verb = "would write up to" if document["dry_run"] else "wrote"
    there = f", {same} were there already" if same else ""
    return (
        f"{document['environment']}: {verb} {added} made-up {document['interval']} candles of {len(reports)} instruments "
        f"from {document['start'][:10]} up to {document['end'][:10]}{there}; {document['store']}"
    )
