"""The key that proves a log: of a flag, or the one that the daemon would sign with. None is ever made here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from dudzian_daemon.cli.output import note
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.keychain import SigningKey
    from dudzian_daemon.config.schema import CoreConfig

#: Exit code of every command that proves seals and has no key for it.
KEY_MISSING: Final = 3
HMAC_KEY_FILE_HELP: Final = "File with the key as hex or base64 text; ID=FILE, several times, for a log whose key changed."

_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def given_key(
    files: Sequence[str] | None, text: str | None, variable: str | None, config: Path | None, expected_key_id: str | None = None
) -> Callable[[str], SigningKey | None]:
    """Finds keys by the ids that logs name: those of the flags, and where they say nothing the daemon's.

    A file given as `ID=FILE` is the key of that id; one without an id, like the other flags, that of `expected_key_id`, else of the
    first id that is asked for.
    """
    from dudzian_daemon.adapters.keychain import SigningKey, decode_key

    if sum(given is not None for given in (files or None, text, variable)) > 1:
        msg = "give the key once: --hmac-key-file, --hmac-key or --hmac-key-env"
        raise ConfigError(msg)
    named: dict[str, SigningKey] = {}
    plain: list[tuple[bytes, str]] = []
    for key_id, path in map(_named_file, files or ()):
        secret = _secret_of(path)
        if key_id is None:
            plain.append((secret, str(path)))
        else:
            named[key_id] = SigningKey(id=key_id, secret=secret, source=str(path))
    if text is not None:
        note("a key given by --hmac-key can be seen by other users of this machine; --hmac-key-file and --hmac-key-env cannot")
        plain.append((decode_key(text, "--hmac-key"), "--hmac-key"))
    elif variable is not None:
        if not os.environ.get(variable):
            raise _missing(f"environment variable {variable} is not set")
        plain.append((decode_key(os.environ[variable], variable), variable))
    if len(plain) > 1:
        msg = "--hmac-key-file: of several keys each needs its id: --hmac-key-file ID=FILE"
        raise ConfigError(msg)

    def find(key_id: str) -> SigningKey | None:
        if key_id not in named and plain and expected_key_id in (None, key_id):
            secret, source = plain.pop()
            named[key_id] = SigningKey(id=key_id, secret=secret, source=source)
        return named.get(key_id) or daemons_key(key_id, config)

    return find


def _named_file(given: str) -> tuple[str | None, Path]:
    """Key id and path of `ID=FILE`; a file of that very name comes first."""
    key_id, equals, path = given.partition("=")
    if not equals or Path(given).exists() or not _KEY_ID.fullmatch(key_id):
        return None, Path(given)
    return key_id, Path(path)


def _secret_of(path: Path) -> bytes:
    from dudzian_daemon.adapters.keychain import read_key_file
    from dudzian_daemon.adapters.private_files import readable_by_others

    if not path.exists():
        raise _missing(f"key file {path} does not exist")
    if readable_by_others(path.stat()):
        note(f"key file {path} can be read by other users; run: chmod 600 {path}")
    return read_key_file(path, private=False)


def daemons_key(key_id: str, config: Path | None) -> SigningKey | None:
    """The key that the daemon would sign with, or had signed with before, never a new one."""
    from dudzian_daemon.adapters.keychain import find_key
    from dudzian_daemon.config.load import load

    settings = load(config, env=os.environ).config.risk.decision_log
    key_file = Path(settings.signing_key_path) if settings.signing_key_path else None
    return find_key(key_id, settings.signing_key_id, env=os.environ, key_file=key_file)


def writers_key(known: CoreConfig) -> SigningKey:
    """The key that the daemon writes with under this configuration. Raises `ConfigError` where there is none."""
    from dudzian_daemon.adapters.keychain import find_signing_key

    settings = known.risk.decision_log
    path = None if settings.signing_key_path is None else Path(settings.signing_key_path)
    key = find_signing_key(settings.signing_key_id, env=os.environ, key_file=path)
    if key is None:
        msg = f"expected the signing key {settings.signing_key_id!r} that the session was written with, found none on this machine"
        raise ConfigError(msg)
    return key


def _missing(text: str) -> typer.Exit:
    note(text)
    return typer.Exit(KEY_MISSING)
