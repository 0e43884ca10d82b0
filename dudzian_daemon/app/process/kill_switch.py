"""The kill switch from outside: by HTTP with a token, by SIGUSR1, and over the end of a process. On only.

Both ways write a command into the inbox and nothing else, so that each is on the record like any other command.
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from dudzian_daemon.adapters.keychain import find_token
from dudzian_daemon.app.process.tokens import usable
from dudzian_daemon.config.runtime import KillSwitchToken
from dudzian_daemon.domain.errors import ConfigError, DudzianError, Retryable
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.services.inbox import CommandFile, Reply, read_reply, send
from dudzian_daemon.sinks.risk_state import read_risk_state

#: How long a request waits until its command is on the record.
REPLY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02

log = logs.logger("kill_switch")


class KillSwitch:
    """Service that turns SIGUSR1 into a command; `press` does so for HTTP. `token` says where the token of HTTP is kept."""

    name = "kill_switch"

    def __init__(self, data_folder: Path, clock: Clock, token: KillSwitchToken | None, env: Mapping[str, str]) -> None:
        self._data_folder = data_folder
        self._clock = clock
        self._token = token
        self._env = env
        self._secret: str | None = None
        self._signalled = anyio.Event()

    @property
    def by_http(self) -> bool:
        """Whether a token is configured, without which there is no such endpoint."""
        return self._token is not None

    def on_signal(self) -> None:
        """SIGUSR1 has come; to be called on the loop."""
        self._signalled.set()

    def asked_during_start(self) -> list[tuple[str, dict[str, str]]]:
        """What a signal that came before there was a session owes it, as `carried`: it is stepped in before the first input."""
        if not self._signalled.is_set():
            return []
        self._signalled = anyio.Event()
        log.warning("kill_switch_asked", action="kill_switch", source="SIGUSR1")
        return [("kill_switch", {"on": "yes", "reason": "SIGUSR1"})]

    async def run(self) -> None:
        """Until cancelled. Raises `Retryable` when the command cannot be written; the next run tries again."""
        while True:
            await self._signalled.wait()
            try:
                await self._send("SIGUSR1")
            except DudzianError as error:
                raise Retryable(str(error)) from error
            self._signalled = anyio.Event()

    async def press(self, sent: str) -> tuple[HTTPStatus, Mapping[str, object]]:
        """Judge the token that was `sent`, put the command into the inbox and wait for its reply: status and document."""
        try:
            secret = await self._held()
        except DudzianError as error:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        if not hmac.compare_digest(secret.encode(), sent.encode("utf-8", "surrogateescape")):
            return _answer(HTTPStatus.UNAUTHORIZED, "expected the token as `Authorization: Bearer <token>`, found none or another one")
        try:
            command_id = await self._send("http")
        except DudzianError as error:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        reply = await self._replied(command_id)
        if reply is None:
            detail = f"in the inbox, and not on the record within {REPLY_SECONDS:g} s; look at: dudzian status"
            return HTTPStatus.ACCEPTED, {"accepted": True, "id": command_id, "detail": detail}
        status = HTTPStatus.OK if reply.accepted else HTTPStatus.CONFLICT
        return status, {"accepted": reply.accepted, "id": command_id, "detail": reply.detail, "sequence": reply.sequence}

    async def _held(self) -> str:
        """The token's text, masked in logs; looked for when it is first asked for. Raises `ConfigError` where there is none."""
        if self._secret is None:
            self._secret = await anyio.to_thread.run_sync(_find, self._token, self._env)
            logs.register_secret(self._secret)
        return self._secret

    async def _send(self, source: str) -> str:
        command = CommandFile("kill_switch", {"on": "yes", "reason": source})
        command_id = await anyio.to_thread.run_sync(send, self._data_folder, command)
        log.warning("kill_switch_asked", action="command", source=source, id=command_id)
        return command_id

    async def _replied(self, command_id: str) -> Reply | None:
        until_ns = self._clock.monotonic_ns() + round(REPLY_SECONDS * SECOND_NS)
        while True:
            reply = await anyio.to_thread.run_sync(read_reply, self._data_folder, command_id)
            if reply is not None or self._clock.monotonic_ns() >= until_ns:
                return reply
            await self._clock.sleep(_POLL_SECONDS)


def carried(data_folder: Path, environment: str) -> list[tuple[str, dict[str, str]]]:
    """The commands that a new session owes to the risk state which the environment's last one left; tells the operator.

    A session that goes on knows its own switch from its journal and owes nothing.

    A switch that was on stays on; where the file cannot be read nobody knows, so it is put on.
    """
    try:
        left = read_risk_state(data_folder, environment)
    except DudzianError as error:
        reason, why = "risk_state_unreadable", f"{error}. The kill switch is on"
    else:
        if left is None or not left.account.kill_switch:
            return []
        reason, why = "carried_over", f"the kill switch was left on by session {left.log_id} and stays on"
    log.warning("kill_switch_carried", action="command", reason=reason)
    tell_on(why)
    return [("kill_switch", {"on": "yes", "reason": reason})]


def tell_on(why: str) -> None:
    """One line for the operator: the switch is on at the start, and how it is lifted."""
    sys.stderr.write(f"dudzian: {why}: nothing opens before: dudzian risk kill-switch off\n")


def _find(token: KillSwitchToken | None, env: Mapping[str, str]) -> str:
    if token is None:
        msg = "no token is configured: runtime.metrics_service.kill_switch_token"
        raise ConfigError(msg)
    secret = find_token(token.token_id, token.token_env, env)
    if not secret:
        msg = f"the daemon was started without its token {token.token_id!r}; set {token.token_env} and start it again"
        raise ConfigError(msg)
    return usable(secret, token.token_id)


def _answer(status: HTTPStatus, detail: str) -> tuple[HTTPStatus, Mapping[str, object]]:
    return status, {"accepted": False, "detail": detail}
