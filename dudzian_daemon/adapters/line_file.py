"""An unsigned file of JSON lines that only grows: every write is whole lines, and what a crash left of one is cut off at the next start.

Several processes may append to it. It does not sync unless asked to: most of what it holds can be made again from somewhere else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.files import FILE, ensure_dir, os_errors, require_regular_or_absent, require_sole_name_or_absent
from dudzian_daemon.adapters.log_lines import lines_backwards, read_tail

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class LineFile:
    """One such file; it is made with `mode`, and its folder, with the first line. Every method blocks on the disk."""

    def __init__(self, path: Path, *, mode: int = FILE) -> None:
        self.path = path
        self._mode = mode

    def append(self, lines: bytes, *, sync: bool = False) -> None:
        """Append whole lines with their newlines, or nothing of them and raise `StorageFull`, `StorageError` or `ConfigError`.

        With `sync` they are durable when it returns.
        """
        require_sole_name_or_absent(self.path)
        ensure_dir(self.path.parent)
        with os_errors(self.path):
            descriptor = os.open(self.path, _FLAGS, self._mode)
            try:
                length = os.fstat(descriptor).st_size
                if os.write(descriptor, lines) != len(lines):
                    os.ftruncate(descriptor, length)
                    raise OSError(errno.ENOSPC, "the disk took a part of the lines")
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def take_back(self, lines: bytes) -> None:
        """Cut off what was appended, where nobody has appended anything since; a file that has nothing else goes."""
        if not self.path.exists():
            return
        with os_errors(self.path), self.path.open("r+b") as file:
            length = file.seek(0, os.SEEK_END) - len(lines)
            file.seek(max(length, 0))
            if length < 0 or file.read() != lines:
                return
            file.truncate(length)
        if length == 0:
            self.path.unlink(missing_ok=True)

    def cut_torn_tail(self) -> int:
        """Cut off what follows the last newline; the bytes that were cut."""
        require_regular_or_absent(self.path)
        if not self.path.exists():
            return 0
        tail = read_tail(self.path)
        if tail.torn:
            with os_errors(self.path):
                os.truncate(self.path, tail.length)
        return tail.torn

    def backwards(self) -> Iterator[bytes]:
        """Whole lines without their newlines, the last one first; none if there is no file."""
        if self.path.exists():
            lines = lines_backwards(self.path)
            next(lines)
            yield from lines
