"""The beginning: a configuration of one's own with comments, and the first line of the log that the day's first check reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, get_type_hints

import msgspec

from dudzian_daemon.adapters.files import ensure_dir, os_errors, write_atomic
from dudzian_daemon.adapters.keychain import signing_key
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.app.run_logs import open_decision_log
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import CREDENTIALS_FOLDER, INSTRUMENTS_FILE, MAIN_FILE, bundled
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, DudzianError
from dudzian_daemon.kernel.clock import SystemClock

_TOP_KEY: Final = re.compile(r"^([a-z_]+):", flags=re.MULTILINE)
_REPORTING: Final = """
# reporting:
#   timezone: Europe/Warsaw
#   age_recipients: [age1...]
#   mail: {host: mail.example.org, sender: dudzian@example.org, recipients: [operator@example.org], user: dudzian}
#   retention: {hot_days: 30, archive_months: 24, record_days: 730}
"""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.init/1`: what was written. `key` says where the signing key lies, never what it is."""

    schema: str = "dudzian.init/1"
    environment: str
    config: str
    files: tuple[str, ...]
    data_folder: str
    decision_log: str
    key: str
    key_created: bool


def begin(folder: Path, environment: str, balance: str | None, data_dir: Path | None, env: Mapping[str, str]) -> Begun:
    """Write the configuration into `folder`, then key and genesis. Raises `ConfigError` where a file is there already; all or nothing."""
    files = {MAIN_FILE: _main_file(environment, balance), INSTRUMENTS_FILE: (bundled("config") / INSTRUMENTS_FILE).read_text("utf-8")}
    for path in sorted((bundled("config") / CREDENTIALS_FOLDER).glob("*.yaml")):
        files[f"{CREDENTIALS_FOLDER}/{path.name}"] = path.read_text("utf-8")
    there = [str(folder / name) for name in files if (folder / name).exists()]
    if there:
        msg = f"init: expected no configuration at {folder}, found {', '.join(there)}; choose another --config-dir, or move it away"
        raise ConfigError(msg)
    _tried(folder, files, env)
    try:
        for name, text in files.items():
            ensure_dir((folder / name).parent)
            write_atomic(folder / name, text.encode())
        return _signed(folder, tuple(files), RunOptions(config=folder / MAIN_FILE, environment=environment, data_dir=data_dir), env)
    except DudzianError:
        for name in files:
            (folder / name).unlink(missing_ok=True)
        raise


def _signed(folder: Path, files: Sequence[str], options: RunOptions, env: Mapping[str, str]) -> Begun:
    """Key and genesis for the configuration that was written."""
    prepared = prepare(options, env)
    ensure_dir(prepared.data_folder)
    settings = prepared.config.risk.decision_log
    key = signing_key(
        settings.signing_key_id, env=env, key_file=None if settings.signing_key_path is None else Path(settings.signing_key_path)
    )
    decision_log = open_decision_log(prepared, key, SystemClock())
    decision_log.log.release()
    return Begun(
        environment=prepared.environment,
        config=str(folder / MAIN_FILE),
        files=tuple(str(folder / name) for name in files),
        data_folder=str(prepared.data_folder),
        decision_log=str(decision_log.written),
        key=key.source,
        key_created=key.created,
    )


def _tried(folder: Path, files: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Load the files from a place of their own before any of them stands where it shall. Raises what is wrong with them."""
    ensure_dir(folder)
    with os_errors(folder), TemporaryDirectory(prefix=".init-", dir=folder) as trial:
        for name, text in files.items():
            path = Path(trial) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        load(Path(trial) / MAIN_FILE, env=env)


def _main_file(environment: str, balance: str | None) -> str:
    """The bundled file with the environment as its default, the balance, and what each section is for above it."""
    source = bundled("config") / MAIN_FILE
    text = source.read_text("utf-8")
    load(source, env={}).config.environment_id(environment)
    text = re.sub(r"^default_environment: .*$", f"default_environment: {environment}", text, flags=re.MULTILINE)
    if balance is not None:
        text = re.sub(r"^  initial_balances: .*$", f"  initial_balances: {{USDT: {balance}}}", text, flags=re.MULTILINE)
    about = _descriptions()
    commented = _TOP_KEY.sub(lambda match: f"# {about[match[1]]}\n{match[0]}" if match[1] in about else match[0], text)
    return f"{commented.rstrip()}\n\n# {about['reporting']}{_REPORTING}"


def _descriptions() -> dict[str, str]:
    """What each section is for, from the schema."""
    found: dict[str, str] = {}
    for name, hint in get_type_hints(CoreConfig, include_extras=True).items():
        metas: tuple[Any, ...] = getattr(hint, "__metadata__", ())
        described = [meta.description for meta in metas if getattr(meta, "description", None)]
        found[name] = f"{described[0][0].upper()}{described[0][1:]}." if described else name
    return found
