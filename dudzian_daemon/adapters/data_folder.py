"""Where a daemon writes: one data folder, found in one way by every command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

import dudzian_daemon
from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.domain.errors import ConfigError

VARIABLE = "DUDZIAN_DATA_DIR"


def resolve(data_dir: Path | None, env: Mapping[str, str]) -> Path:
    """The data folder: `--data-dir`, else `DUDZIAN_DATA_DIR`, else the checkout, else the platform's user data folder.

    It need not be there yet. Raises `ConfigError` where it never can: what stands in its place, or above it, is no folder.
    """
    if data_dir is not None:
        return _possible(data_dir.absolute())
    if env.get(VARIABLE):
        return _possible(Path(env[VARIABLE]).absolute())
    checkout = Path(dudzian_daemon.__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "plugins").is_dir():
        return checkout
    return platformdirs.user_data_path("dudzian")


def _possible(folder: Path) -> Path:
    with os_errors(folder):
        there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        if there.is_dir():
            return folder
    msg = f"data folder {folder}: expected a folder at {there}, found something else; choose another --data-dir, or move it away"
    raise ConfigError(msg)
