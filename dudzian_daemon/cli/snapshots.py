"""How commands read the last durable snapshot of a daemon: once, or again whenever it has become another."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from dudzian_daemon.cli.output import emit_json, emit_line, emit_text, note
from dudzian_daemon.domain.errors import ConfigError, Retryable

if TYPE_CHECKING:
    from dudzian_daemon.sinks.status import Status

_POLL_SECONDS: Final = 0.25


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
    as_json: bool,
) -> NoReturn:
    """Tell what the snapshot holds, with `watch` again after every cycle, in JSON a line each time; exit 0 while a daemon runs, else 1."""
    from dudzian_daemon.adapters.data_folder import resolve

    folder = resolve(data_dir, os.environ)
    status, pid = snapshot(folder)
    if watch:
        _watch(folder, document, lines, as_json=as_json)
    if as_json:
        emit_json(_headed(status, pid) | document(status))
    else:
        emit_text("\n".join([_head(status, pid), *lines(status)]))
    raise typer.Exit(0 if pid is not None else 1)


def _watch(
    folder: Path, document: Callable[[Status], dict[str, object]], lines: Callable[[Status], Iterator[str]], *, as_json: bool
) -> NoReturn:
    """Until Ctrl-C, or until nobody reads (0), or until the daemon has ended (1)."""
    import anyio

    from dudzian_daemon.kernel.clock import SystemClock

    async def follow() -> None:
        clock, told = SystemClock(), None
        while True:
            status, pid = await anyio.to_thread.run_sync(snapshot, folder)
            if (status.log_id, status.sequence) != told:
                told = (status.log_id, status.sequence)
                if as_json:
                    emit_line(_headed(status, pid) | document(status))
                else:
                    emit_text("\n".join([_head(status, pid), *lines(status), ""]))
            sys.stdout.flush()
            if pid is None:
                return
            await clock.sleep(_POLL_SECONDS)

    signal.signal(signal.SIGINT, _end)
    try:
        anyio.run(follow)
    except BrokenPipeError:  # `... --watch | head`: what the interpreter would flush at its end has no reader either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    note("the daemon has ended")
    raise typer.Exit(1)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ctrl-C, however often: everything that was told is flushed already."""
    os._exit(0)


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
