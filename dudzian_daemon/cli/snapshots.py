"""How commands read the last durable snapshot of a daemon: once, or again whenever it has become another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dudzian_daemon.cli.watching import Seen, show
from dudzian_daemon.domain.errors import ConfigError, Retryable

if TYPE_CHECKING:
    from dudzian_daemon.sinks.status import Status


def snapshot(folder: Path) -> tuple[Status, int | None]:
    """The snapshot and the daemon's pid, None if none runs. Raises `ConfigError` where none ever ran, `Retryable` while one starts."""
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.sinks.status import read_status

    pid = running_pid(folder)
    status = read_status(folder)
    if pid is not None and (status is None or status.pid != pid):
        msg = f"the daemon (pid {pid}) on {folder} is starting and has no snapshot yet; ask again in a second"
        raise Retryable(msg)
    if status is None:
        msg = f"no daemon has run on {folder} yet; start one with: dudzian run"
        raise ConfigError(msg)
    return status, pid


def show_snapshot(
    data_dir: Path | None,
    document: Callable[[Status], dict[str, object]],
    lines: Callable[[Status], Iterator[str]],
    *,
    watch: bool,
    interval: float,
    as_json: bool,
) -> NoReturn:
    """Tell what the snapshot holds, with `watch` again after every cycle, in JSON a line each time; exit 0 while a daemon runs, else 1."""
    from dudzian_daemon.adapters.data_folder import resolve

    folder = resolve(data_dir, os.environ)

    def look() -> Seen:
        status, pid = snapshot(folder)
        return Seen(pid is not None, [_headed(status, pid) | document(status)], "\n".join([_head(status, pid), *lines(status)]))

    show(look, watch=watch, interval=interval, as_json=as_json)


def _headed(status: Status, pid: int | None) -> dict[str, object]:
    return {
        "running": pid is not None,
        "environment": status.environment,
        "log_id": status.log_id,
        "sequence": status.sequence,
        "instant": status.instant,
    }


def _head(status: Status, pid: int | None) -> str:
    from dudzian_daemon.kernel.clock import iso_utc

    ended = "" if pid is not None else ", not running; last snapshot"
    moment = iso_utc(status.instant)[:19].replace("T", " ") if status.sequence else "no input yet"
    return f"{status.environment}, cycle {status.sequence}, {moment}{' UTC' if status.sequence else ''}{ended}"
