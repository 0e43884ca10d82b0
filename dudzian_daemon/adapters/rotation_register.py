"""When each key was changed last: one JSON file, `key::purpose` to a time in UTC. It holds no key, only their names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_files import content_of
from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.domain.errors import ConfigError

#: Below the data folder.
DEFAULT: Final = Path("security", "rotation_log.json")


def read_rotations(path: Path) -> dict[str, datetime]:
    """Last change by `key::purpose`; empty without the file. Raises `ConfigError` naming what is no such file."""
    data = content_of(path)
    if data is None:
        return {}
    try:
        entries = msgspec.json.decode(data, type=dict[str, datetime])
    except msgspec.DecodeError as error:
        msg = f"{path}: expected a JSON map from key::purpose to a time such as 2024-01-31T12:00:00Z, found something else ({error})"
        raise ConfigError(msg) from None
    return {name: moment if moment.tzinfo else moment.replace(tzinfo=UTC) for name, moment in entries.items()}


def write_rotations(path: Path, changed: Mapping[str, datetime]) -> None:
    """Set some entries and leave the others as they are, durably."""
    entries = {**read_rotations(path), **changed}
    text = {name: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for name, moment in sorted(entries.items())}
    ensure_dir(path.parent)
    write_atomic(path, msgspec.json.format(msgspec.json.encode(text), indent=2) + b"\n")
