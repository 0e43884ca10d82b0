"""Locks on open files, which the kernel gives back when a process ends, however it ends: POSIX and Windows halves.

A file that is not finished yet is held by whoever writes it, so that nobody takes it for what a killed writer left behind.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
    from typing import Final

    from dudzian_daemon.kernel.clock import SystemClock

    #: Windows locks bytes, not files, and nobody can read a locked byte: lock one far behind the pid.
    _LOCKED_BYTE = 1 << 30
    #: No writer is at work on an unfinished file for so long.
    _LONGEST_WRITE_NS: Final = 3_600_000_000_000

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - the locks of this library are never shared
        """Lock an open file until it is closed; False if somebody else has it."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def hold_new(_descriptor: int) -> bool:
        """Nothing to do: a file that was written within the last hour counts as held, since it is renamed only after it was closed."""
        return True

    def remove_unless_held(path: Path) -> None:
        """Remove what nobody is writing any more."""
        with suppress(FileNotFoundError, PermissionError):  # an open file cannot be removed there
            if path.stat().st_mtime_ns < SystemClock().wall_ns() - _LONGEST_WRITE_NS:
                path.unlink()

else:
    import fcntl

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        """Lock an open file until it is closed; False if somebody else has it."""
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def hold_new(descriptor: int) -> bool:
        """Hold a file that was just made until it is closed; False if it was removed first, as what a killed writer left."""
        try:
            return try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0
        except OSError:  # a file system without locks: `remove_unless_held` removes nothing there either
            return True

    def remove_unless_held(path: Path) -> None:
        """Remove what nobody is writing any more; what cannot be opened or locked, nobody can tell, and it stays."""
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if try_lock(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)
