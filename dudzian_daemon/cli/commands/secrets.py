"""The secrets of an environment: keep one, see which are there, hand one to a file.

No command ever prints a value. They lie in the OS keychain (service dudzian.trading), or in a file encrypted by age where there is
none: --headless-storage, or DUDZIAN_HEADLESS_STORAGE with DUDZIAN_HEADLESS_PASSPHRASE or DUDZIAN_HEADLESS_PASSPHRASE_FILE.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.secret_place import Namespace, Passphrase, PassphraseFile, Storage, secret_store
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian secrets check --environment binance_paper

  dudzian secrets set binance_paper_trading:trading

  dudzian secrets set risk-2023 --any-label                   an older key, for logs that it has signed

  dudzian secrets export risk-ci --to-file /run/user/1000/risk-ci.key
"""

app = typer.Typer(no_args_is_help=True)

Label = Annotated[str, typer.Argument(help="Label of the entry: KEYCHAIN_KEY:PURPOSE, the signing key's id, a token's id.")]
Config = Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")]
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_LONGEST: Final = 65_536


@app.command()
def check(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose; default: the default environment.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    secret_namespace: Namespace = None,
    headless_passphrase: Passphrase = None,
    headless_passphrase_file: PassphraseFile = None,
    headless_storage: Storage = None,
    config: Config = None,
) -> None:
    """Which secrets are there, and where. Exit 0 when all are (a placeholder counts), 1 when one is missing or unusable."""
    from dudzian_daemon.app.credentials import states
    from dudzian_daemon.config.load import load

    loaded = load(config, env=os.environ).config
    name = loaded.environment_id(environment)
    store = secret_store(secret_namespace, headless_passphrase, headless_passphrase_file, headless_storage)
    found = states(loaded, name, store, os.environ)
    if json:
        emit_json({"environment": name, "backend": store.backend, "secrets": found})
    else:
        emit_text(f"{name}: secrets in {store.backend}")
        for each in found:
            where = f" in {each.source}" if each.source else ""
            remedy = f"; {each.remedy}" if each.remedy else ""
            emit_text(f"{each.label} ({each.purpose}): {each.state}{where}{remedy}")
    raise typer.Exit(1 if any(each.state in {"missing", "unusable"} for each in found) else 0)


@app.command("set")
def set_(
    label: Label,
    from_file: Annotated[Path | None, typer.Option("--from-file", help="Take the value from this file; default: stdin.")] = None,
    any_label: Annotated[
        bool, typer.Option("--any-label", help="Also a label that the configuration does not name, as an older signing key's id.")
    ] = False,
    secret_namespace: Namespace = None,
    headless_passphrase: Passphrase = None,
    headless_passphrase_file: PassphraseFile = None,
    headless_storage: Storage = None,
    config: Config = None,
) -> None:
    """Keep a value under a label. It is asked for without echo, or read from stdin or a file; never from the command line."""
    from dudzian_daemon.app.credentials import require_referenced
    from dudzian_daemon.config.load import load

    _require_label(label)
    if not any_label:  # before the value is asked for
        require_referenced(load(config, env=os.environ).config, label)
    store = secret_store(secret_namespace, headless_passphrase, headless_passphrase_file, headless_storage)
    store.set(label, _value(from_file))
    emit_text(f"{label}: kept in {store.backend}")


@app.command()
def export(
    label: Label,
    to_file: Annotated[Path, typer.Option("--to-file", help="New file, readable by you alone; remove it when you are done.")],
    secret_namespace: Namespace = None,
    headless_passphrase: Passphrase = None,
    headless_passphrase_file: PassphraseFile = None,
    headless_storage: Storage = None,
    config: Config = None,
) -> None:
    """Write a secret to a file of mode 0600, for a tool that takes one (`verify-decision-log --hmac-key-file`). Exit 3: there is none."""
    from dudzian_daemon.adapters.private_files import create_private
    from dudzian_daemon.cli.keys import KEY_MISSING, daemons_key
    from dudzian_daemon.cli.output import note
    from dudzian_daemon.config.load import load

    _require_label(label)
    store = secret_store(secret_namespace, headless_passphrase, headless_passphrase_file, headless_storage)
    value = store.get(label)
    if value is None and label == load(config, env=os.environ).config.risk.decision_log.signing_key_id:
        key = daemons_key(label, config)
        value = None if key is None else key.secret.hex()
    if value is None:
        note(f"expected the secret {label!r}, found none in {store.source}; look at: dudzian secrets check")
        raise typer.Exit(KEY_MISSING)
    create_private(to_file, value.encode() + b"\n")
    emit_text(f"{label}: written to {to_file} (mode 0600); remove it when you are done")


def _require_label(label: str) -> None:
    if _LABEL.fullmatch(label) is None:
        msg = f"expected a label of letters, digits and ._:- such as binance_paper_trading:trading, found {label[:40]!r}"
        raise ConfigError(msg)


def _value(from_file: Path | None) -> str:
    if from_file is not None:
        try:
            text = from_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"--from-file {from_file}: {getattr(error, 'strerror', None) or 'it is no text'}"
            raise ConfigError(msg) from None
    elif sys.stdin.isatty():
        import getpass

        text = getpass.getpass("value (not shown): ")
    else:
        text = sys.stdin.read(_LONGEST + 1)
    value = text.strip("\r\n")
    if not value.strip() or len(value) > _LONGEST:
        msg = f"expected a value of 1 to {_LONGEST} characters, found {len(value)}; nothing was kept"
        raise ConfigError(msg)
    return value
