"""Signed heads: how far a log had come at a moment, said by its key or by an Ed25519 key of which an auditor holds the public half.

A head that is kept out of reach of who can write the log proves that whole lines were not cut off its end, and that it was not put
back to an earlier state. Its form is in docs/reference/journal.md.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors, require_regular_or_absent, write_atomic
from dudzian_daemon.adapters.journal_format import ALGORITHM, LOG_ID, encode
from dudzian_daemon.adapters.keychain import SigningKey, read_private_file
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = "Ed25519"
#: A longer file of heads is not ours.
MAX_HEADS_BYTES: Final = 64 * 1024 * 1024

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PUBLIC_FILE: Final = 0o644
_KEY_BYTES: Final = 4096


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


class HeadSigner(msgspec.Struct, frozen=True):
    """An Ed25519 key that signs heads; `id` is made of its public half."""

    id: str
    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"HeadSigner(id={self.id!r})"

    __str__ = __repr__


class HeadVerifier(msgspec.Struct, frozen=True):
    """The public half of a `HeadSigner`."""

    id: str
    public: Ed25519PublicKey


_decode_head: Final = msgspec.json.Decoder(SignedHead).decode


def sign_head(head: Head, key: SigningKey | HeadSigner) -> SignedHead:
    """The head, signed by the log's key (HMAC-SHA256) or by an Ed25519 key."""
    algorithm = ED25519 if isinstance(key, HeadSigner) else ALGORITHM
    unsigned = SignedHead(head, key.id, algorithm, "")
    covered = _covered(unsigned)
    signature = key.private.sign(covered).hex() if isinstance(key, HeadSigner) else hmac.digest(key.secret, covered, "sha256").hex()
    return msgspec.structs.replace(unsigned, sig=signature)


def verify_head(signed: SignedHead, key: SigningKey | HeadVerifier) -> bool:
    """Whether the signature is that of the key, and of the algorithm that the key is for."""
    try:
        signature = bytes.fromhex(signed.sig)
    except ValueError:
        return False
    if signed.key != key.id or signature.hex() != signed.sig:
        return False
    if isinstance(key, SigningKey):
        return signed.alg == ALGORITHM and hmac.compare_digest(hmac.digest(key.secret, _covered(signed), "sha256"), signature)
    return signed.alg == ED25519 and _fits(key.public, signature, _covered(signed))


def encode_head(signed: SignedHead) -> bytes:
    """One line, newline included."""
    return encode(signed) + b"\n"


def read_heads(path: Path) -> list[SignedHead]:
    """The heads in a file, one or many, one a line; what a crash left of a last one is passed over.

    Raises `ConfigError` when there is none, or a line that is none.
    """
    with os_errors(path), path.open("rb") as file:
        return parse_heads(path, file.read(MAX_HEADS_BYTES))


def parse_heads(path: Path, text: bytes) -> list[SignedHead]:
    """The same of what was read of a file. Raises `ConfigError`."""
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


# -- Ed25519 keys ------------------------------------------------------------------------------------------------------


def new_signer(private: Path, public: Path) -> HeadSigner:
    """Make a key: `private` (PKCS 8, PEM, mode 0600) and `public` (PEM). Raises `ConfigError` when something stands there already."""
    _require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    for path in (private, public):
        require_regular_or_absent(path)
        if path.exists():
            msg = f"expected no file at {path}, found one: a key is never written over"
            raise ConfigError(msg)
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomic(private.absolute(), text, mode=PRIVATE_FILE)
    shown = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_atomic(public.absolute(), shown, mode=_PUBLIC_FILE)
    return HeadSigner(_id_of(key.public_key()), key)


def read_signer(path: Path) -> HeadSigner:
    """The private key in a PEM file. Raises `ConfigError`, without a word of its content, when it is none or others may read it."""
    _require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        key = serialization.load_pem_private_key(read_private_file(path), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        msg = f"key file {path}: expected an Ed25519 private key (PEM, without a password), found something else"
        raise ConfigError(msg)
    return HeadSigner(_id_of(key.public_key()), key)


def read_verifier(path: Path) -> HeadVerifier:
    """The public key in a PEM file. Raises `ConfigError` when it is none."""
    _require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    with os_errors(path), path.open("rb") as file:
        text = file.read(_KEY_BYTES)
    try:
        key = serialization.load_pem_public_key(text)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        msg = f"key file {path}: expected an Ed25519 public key (PEM), found something else"
        raise ConfigError(msg)
    return HeadVerifier(_id_of(key), key)


def _require_library() -> None:
    if find_spec("cryptography") is None:
        msg = 'Ed25519 keys need cryptography, which is not installed: pip install "dudzian[signatures]"'
        raise ConfigError(msg)


def _id_of(public: Ed25519PublicKey) -> str:
    return f"ed25519-{sha256(public.public_bytes_raw()).hexdigest()[:16]}"


def _fits(public: Ed25519PublicKey, signature: bytes, covered: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signature, covered)
    except InvalidSignature:
        return False
    return True


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
