"""Where the configuration that ships with the package is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.config import places
from dudzian_daemon.domain.errors import ConfigError


def test_in_a_checkout_it_is_the_repositorys_folder() -> None:
    assert (places.bundled("config") / places.MAIN_FILE).is_file()
    assert places.bundled("config").parent == places.bundled("plugins").parent


def test_in_an_installed_package_it_lies_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "dudzian_daemon"
    monkeypatch.setattr(places, "_PACKAGE", package)
    (package / "_bundled" / "config").mkdir(parents=True)
    assert places.bundled("config") == package / "_bundled" / "config"


def test_a_foreign_folder_beside_the_package_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").mkdir()
    monkeypatch.setattr(places, "_PACKAGE", tmp_path / "dudzian_daemon")
    with pytest.raises(ConfigError, match=r"the bundled folder 'config' is missing .*; install Dudzian again"):
        places.bundled("config")
