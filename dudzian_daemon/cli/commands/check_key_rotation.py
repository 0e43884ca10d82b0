"""Say when the exchange keys must be changed next, by security/rotation_log.json below the data folder; --update records a change.

Exit 0 in good time, 1 due within --warn-days, 2 overdue or never recorded (and, as everywhere, wrong input). Without --update nothing
is written.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.cli.secret_place import Namespace, Passphrase, PassphraseFile, Storage, secret_store
from dudzian_daemon.domain.errors import ConfigError

EXAMPLES = """Examples:

  dudzian check-key-rotation --dry-run

  dudzian check-key-rotation --environment binance_paper --update
"""

_EXITS: Final = {"ok": 0, "due": 1, "overdue": 2}


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Only this one; default: all that are enabled.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, also with --update.")] = False,
    update: Annotated[
        bool, typer.Option("--update", "--mark-rotated", help="Record that the key of --environment was changed now.")
    ] = False,
    interval_days: Annotated[int, typer.Option("--interval-days", min=1, max=3650, help="Days from one change to the next.")] = 90,
    warn_days: Annotated[int, typer.Option("--warn-days", min=0, max=3650, help="Days before that from which it is due.")] = 14,
    register: Annotated[Path | None, typer.Option("--register", help="Another register than the data folder's.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    secret_namespace: Namespace = None,
    headless_passphrase: Passphrase = None,
    headless_passphrase_file: PassphraseFile = None,
    headless_storage: Storage = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Read the register, perhaps change it, judge, report."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.adapters.rotation_register import DEFAULT, read_rotations, write_rotations
    from dudzian_daemon.app.credentials import credential_label
    from dudzian_daemon.app.key_rotation import key_ages, key_names, register_name, worst
    from dudzian_daemon.config.load import load
    from dudzian_daemon.kernel.clock import SystemClock

    loaded = load(config, env=os.environ).config
    if update and environment is None:
        msg = "--update: expected --environment with the one whose key was changed, found none"
        raise ConfigError(msg)
    enabled = [name for name, entry in loaded.environments.items() if entry.enabled]
    names = key_names(loaded, enabled if environment is None else [loaded.environment_id(environment)])
    if update and not names:
        msg = f"--update: environment {environment} has no `keychain_key`, so there is no key to change"
        raise ConfigError(msg)
    path = register.absolute() if register is not None else data_folder.resolve(data_dir, os.environ) / DEFAULT
    rotations, now_ns = read_rotations(path), SystemClock().wall_ns()
    if update:
        store = secret_store(secret_namespace, headless_passphrase, headless_passphrase_file, headless_storage)
        for _, key, purpose in names:
            if store.get(credential_label(key, purpose)) is None:
                note(f"{credential_label(key, purpose)} was not found ({store.backend}); put the new key there: dudzian secrets set")
        now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now_ns // 10**9)
        changed = {register_name(key, purpose): now for _, key, purpose in names}
        rotations = {**rotations, **changed}
        if not dry_run:
            write_rotations(path, changed)
    ages = key_ages(names, rotations, now_ns, interval_days=interval_days, warn_days=warn_days)
    state = worst(ages)
    if json:
        emit_json({"register": str(path), "status": state, "updated": update and not dry_run, "keys": ages})
    else:
        for age in ages:
            when = "never recorded" if age.last_rotated is None else f"changed {age.last_rotated}, next by {age.due} ({age.days_left} days)"
            emit_text(f"{age.name}: {age.state}, {when}")
        if not ages:
            emit_text("no enabled environment has a key")
    raise typer.Exit(_EXITS[state])
