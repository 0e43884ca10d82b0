"""The lines of a log file, plain or packed, forwards and from its end, with flat memory.

What is in a line is `journal_reader`'s to say.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import MAX_LINE_BYTES
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

#: What reading a damaged `.gz` raises.
DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BLOCK: Final = 64 * 1024
_LONGEST_GENESIS: Final = 4096


class Tail(msgspec.Struct, frozen=True):
    """End of a log file: the last whole line (without newline), the length up to its end, the bytes of a torn one after it."""

    line: bytes | None
    length: int
    torn: int


@contextmanager
def open_log(path: Path) -> Iterator[BinaryIO]:
    """A log file for reading, unpacked if it is gzip; one that was packed since it was found is read from there.

    Raises `ConfigError` when it is no file or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os_errors(path):
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            if not (packed := path.with_name(f"{path.name}.gz")).is_file():
                raise
            descriptor = os.open(packed, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            msg = f"expected a log file at {path}, found something else"
            raise ConfigError(msg)
        with os.fdopen(descriptor, "rb", buffering=_BLOCK) as file:
            yield unpacked(file)


def unpacked(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or what it holds if it starts as gzip does. `stream` must be buffered."""
    peek = getattr(stream, "peek", None)
    if peek is not None and peek(2)[:2] == _GZIP_MAGIC:
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
    return stream


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline; the last one may lack it, and so does the start of one longer than `MAX_LINE_BYTES`."""
    while line := stream.readline(MAX_LINE_BYTES):
        yield line
        if not line.endswith(b"\n"):
            return


def whole_lines_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a plain or packed file from the last to the first, without newlines; each with the (unpacked) byte after it."""
    backwards: Iterator[bytes]
    if path.suffix == ".gz":
        with open_log(path) as stream, unpacking(path):
            whole = [line for line in raw_lines(stream) if line.endswith(b"\n")]
        end = sum(map(len, whole))
        backwards = (line[:-1] for line in reversed(whole))
    else:
        backwards = lines_backwards(path)
        torn = next(backwards)
        with os_errors(path):
            end = path.stat().st_size - len(torn)
    for line in backwards:
        yield end, line
        end -= len(line) + 1


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Turn what a damaged `.gz` raises into `IntegrityError`."""
    try:
        yield
    except DAMAGED as error:
        msg = f"log {path}: damaged gzip ({error})"
        raise IntegrityError(msg) from None


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Lines from the last to the first, without newlines, reading from the end; the first item is what follows the last newline."""
    with os_errors(path), path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        pieces: list[bytes] = []
        while position:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            head, *rest = file.read(size).split(b"\n")
            if rest:
                pieces.append(rest.pop())
                yield b"".join(reversed(pieces))
                yield from reversed(rest)
                pieces = []
            pieces.append(head)
            if len(pieces) * _BLOCK > MAX_LINE_BYTES:
                msg = f"log {path}: expected lines of at most {MAX_LINE_BYTES} bytes, found a longer one"
                raise IntegrityError(msg)
        yield b"".join(reversed(pieces))


def read_tail(path: Path) -> Tail:
    """How a plain log file ends."""
    backwards = lines_backwards(path)
    torn = next(backwards)
    line = next(backwards, None)
    with os_errors(path):
        length = path.stat().st_size
    return Tail(line, length - len(torn), len(torn))


def is_begun(path: Path) -> bool:
    """True for a log whose writer was killed before its first line was whole."""
    return path.stat().st_size < _LONGEST_GENESIS and b"\n" not in path.read_bytes()
