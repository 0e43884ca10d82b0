"""Accept beforehand that the session goes on under a changed configuration or other code: for one start, a service manager's.

It shows what differs from the run before. With your yes it leaves a signed file, bound to both sides of that difference, which the
next start uses once. Give it the options that the daemon is started with; `dudzian run --accept-change` does the same at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dudzian_daemon.cli import session_options
from dudzian_daemon.cli.keys import writers_key
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian accept-change -e binance_paper                show the difference, ask

  dudzian accept-change --yes && systemctl restart dudzian

  dudzian accept-change --dry-run --json                the difference, and nothing else
"""

_HOUR_NS = 3_600_000_000_000


def command(
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    config: session_options.Config = None,
    data_dir: session_options.DataDir = None,
    plugins_dir: session_options.PluginsDir = None,
    pipeline_module: Annotated[list[str] | None, typer.Option("--pipeline-module", help="As for `dudzian run`; repeat.")] = None,
    realtime_module: Annotated[list[str] | None, typer.Option("--realtime-module", help="As for `dudzian run`; repeat.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="As for `dudzian run-multi-strategy-scheduler`.")] = None,
    valid_hours: Annotated[int, typer.Option(min=1, max=720, help="Hours in which the start has to come.")] = 24,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; asks nothing, so --yes or --dry-run is needed.")] = False,
) -> None:
    """Exit 0 accepted, or nothing differs; 1 you said no; 2 there is no session that goes on, or the change cannot be accepted."""
    from dudzian_daemon.app.accepted_change import told
    from dudzian_daemon.app.bootstrap import facts_of
    from dudzian_daemon.app.change_consent import consent_path, give, open_change
    from dudzian_daemon.app.preparation import RunOptions, prepare
    from dudzian_daemon.kernel.clock import SystemClock, iso_utc

    modules = (*(pipeline_module or ()), *(realtime_module or ()))
    said = RunOptions(
        config=config, environment=environment, data_dir=data_dir, plugins_dir=plugins_dir, modules=modules, scheduler=scheduler
    )
    prepared = prepare(said, os.environ)
    key = writers_key(prepared.config)
    session, change = open_change(prepared, key, facts_of(prepared))
    document: dict[str, object] = {"log_id": session.log_id, "change": None if change is None else change.difference, "accepted": False}
    if change is None or dry_run:
        lines = ["nothing differs from the run before: the session goes on as it is"] if change is None else told(change.difference)
        _tell(document, [f"session {session.log_id}", *lines], as_json=as_json)
        return
    if not as_json:
        emit_text("\n".join([f"session {session.log_id}", *told(change.difference)]))
    if not yes and not _agreed(as_json=as_json):
        emit_text("not accepted, nothing is written")
        raise typer.Exit(1)
    consent = give(prepared.data_folder, change, key, SystemClock(), valid_ns=valid_hours * _HOUR_NS)
    path, until = consent_path(prepared.data_folder), iso_utc(consent.expires_at)
    _tell(
        document | {"accepted": True, "file": str(path), "expires_at": consent.expires_at},
        [f"accepted for one start, until {until}: {path}"],
        as_json=as_json,
    )


def _agreed(*, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        msg = "accept-change: expected --yes (or --dry-run) where nobody can be asked, found neither"
        raise ConfigError(msg)
    return typer.confirm("Let the session go on under what is new?")


def _tell(document: dict[str, object], lines: list[str], *, as_json: bool) -> None:
    if as_json:
        emit_json(document)
    else:
        emit_text("\n".join(lines))
