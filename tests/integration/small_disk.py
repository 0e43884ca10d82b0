"""A disk that is soon full."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

SIZE: Final = 16 * 1024 * 1024


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[None]:
    """A file system of 16 MiB at `folder`; the test is skipped where mounting is not allowed."""
    folder.mkdir(parents=True)
    said = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={SIZE}", *options]), "none", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(said, check=False, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("mounting a small file system is not allowed here; the limit of a file's size stands for it")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
