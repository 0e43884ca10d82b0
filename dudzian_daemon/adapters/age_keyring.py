"""A keychain for machines that have none: one file, encrypted by age under a passphrase or to an age identity, of mode 0600.

The plain text is a JSON map from service to user to value; it is only ever in memory. Any age program can open the file.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

import keyring.backend
import msgspec
import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations

from dudzian_daemon.adapters.candle_files import content_of
from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, write_atomic
from dudzian_daemon.domain.errors import ConfigError

#: How a passphrase begins that is an age identity: then the file is encrypted to its recipient, which needs no stretching.
IDENTITY: Final = "AGE-SECRET-KEY-"
_FOLDER: Final = 0o700

_Entries = dict[str, dict[str, str]]


class AgeKeyring(keyring.backend.KeyringBackend):
    """The keychain in `path`. Raises `ConfigError` when the passphrase does not open it."""

    priority: ClassVar[float] = 5

    def __init__(self, path: Path, passphrase: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring leaves it untyped
        self._path = path
        self._passphrase = passphrase
        #: The sealed bytes that were opened last, and what was in them: stretching a passphrase takes a second.
        self._opened: tuple[bytes, _Entries] | None = None

    def get_password(self, service: str, username: str) -> str | None:
        """The value of an entry, None if there is none."""
        return self._entries().get(service, {}).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Put an entry there, durably."""
        entries = self._entries()
        self._write({**entries, service: {**entries.get(service, {}), username: password}})

    def _entries(self) -> _Entries:
        sealed = content_of(self._path)
        if sealed is None:
            return {}
        if self._opened is None or self._opened[0] != sealed:
            self._opened = sealed, self._decoded(self._unsealed(sealed))
        return self._opened[1]

    def _write(self, entries: _Entries) -> None:
        plain = msgspec.json.encode(entries)
        if self._passphrase.startswith(IDENTITY):
            sealed = pyrage.encrypt(plain, [self._identity().to_public()])
        else:
            sealed = pyrage.passphrase.encrypt(plain, self._passphrase)
        ensure_dir(self._path.parent, _FOLDER)
        write_atomic(self._path, sealed, mode=PRIVATE_FILE)
        self._opened = sealed, entries

    def _unsealed(self, sealed: bytes) -> bytes:
        try:
            if self._passphrase.startswith(IDENTITY):
                return bytes(pyrage.decrypt(sealed, [self._identity()]))
            return bytes(pyrage.passphrase.decrypt(sealed, self._passphrase))
        except pyrage.DecryptError:
            msg = f"the secret store {self._path} is not opened by this passphrase; give the one it was made with"
            raise ConfigError(msg) from None

    def _identity(self) -> pyrage.x25519.Identity:
        try:
            return pyrage.x25519.Identity.from_str(self._passphrase)
        except pyrage.IdentityError:
            msg = f"the passphrase begins with {IDENTITY} and is no age identity"
            raise ConfigError(msg) from None

    def _decoded(self, plain: bytes) -> _Entries:
        try:
            return msgspec.json.decode(plain, type=_Entries)
        except msgspec.DecodeError:
            msg = f"the secret store {self._path} holds something else than secrets; move it away"
            raise ConfigError(msg) from None


@lru_cache(maxsize=4)
def age_keyring(path: Path, passphrase: str) -> AgeKeyring:
    """One object per file and passphrase, so that a process stretches the passphrase once."""
    return AgeKeyring(path, passphrase)
