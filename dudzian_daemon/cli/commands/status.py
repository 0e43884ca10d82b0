"""Show what the daemon on a data folder is doing: its last durable snapshot, part by part."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from dudzian_daemon.cli.snapshots import snapshot
from dudzian_daemon.cli.watching import EVERY, Interval, Seen, Watch, show

if TYPE_CHECKING:
    from dudzian_daemon.sinks.status import Status

#: States of a unit that need no line of its own.
_USUAL: Final = ("running", "stopped")

EXAMPLES = """Examples:

  dudzian status

  dudzian status --json --data-dir /srv/dudzian

  dudzian status --watch --interval 2       again whenever it changes, looked at every two seconds
"""


def command(
    data_dir: Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")] = None,
    watch: Watch = False,
    interval: Interval = EVERY,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; with --watch one a line.")] = False,
) -> None:
    """Exit 0 if a daemon runs there, 1 if not (the last snapshot is shown all the same)."""
    from dudzian_daemon.adapters.data_folder import resolve

    folder = resolve(data_dir, os.environ)

    def look() -> Seen:
        status, pid = snapshot(folder)
        return Seen(pid is not None, [{"running": pid is not None, **msgspec.to_builtins(status)}], "\n".join(_lines(status, pid, folder)))

    show(look, watch=watch, interval=interval, as_json=as_json)


def _lines(status: Status, pid: int | None, folder: Path) -> Iterator[str]:
    from dudzian_daemon.kernel.clock import iso_utc

    running = f"running (pid {pid})" if pid is not None else "not running; last snapshot"
    yield f"daemon       {running}, data folder {folder}"
    yield f"session      {status.environment} {status.log_id}: {status.state} {status.detail}".rstrip()
    yield f"ready        {': '.join(filter(None, ('yes' if status.ready and pid is not None else 'no', ', '.join(status.not_ready))))}"
    yield f"event time   {iso_utc(status.instant)[:19].replace('T', ' ')} UTC, cycle {status.sequence}"
    yield f"account      equity {status.equity:.2f}, cash {status.cash:.2f}"
    for position in status.positions:
        yield f"position     {position.instrument} {position.quantity.normalize():f} of {position.strategy}, cost {position.cost:.2f}"
    if status.metrics_url and pid is not None:
        yield f"metrics      {status.metrics_url}"
    if status.token and pid is not None:
        yield f"token        {status.token}"
    if pid is not None:
        yield from _resources(status)
    yield from _units(status, "" if pid is not None else "was ")
    for name, count in status.dropped.items():
        yield f"dropped      {name}: {count} messages lost"
    for name, count in status.merged.items():
        yield f"merged       {name}: {count} messages, each replaced by a newer one of its kind; nothing is lost"


def _resources(status: Status) -> Iterator[str]:
    """Use of the budgets, and what to mind of it."""
    if status.resources:
        yield f"resources    {', '.join(use.text for use in status.resources)}"
    for use in status.resources:
        if use.state != "ok":
            said = "at its limit or above" if use.state == "over" else f"above {use.warn_at:g}, where the warning begins"
            yield f"resource     {use.name} is {said} (runtime.resource_limits)"


def _units(status: Status, was: str) -> Iterator[str]:
    """Those that run, or came to their end with the daemon, by number; the others one by one."""
    usual = Counter(unit.state for unit in status.units if unit.state in _USUAL and not (unit.restarts or unit.detail))
    for state, count in usual.items():
        yield f"units        {count} {was and 'were '}{state}"
    for unit in status.units:
        if unit.state not in _USUAL or unit.restarts or unit.detail:
            restarts = f" ({unit.restarts} restarts)" if unit.restarts else ""
            yield f"unit         {unit.name}: {was}{unit.state}{restarts} {unit.detail}".rstrip()
