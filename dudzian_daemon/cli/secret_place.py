"""The flags that choose where secrets are kept, the same for every command that reads them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.option_groups import Options
from dudzian_daemon.cli.output import note

if TYPE_CHECKING:
    from dudzian_daemon.adapters.secret_store import SecretStore

Namespace = Annotated[
    str | None,
    typer.Option("--secret-namespace", metavar="NAME", help="Service name of the entries in the keychain; default dudzian.trading."),
]
Passphrase = Annotated[
    str | None,
    typer.Option(
        "--headless-passphrase", metavar="TEXT", help="Of the encrypted file; other users can see it, better by file or variable."
    ),
]
PassphraseFile = Annotated[
    Path | None, typer.Option("--headless-passphrase-file", help="Its first line is the passphrase (or an age identity); mode 0600.")
]
Storage = Annotated[
    Path | None,
    typer.Option("--headless-storage", "--headless-secrets-path", help="Encrypted file to use instead of the OS keychain."),
]


class SecretPlace(Options, frozen=True):
    """The same as a group, for a command that runs a session: what reads secrets there reads the environment."""

    panel = "Where secrets are"

    secret_namespace: Namespace = None
    headless_passphrase: Passphrase = None
    headless_passphrase_file: PassphraseFile = None
    headless_storage: Storage = None

    def choose(self, env: MutableMapping[str, str]) -> None:
        """Let the environment say what the flags say. Raises `ConfigError` for half of a choice."""
        from dudzian_daemon.adapters import secret_store

        given = {
            secret_store.NAMESPACE_VARIABLE: self.secret_namespace,
            secret_store.PASSPHRASE_VARIABLE: self.headless_passphrase,
            secret_store.PASSPHRASE_FILE_VARIABLE: self.headless_passphrase_file,
            secret_store.STORAGE_VARIABLE: self.headless_storage,
        }
        said = {name: str(value) for name, value in given.items() if value is not None}
        if self.headless_passphrase is not None:
            _warn()
        if {secret_store.PASSPHRASE_VARIABLE, secret_store.PASSPHRASE_FILE_VARIABLE} & said.keys():
            env.pop(secret_store.PASSPHRASE_VARIABLE, None)
        if said:
            secret_store.place_of({**env, **said})
            env.update(said)


def secret_store(namespace: str | None, passphrase: str | None, passphrase_file: Path | None, storage: Path | None) -> SecretStore:
    """The store that the flags name, else the environment's. Raises `ConfigError` for half of a choice."""
    from dudzian_daemon.adapters.secret_store import SecretStore, place_of

    if passphrase is not None:
        _warn()
    return SecretStore(place_of(os.environ, namespace=namespace, passphrase=passphrase, passphrase_file=passphrase_file, storage=storage))


def _warn() -> None:
    note(
        "a passphrase given by --headless-passphrase can be seen by other users of this machine; "
        "--headless-passphrase-file and DUDZIAN_HEADLESS_PASSPHRASE cannot"
    )
