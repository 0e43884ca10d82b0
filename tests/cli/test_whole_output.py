"""An answer that cannot be written is no success, whatever takes it: a full disk, a reader that has gone, no stream at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.daemon_process import child_environment

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")

#: More than a pipe holds, and less than a buffer does.
LONG, SHORT = ("validate-config", "--schema"), ("--version",)
LOST = "dudzian: expected to write the answer to stdout, found that it cannot be written: No space left on device\n"


def ended(home: Path, words: tuple[str, ...], redirections: str) -> tuple[int, str]:
    """Exit code of a command whose streams a shell redirects, and what it wrote to stderr."""
    command = f'exec "$0" -m dudzian_daemon "$@" {redirections}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, *words], env=child_environment(home), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [LONG, SHORT, ("cycles", "--help")], ids=["long", "short", "help"])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert ended(tmp_path, words, ">/dev/full") == (1, LOST)


@pytest.mark.parametrize("words", [LONG, SHORT], ids=["long", "short"])
def test_a_reader_that_has_gone_is_no_fault_to_tell(tmp_path: Path, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dudzian_daemon", *words]
    done = subprocess.run(command, env=child_environment(tmp_path), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("redirections", [">&-", "<&- >&-", "2>/dev/full", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_missing_changes_no_exit_code(tmp_path: Path, redirections: str) -> None:
    assert ended(tmp_path, SHORT, redirections) == (0, "")
    assert ended(tmp_path, ("no-such-command",), redirections)[0] == 2
