"""Signed heads: how far a log had come at a moment, said by its key.

A head that is kept out of reach of who can write the log proves that whole lines were not cut off its end, and that it was not put
back to an earlier state. Its form is in docs/reference/journal.md.
"""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import ALGORITHM, LOG_ID, encode
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.domain.errors import ConfigError

#: A longer file of heads is not ours.
MAX_HEADS_BYTES: Final = 64 * 1024 * 1024

_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line of log `log` at wall time `at` (ns): its number, raw hash, content link, and the last cycle's sequence (0: none)."""

    log: str
    line: int
    sequence: int
    hash: str
    content: str
    at: int


class SignedHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A head with its signature (hex) by the key `key`; written as one line of canonical JSON, members in this order."""

    head: Head
    key: str
    alg: str
    sig: str


_decode_head: Final = msgspec.json.Decoder(SignedHead).decode


def sign_head(head: Head, key: SigningKey) -> SignedHead:
    """The head, signed by the log's key (HMAC-SHA256)."""
    unsigned = SignedHead(head, key.id, ALGORITHM, "")
    return msgspec.structs.replace(unsigned, sig=hmac.digest(key.secret, _covered(unsigned), "sha256").hex())


def verify_head(signed: SignedHead, key: SigningKey) -> bool:
    """Whether the signature is that of the key."""
    expected = hmac.digest(key.secret, _covered(signed), "sha256").hex()
    return (signed.key, signed.alg) == (key.id, ALGORITHM) and hmac.compare_digest(expected.encode(), signed.sig.encode())


def encode_head(signed: SignedHead) -> bytes:
    """One line, newline included."""
    return encode(signed) + b"\n"


def read_heads(path: Path) -> list[SignedHead]:
    """The heads in a file, one or many, one a line; what a crash left of a last one is passed over.

    Raises `ConfigError` when there is none, or a line that is none.
    """
    with os_errors(path), path.open("rb") as file:
        text = file.read(MAX_HEADS_BYTES)
    *whole, rest = text.split(b"\n")
    found = [_head(path, number, line) for number, line in enumerate(whole, start=1) if line.strip()]
    if rest.strip():
        try:
            found.append(_head(path, len(whole) + 1, rest))
        except ConfigError:
            if not found:
                raise
    if not found:
        msg = f"head file {path}: expected at least one head, found none"
        raise ConfigError(msg)
    return found


def _covered(signed: SignedHead) -> bytes:
    """What a signature covers: all bytes of the line before `,"sig":"`. No line of a log begins like this."""
    return encode(msgspec.structs.replace(signed, sig="")).removesuffix(b',"sig":""}')


def _head(path: Path, number: int, line: bytes) -> SignedHead:
    try:
        signed = _decode_head(line)
    except (ValueError, RecursionError):
        signed = None
    good = signed is not None and LOG_ID.fullmatch(signed.head.log) and signed.head.line > 0
    if signed is None or not good or not _HASH.fullmatch(signed.head.hash) or encode(signed) != line.strip():
        msg = f"head file {path} line {number}: expected a signed head in its canonical form, found other text"
        raise ConfigError(msg)
    return signed
