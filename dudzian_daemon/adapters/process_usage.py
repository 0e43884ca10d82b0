"""What a process has used of the machine since it began, as the system counts it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds of all threads, resident memory in bytes, bytes read from and written to disks (None where the system does not say)."""

    cpu_seconds: float
    memory_bytes: int
    read_bytes: int | None
    written_bytes: int | None


def process_usage(pid: int | None = None) -> Usage:
    """Ask the system, of this process or of another one of ours. Blocks. Raises `ProcessLookupError` for one that has ended."""
    import psutil  # only where it is asked: a start does without it

    counters: Any = None
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            memory_bytes = process.memory_info().rss
        if ask := getattr(process, "io_counters", None):  # macOS counts none
            with suppress(psutil.AccessDenied):  # some containers hide them
                counters = ask()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        msg = f"process {pid} has ended"
        raise ProcessLookupError(msg) from None
    return Usage(
        cpu_seconds=times.user + times.system,
        memory_bytes=memory_bytes,
        read_bytes=None if counters is None else counters.read_bytes,
        written_bytes=None if counters is None else counters.write_bytes,
    )
