"""The key that proves a log: of a flag, or the one that the daemon would sign with. None is ever made here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from dudzian_daemon.cli.output import note
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.keychain import SigningKey

#: Exit code of every command that proves seals and has no key for it.
KEY_MISSING: Final = 3


def given_key(file: Path | None, text: str | None, variable: str | None) -> Callable[[str], SigningKey | None] | None:
    """The key of a flag, under whatever id a log names; None without such a flag."""
    from dudzian_daemon.adapters.keychain import SigningKey, decode_key, read_key_file
    from dudzian_daemon.adapters.private_files import readable_by_others

    if sum(given is not None for given in (file, text, variable)) > 1:
        msg = "give the key once: --hmac-key-file, --hmac-key or --hmac-key-env"
        raise ConfigError(msg)
    if file is not None:
        if not file.exists():
            raise _missing(f"key file {file} does not exist")
        if readable_by_others(file.stat()):
            note(f"key file {file} can be read by other users; run: chmod 600 {file}")
        secret, source = read_key_file(file, private=False), str(file)
    elif text is not None:
        note("a key given by --hmac-key can be seen by other users of this machine; --hmac-key-file and --hmac-key-env cannot")
        secret, source = decode_key(text, "--hmac-key"), "--hmac-key"
    elif variable is not None:
        if not os.environ.get(variable):
            raise _missing(f"environment variable {variable} is not set")
        secret, source = decode_key(os.environ[variable], variable), variable
    else:
        return None
    return lambda key_id: SigningKey(id=key_id, secret=secret, source=source)


def daemons_key(key_id: str, config: Path | None) -> SigningKey | None:
    """The key that the daemon would sign with, never a new one."""
    from dudzian_daemon.adapters.keychain import find_signing_key
    from dudzian_daemon.config.load import load

    configured = load(config, env=os.environ).config.risk.decision_log.signing_key_path
    return find_signing_key(key_id, env=os.environ, key_file=Path(configured) if configured else None)


def _missing(text: str) -> typer.Exit:
    note(text)
    return typer.Exit(KEY_MISSING)
