"""The journal's `run` entry as re-execution, parity and recovery read it: what ran, and with which configuration."""

from __future__ import annotations

from typing import Final

import msgspec

from dudzian_daemon.config.canonical import from_canonical
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

#: `feed` of a run on live data; stored candles are the empty text.
LIVE: Final = "live"


class PluginFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A plugin as a run has recorded it: `sha256` of its file, and by file that of what it imports from beside it.

    `file` is its own name among `modules`, empty where there are none.
    """

    kind: str
    plugin: str
    sha256: str
    file: str = ""
    modules: dict[str, str] = {}


class RunEntry(msgspec.Struct, frozen=True):
    """What is read of the journal's `run` entry."""

    environment: str
    config: msgspec.Raw
    package: dict[str, str]
    plugins: dict[str, PluginFacts]
    dependencies: dict[str, str]
    interpreter: str
    platform: str
    opening_source: str = ""
    feed: str = ""


def run_entry(log_id: str, d: bytes) -> RunEntry:
    """The `run` entry in member `d` of its line. Raises `IntegrityError`."""
    try:
        return msgspec.json.decode(d, type=RunEntry)
    except msgspec.DecodeError as error:
        msg = f"session {log_id}: its `run` entry does not say what ran ({error})"
        raise IntegrityError(msg) from None


def recorded_config(log_id: str, run: RunEntry) -> CoreConfig:
    """The configuration that a run has recorded. Raises `ConfigError` when it is of another version."""
    try:
        return from_canonical(bytes(run.config))
    except msgspec.DecodeError as error:
        msg = f"session {log_id}: its configuration is of another version of dudzian and cannot be read by this one ({error})"
        raise ConfigError(msg) from None
