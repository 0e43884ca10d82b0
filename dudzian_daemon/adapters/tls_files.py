"""Certificate, key and client CA of an HTTP port: looked at before a port is opened, then made into what a server listens with.

Imported only where TLS is configured: `cryptography` comes with it.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.private_files import readable_by_others
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS

#: A certificate that ends sooner is told of.
WARN_DAYS: Final = 30
_LARGEST_BYTES: Final = 1024 * 1024


class TlsFileError(ConfigError):
    """One of the files cannot be used; `role` is the key that names it."""

    def __init__(self, role: str, message: str) -> None:
        super().__init__(message)
        self.role = role


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where the PEM files are. With `client_ca` a client must show a certificate that one of those has signed (mTLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says: names, and between which times (UTC nanoseconds) it is good."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before_ns: int
    not_after_ns: int

    def days_left(self, now_ns: int) -> int:
        """Whole days until its end; negative once it is over."""
        return (self.not_after_ns - now_ns) // DAY_NS


def require_usable(files: TlsFiles, now_ns: int) -> Certificate:
    """The server's certificate. Raises `TlsFileError`: not there, no PEM, out of date, of another key, a key that others read."""
    return _looked_over(files, now_ns)[0]


def server_context(files: TlsFiles, now_ns: int) -> ssl.SSLContext:
    """What a server listens with: TLS 1.2 or newer. Raises what `require_usable` raises."""
    return _looked_over(files, now_ns)[1]


def read_certificate(path: Path, role: str) -> Certificate:
    """The first certificate of a PEM file. Raises `TlsFileError`."""
    return _facts(_certificates(path, role)[0])


def _looked_over(files: TlsFiles, now_ns: int) -> tuple[Certificate, ssl.SSLContext]:
    own = _certificates(files.certificate, "certificate")[0]
    found = _facts(own)
    _require_current(found, files.certificate, "certificate", now_ns)
    _require_key(files, own)
    if files.client_ca is not None:
        for each in _certificates(files.client_ca, "client_ca"):
            _require_current(_facts(each), files.client_ca, "client_ca", now_ns)
    return found, _context(files)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
        if files.client_ca is not None:
            context.load_verify_locations(cafile=files.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise TlsFileError("certificate", f"{files.certificate} and {files.key} cannot be used: {error}") from None
    return context


def _require_key(files: TlsFiles, own: x509.Certificate) -> None:
    data = _read(files.key, "key")
    with os_errors(files.key):
        status = files.key.lstat()
    if files.key.is_symlink():
        _refuse("key", files.key, "expected the file itself, found a symlink, which could lead anywhere")
    if readable_by_others(status):
        _refuse(
            "key", files.key, f"expected a key that only its owner reads, found mode {status.st_mode & 0o777:04o}: chmod 600 {files.key}"
        )
    if b"ENCRYPTED" in data:
        _refuse("key", files.key, "expected a key without a passphrase, found an encrypted one: nobody is there to type it at a start")
    try:
        public = load_pem_private_key(data, password=None).public_key()
    except (ValueError, TypeError):
        _refuse("key", files.key, "expected a private key in PEM, found something else")
    if public != own.public_key():
        _refuse("key", files.key, f"expected the key of {files.certificate}, found another one")


def _require_current(found: Certificate, path: Path, role: str, now_ns: int) -> None:
    if now_ns >= found.not_after_ns:
        _refuse(
            role, path, f"expected a certificate that is good now, found one of {found.subject} that ended on {_day(found.not_after_ns)}"
        )
    if now_ns < found.not_before_ns:
        _refuse(
            role, path, f"expected a certificate that is good now, found one of {found.subject} that begins on {_day(found.not_before_ns)}"
        )


def _certificates(path: Path, role: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, role))
    except ValueError:
        _refuse(role, path, "expected a certificate in PEM, found something else")


def _read(path: Path, role: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_BYTES)
    except OSError as error:
        _refuse(role, path, f"expected a file, found none that can be read: {error.strerror}")


def _facts(found: x509.Certificate) -> Certificate:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = tuple(str(each.value) for each in names)
    except (x509.ExtensionNotFound, ValueError):
        listed = ()
    return Certificate(
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        names=listed,
        not_before_ns=_ns(found.not_valid_before_utc),
        not_after_ns=_ns(found.not_valid_after_utc),
    )


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_NS


def _day(moment_ns: int) -> str:
    return datetime.fromtimestamp(moment_ns // SECOND_NS, UTC).date().isoformat()


def _refuse(role: str, path: Path, why: str) -> NoReturn:
    raise TlsFileError(role, f"{path}: {why}")
