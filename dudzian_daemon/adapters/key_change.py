"""The key of a log's end, and whether another one may follow it. No secret is in any message.

A key that a log has left never seals in it again: whoever still has it could put a log back to the time when it was in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import KEY_CHANGE, LOG_ID, MAX_LINE_BYTES, Line, segments, split
from dudzian_daemon.adapters.keychain import SigningKey, ring_variable
from dudzian_daemon.adapters.log_lines import open_log
from dudzian_daemon.adapters.log_segments import whole_log
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

_CHANGE: Final = b'{"d":{"kind":"%b",' % KEY_CHANGE.encode()


class _Change(msgspec.Struct):
    key: str
    kind: str = ""


class EndKeys(msgspec.Struct, frozen=True):
    """The key that sealed a log's last line, and the one that seals next unless the log is handed over to another."""

    sealed_by: SigningKey
    in_force: SigningKey


def keys_at_end(path: Path, last: Line, key: SigningKey) -> EndKeys:
    """Those of the log to which `path` belongs and whose last line is `last`: `key`, or keys of its ring that `key` may follow.

    Raises `ConfigError` when one is nowhere or `key` may not follow, `IntegrityError` when the log had left its last key before.
    """
    in_force = _named_by(last) or last.s.key
    if in_force != key.id:
        _require_heir(path, in_force, key)
    return EndKeys(_found(path, last.s.key, key), _found(path, in_force, key))


def _found(path: Path, key_id: str, key: SigningKey) -> SigningKey:
    found = key.of(key_id)
    if found is None:
        where = f"the file {key_id}.key beside the key file or in the keys' folder, the variable {ring_variable(key_id)} or the keychain"
        msg = f"log {path}: expected its key {key_id}, to hand over to {key.id}, found it nowhere; put it into {where}"
        raise ConfigError(msg)
    return found


def _require_heir(path: Path, in_force: str, key: SigningKey) -> None:
    """`key` may follow the key in force if that is the log's last one, and the log never had `key`."""
    used = _keys_of(segments(path.parent) if LOG_ID.fullmatch(path.parent.name) else whole_log(path))
    if used[-1:] != [in_force]:
        found = f"expected a last line sealed by key {used[-1] if used else 'none'}, found one by {in_force}"
        msg = f"log {path}: {found}; run: dudzian verify-decision-log {path}"
        raise IntegrityError(msg)
    if key.id in used:
        msg = f"log {path}: expected a key that it has not left, found {key.id}; it is sealed by {in_force}: configure that or a new one"
        raise ConfigError(msg)


def _named_by(line: Line) -> str:
    """The key that an entry `key_change` names, empty for other entries."""
    try:
        change = msgspec.json.decode(line.d, type=_Change)
    except (msgspec.DecodeError, RecursionError):
        return ""
    return change.key if change.kind == KEY_CHANGE else ""


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
