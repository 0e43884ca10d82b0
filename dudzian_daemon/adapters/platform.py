"""What differs by platform, in one place: the lock that the kernel holds for a process, the C library's heap. POSIX and Windows halves."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dudzian_daemon.adapters.file_locks import try_lock
from dudzian_daemon.adapters.files import ensure_dir, os_errors, require_sole_name_or_absent
from dudzian_daemon.domain.errors import ConfigError, DudzianError
from dudzian_daemon.kernel.clock import SystemClock

#: Of glibc's `mallopt`.
_M_ARENA_MAX: Final = -8
_PATIENCE_NS = 20_000_000
_PID_PATIENCE_NS = 500_000_000
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class InstanceLock:
    """One daemon per data folder: held until `release` or the end of the process, however it ends."""

    def __init__(self, descriptors: Sequence[int], path: Path) -> None:
        self._descriptors = descriptors
        self.path = path

    @classmethod
    def acquire(cls, data_folder: Path) -> InstanceLock:
        """Take the lock of `data_folder`. Raises `ConfigError` naming the pid that holds it, `StorageError` for a full disk."""
        path = lock_path(data_folder)
        ensure_dir(path.parent)
        require_sole_name_or_absent(path)
        with os_errors(path):
            descriptor = os.open(path, _OPEN, 0o640)
        if not _take(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise _taken(data_folder, f"pid {holder}")
        folder = _hold_folder(path.parent)
        if folder is None:
            os.close(descriptor)
            raise _taken(data_folder, "which one is not known: its lock file was removed")
        lock = cls([descriptor, *folder], path)
        try:
            with os_errors(path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
        except DudzianError:
            lock.release()
            raise
        return lock

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would race with the next holder."""
        for descriptor in self._descriptors:
            os.close(descriptor)


def lock_path(data_folder: Path) -> Path:
    """The lock file of a data folder."""
    return data_folder / "run" / "daemon.lock"


def running_pid(data_folder: Path) -> int | None:
    """Pid of the daemon that holds the lock of `data_folder`, None if nobody does; 0 where its lock file was removed."""
    path = lock_path(data_folder)
    with os_errors(path):
        if not path.is_file():
            return _pid_without_file(path.parent)
        descriptor = os.open(path, os.O_RDONLY)  # who may only read, or a disk that is read-only, can still be told
    try:
        if try_lock(descriptor, shared=True):
            return _pid_without_file(path.parent)
        pid = _read_pid(descriptor)
        return int(pid) if pid.isdecimal() else 0
    finally:
        os.close(descriptor)


def share_one_heap() -> None:
    """Let all threads, and Arrow, use one heap of the C library, where each would keep what it has freed in its own.

    Call it before there is another thread, and before Arrow is loaded.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def give_back_memory() -> None:
    """Give what is free in the C library's heap back to the machine, where the library keeps it."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _pid_without_file(folder: Path) -> int | None:
    held = _hold_folder(folder, shared=True) if folder.is_dir() else []
    for descriptor in held or ():
        os.close(descriptor)
    return 0 if held is None else None


def _taken(data_folder: Path, holder: str) -> ConfigError:
    stop = shlex.join(("dudzian", "stop", "--data-dir", str(data_folder)))
    return ConfigError(f"a daemon ({holder}) runs on {data_folder}; stop it with: {stop}; or choose another --data-dir")


def _holder(descriptor: int) -> str:
    """The pid in the lock file, once its holder has put it there: until then it names nobody, or one that was killed."""
    import psutil

    clock = SystemClock()
    deadline = clock.monotonic_ns() + _PID_PATIENCE_NS
    while True:
        pid = _read_pid(descriptor)
        if (pid.isdecimal() and psutil.pid_exists(int(pid))) or clock.monotonic_ns() > deadline:
            return pid or "unknown"


def _take(descriptor: int, *, shared: bool = False) -> bool:
    """Lock, with a little patience: `running_pid` of another process holds the lock for a moment to see whether it is free.

    It does so `shared`, or two that look would each take the other for a daemon.
    """
    clock = SystemClock()
    deadline = clock.monotonic_ns() + _PATIENCE_NS
    while not try_lock(descriptor, shared=shared):
        if clock.monotonic_ns() > deadline:
            return False
    return True


def _read_pid(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 32).decode("ascii", "replace").strip()


if sys.platform == "win32":

    def _hold_folder(_folder: Path, *, shared: bool = False) -> list[int] | None:  # noqa: ARG001 - nothing is locked here
        """Nothing more: an open lock file cannot be removed there."""
        return []

else:

    def _hold_folder(folder: Path, *, shared: bool = False) -> list[int] | None:
        """The lock of the folder itself, which outlives a lock file that somebody removes; None if another process has it."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _take(descriptor, shared=shared):
            return [descriptor]
        os.close(descriptor)
        return None


if sys.platform == "linux":

    def _glibc() -> Any:
        """The C library if it is glibc, else None: others keep little, or take no advice."""
        import ctypes  # only where it is called: most commands do without

        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "gnu_get_libc_version") else None

else:

    def _glibc() -> Any:
        """There is none."""
        return None
