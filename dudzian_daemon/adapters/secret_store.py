"""Which keychain holds the secrets: the operating system's, or the encrypted file of a machine that has none.

The file is chosen by giving a passphrase or a path, by flags or by the environment. Nothing here prints or logs a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import platformdirs

from dudzian_daemon.adapters.private_files import readable_by_others
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.redaction import SHORTEST_SECRET, register_secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "dudzian.trading"
NAMESPACE_VARIABLE: Final = "DUDZIAN_SECRET_NAMESPACE"
PASSPHRASE_VARIABLE: Final = "DUDZIAN_HEADLESS_PASSPHRASE"
PASSPHRASE_FILE_VARIABLE: Final = "DUDZIAN_HEADLESS_PASSPHRASE_FILE"
STORAGE_VARIABLE: Final = "DUDZIAN_HEADLESS_STORAGE"
#: keyring rates its backends; below 1 are the null, the failing and the plain-text ones.
_RECOMMENDED_BACKEND: Final = 1
_SHORTEST_PASSPHRASE: Final = 8


class SecretPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where secrets are kept: entries of `namespace` in the OS keychain, or with a `storage` in that file under `passphrase`."""

    namespace: str = SERVICE
    storage: Path | None = None
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"SecretPlace(namespace={self.namespace!r}, storage={self.storage!r})"

    __str__ = __repr__


def place_of(
    env: Mapping[str, str],
    *,
    namespace: str | None = None,
    passphrase: str | None = None,
    passphrase_file: Path | None = None,
    storage: Path | None = None,
) -> SecretPlace:
    """The place that flags and, where they say nothing, the environment name. Raises `ConfigError` for half of one.

    The passphrase is masked in logs from now on.
    """
    chosen = namespace or env.get(NAMESPACE_VARIABLE) or SERVICE
    path = storage or (Path(env[STORAGE_VARIABLE]) if env.get(STORAGE_VARIABLE) else None)
    text = passphrase or _read(passphrase_file) or env.get(PASSPHRASE_VARIABLE) or _read_named(env)
    if text is None:
        if path is not None:
            msg = (
                f"the secret store {path} needs a passphrase: --headless-passphrase-file, {PASSPHRASE_VARIABLE} or "
                f"{PASSPHRASE_FILE_VARIABLE}"
            )
            raise ConfigError(msg)
        return SecretPlace(namespace=chosen)
    if len(text) < _SHORTEST_PASSPHRASE:
        msg = f"the passphrase of the secret store: expected at least {_SHORTEST_PASSPHRASE} characters, found {len(text)}"
        raise ConfigError(msg)
    register_secret(text)
    return SecretPlace(namespace=chosen, storage=path or platformdirs.user_config_path("dudzian") / "secrets.age", passphrase=text)


class SecretStore:
    """Reads and writes entries of one place. Every call blocks on keychain or disk."""

    def __init__(self, place: SecretPlace) -> None:
        self._place = place

    @property
    def source(self) -> str:
        """The place in two words, as in notices."""
        return "OS keychain" if self._place.storage is None else f"age file {self._place.storage}"

    @property
    def backend(self) -> str:
        """What holds the secrets, in words; without a usable keychain it says so."""
        if self._place.storage is not None:
            return self.source
        found = _backend(self._place)
        return "no keychain" if found is None else f"OS keychain ({type(found).__module__.rpartition('.')[2]})"

    def get(self, label: str) -> str | None:
        """The value of an entry, masked in logs from now on; None if it or the whole keychain is not there.

        Raises `ConfigError` when the keychain does not answer.
        """
        import keyring.errors

        backend = _backend(self._place)
        if backend is None:
            return None
        try:
            value = backend.get_password(self._place.namespace, label)
        except (keyring.errors.KeyringError, OSError) as error:
            msg = f"the OS keychain does not answer ({type(error).__name__}); unlock it"
            raise ConfigError(msg) from None
        if value is not None and len(value) >= SHORTEST_SECRET:
            register_secret(value)
        return value

    def set(self, label: str, value: str) -> None:
        """Keep a value. Raises `ConfigError` where there is no keychain or it refuses."""
        import keyring.errors

        if len(value) >= SHORTEST_SECRET:
            register_secret(value)
        backend = _backend(self._place)
        if backend is None:
            msg = f"there is no usable OS keychain here; choose a file: --headless-storage FILE with a passphrase, or {STORAGE_VARIABLE}"
            raise ConfigError(msg)
        try:
            backend.set_password(self._place.namespace, label, value)
        except (keyring.errors.KeyringError, OSError) as error:
            msg = f"the OS keychain does not keep {label!r} ({type(error).__name__}); unlock it"
            raise ConfigError(msg) from None


def _backend(place: SecretPlace) -> KeyringBackend | None:
    if place.storage is not None:
        from dudzian_daemon.adapters.age_keyring import age_keyring

        return age_keyring(place.storage, place.passphrase)
    import keyring

    found = keyring.get_keyring()
    return found if found.priority >= _RECOMMENDED_BACKEND else None


def _read_named(env: Mapping[str, str]) -> str | None:
    return _read(Path(env[PASSPHRASE_FILE_VARIABLE])) if env.get(PASSPHRASE_FILE_VARIABLE) else None


def _read(path: Path | None) -> str | None:
    """The first line of a file that only its owner may read."""
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            if readable_by_others(os.fstat(file.fileno())):
                msg = f"passphrase file {path}: others may read it; run: chmod 600 {path}"
                raise ConfigError(msg)
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"passphrase file {path}: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise ConfigError(msg) from None
