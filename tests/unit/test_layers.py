"""A contract nobody has seen fail is no contract: break a copy of the package, one import at a time, and expect the linter to say so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package, its plugins and its contracts, free to be broken."""
    for folder in ("dudzian_daemon", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "sample"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> tuple[int, set[str]]:
    """Exit code of the linter in this folder, and the contracts it calls broken."""
    run = subprocess.run([LINTER, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, {line.removesuffix(" BROKEN") for line in run.stdout.splitlines() if line.endswith(" BROKEN")}


def test_the_tree_as_it_is_keeps_every_contract(copy: Path) -> None:
    assert lint(copy) == (0, set())


@pytest.mark.parametrize(
    ("files", "contract"),
    [
        ({"dudzian_daemon/domain/broken.py": "import time"}, "Domain is pure"),
        ({"dudzian_daemon/trading/broken.py": "import dudzian_daemon.kernel"}, "The core knows no bus and no supervisor"),
        (
            {"dudzian_daemon/services/one.py": "", "dudzian_daemon/services/two.py": "import dudzian_daemon.services.one"},
            "Services meet on the bus only",
        ),
        ({"plugins/strategies/broken.py": "import dudzian_daemon.adapters"}, "Plugins see the public face only"),
        ({"dudzian_daemon/utils.py": ""}, "Layers point downwards"),
    ],
    ids=["domain reads the time", "core knows the kernel", "service imports service", "plugin imports adapters", "new top-level name"],
)
def test_a_violation_breaks_its_contract(copy: Path, files: dict[str, str], contract: str) -> None:
    for name, text in files.items():
        (copy / name).write_text(text + "\n", encoding="utf-8")
    code, broken = lint(copy)
    assert code == 1
    assert contract in broken
