"""Secrets on a machine without a keychain: sealed by age, opened by the passphrase alone, seen by nobody."""

from __future__ import annotations

import stat
from pathlib import Path

import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations
import pytest

from dudzian_daemon.adapters.keychain import find_signing_key, find_token, signing_key
from dudzian_daemon.adapters.secret_store import SecretPlace, SecretStore, place_of
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.redaction import mask_text

VALUE = "a-secret-of-the-venue-1234"


@pytest.fixture
def identity() -> str:
    """An age identity stands for a passphrase and needs no stretching."""
    return str(pyrage.x25519.Identity.generate())


def headless(path: Path, passphrase: str) -> SecretStore:
    return SecretStore(place_of({}, storage=path, passphrase=passphrase))


def test_a_passphrase_keeps_what_it_alone_opens(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secrets.age"
    store = headless(path, "a good passphrase")
    assert store.get("risk-ci") is None
    store.set("risk-ci", VALUE)
    assert SecretStore(SecretPlace(storage=path, passphrase="a good passphrase")).get("risk-ci") == VALUE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert VALUE.encode() not in path.read_bytes()
    assert path.read_bytes().startswith(b"age-encryption.org/v1")
    with pytest.raises(ConfigError, match="is not opened by this passphrase") as refused:
        headless(path, "another passphrase").get("risk-ci")
    assert "another passphrase" not in str(refused.value)


def test_an_identity_is_a_passphrase_too(tmp_path: Path, identity: str) -> None:
    store = headless(tmp_path / "secrets.age", identity)
    store.set("a", VALUE)
    store.set("b", "another one")
    again = headless(tmp_path / "secrets.age", identity)
    assert (again.get("a"), again.get("b"), again.get("c")) == (VALUE, "another one", None)
    with pytest.raises(ConfigError, match="no age identity"):
        headless(tmp_path / "secrets.age", "AGE-SECRET-KEY-nonsense").get("a")


def test_namespaces_are_apart(tmp_path: Path, identity: str) -> None:
    path = tmp_path / "secrets.age"
    headless(path, identity).set("a", VALUE)
    other = SecretStore(place_of({}, storage=path, passphrase=identity, namespace="other"))
    assert other.get("a") is None


def test_a_file_that_was_altered_is_refused(tmp_path: Path, identity: str) -> None:
    path = tmp_path / "secrets.age"
    headless(path, identity).set("a", VALUE)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not opened"):
        headless(path, identity).get("a")


def test_the_place_comes_from_flags_before_variables(tmp_path: Path) -> None:
    env = {
        "DUDZIAN_HEADLESS_STORAGE": str(tmp_path / "env.age"),
        "DUDZIAN_HEADLESS_PASSPHRASE": "of the environment",
        "DUDZIAN_SECRET_NAMESPACE": "elsewhere",
    }
    place = place_of(env)
    assert (place.storage, place.passphrase, place.namespace) == (tmp_path / "env.age", "of the environment", "elsewhere")
    place = place_of(env, storage=tmp_path / "flag.age", passphrase="of the flags", namespace="here")
    assert (place.storage, place.passphrase, place.namespace) == (tmp_path / "flag.age", "of the flags", "here")
    assert place_of({}).storage is None
    assert "of the flags" not in f"{place!r} {place}"
    assert mask_text("it is of the flags.") == "it is ***."


def test_a_passphrase_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_text("from a file 42\nrest\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        place_of({}, passphrase_file=path)
    path.chmod(0o600)
    assert place_of({"DUDZIAN_HEADLESS_PASSPHRASE_FILE": str(path)}).passphrase == "from a file 42"


def test_half_of_a_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a passphrase"):
        place_of({}, storage=tmp_path / "s.age")
    with pytest.raises(ConfigError, match="at least 8 characters, found 5"):
        place_of({}, passphrase="short")
    with pytest.raises(ConfigError, match="passphrase file"):
        place_of({}, passphrase_file=tmp_path / "nothing")


def test_without_a_keychain_nothing_is_found_and_nothing_kept() -> None:
    store = SecretStore(place_of({}))
    assert (store.get("risk-ci"), store.backend) == (None, "no keychain")
    with pytest.raises(ConfigError, match="--headless-storage"):
        store.set("risk-ci", VALUE)


def test_the_daemon_signs_with_the_key_of_the_sealed_file(tmp_path: Path, identity: str) -> None:
    env = {"DUDZIAN_HEADLESS_STORAGE": str(tmp_path / "s.age"), "DUDZIAN_HEADLESS_PASSPHRASE": identity}
    made = signing_key("risk-ci", env=env, config_dir=tmp_path)
    assert (made.created, made.source) == (True, f"age file {tmp_path / 's.age'}")
    assert not (tmp_path / "dudzian").exists()
    again = find_signing_key("risk-ci", env=env, config_dir=tmp_path)
    assert again is not None
    assert (again.secret, again.created) == (made.secret, False)
    SecretStore(place_of(env)).set("kill-switch", "a token of the operator")
    assert find_token("kill-switch", "UNSET", env) == "a token of the operator"
