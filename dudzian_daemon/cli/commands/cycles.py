"""Show the latest controller cycles of a session, from its journal: signals, verdicts, fills, equity."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.journal_reader import Cycle

EXAMPLES = """Examples:

  dudzian cycles                      the last ten of the newest session

  dudzian cycles -n 100 --json        for programs

  dudzian cycles --eventful           only cycles in which something happened
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment; default: the configuration's.")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    session: Annotated[str | None, typer.Option(help="Log id of the session, or its beginning; default: the newest.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many cycles at most.")] = 10,
    eventful: Annotated[bool, typer.Option("--eventful", help="Leave out quiet cycles.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array of records.")] = False,
) -> None:
    """Works while the daemon runs and after it has ended; shows only what is durable."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.journal_reader import latest_cycles
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ)
    folder = _session_folder(resolve(data_dir, os.environ), loaded.config.artifact_name(environment), session)
    cycles = latest_cycles(folder, limit, quiet=not eventful)
    if as_json:
        emit_json([{"log_id": cycle.log_id, "line": cycle.line, "wall": cycle.wall, "cycle": cycle.record} for cycle in cycles])
    else:
        emit_text("\n".join(_line(cycle) for cycle in cycles))


def _session_folder(data_folder: Path, artifact: str, wanted: str | None) -> Path:
    from dudzian_daemon.adapters.journal_reader import sessions

    found = sessions(data_folder, artifact)
    chosen = [entry for entry in found if wanted is None or entry.log_id.startswith(wanted)]
    if not chosen:
        known = ", ".join(entry.log_id for entry in found[:5]) or "none"
        msg = f"no session {wanted or ''} of {artifact} below {data_folder}; known: {known}; start one with: dudzian run"
        raise ConfigError(msg)
    return chosen[0].folder


def _line(cycle: Cycle) -> str:
    from dudzian_daemon.kernel.clock import iso_utc

    record = cycle.record
    happened = [
        *(f"signal {signal.intent} {signal.instrument}" for signal in record.signals),
        *(f"{verdict.outcome} {verdict.code or ''}".rstrip() for verdict in record.verdicts),
        *(f"fill {fill.side} {fill.quantity.normalize():f} {fill.instrument} at {fill.price.normalize():f}" for fill in record.fills),
        *(f"risk {change.profile} {change.change}" for change in record.risk),
        *(f"fault {fault.unit} {fault.error}" for fault in record.faults),
    ]
    when = iso_utc(record.instant)[:19].replace("T", " ")
    return f"{record.sequence:>6}  {when}  equity {record.equity:.2f}  {'; '.join(happened) or 'quiet'}"
