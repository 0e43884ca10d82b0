"""Fill an environment's candle cache with made-up candles, offline and equal on every machine.

Every instrument gets days, and every series that the environment's scheduler takes is made too. Prices are pure functions of
seed, instrument and time; running it again changes nothing. Real candles are never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import structs

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.progress import progress
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS

if TYPE_CHECKING:
    from dudzian_daemon.adapters.candle_store import WriteReport
    from dudzian_daemon.adapters.seed import SeedSeries
    from dudzian_daemon.domain.market import Series

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2100
#: A day of half minutes has 2,880.
_MOST_ROWS: Final = 20_000

EXAMPLES = """Examples:

  dudzian seed-paper-cache --environment binance_paper --days 60 --start-date 2024-01-01

  dudzian seed-paper-cache -e binance_paper --days 400 --interval 1d
"""


def command(
    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment whose cache is filled.")] = "binance_paper",
    days: Annotated[int, typer.Option("--days", min=1, max=36_500, help="Length of the window.")] = 60,
    start_date: Annotated[str, typer.Option("--start-date", metavar="YYYY-MM-DD", help="First day, UTC.")] = "2024-01-01",
    granularity: Annotated[
        list[str] | None,
        typer.Option(
            "--granularity", "--interval", help="Only candles of this length: 1d, D1, 1h, ...; repeat. Default: 1d and what is scheduled."
        ),
    ] = None,
    max_rows: Annotated[int, typer.Option("--max-rows", min=1, help="Most candles of a series; it gets the last ones.")] = _MOST_ROWS,
    seed: Annotated[int, typer.Option("--seed", help="Another number makes another market.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing when all went well.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Resolve environment and cache, plan the series, write, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.adapters.seed import cache_of, planned, seed_store
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ).config
    name = loaded.environment_id(environment)
    store = cache_of(name, loaded.environment(name), loaded.universe(name), data_folder.resolve(data_dir, os.environ))
    chosen = [granularity_named(each) for each in granularity or ()]
    plan = planned(loaded, name, *_window(start_date, days), seed=seed, granularities=chosen, most_rows=max_rows)
    with progress("seeding", "series", len(plan), shown=not quiet) as bar:
        reports = seed_store(
            store, plan, done=lambda each: bar.advance(1, f"{each.instrument.key} {each.window.granularity}"), dry_run=dry_run
        )
    if json:
        emit_json(_document(name, store.root, seed, plan, reports, dry_run=dry_run))
    elif not quiet:
        for line in _lines(name, store.root, plan, reports, days=days, dry_run=dry_run):
            emit_text(line)


def _window(start_date: str, days: int) -> tuple[int, int]:
    """First instant and end, ns."""
    from dudzian_daemon.config.environment import midnight_ns

    try:
        first = date.fromisoformat(start_date)
    except ValueError:
        first = None
    if first is None or not _FIRST_YEAR <= first.year <= _LAST_YEAR:
        msg = f"--start-date: expected a day such as 2024-01-01, from {_FIRST_YEAR} to {_LAST_YEAR}, found {start_date!r}"
        raise ConfigError(msg)
    return midnight_ns(first), midnight_ns(first + timedelta(days=days))


def _document(
    name: str, root: Path, seed: int, plan: Sequence[SeedSeries], reports: Mapping[Series, WriteReport], *, dry_run: bool
) -> dict[str, Any]:
    return {
        "environment": name,
        "store": str(root),
        "seed": seed,
        "source": "seeded",
        "dry_run": dry_run,
        "series": [
            {
                "instrument": each.instrument.key,
                "interval": each.window.granularity,
                "start": _time(each.window.start).isoformat(),
                "end": _time(each.window.end).isoformat(),
                **structs.asdict(reports[each.series]),
            }
            for each in plan
        ],
    }


def _lines(
    name: str, root: Path, plan: Sequence[SeedSeries], reports: Mapping[Series, WriteReport], *, days: int, dry_run: bool
) -> Iterator[str]:
    """One line a granularity, and where it all is."""
    verb = "would write up to" if dry_run else "wrote"
    for granularity in dict.fromkeys(each.window.granularity for each in plan):
        those = [each for each in plan if each.window.granularity == granularity]
        made = [reports[each.series] for each in those]
        window, same = those[0].window, sum(report.unchanged for report in made)
        there = f", {same} were there already" if same else ""
        cut = "" if window.end - window.start == days * DAY_NS else f" (cut to the last of {days} days: --max-rows)"
        yield (
            f"{name}: {verb} {sum(report.added for report in made)} made-up {granularity} candles of {len(those)} instruments "
            f"from {_time(window.start):%Y-%m-%d} up to {_time(window.end):%Y-%m-%d}{there}{cut}"
        )
    yield f"{name}: {root}"


def _time(instant: int) -> datetime:
    return datetime.fromtimestamp(instant // 10**9, UTC)
