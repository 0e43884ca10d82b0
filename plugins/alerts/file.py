"""Alerts as JSON lines in a file below the data folder: the channel that needs nobody."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated, Final

import anyio.to_thread
import msgspec

from dudzian_daemon.api.alerts import Alert, ChannelTools, Retryable

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class FileChannel:
    """A line per alert, synced to the disk."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`path` is below the data folder unless it is absolute."""

        path: Annotated[str, msgspec.Meta(min_length=1)] = "logs/alerts.jsonl"

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        self._path = Path(tools.data_folder) / params.path

    async def send(self, alert: Alert) -> str:
        """Append the alert."""
        return await self._in_thread(msgspec.json.encode(alert) + b"\n")

    async def check(self) -> str:
        """Open the file for writing."""
        return await self._in_thread(b"")

    async def _in_thread(self, line: bytes) -> str:
        try:
            await anyio.to_thread.run_sync(_append, self._path, line, abandon_on_cancel=True)
        except OSError as error:
            msg = f"cannot write {self._path} ({error.strerror})"
            raise Retryable(msg) from None
        return f"written to {self._path.name}" if line else "can be written"


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, _FLAGS, 0o640)
    try:
        held = os.fstat(descriptor)
        if held.st_nlink > 1:
            raise OSError(errno.EMLINK, "a hard link: what is written there would change another file, put a copy there")
        before = held.st_size
        if os.write(descriptor, line) != len(line):
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, "the disk took a part of the line")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


PLUGIN = FileChannel
