"""Consent to one change of configuration or code, given before the start that needs it, so that a service manager's start goes on.

The file is signed with the key of the journal and bound to what it was given for: the session, the run it follows, and the
hashes of configuration and code before and after. The start that uses it removes it; to any other start it says nothing.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, os_errors, write_atomic
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.journal_reader import Session
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.recovery import PendingChange, pending_change, resumable
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.clock import Clock, iso_utc

SCHEMA: Final = "dudzian.accepted_change/1"


class Consent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Schema `dudzian.accepted_change/1`: `run` is the raw hash of the `run` entry it follows, `before` and `now` the hashes of
    configuration and code, times are wall ns, `mac` is over all the rest.
    """

    schema: str = SCHEMA
    log_id: str
    run: str
    before: str
    now: str
    change: dict[str, Any]
    at: int
    expires_at: int
    key: str
    mac: str = ""


def consent_path(data_folder: Path) -> Path:
    """Where the consent for the next start on `data_folder` lies."""
    return data_folder / "run" / "accept_change.json"


def open_change(prepared: Prepared, key: SigningKey, facts: dict[str, Any]) -> tuple[Session, PendingChange | None]:
    """The session that the next start would go on with, and the change it would find. Raises `ConfigError` where there is none."""
    session = resumable(prepared.data_folder, prepared.artifact)
    if session is None:
        msg = f"{prepared.artifact}: no session goes on, so there is no change to accept; the next start begins a new one"
        raise ConfigError(msg)
    return session, pending_change(session, key, facts)


def give(data_folder: Path, change: PendingChange, key: SigningKey, clock: Clock, *, valid_ns: int) -> Consent:
    """Write the consent to this change, good for `valid_ns`; one that is there is replaced."""
    at = clock.wall_ns()
    consent = Consent(
        log_id=change.log_id,
        run=change.run,
        before=change.before,
        now=change.now,
        change=change.difference,
        at=at,
        expires_at=at + valid_ns,
        key=key.id,
    )
    signed = msgspec.structs.replace(consent, mac=_mac(consent, key))
    path = consent_path(data_folder)
    ensure_dir(path.parent)
    write_atomic(path, msgspec.json.format(encode(signed), indent=2) + b"\n", mode=PRIVATE_FILE)
    return signed


def consented(data_folder: Path, change: PendingChange, key: SigningKey, clock: Clock) -> Consent | None:
    """The consent to just this change, None where no file is. Raises `ConfigError` for a file that does not allow it."""
    path = consent_path(data_folder)
    with os_errors(path):
        if not path.exists():
            return None
        data = path.read_bytes()
    try:
        consent = msgspec.json.decode(data, type=Consent)
    except msgspec.DecodeError as error:
        raise _useless(path, f"it is none ({error})") from None
    if consent.schema != SCHEMA or consent.key != key.id or not hmac.compare_digest(consent.mac, _mac(consent, key)):
        raise _useless(path, f"it is not signed by key {key.id}")
    if (consent.log_id, consent.run, consent.before) != (change.log_id, change.run, change.before):
        raise _useless(path, "it was given for another session, or for another run of this one")
    if consent.now != change.now:
        raise _useless(path, "configuration or code changed once more since it was given")
    if clock.wall_ns() > consent.expires_at:
        raise _useless(path, f"it expired at {iso_utc(consent.expires_at)}")
    return consent


def forget(data_folder: Path) -> None:
    """Remove the consent, used or not: it was for one start."""
    path = consent_path(data_folder)
    with os_errors(path):
        path.unlink(missing_ok=True)


def _mac(consent: Consent, key: SigningKey) -> str:
    return hmac.new(key.secret, encode(msgspec.structs.replace(consent, mac="")), "sha256").hexdigest()


def _useless(path: Path, why: str) -> ConfigError:
    return ConfigError(f"the accepted change in {path} does not allow this start: {why}; look at the change with: dudzian accept-change")
