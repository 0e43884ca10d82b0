"""Tokens of the scheduler: which are there, and what a person is told when what needs one will be refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from dudzian_daemon.adapters.keychain import find_token
from dudzian_daemon.config.runtime import AccessToken
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.logs import register_secret
from dudzian_daemon.services.inbox import SHORTEST_TOKEN, HeldToken
from dudzian_daemon.sinks.status import Status


def held_tokens(configured: Sequence[AccessToken], env: Mapping[str, str]) -> list[HeldToken]:
    """The tokens that are there, masked in logs from now on. Blocks on the keychain. Raises `ConfigError` for an unusable one."""
    held = []
    for token in configured:
        secret = find_token(token.token_id, token.token_env, env)
        if secret:
            held.append(HeldToken(token.token_id, usable(secret, token.token_id), token.scopes))
            register_secret(secret)
    return held


def usable(secret: str, token_id: str) -> str:
    """The token's text, if it is long enough. Raises `ConfigError`, which does not repeat it."""
    if len(secret) < SHORTEST_TOKEN:
        msg = f"token {token_id!r}: expected at least {SHORTEST_TOKEN} characters, found {len(secret)}; make one with: openssl rand -hex 32"
        raise ConfigError(msg)
    return secret


def outlook(configured: Sequence[AccessToken], env: Mapping[str, str]) -> str:
    """What a run would find, in a line; empty where no token is configured. Blocks on the keychain."""
    if not configured:
        return ""
    try:
        found = [token.id for token in held_tokens(configured, env)]
    except ConfigError as error:
        return _refused(str(error))
    if not found:
        places = ", ".join(f"{token.token_id} in ${token.token_env} or the keychain" for token in configured)
        return _refused(f"expected {places}, found none")
    return f"found {', '.join(found)}"


def tell_refusal(status: Status, reason: str) -> None:
    """Say on stderr and in the status that what needs a token will be refused; without one the daemon runs all the same."""
    status.token = _refused(reason)
    sys.stderr.write(f"dudzian: {status.token}\n")


def _refused(reason: str) -> str:
    return f"suspend and resume are refused: {reason}"
