"""A configuration to break (folder `sample`), and the problems found in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import load
from dudzian_daemon.config.provenance import Problem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The configuration's folder, to be changed at will."""
    return Path(shutil.copytree(Path(__file__).parent / "sample", tmp_path / "config"))


@pytest.fixture
def replaced(folder: Path) -> Callable[..., Path]:
    """Replace text that stands once in a file of the folder; gives the main file."""

    def change(old: str, new: str, file: str = "core.yaml") -> Path:
        text = (folder / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
        return folder / "core.yaml"

    return change


@pytest.fixture
def problems() -> Callable[[Path], tuple[Problem, ...]]:
    """All problems of a configuration that must not be valid."""

    def found(path: Path) -> tuple[Problem, ...]:
        with pytest.raises(ConfigErrors) as caught:
            load(path, env={})
        return caught.value.problems

    return found
