"""Encrypts a file to age recipients (X25519 public keys). pyrage is imported where something is encrypted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors, write_atomic
from dudzian_daemon.domain.errors import ConfigError


def recipients_of(given: Iterable[str]) -> list[str]:
    """Public keys as given: keys themselves, or files that have one a line (`#` begins a comment). Raises `ConfigError`."""
    found: list[str] = []
    for text in given:
        if text.startswith("age1"):
            found.append(text)
            continue
        path = Path(text).expanduser()
        if not path.is_file():
            msg = f"age recipients: expected a public key (age1...) or a file of them, found no file {text}"
            raise ConfigError(msg)
        with os_errors(path):
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        found += [line for line in lines if line and not line.startswith("#")]
    if not found:
        msg = "expected at least one age recipient (age1..., or a file of them), found none"
        raise ConfigError(msg)
    return found


def encrypt_file(path: Path, recipients: Iterable[str]) -> Path:
    """Write `<path>.age` beside the file, atomically; returns it. Raises `ConfigError` for a recipient that is none."""
    import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations

    keys = []
    for text in recipients:
        try:
            keys.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError:
            msg = f"expected an age public key (age1...), found {text[:12]!r}...; make a pair with: age-keygen"
            raise ConfigError(msg) from None
    target = path.with_name(f"{path.name}.age")
    with os_errors(path):
        plain = path.read_bytes()
    write_atomic(target, pyrage.encrypt(plain, keys), mode=PRIVATE_FILE)
    return target
