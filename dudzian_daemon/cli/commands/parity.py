"""Compare a recorded session with a backtest of the same window, and name the first entry that differs and why.

The backtest plays the candle store with today's configuration, plugins and package; see docs/reference/parity.md for the causes.

The session's seals are checked first, with the key that the daemon would sign with.

Exit codes: 0 equal, 1 differs, 2 wrong usage, or nothing that can be compared: a tampered session too.
"""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dudzian_daemon.app.parity.compare import ParityReport

EXAMPLES = """Examples:

  dudzian parity                               the newest session of the default environment

  dudzian parity -e paper --session 3f2a       a session by the beginning of its log id

  dudzian parity --allow-waiting               candles that came within the settle delay are no difference by themselves

  dudzian parity --json | jq .difference       for programs
"""

#: Changes and differing paths that are listed before the rest is only counted.
_MOST_LISTED = 5


class ParityExit(IntEnum):
    """Exit codes of this command."""

    EQUAL = 0
    DIFFERS = 1
    USAGE = 2


def command(
    session: Annotated[str, typer.Option(help="Log id of the session, its beginning, or `newest`.")] = "newest",
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    allow_waiting: Annotated[
        bool, typer.Option("--allow-waiting", help="How long a candle was waited for is no difference, as long as nothing came of it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (schema dudzian.parity/1) on stdout.")] = False,
    plugins_dir: Annotated[
        Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
    ] = None,
    pipeline_module: Annotated[list[str] | None, typer.Option("--pipeline-module", help="As the session was run with; repeat.")] = None,
    realtime_module: Annotated[list[str] | None, typer.Option("--realtime-module", help="As the session was run with; repeat.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Play, compare, tell."""
    from dudzian_daemon.app.parity.compare import ParityOptions, compare
    from dudzian_daemon.app.parity.session import Seals
    from dudzian_daemon.app.preparation import RunOptions

    run = RunOptions(
        config=config,
        environment=environment,
        data_dir=data_dir,
        plugins_dir=plugins_dir,
        modules=(*(pipeline_module or ()), *(realtime_module or ())),
    )
    try:
        report = compare(ParityOptions(run=run, session=session, allow_waiting=allow_waiting), os.environ)
    except IntegrityError as error:  # exit code 1 is a verdict here
        raise ConfigError(str(error)) from None
    if report.seals is Seals.KEY_MISSING:
        note(f"seals {report.seals}; whether the session is what was written is not known")
    if as_json:
        emit_json(report)
    else:
        emit_text("\n".join(_lines(report)))
    raise typer.Exit(ParityExit.EQUAL if report.equal else ParityExit.DIFFERS)


def _lines(report: ParityReport) -> Iterator[str]:
    from dudzian_daemon.kernel.clock import iso_utc

    yield f"session      {report.log_id} ({report.state}), environment {report.environment}"
    waited = f", {report.waited} of them but for the waiting" if report.waited else ""
    yield f"compared     {report.compared} of {report.cycles} cycles are equal{waited}"
    difference = report.difference
    if difference is None:
        yield f"verdict      {'equal but for the waiting' if report.waited else f'equal, content chain {report.content_chain}'}"
    else:
        yield f"verdict      differs from cycle {difference.sequence} on, {iso_utc(difference.instant)}"
        yield f"cause        {difference.cause}: {difference.detail}"
    paths = () if difference is None else tuple(map(str, difference.paths))
    for name, texts in (("differing", paths), ("config", report.config_changes), ("code", report.code_changes)):
        for number, text in enumerate(texts[:_MOST_LISTED]):
            yield f"{name if not number else '':<12} {text}"
        if len(texts) > _MOST_LISTED:
            yield f"{'':<12} and {len(texts) - _MOST_LISTED} more, all of them with --json"
    yield f"seals        {report.seals}"
