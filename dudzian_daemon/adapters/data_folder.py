"""Where a daemon writes: one data folder, found in one way by every command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import platformdirs

import dudzian_daemon

VARIABLE = "DUDZIAN_DATA_DIR"


def resolve(data_dir: Path | None, env: Mapping[str, str]) -> Path:
    """The data folder: `--data-dir`, else `DUDZIAN_DATA_DIR`, else the checkout, else the platform's user data folder."""
    if data_dir is not None:
        return data_dir.absolute()
    if env.get(VARIABLE):
        return Path(env[VARIABLE]).absolute()
    checkout = Path(dudzian_daemon.__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "plugins").is_dir():
        return checkout
    return platformdirs.user_data_path("dudzian")
