"""Show what the candle manifest of an environment says is stored: rows, first and last bar per series.

Times are the opens of bars, UTC. `missing` counts the bars that lack between first and last; --holes lists them, for which the months
with holes are read. Otherwise the data is not read; every read of candles checks it against this manifest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text

EXAMPLES = """Examples:

  dudzian inspect-manifest --environment binance_paper

  dudzian inspect-manifest -e demo --json
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose candles; default: the default environment.")] = None,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Only this pair (BTC_USDT or the venue's name); repeatable.")] = None,
    interval: Annotated[list[str] | None, typer.Option("--interval", help="Only this length of candle (1d or D1); repeatable.")] = None,
    holes: Annotated[
        bool, typer.Option("--holes", help="List the holes between first and last bar: open of the first, end of the last.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Resolve the environment's store, read its manifest, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.adapters.candle_store import store_of
    from dudzian_daemon.app.coverage.manifest_report import manifest_report, manifest_table
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ).config
    name = loaded.environment_id(environment)
    settings = loaded.environment(name)
    pairs = {loaded.instrument(text, settings.exchange).key for text in symbol or ()}
    granularities = {granularity_named(text) for text in interval or ()}
    store = store_of(settings, data_folder.resolve(data_dir, os.environ))
    report = manifest_report(store, name, pairs=pairs, granularities=granularities, holes=holes)
    if json:
        emit_json(report)
    else:
        emit_text(manifest_table(report))
