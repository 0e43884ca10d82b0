"""Who looks whether a daemon runs is not taken for one; the heap that a process shares."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dudzian_daemon.adapters.platform import InstanceLock, lock_path, running_pid
from dudzian_daemon.domain.errors import StorageFull
from tests.integration.small_disk import small_disk

assert sys.platform != "win32", "flock of POSIX"


def test_two_that_look_at_once_see_nobody_and_a_start_gets_its_lock(tmp_path: Path) -> None:
    InstanceLock.acquire(tmp_path).release()
    with lock_path(tmp_path).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # another reader, in the middle of its look
        assert running_pid(tmp_path) is None
        fcntl.flock(other, fcntl.LOCK_UN)
    lock = InstanceLock.acquire(tmp_path)
    try:
        assert running_pid(tmp_path) is not None
    finally:
        lock.release()


def test_a_full_disk_gives_no_lock_and_keeps_none(tmp_path: Path) -> None:
    lock_path(tmp_path).parent.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(StorageFull, match=r"no space left for .*daemon\.lock"):
            InstanceLock.acquire(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert running_pid(tmp_path) is None
    InstanceLock.acquire(tmp_path).release()


def test_a_disk_that_is_read_only_can_be_asked(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        InstanceLock.acquire(tmp_path / "disk").release()
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "disk")], check=True)
        assert running_pid(tmp_path / "disk") is None
        with lock_path(tmp_path / "disk").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert running_pid(tmp_path / "disk") == os.getpid()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the heap of glibc")
def test_arrow_shares_the_heap_that_is_given_back() -> None:
    script = (
        "from dudzian_daemon.adapters.platform import share_one_heap; share_one_heap(); "
        "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "system\n"
