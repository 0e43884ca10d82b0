"""The heads of a session beside its log: written after what they tell is durable, every minute or hundred lines and at its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE
from dudzian_daemon.adapters.heads import Head, HeadSigner, SignedHead, encode_head, sign_head, verify_head
from dudzian_daemon.adapters.journal_format import HEADS_FILE
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import ConfigError, StorageError
from dudzian_daemon.domain.events import SessionHead
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock

#: A head is written after so many lines, or so much time in which at least one line became durable.
LINES: Final = 100
PERIOD_NS: Final = 60 * SECOND_NS
#: How long a disk that refused a head is left in peace; that it does is told once in a period.
RETRY_NS: Final = SECOND_NS
FILE_NAME: Final = HEADS_FILE

log = logs.logger("journal")


class HeadFile:
    """The heads of one session, each signed by `key` and then by `signer`, if there is one.

    What a crash left of a last one is cut off with the first that is written.
    """

    def __init__(self, folder: Path, key: SigningKey, signer: HeadSigner | None = None) -> None:
        self._file = LineFile(folder / FILE_NAME, mode=PRIVATE_FILE)
        self._keys = (key,) if signer is None else (key, signer)
        self._whole = False

    def write(self, head: Head) -> SignedHead:
        """Append the head; returned as whoever has no secret can prove it, where that is possible. Blocks.

        Raises `StorageError` or `ConfigError`.
        """
        if not self._whole:
            self._file.cut_torn_tail()
            self._whole = True
        signed = [sign_head(head, key) for key in self._keys]
        self._file.append(b"".join(map(encode_head, signed)))
        return signed[-1]


class HeadKeeper:
    """Writes the head that `newest` tells when one is due, and tells it on. A disk that refuses holds nothing up: the next try is soon."""

    def __init__(self, file: HeadFile, newest: Callable[[], Head], publish: Callable[[SessionHead], object], clock: Clock) -> None:
        self._file = file
        self._newest = newest
        self._publish = publish
        self._clock = clock
        self._line = newest().line
        self._written_ns = clock.monotonic_ns()
        self._turn = anyio.Lock()
        self._refused_ns: int | None = None
        self._told_ns: int | None = None

    async def keep(self, last: bool) -> None:
        """Write a head if it is time for one; the `last` one is written whenever there is something to tell."""
        async with self._turn:
            head, now = self._newest(), self._clock.monotonic_ns()
            lines = head.line - self._line
            if not lines or not (last or lines >= LINES or now - self._written_ns >= PERIOD_NS):
                return
            if not last and self._refused_ns is not None and now - self._refused_ns < RETRY_NS:
                return
            try:
                signed = await anyio.to_thread.run_sync(self._file.write, head)
            except (StorageError, ConfigError) as error:
                self._refused_ns = now
                if self._told_ns is None or now - self._told_ns >= PERIOD_NS:
                    self._told_ns = now
                    log.warning("head_not_written", action="try_again", line=head.line, reason=str(error))
                return
            self._line, self._written_ns, self._refused_ns, self._told_ns = head.line, now, None, None
        self._publish(told(signed))


def told(signed: SignedHead) -> SessionHead:
    """The head as a message."""
    head = signed.head
    return SessionHead(
        log_id=head.log,
        line=head.line,
        sequence=head.sequence,
        line_hash=head.hash,
        content=head.content,
        at=head.at,
        signed=encode_head(signed).decode().rstrip("\n"),
    )


def last_proven_head(folder: Path, key: SigningKey) -> Head | None:
    """The newest head beside a session's log that `key`, or an earlier one that it knows, has signed; None if the last ones are not."""
    for line in islice(LineFile(folder / FILE_NAME).backwards(), 2):  # one by each key
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            signed = msgspec.json.decode(line, type=SignedHead)
            by = key.of(signed.key)
            if by is not None and signed.head.log == folder.name and verify_head(signed, by):
                return signed.head
    return None


def newest_head(folder: Path) -> SignedHead:
    """The newest head beside a session's log, as it is there: its signature is not judged. Raises `ConfigError` when there is none."""
    path = folder / FILE_NAME
    line = next(LineFile(path).backwards(), None)
    if line is None:
        msg = (
            f"session {folder.name}: expected its heads in {path}, found none: its first one comes after {LINES} lines, a minute or a stop"
        )
        raise ConfigError(msg)
    try:
        return msgspec.json.decode(line, type=SignedHead)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"head file {path}: expected a signed head in its last line, found other text ({error})"
        raise ConfigError(msg) from None
