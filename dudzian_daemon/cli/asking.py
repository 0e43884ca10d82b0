"""What commands that speak to a running daemon share: find it, send, wait for the reply, read what was recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dudzian_daemon.domain.errors import ConfigError, Retryable

if TYPE_CHECKING:
    from dudzian_daemon.domain.records import CycleRecord
    from dudzian_daemon.services.inbox import Reply

_POLL_SECONDS: Final = 0.02
_ENDING_POLL_SECONDS: Final = 0.05


def ask(name: str, arguments: Mapping[str, str], data_dir: Path | None, timeout: float) -> Reply:
    """The daemon's reply. Raises `ConfigError` if none runs there or it does not accept the command, `Retryable` if it does not answer."""
    import anyio

    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.services.inbox import CommandFile, send

    folder = resolve(data_dir, os.environ)
    if running_pid(folder) is None:
        msg = f"no daemon runs on {folder}"
        raise ConfigError(msg)
    reply = anyio.run(_answered, folder, send(folder, CommandFile(name, dict(arguments))), timeout)
    if reply is None:
        msg = f"the daemon on {folder} has not answered {name} within {timeout:g} s; look at: dudzian status"
        raise Retryable(msg)
    if not reply.accepted:
        raise ConfigError(reply.detail)
    return reply


def recorded(name: str, arguments: Mapping[str, str], data_dir: Path | None, timeout: float) -> CycleRecord:
    """The durable cycle that records the command. Raises as `ask`, and `Retryable` when the journal does not show it."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER
    from dudzian_daemon.adapters.journal_reader import cycles_between
    from dudzian_daemon.sinks.status import read_status

    sequence = ask(name, arguments, data_dir, timeout).sequence or 0
    root = resolve(data_dir, os.environ)
    status = read_status(root)
    folders = [] if status is None else list((root / JOURNAL_FOLDER).glob(f"*/{status.log_id}"))
    found = [cycle.record for folder in folders for cycle in cycles_between(folder, sequence, sequence)]
    if not found:
        msg = f"{name} is recorded in cycle {sequence}, which the journal does not show yet; look at: dudzian cycles"
        raise Retryable(msg)
    return found[0]


def traded(instrument: str, config: Path | None, data_dir: Path | None) -> str:
    """The instrument's key for a pair in any spelling, at the venue of the daemon's environment. Raises `ConfigError` for no pair."""
    if ":" in instrument:
        return instrument
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.config.load import load
    from dudzian_daemon.sinks.status import read_status

    known = load(config, env=os.environ).config
    status = read_status(resolve(data_dir, os.environ))
    return known.instrument(instrument, known.environment(None if status is None else status.environment).exchange).key


def ended_within(folder: Path, seconds: float) -> bool:
    """Whether the daemon gives back the lock of the data folder within `seconds`."""
    import anyio

    return anyio.run(_ended, folder, seconds)


async def _ended(folder: Path, seconds: float) -> bool:
    from anyio.to_thread import run_sync

    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.kernel.clock import SystemClock

    clock = SystemClock()
    for _ in range(int(seconds / _ENDING_POLL_SECONDS)):
        if await run_sync(running_pid, folder) is None:
            return True
        await clock.sleep(_ENDING_POLL_SECONDS)
    return await run_sync(running_pid, folder) is None


async def _answered(folder: Path, command_id: str, seconds: float) -> Reply | None:
    import anyio
    from anyio.to_thread import run_sync

    from dudzian_daemon.kernel.clock import SystemClock
    from dudzian_daemon.services.inbox import read_reply

    clock = SystemClock()
    with anyio.move_on_after(seconds):
        while True:
            reply = await run_sync(read_reply, folder, command_id)
            if reply is not None:
                return reply
            await clock.sleep(_POLL_SECONDS)
    return None
