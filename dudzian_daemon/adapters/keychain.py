"""Where the signing key of the decision log comes from. Values are never printed, logged or put into an error."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from dudzian_daemon.adapters.private_files import readable_by_others
from dudzian_daemon.adapters.secret_store import SecretStore, place_of
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.redaction import register_secret

KEY_FILE_VARIABLE: Final = "DUDZIAN_KEY_FILE"
#: Names under which the key's text is taken from the environment, the first one that is set wins.
KEY_VARIABLES: Final = ("DECISION_LOG_HMAC_KEY", "DECISION_KEY")
MIN_KEY_BYTES: Final = 16
NEW_KEY_BYTES: Final = 32

_KEY_TEXT_BYTES: Final = 4096
_KEY_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def _no_other(_key_id: str) -> SigningKey | None:
    return None


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key by id, and where it was found. `created` asks the caller for a one-line notice.

    `other` is the ring that it hangs on: finds the keys of other ids, which logs were sealed by before this one.
    """

    id: str
    secret: bytes
    source: str
    created: bool = False
    other: Callable[[str], SigningKey | None] = _no_other

    def of(self, key_id: str) -> SigningKey | None:
        """This key or another one of its ring, by id; None if it is nowhere."""
        return self if key_id == self.id else self.other(key_id)

    def __repr__(self) -> str:
        return f"SigningKey(id={self.id!r}, source={self.source!r})"

    __str__ = __repr__


def signing_key(key_id: str, *, env: Mapping[str, str], config_dir: Path | None = None, key_file: Path | None = None) -> SigningKey:
    """The key `key_id`, made and stored if there is none (OS keychain if it is usable, else a 0600 file).

    Raises `ConfigError` when a key is there and cannot be used.
    """
    found = find_signing_key(key_id, env=env, config_dir=config_dir, key_file=key_file)
    ring = partial(find_other_key, env=env, config_dir=config_dir, key_file=key_file)
    key = found or _masked(_create(key_id, _key_path(key_id, config_dir), SecretStore(place_of(env))))
    return msgspec.structs.replace(key, other=ring)


def find_signing_key(
    key_id: str, *, env: Mapping[str, str], config_dir: Path | None = None, key_file: Path | None = None
) -> SigningKey | None:
    """The key `key_id` from key file, environment, config folder or keychain (see `secret_store`), in this order; None if it is nowhere.

    It is masked in logs from now on.
    """
    found = _found(key_id, env, config_dir, key_file)
    return None if found is None else _masked(found)


def _masked(key: SigningKey) -> SigningKey:
    register_secret(key.secret)
    return key


def _found(key_id: str, env: Mapping[str, str], config_dir: Path | None, key_file: Path | None) -> SigningKey | None:
    given = key_file or (Path(env[KEY_FILE_VARIABLE]) if env.get(KEY_FILE_VARIABLE) else None)
    if given is not None:
        return SigningKey(id=key_id, secret=read_key_file(given), source=str(given))
    for name in KEY_VARIABLES:
        if env.get(name):
            return SigningKey(id=key_id, secret=decode_key(env[name], name), source=f"environment variable {name}")
    path = _key_path(key_id, config_dir)
    if path.exists():
        return SigningKey(id=key_id, secret=read_key_file(path), source=str(path))
    return _of_keychain(key_id, env)


def find_other_key(
    key_id: str, *, env: Mapping[str, str], config_dir: Path | None = None, key_file: Path | None = None
) -> SigningKey | None:
    """The key `key_id` where keys lie by their ids, for what was signed before the configured one; None if it is nowhere.

    That is the variable `DECISION_LOG_HMAC_KEY_<ID>`, the file `<key id>.key` beside the key file or in the config folder, the OS
    keychain, in this order. What holds the configured key, whatever its id, is not asked. It is masked in logs from now on.
    """
    found = _found_other(key_id, env, config_dir, key_file)
    return None if found is None else _masked(found)


def _found_other(key_id: str, env: Mapping[str, str], config_dir: Path | None, key_file: Path | None) -> SigningKey | None:
    path = _key_path(key_id, config_dir)
    name = ring_variable(key_id)
    if env.get(name):
        return SigningKey(id=key_id, secret=decode_key(env[name], name), source=f"environment variable {name}")
    given = key_file or (Path(env[KEY_FILE_VARIABLE]) if env.get(KEY_FILE_VARIABLE) else None)
    beside = [] if given is None or given.name == path.name else [given.with_name(path.name)]
    for file in (*beside, path):
        if file.exists():
            return SigningKey(id=key_id, secret=read_key_file(file), source=str(file))
    return _of_keychain(key_id, env)


def find_key(key_id: str, configured: str, *, env: Mapping[str, str], key_file: Path | None = None) -> SigningKey | None:
    """The key `key_id` where a daemon whose key is `configured` would find it; None if it is nowhere."""
    find = find_signing_key if key_id == configured else find_other_key
    return find(key_id, env=env, key_file=key_file)


def ring_variable(key_id: str) -> str:
    """Name of the environment variable that holds the key `key_id` of a ring."""
    return f"{KEY_VARIABLES[0]}_{re.sub('[^A-Z0-9]', '_', key_id.upper())}"


def find_token(name: str, variable: str, env: Mapping[str, str]) -> str | None:
    """Text of an access token from an environment variable, else from the keychain entry `name`; None if it is nowhere.

    Raises `ConfigError` when the keychain does not answer.
    """
    return env.get(variable) or _from_keychain(name, env, variable)


def decode_key(text: str, where: str) -> bytes:
    """Bytes of a key given as hex or base64 text; `where` names its place in the `ConfigError` of an unusable one."""
    compact = text.strip()
    try:
        secret = bytes.fromhex(compact)
    except ValueError:
        try:
            secret = base64.b64decode(compact, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
    if len(secret) < MIN_KEY_BYTES:
        msg = f"{where}: expected a key of at least {MIN_KEY_BYTES} bytes as hex or base64 text, found something else"
        raise ConfigError(msg)
    return secret


def read_key_file(path: Path, *, private: bool = True) -> bytes:
    """Key in a file. Raises `ConfigError` if it cannot be read, or if `private` and others may read it."""
    return decode_key(read_private_file(path, private=private).decode("ascii", "replace"), f"key file {path}")


def read_private_file(path: Path, *, private: bool = True) -> bytes:
    """Bytes of a file that holds a key. Raises `ConfigError` if it cannot be read, or if `private` and others may read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        msg = f"key file {path}: {error.strerror}"
        raise ConfigError(msg) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            msg = f"key file {path}: expected a regular file"
            raise ConfigError(msg)
        if private and readable_by_others(status):
            msg = f"key file {path}: expected mode 0600, found {stat.S_IMODE(status.st_mode):04o}; run: chmod 600 {path}"
            raise ConfigError(msg)
        return os.read(descriptor, _KEY_TEXT_BYTES)
    finally:
        os.close(descriptor)


def _key_path(key_id: str, config_dir: Path | None) -> Path:
    if not _KEY_ID.fullmatch(key_id):
        msg = f"signing key id {key_id!r}: expected up to 64 letters, digits, '.', '_' or '-', not starting with '.'"
        raise ConfigError(msg)
    folder = platformdirs.user_config_path("dudzian") if config_dir is None else config_dir / "dudzian"
    return folder / "keys" / f"{key_id}.key"


def _create(key_id: str, path: Path, keychain: SecretStore) -> SigningKey:
    text = secrets.token_hex(NEW_KEY_BYTES)
    if _to_keychain(key_id, text, keychain):
        return SigningKey(id=key_id, secret=bytes.fromhex(text), source=keychain.source, created=True)
    created = _write_key_file(path, text)
    return SigningKey(id=key_id, secret=read_key_file(path), source=str(path), created=created)


def _write_key_file(path: Path, text: str) -> bool:
    """Put the key there in one step; False if another process was first."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(descriptor)
            os.link(draft, path)
        finally:
            draft.unlink()
    except FileExistsError:
        return False
    except OSError as error:
        msg = f"signing key cannot be stored in {path}: {error.strerror}; give one by {KEY_FILE_VARIABLE} or {KEY_VARIABLES[0]}"
        raise ConfigError(msg) from None
    return True


def _of_keychain(key_id: str, env: Mapping[str, str]) -> SigningKey | None:
    text = _from_keychain(key_id, env, KEY_FILE_VARIABLE)
    if text is None:
        return None
    place = place_of(env)
    return SigningKey(id=key_id, secret=decode_key(text, f"keychain entry {place.namespace}/{key_id}"), source=SecretStore(place).source)


def _from_keychain(name: str, env: Mapping[str, str], variable: str) -> str | None:
    try:
        return SecretStore(place_of(env)).get(name)
    except ConfigError as error:
        msg = f"{error}, or give it by {variable}"
        raise ConfigError(msg) from None


def _to_keychain(key_id: str, text: str, keychain: SecretStore) -> bool:
    """Whether the keychain has taken the key; a poor or locked one does not."""
    try:
        keychain.set(key_id, text)
        return keychain.get(key_id) == text
    except ConfigError:
        return False
