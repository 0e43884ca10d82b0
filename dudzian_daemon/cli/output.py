"""One way out for all commands: text for people, or one JSON document on stdout with `--json`; diagnostics go to stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import msgspec

from dudzian_daemon.kernel.redaction import mask_text

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


T = TypeVar("T")


def emit_json(document: Any) -> None:
    """Write one JSON document (structs, dicts, Decimals as strings) and a newline to stdout."""
    sys.stdout.write(json_text(document))


def json_text(document: Any) -> str:
    """The JSON document as `emit_json` writes it, for a file that is to be equal."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def emit_line(document: Any) -> None:
    """Write one JSON document as one line to stdout: for a stream of them."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def emit_text(text: str) -> None:
    """Write text and a newline to stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Write diagnostics to stderr, every line (of several problems each has its own) under our name; known secrets are masked."""
    with suppress(OSError):  # who cannot be told has the exit code
        sys.stderr.write("".join(f"dudzian: {line}\n" for line in mask_text(text).splitlines()))


def lossy_stdout() -> TextIO:
    """Stdout for what must go on when its reader has gone (`dudzian run | head`): what cannot be written is dropped."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # replaced by a program that embeds us: it knows what it wants
        return sys.stdout
    return io.TextIOWrapper(
        io.BufferedWriter(_Lossy(getattr(buffer, "raw", buffer))),  # -u leaves the buffer out
        encoding=sys.stdout.encoding,
        errors=sys.stdout.errors,
        line_buffering=bool(sys.stdout.line_buffering),
    )


def open_missing_streams() -> None:
    """Stand-ins for standard streams that are closed (`>&-`): else the next file that is opened would be taken for one of them."""
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 it stays open to the end


def nobody_reads() -> None:
    """The reader of stdout has gone, and that is an end like another: what is left goes nowhere, and the exit code stays."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(sys.stdout, _Watched):
        sys.stdout.forgive()


@contextmanager
def whole_output() -> Iterator[None]:
    """A command up to its `SystemExit`: where its answer could not be written, one line says so, and it does not end with 0.

    A reader that has gone (`| head`) is no fault to tell.
    """
    before = sys.stdout
    watched = _Watched(before)
    sys.stdout = cast("TextIO", watched)
    try:
        yield
    except SystemExit as ending:
        if watched.is_written():
            raise
        raise SystemExit(ending.code or 1) from None
    except OSError:
        if watched.is_written():
            raise
        raise SystemExit(1) from None
    finally:
        sys.stdout = before


class _Watched:
    """Stdout, which remembers what the system refused."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._refused: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._kept(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._kept(self._stream.flush)

    def is_written(self) -> bool:
        """Whether all there was has been taken; if not, that is told, and the rest is dropped."""
        with suppress(OSError):
            self.flush()
        if self._refused is None:
            return True
        if not isinstance(self._refused, BrokenPipeError):
            note(f"expected to write the answer to stdout, found that it cannot be written: {self._refused.strerror}")
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # where the interpreter puts the rest at its end
        return False

    def forgive(self) -> None:
        """Forget what was refused."""
        self._refused = None

    def _kept(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except OSError as error:
            self._refused = error
            raise


class _Lossy(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()

    def write(self, data: ReadableBuffer, /) -> int | None:
        try:
            return self._raw.write(data)
        except OSError:
            return memoryview(data).nbytes
