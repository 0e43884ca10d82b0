"""Who looks whether a daemon runs is not taken for one."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

from dudzian_daemon.adapters.platform import InstanceLock, lock_path, running_pid

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
