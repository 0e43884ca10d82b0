"""The alerts of the daemon: what is open, acknowledge, close, test the channels.

An alert is open, acknowledged or closed. The beginning of its ID is enough. With a daemon running it is the daemon that notes what you say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dudzian_daemon.sinks.alerts.book import AlertBook, AlertState

EXAMPLES = """Examples:

  dudzian alerts list

  dudzian alerts ack 3f9c --operator jan --note "looking at it"

  dudzian alerts close 3f9c --operator jan --note "positions closed, report written"

  dudzian alerts test --channel telegram
"""

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})

DataDir = Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Operator = Annotated[str, typer.Option(help="Who says so; default: the user of this machine.")]
Note = Annotated[str, typer.Option(help="In a line, for the incident's file.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the daemon.")]
AlertId = Annotated[str, typer.Argument(metavar="ID", help="Beginning of the alert's ID.")]


@app.command("list")
def list_alerts(
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What is not closed, oldest first, and the channels. Exit 0 if no critical alert is open, else 1."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.sinks.alerts.book import read_book

    book = read_book(resolve(data_dir, os.environ))
    shown = book.alerts if every else book.open()
    if as_json:
        emit_json({"alerts": shown, "channels": book.channels, "waiting": len(book.waiting)})
    else:
        emit_text("\n".join(_lines(book, every=every)))
    raise typer.Exit(int(any(each.alert.severity == "critical" and each.state == "open" for each in shown)))


@app.command()
def ack(
    alert_id: AlertId, operator: Operator = "", note: Note = "", data_dir: DataDir = None, timeout: Timeout = 10.0, as_json: AsJson = False
) -> None:
    """Say that somebody looks at it. Exit 0 noted, 2 no such alert or closed already."""
    _change(alert_id, "acknowledged", operator, note, data_dir, timeout, as_json=as_json)


@app.command()
def close(
    alert_id: AlertId, operator: Operator = "", note: Note = "", data_dir: DataDir = None, timeout: Timeout = 10.0, as_json: AsJson = False
) -> None:
    """Say that it is dealt with. Exit 0 noted, 2 no such alert or closed already."""
    _change(alert_id, "closed", operator, note, data_dir, timeout, as_json=as_json)


@app.command()
def test(
    channel: Annotated[str | None, typer.Option(help="plugin:name or plugin; default: all that are active.")] = None,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment; default: the configuration's.")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    data_dir: DataDir = None,
    plugins_dir: Annotated[Path | None, typer.Option(help="Folder of your own plugins.", envvar="DUDZIAN_PLUGINS_DIR")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a test alert. Exit 0 if every channel took it, 1 if one did not, 2 for an unknown channel or none."""
    from dudzian_daemon.cli.sending import send_and_tell

    places = (environment, config, data_dir, plugins_dir)
    send_and_tell(channel, "a test of the alert channels", "info", places, as_json=as_json)


def _change(beginning: str, state: AlertState, operator: str, note: str, data_dir: Path | None, timeout: float, *, as_json: bool) -> None:
    """Through the daemon where one runs, else in its file."""
    import getpass

    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.platform import running_pid

    folder, who = resolve(data_dir, os.environ), operator or getpass.getuser()
    if running_pid(folder) is not None:
        from dudzian_daemon.cli.asking import ask

        name = {"acknowledged": "alert_ack", "closed": "alert_close"}[state]
        found = ask(name, {"id": beginning, "operator": who, "note": note}, data_dir, timeout).detail
    else:
        found = _change_file(folder, beginning, state, who, note)
    if as_json:
        emit_json({"id": found, "state": state, "operator": who, "note": note})
    else:
        emit_text(f"alert {found} {state} by {who}")


def _change_file(folder: Path, beginning: str, state: AlertState, operator: str, note: str) -> str:
    import msgspec

    from dudzian_daemon.adapters.platform import InstanceLock
    from dudzian_daemon.kernel.clock import SystemClock
    from dudzian_daemon.sinks.alerts.audit import write_incident
    from dudzian_daemon.sinks.alerts.book import read_book, write_book

    lock = InstanceLock.acquire(folder)
    try:
        book = read_book(folder)
        changed = book.change(beginning, state, operator=operator, note=note, at=SystemClock().wall_ns())
        write_book(folder, msgspec.json.encode(book))
        if changed.alert.severity == "critical":
            write_incident(folder, changed)
    finally:
        lock.release()
    return changed.id


def _lines(book: AlertBook, *, every: bool) -> Iterator[str]:
    from dudzian_daemon.kernel.clock import iso_utc

    shown = book.alerts if every else book.open()
    for each in shown:
        count = f" x{each.count}" if each.count > 1 else ""
        by = f"  {each.operator}{': ' if each.note else ''}{each.note}" if each.operator else ""
        head = f"{each.id}  {iso_utc(each.last_at)[:19]}Z  {each.state:<12} {each.alert.severity:<8}"
        yield f"{head} {each.alert.code}{count}: {each.alert.title}{by}"
    if not shown:
        yield "no alert is open" if not every else "no alert yet"
    for name, health in book.channels.items():
        waiting = sum(each.channel == name for each in book.waiting)
        detail = f", {health.detail}" if health.detail else ""
        yield f"channel {name}: {health.status}{detail}{f', {waiting} waiting' if waiting else ''}"
