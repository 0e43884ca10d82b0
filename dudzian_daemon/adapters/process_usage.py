"""What this process has used of the machine since it began, as the system counts it."""

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


def process_usage() -> Usage:
    """Ask the system. Blocks for a moment."""
    import psutil  # only where it is asked: a start does without it

    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        memory_bytes = process.memory_info().rss
    counters: Any = None
    if ask := getattr(process, "io_counters", None):  # macOS counts none
        with suppress(psutil.AccessDenied):  # some containers hide them
            counters = ask()
    return Usage(
        cpu_seconds=times.user + times.system,
        memory_bytes=memory_bytes,
        read_bytes=None if counters is None else counters.read_bytes,
        written_bytes=None if counters is None else counters.write_bytes,
    )
