"""The one way in for commands: JSON files that appear by atomic rename in `<data folder>/run/inbox`, each answered by a reply file.

A command is a file `<id>.json` with `{"name": ..., "arguments": {...}}`; its reply is `replies/<id>.json`. The folder is
0700, so who may write there is who may command the daemon. What `SCOPES` names needs a token besides, once the daemon has one:
the file carries the proof that its sender knows it, never the token.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import anyio.to_thread
import msgspec
from msgspec import UNSET, UnsetType

from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.adapters.platform import running_pid
from dudzian_daemon.domain.errors import ConfigError, DudzianError, StorageFull
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock

POLL_SECONDS: Final = 0.1
LARGEST_COMMAND: Final = 16_384

#: Commands that need a token, and which scope it must have.
SCOPES: Final[Mapping[str, str]] = MappingProxyType({"suspend": "runtime.schedule.write", "resume": "runtime.schedule.write"})
#: A shorter token could be guessed from one proof.
SHORTEST_TOKEN: Final = 16

log = logs.logger("inbox")


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the sender knows the token called `token`: HMAC-SHA256 (hex) under it over the command and its id."""

    token: str
    mac: str


class HeldToken(msgspec.Struct, frozen=True):
    """A token's name, its text and what it is good for."""

    id: str
    secret: str
    scopes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"HeldToken(id={self.id!r}, scopes={self.scopes!r})"

    __str__ = __repr__


class CommandFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command file holds."""

    name: str
    arguments: dict[str, str] = {}
    proof: Proof | UnsetType = UNSET


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


class Guard:
    """Judges commands by their proof. Where no token is `expected` (by name) every command is free.

    `load` finds the expected ones, off the loop. Those that are not there, or cannot be used (a keychain that does not
    answer, a text too short), free nothing; then `tell` is called with the reason, in the thread that opens.
    """

    def __init__(
        self, expected: Sequence[str], load: Callable[[], Sequence[HeldToken]], tell: Callable[[str], object] = lambda _reason: None
    ) -> None:
        self._expected = expected
        self._load = load
        self._tell = tell
        self._tokens: Mapping[str, HeldToken] = {}
        self._closed = "the daemon is still looking for its tokens" if expected else ""

    def open(self) -> None:
        """Find the tokens; a warning, once, when there is none of those expected. Blocks."""
        if not self._expected:
            return
        try:
            self._tokens = {token.id: token for token in self._load()}
            self._closed = ""
        except DudzianError as error:
            self._closed = str(error)
            log.warning("scheduler_token_unusable", action="refuse_writes", reason=self._closed)
            self._tell(self._closed)
            return
        if not self._tokens:
            self._closed = f"the daemon was started without its token ({', '.join(self._expected)}); set it and start the daemon again"
            log.warning("scheduler_token_missing", action="precheck", reason=self._closed)
            self._tell(self._closed)

    def refusal(self, command_id: str, command: CommandFile) -> str | None:
        """Why the command is not to be obeyed, None if it is."""
        scope = SCOPES.get(command.name)
        if scope is None or not self._expected:
            return None
        if self._closed:
            return f"{command.name} is refused: {self._closed}"
        if command.proof is UNSET:
            return f"{command.name} needs a token with scope {scope}, found none in the command; known here: {', '.join(self._tokens)}"
        token = self._tokens.get(command.proof.token)
        if token is None:
            return f"{command.name}: token {command.proof.token!r} is not known here; known: {', '.join(self._tokens)}"
        if not hmac.compare_digest(_mac(token, command_id, command).encode(), command.proof.mac.encode()):
            return f"{command.name}: the proof does not fit token {token.id!r}: its value is not the daemon's, or the command was changed"
        if scope not in token.scopes:
            return f"{command.name} needs scope {scope}; token {token.id!r} has {', '.join(token.scopes) or 'none'}"
        return None


def send(data_folder: Path, command: CommandFile, token: HeldToken | None = None) -> str:
    """Put a command, with the proof of `token`, into the inbox of the daemon that runs on `data_folder`; returns its id.

    Raises `StorageFull` where the disk takes no file, and names the signals that need none.
    """
    command_id = secrets.token_hex(8)
    if token is not None:
        command = msgspec.structs.replace(command, proof=Proof(token.id, _mac(token, command_id, command)))
    folder = inbox_folder(data_folder)
    try:
        ensure_dir(folder, 0o700)
        write_atomic(folder / f"{command_id}.json", msgspec.json.encode(command), mode=0o600)
    except StorageFull as fault:
        pid = running_pid(data_folder)
        instead = (
            "" if os.name == "nt" else f"; a signal takes no space: kill -INT {pid} stops the daemon, kill -USR1 {pid} is the kill switch"
        )
        raise type(fault)(f"{fault}{instead}") from None
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
    for each in (folder, folder / "replies"):
        if each.is_symlink():
            msg = f"expected a folder at {each}, found a symlink; move it away"
            raise ConfigError(msg)
        ensure_dir(each, 0o700)
    for path in _waiting(folder):
        _answer(path, Reply(path.stem, accepted=False, detail="expired: the daemon it was meant for has ended"))


class Inbox:
    """Polls the folder, hands each command to `handler`, writes the reply, removes the command."""

    name = "inbox"

    def __init__(self, data_folder: Path, handler: Handler, clock: Clock, guard: Guard | None = None) -> None:
        self._folder = inbox_folder(data_folder)
        self._handler = handler
        self._clock = clock
        self._guard = guard or Guard((), list)

    async def run(self) -> None:
        """Serve until cancelled."""
        await anyio.to_thread.run_sync(self._guard.open)
        while True:
            for path in await anyio.to_thread.run_sync(_waiting, self._folder):
                await self._serve(path)
            await self._clock.sleep(POLL_SECONDS)

    async def _serve(self, path: Path) -> None:
        try:
            command = await anyio.to_thread.run_sync(_read, path)
            if command.proof is not UNSET and await anyio.to_thread.run_sync(_answered, path):
                log.warning("command_repeated", action="ignore", id=path.stem)
                await anyio.to_thread.run_sync(path.unlink)
                return
            reply = await self._judge(path.stem, command)
        except (msgspec.DecodeError, OSError, DudzianError) as error:
            reply = Reply(path.stem, accepted=False, detail=f"{error}")
        log.info("command", action="command", id=path.stem, accepted=reply.accepted, detail=reply.detail)
        await anyio.to_thread.run_sync(_answer, path, reply)

    async def _judge(self, command_id: str, command: CommandFile) -> Reply:
        refusal = self._guard.refusal(command_id, command)
        return await self._handler(command_id, command) if refusal is None else Reply(command_id, accepted=False, detail=refusal)


def _mac(token: HeldToken, command_id: str, command: CommandFile) -> str:
    """Proof of a command: what it says, and under which id, so that it cannot be used for another."""
    content = msgspec.json.encode(("dudzian.command/1", command_id, command.name, sorted(command.arguments.items())))
    return hmac.new(token.secret.encode(), content, "sha256").hexdigest()


def _answered(path: Path) -> bool:
    return (path.parent / "replies" / path.name).exists()


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
