"""Where log lines go: a stream, a rotated file, both if wanted through a thread. Used by `logs` only.

Nothing here raises into who logs: a line that cannot be written is counted as lost.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Protocol, TextIO

FILE_MODE: Final = 0o640
FILE_BYTES: Final = 16 * 1024 * 1024
FILES_KEPT: Final = 5
_MOST_WAITING: Final = 10_000
_CLOSE_SECONDS: Final = 2.0


class Target(Protocol):
    """Takes whole lines as UTF-8."""

    def write(self, line: bytes) -> None:
        """Write one line; `OSError` or `ValueError` if that is not possible."""
        ...

    def close(self) -> None:
        """Release what was opened."""
        ...


class TextStream:
    """A given stream, or whatever `sys.stderr` is at the moment."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def is_terminal(self) -> bool:
        """Whether a person is looking."""
        stream = self._stream or sys.stderr
        return stream is not None and not stream.closed and stream.isatty()

    def write(self, line: bytes) -> None:
        """Write one line, past the stream's buffer: what could not be written must not come again with the next flush."""
        stream = self._stream or sys.stderr
        raw = getattr(getattr(stream, "buffer", None), "raw", None)
        if raw is None:
            stream.write(line.decode())
            stream.flush()
            return
        while line:
            written = raw.write(line)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            line = line[written:]

    def close(self) -> None:
        """The stream belongs to who gave it."""


class RotatingFile:
    """An append-only file of at most `size` bytes with `kept` predecessors `<name>.1` (the newest) and so on; never a link."""

    def __init__(self, path: Path, *, size: int = FILE_BYTES, kept: int = FILES_KEPT) -> None:
        self._path = path
        self._size = size
        self._kept = kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open()

    def write(self, line: bytes) -> None:
        """Append one line, to a new file if the present one would grow too large."""
        if self._file.closed or self._moved():
            self._file.close()
            self._file = self._open()
        elif (length := self._file.seek(0, os.SEEK_END)) and length + len(line) > self._size:
            self._rotate()
        length = self._file.seek(0, os.SEEK_END)
        if self._file.write(line) != len(line):
            self._file.truncate(length)
            raise OSError(errno.ENOSPC, "the disk took half a line")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> FileIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        return os.fdopen(os.open(self._path, flags, FILE_MODE), "ab", buffering=0)

    def _moved(self) -> bool:
        """Whether somebody else renamed or removed the file: writing on would be writing to nowhere."""
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True

    def _rotate(self) -> None:
        self._file.close()
        with suppress(OSError):  # Windows refuses while somebody reads; then this file grows on
            for number in range(self._kept - 1, 0, -1):
                if self._numbered(number).exists():
                    self._numbered(number).replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        self._file = self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class Output:
    """Renders events and writes them to one target, at once or from a thread of its own."""

    def __init__(self, render: Callable[[dict[str, Any]], bytes], target: Target, *, background: bool) -> None:
        self._render = render
        self._target = target
        self._failed = 0
        self._overflowed = 0
        self._writing = threading.RLock()  # a signal handler may log in the middle of a line
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._work, name="log writer", daemon=True)
            self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were not written."""
        return self._failed + self._overflowed

    def put(self, event: dict[str, Any]) -> None:
        """Write the event, or queue it for the thread; beyond 10,000 waiting lines it is lost."""
        line = self._render(event)
        if self._thread is None:
            self._write(line)
        elif self._lines.qsize() < _MOST_WAITING:
            self._lines.put(line)
        else:
            self._overflowed += 1

    def close(self) -> None:
        """Write what waits, for at most two seconds, and close the target."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join(_CLOSE_SECONDS)
            if self._thread.is_alive():
                return  # it hangs in a write; closing under it would hang us too
        self._target.close()

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            with self._writing:
                self._target.write(line)
        except (OSError, ValueError):
            self._failed += 1
