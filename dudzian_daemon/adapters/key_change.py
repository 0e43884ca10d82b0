"""The key of a log's end, and whether another one may follow it. No secret is in any message.

A key that a log has left never seals in it again: whoever still has it could put a log back to the time when it was in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import KEY_CHANGE, LOG_ID, MAX_LINE_BYTES, segments, split
from dudzian_daemon.adapters.journal_reader import open_log
from dudzian_daemon.adapters.keychain import SigningKey, ring_variable
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

_CHANGE: Final = b'{"d":{"kind":"%b",' % KEY_CHANGE.encode()


class _Change(msgspec.Struct):
    key: str


def key_at_end(path: Path, last_key: str, key: SigningKey) -> SigningKey:
    """The key that sealed the last line of the log to which `path` belongs: `key`, or the one of its ring that hands over to it.

    Raises `ConfigError` when that one is nowhere or `key` may not follow it, `IntegrityError` when the log had left it before.
    """
    if last_key == key.id:
        return key
    used = _keys_of(segments(path.parent) if LOG_ID.fullmatch(path.parent.name) else [path])
    verify = f"run: dudzian verify-decision-log {path}"
    if used[-1:] != [last_key]:
        msg = f"log {path}: expected a last line sealed by key {used[-1] if used else 'none'}, found one by {last_key}; {verify}"
        raise IntegrityError(msg)
    if key.id in used:
        msg = f"log {path}: expected a key that it has not left, found {key.id}; it is sealed by {last_key}: configure that or a new one"
        raise ConfigError(msg)
    earlier = key.other(last_key)
    if earlier is None:
        where = (
            f"the file {last_key}.key beside the key file or in the keys' folder, the variable {ring_variable(last_key)} or the keychain"
        )
        msg = f"log {path}: expected its key {last_key}, to hand over to {key.id}, found it nowhere; put it into {where}"
        raise ConfigError(msg)
    return earlier


def new_key_of(d: bytes) -> str:
    """Id of the key that an entry `key_change` names. Raises `IntegrityError` when it names none."""
    try:
        return msgspec.json.decode(d, type=_Change).key
    except msgspec.DecodeError as error:
        msg = f"expected an entry `{KEY_CHANGE}` that names a key, found another ({error})"
        raise IntegrityError(msg) from None


def _keys_of(files: Sequence[Path]) -> list[str]:
    """Ids of the keys that a log names as its own, in their order; its lines are not judged."""
    used: list[str] = []
    for path in files:
        with os_errors(path), open_log(path) as stream:
            while line := stream.readline(MAX_LINE_BYTES):
                try:
                    if not used:
                        used.append(split(line).s.key)
                    elif line.startswith(_CHANGE):
                        used.append(new_key_of(bytes(split(line).d)))
                except (ValueError, IntegrityError):  # a damaged line names none
                    continue
    return used
