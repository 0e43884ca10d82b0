"""One way out for all commands: text for people, or one JSON document on stdout with `--json`; diagnostics go to stderr."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from dudzian_daemon.kernel.redaction import mask_text

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


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
