"""The content chain: one hash per cycle over what the session did. It knows no wall time, key, path or process.

Two runs, modes or replays are equal when their chains are equal (docs/reference/journal.md).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import Frame
from dudzian_daemon.domain.records import CycleRecord

#: Where every chain starts: 32 zero bytes, 64 zeros as text.
ORIGIN: Final = "0" * 64

#: More inputs than these stand in a frame of the tape, whose digest the cycle names.
INLINE_INPUTS: Final = 64

_encode: Final = msgspec.json.Encoder().encode
_BOOKS: Final = b'"books":"'


class ContentChain:
    """Seals cycles in order; resumable from the `link`, `sequence` and `books` of an earlier chain."""

    __slots__ = ("_books", "_link", "_sequence", "frame")

    def __init__(self, *, link: str = ORIGIN, sequence: int = 0, books: str = ORIGIN) -> None:
        self._link = bytes.fromhex(link)
        self._sequence = sequence
        self._books = bytes.fromhex(books)
        #: (digest, content) of the frame that the last sealed cycle names, None if its inputs stand in it.
        self.frame: tuple[str, bytes] | None = None

    @property
    def link(self) -> str:
        """Content link after the last sealed cycle."""
        return self._link.hex()

    @property
    def sequence(self) -> int:
        """Sequence of the last sealed cycle, 0 before the first."""
        return self._sequence

    @property
    def books(self) -> str:
        """Books hash after the last sealed cycle."""
        return self._books.hex()

    def seal(self, record: CycleRecord) -> bytes:
        """Canonical bytes of the record with `books` filled in; moves the chain.

        Raises `IntegrityError` when the record is not the next one.
        """
        if record.sequence != self._sequence + 1:
            msg = f"expected cycle {self._sequence + 1}, found cycle {record.sequence}"
            raise IntegrityError(msg)
        self.frame = None
        encoded = _encode(record) if len(record.inputs) <= INLINE_INPUTS else self._framed(record)
        changed = _encode((record.results, record.fills, record.positions, record.risk, record.cash))
        self._books = sha256(self._books + changed).digest()
        content = b"".join((encoded[: encoded.rindex(_BOOKS)], _BOOKS, self._books.hex().encode(), b'"}'))
        self._link = sha256(self._link + content).digest()
        self._sequence += 1
        return content

    def _framed(self, record: CycleRecord) -> bytes:
        inputs = _encode(record.inputs)
        digest = sha256(inputs).hexdigest()
        self.frame = digest, inputs
        return _encode(msgspec.structs.replace(record, inputs=(Frame(record.inputs[0].instant, digest, len(record.inputs)),)))
