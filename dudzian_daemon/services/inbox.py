"""The one way in for commands: JSON files that appear by atomic rename in `<data folder>/run/inbox`, each answered by a reply file.

A command is a file `<id>.json` with `{"name": ..., "arguments": {...}}`; its reply is `replies/<id>.json`. The folder is
0700, so who may write there is who may command the daemon.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec
import structlog

from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel.clock import Clock

POLL_SECONDS: Final = 0.1
LARGEST_COMMAND: Final = 16_384

log = structlog.get_logger("inbox")


class CommandFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command file holds."""

    name: str
    arguments: dict[str, str] = {}


class Reply(msgspec.Struct, frozen=True):
    """What the daemon answered; `sequence` is the cycle that records the command, once it is durable."""

    id: str
    accepted: bool
    detail: str
    sequence: int | None = None


Handler = Callable[[str, CommandFile], Awaitable[Reply]]


def inbox_folder(data_folder: Path) -> Path:
    """Where command files go."""
    return data_folder / "run" / "inbox"


def send(data_folder: Path, command: CommandFile) -> str:
    """Put a command into the inbox of the daemon that runs on `data_folder`; returns its id."""
    command_id = secrets.token_hex(8)
    folder = inbox_folder(data_folder)
    ensure_dir(folder, 0o700)
    write_atomic(folder / f"{command_id}.json", msgspec.json.encode(command), mode=0o600)
    return command_id


def read_reply(data_folder: Path, command_id: str) -> Reply | None:
    """The reply to a command, None while there is none."""
    path = inbox_folder(data_folder) / "replies" / f"{command_id}.json"
    return msgspec.json.decode(path.read_bytes(), type=Reply) if path.exists() else None


def expire_commands(data_folder: Path) -> None:
    """Make the folders; commands left by an earlier run are answered as expired, never executed late.

    To be called once, right after the data folder was locked: what comes later is meant for this daemon. Blocks.
    """
    folder = inbox_folder(data_folder)
    ensure_dir(folder, 0o700)
    ensure_dir(folder / "replies", 0o700)
    for path in _waiting(folder):
        _answer(path, Reply(path.stem, accepted=False, detail="expired: the daemon it was meant for has ended"))


class Inbox:
    """Polls the folder, hands each command to `handler`, writes the reply, removes the command."""

    name = "inbox"

    def __init__(self, data_folder: Path, handler: Handler, clock: Clock) -> None:
        self._folder = inbox_folder(data_folder)
        self._handler = handler
        self._clock = clock

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            for path in await anyio.to_thread.run_sync(_waiting, self._folder):
                await self._serve(path)
            await self._clock.sleep(POLL_SECONDS)

    async def _serve(self, path: Path) -> None:
        try:
            command = await anyio.to_thread.run_sync(_read, path)
            reply = await self._handler(path.stem, command)
        except (msgspec.DecodeError, OSError, DudzianError) as error:
            reply = Reply(path.stem, accepted=False, detail=f"{error}")
        log.info("command", action="command", id=path.stem, accepted=reply.accepted, detail=reply.detail)
        await anyio.to_thread.run_sync(_answer, path, reply)


def _waiting(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.is_file() and not path.is_symlink())


def _answer(path: Path, reply: Reply) -> None:
    write_atomic(path.parent / "replies" / path.name, msgspec.json.encode(reply), mode=0o600)
    path.unlink(missing_ok=True)


def _read(path: Path) -> CommandFile:
    if path.stat().st_size > LARGEST_COMMAND:
        msg = f"expected a command of at most {LARGEST_COMMAND} bytes in {path}"
        raise msgspec.DecodeError(msg)
    return msgspec.json.decode(path.read_bytes(), type=CommandFile)
