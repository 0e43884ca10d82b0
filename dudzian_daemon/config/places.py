"""Where files of the configuration are found: flag, variable, working folder, user folder, package. Reads no content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dudzian_daemon.domain.errors import ConfigError

CONFIG_VARIABLE: Final = "DUDZIAN_CONFIG"
MAIN_FILE: Final = "core.yaml"
INSTRUMENTS_FILE: Final = "instruments.yaml"
ALERTS_FILE: Final = "alerts.yaml"
CREDENTIALS_FOLDER: Final = "credentials"

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def bundled(name: str) -> Path:
    """Folder `name` (`config`, `plugins`) that ships with Dudzian: inside the installed package, else the checkout's."""
    installed, checkout = _PACKAGE / "_bundled" / name, _PACKAGE.parent
    if installed.is_dir():
        return installed
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    msg = f"the bundled folder {name!r} is missing (expected {installed}); install Dudzian again"
    raise ConfigError(msg)


def find_config(path: Path | None, env: Mapping[str, str]) -> Path:
    """The main configuration file: `path`, $DUDZIAN_CONFIG, ./config/core.yaml, the user's, else the bundled one.

    A file that was named is returned whether it exists or not.
    """
    if path is not None:
        return path
    if named := env.get(CONFIG_VARIABLE):
        return Path(named)
    here = Path("config", MAIN_FILE)
    if here.is_file():
        return here
    from platformdirs import user_config_path  # only now: it costs milliseconds that most starts need not pay

    own = user_config_path("dudzian", appauthor=False) / MAIN_FILE
    return own if own.is_file() else bundled("config") / MAIN_FILE
