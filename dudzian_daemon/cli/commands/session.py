"""List the sessions of a data folder, show how far one has come, and close one that shall not go on.

A session is the run of one log over as many starts as it takes. `dudzian run` goes on with the newest one that is not closed;
`session close` ends it on the record, so that the next start begins a new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.keys import writers_key
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.journal_reader import Session
    from dudzian_daemon.adapters.keychain import SigningKey
    from dudzian_daemon.app.left_sessions import HeldPosition, SessionLine

EXAMPLES = """Examples:

  dudzian session list

  dudzian session head --json > /mnt/elsewhere/head.json

  dudzian session close --dry-run                  which one, and what it holds

  dudzian session close -e binance_paper --json
"""

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})

DataDir = Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")]
Config = Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command("list")
def list_sessions(
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Only those of this environment; default: all there are.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The sessions, newest first, each with the state its log ends in. Exit 0, also when there is none."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.app.left_sessions import artifacts, session_lines
    from dudzian_daemon.config.load import load

    folder = resolve(data_dir, os.environ)
    wanted = artifacts(folder)
    if environment is not None:
        wanted = [load(config, env=os.environ).config.artifact_name(environment)]
    lines = session_lines(folder, wanted, _running(folder))
    if as_json:
        emit_json({"data_folder": str(folder), "sessions": lines})
    else:
        emit_text("\n".join(_table(lines)) if lines else f"no session below {folder} yet; start one with: dudzian run")


@app.command("head")
def head(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Log id, its beginning, folder, file, artifact, or `newest`.")
    ] = "newest",
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose newest session `newest` is.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The signed head alone, one line of JSON.")] = False,
) -> None:
    """Show the newest signed head of a session: how far its journal has come. It is at most a minute or a hundred lines old."""
    from dudzian_daemon.adapters.head_file import newest_head
    from dudzian_daemon.adapters.heads import encode_head
    from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
    from dudzian_daemon.kernel.clock import iso_utc

    log = find_recorded(LogOptions(session=session, data_dir=data_dir, config=config, environment=environment), os.environ)
    signed = newest_head(log.folder)
    if not as_json:
        known = signed.head
        emit_text(f"session {known.log}: line {known.line}, cycle {known.sequence}, seen at {iso_utc(known.at)}, signed by {signed.key}")
    emit_text(encode_head(signed).decode().rstrip("\n"))  # in its one spelling: a signature covers bytes


@app.command()
def close(
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Environment of the configuration; default: its default_environment.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which session it would be and what it holds; write nothing.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a running daemon to end.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """End the newest session that is not closed; a running daemon closes its positions and ends with it.

    Where no daemon runs there are no prices: positions stay as they are, on the record.
    Exit 0 closed, 1 there is none or the daemon has not ended within the time, 2 it cannot be closed.
    """
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.app.recovery import resumable
    from dudzian_daemon.config.load import load

    folder = resolve(data_dir, os.environ)
    known = load(config, env=os.environ).config
    artifact = known.artifact_name(environment)
    session = resumable(folder, artifact)
    if session is None:
        _tell({"closed": False, "artifact": artifact, "log_id": None}, f"{artifact}: no session that is not closed", as_json=as_json)
        raise typer.Exit(1)
    if running_pid(folder) is None:
        _close_left(folder, session, writers_key(known), dry_run=dry_run, as_json=as_json)
    else:
        _require_of_daemon(folder, session, artifact)
        _close_running(folder, session, timeout, dry_run=dry_run, as_json=as_json)


def _close_left(folder: Path, session: Session, key: SigningKey, *, dry_run: bool, as_json: bool) -> None:
    from dudzian_daemon.adapters.platform import InstanceLock
    from dudzian_daemon.app.left_sessions import close_session, held_positions
    from dudzian_daemon.domain.errors import IntegrityError
    from dudzian_daemon.kernel.clock import SystemClock

    try:
        with ExitStack() as locked:
            if not dry_run:
                locked.callback(InstanceLock.acquire(folder).release)
            held = held_positions(session, key)
            if not dry_run:
                close_session(session, key, SystemClock(), reason="operator")
    except IntegrityError as error:
        msg = f"session {session.log_id} cannot be closed: {error}"
        raise ConfigError(msg) from None
    document = {"closed": not dry_run, "log_id": session.log_id, "was": session.state, "positions": held}
    _tell(document, "\n".join(_closed_lines(session, held, dry_run=dry_run)), as_json=as_json)


def _close_running(folder: Path, session: Session, timeout: float, *, dry_run: bool, as_json: bool) -> None:
    from dudzian_daemon.cli.asking import ask, ended_within

    document = {"closed": not dry_run, "log_id": session.log_id, "was": "running"}
    if dry_run:
        _tell(
            document, f"session {session.log_id} runs: its positions would be closed, then the session and the daemon end", as_json=as_json
        )
        return
    ask("session_close", {}, folder, timeout)
    if not ended_within(folder, timeout):
        _tell(document | {"closed": False}, f"not ended within {timeout:g} s; look at: dudzian status", as_json=as_json)
        raise typer.Exit(1)
    _tell(document, f"session {session.log_id} is closed, and the daemon has ended", as_json=as_json)


def _require_of_daemon(folder: Path, session: Session, artifact: str) -> None:
    """Raises `ConfigError` where the daemon that runs there is at another session: that one is not to be written on beside it."""
    running = _running(folder)
    if running != session.log_id:
        msg = f"the daemon on {folder} runs session {running or '(still starting)'}, not {session.log_id} of {artifact}; stop it first"
        raise ConfigError(msg)


def _running(folder: Path) -> str:
    """Log id of the session that a daemon writes there, empty if none does."""
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.sinks.status import read_status

    pid = running_pid(folder)
    status = None if pid is None else read_status(folder)
    return status.log_id if status is not None and status.pid == pid else ""


def _tell(document: dict[str, object], text: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(document)
    else:
        emit_text(text)


def _closed_lines(session: Session, held: list[HeldPosition], *, dry_run: bool) -> Iterator[str]:
    yield f"session {session.log_id} ({session.state}) {'would be closed' if dry_run else 'is closed'}; the next start begins a new one"
    for position in held:
        yield f"stays open on its record: {position.quantity.normalize():f} {position.instrument} of {position.strategy}"


def _table(lines: list[SessionLine]) -> list[str]:
    from dudzian_daemon.cli.layout import table_lines, terminal_width
    from dudzian_daemon.kernel.clock import iso_utc

    def moment(instant: int) -> str:
        return iso_utc(instant)[:19].replace("T", " ") if instant else "-"

    rows = [[line.log_id, line.artifact, line.state, str(line.sequence), moment(line.instant), moment(line.born)] for line in lines]
    return table_lines(["session", "artifact", "state", "cycles", "event_time", "begun"], rows, terminal_width())
