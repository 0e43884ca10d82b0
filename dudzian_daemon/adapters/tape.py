"""The tape: inputs that are too many for their line, as packed frames in the session's folder, each named by the digest of what is in it.

A frame is durable before the line that names it. Who reads a cycle gets its inputs from here; a frame that is missing or is not what
its name says is named.
"""

from __future__ import annotations

import gzip
import re
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors, write_atomic
from dudzian_daemon.adapters.journal_format import MAX_LINE_BYTES
from dudzian_daemon.domain.errors import IntegrityError

TAPE_FOLDER: Final = "tape"

_LEVEL: Final = 6
#: How a cycle names its frame: in the place of its inputs, and nowhere else can these bytes stand.
_NAMED: Final = re.compile(rb'(,"inputs":)\[\["frame",-?\d+,"([0-9a-f]{64})",\d+\]\]')
_MARK: Final = b',"inputs":[["frame",'


def frame_path(folder: Path, digest: str) -> Path:
    """Where a frame of the session in `folder` lies."""
    return folder / TAPE_FOLDER / f"{digest}.gz"


def write_frame(folder: Path, digest: str, content: bytes) -> None:
    """Pack a frame durably; equal contents give equal files. Its folder must exist. Raises `StorageError` or `ConfigError`."""
    write_atomic(frame_path(folder, digest), gzip.compress(content, _LEVEL, mtime=0), mode=PRIVATE_FILE, faults="tape")


def read_frame(folder: Path, digest: str) -> bytes:
    """The canonical JSON array of inputs in a frame. Raises `IntegrityError` when it is missing or is not what its name says."""
    path = frame_path(folder, digest)
    if not path.is_file():
        msg = f"expected the frame {path} of the tape, which a cycle names, found none"
        raise IntegrityError(msg)
    try:
        with os_errors(path), gzip.open(path, "rb") as file:
            content = file.read(MAX_LINE_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"frame {path}: expected gzip that unpacks, found a damaged one ({error})"
        raise IntegrityError(msg) from None
    if sha256(content).hexdigest() != digest:
        msg = f"frame {path}: expected content with the SHA-256 of its name, found other content"
        raise IntegrityError(msg)
    return content


def frames_of(d: bytes) -> list[str]:
    """Digests of the frames that the canonical bytes of cycles name."""
    return [match[2].decode() for match in _NAMED.finditer(d)] if _MARK in d else []


def with_inputs(d: bytes, folder: Path) -> bytes:
    """A cycle's bytes with all of its inputs in it. Raises `IntegrityError` for a frame that is missing or altered."""
    if _MARK not in d:
        return d
    return _NAMED.sub(lambda match: match[1] + read_frame(folder, match[2].decode()), d, count=1)
