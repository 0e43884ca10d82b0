"""Where the signing key comes from, in which order, and that nobody sees it."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import keyring
import keyring.backend
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.adapters.keychain import SigningKey, decode_key, find_signing_key, read_key_file, signing_key
from dudzian_daemon.domain.errors import ConfigError

SECRET = bytes(range(32))


class MemoryKeychain(keyring.backend.KeyringBackend):
    """Stands for an OS keychain: entries, or the answer of one that is locked."""

    priority: ClassVar[float] = 5
    entries: ClassVar[dict[tuple[str, str], str]] = {}
    locked: ClassVar[bool] = False

    def get_password(self, service: str, username: str) -> str | None:
        self._require_open()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._require_open()
        self.entries[service, username] = password

    def _require_open(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("locked")


@pytest.fixture
def os_keychain(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MemoryKeychain]]:
    before = keyring.get_keyring()
    monkeypatch.setattr(MemoryKeychain, "entries", {})
    keyring.set_keyring(MemoryKeychain())
    yield MemoryKeychain
    keyring.set_keyring(before)


def private_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return path


def test_a_key_is_made_once_without_a_keychain(tmp_path: Path) -> None:
    made = signing_key("risk-ci", env={}, config_dir=tmp_path)
    path = tmp_path / "dudzian" / "keys" / "risk-ci.key"
    assert (made.created, made.source, len(made.secret)) == (True, str(path), 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="ascii") == made.secret.hex() + "\n"
    assert list(path.parent.iterdir()) == [path]
    again = signing_key("risk-ci", env={}, config_dir=tmp_path)
    assert (again.created, again.secret) == (False, made.secret)
    assert signing_key("other", env={}, config_dir=tmp_path).secret != made.secret


def test_looking_for_a_key_makes_none(tmp_path: Path) -> None:
    assert find_signing_key("risk-ci", env={}, config_dir=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_the_users(isolated_environment: Path) -> None:
    path = Path(signing_key("risk-ci", env={}).source)
    assert path.is_relative_to(isolated_environment)
    assert path.parts[-3:] == ("dudzian", "keys", "risk-ci.key")


def test_sources_in_their_order(tmp_path: Path, os_keychain: type[MemoryKeychain]) -> None:
    secrets = [bytes([number] * 32) for number in range(1, 7)]
    texts = [secret.hex() for secret in secrets]
    given, named = (private_file(tmp_path / name, text) for name, text in zip(("given", "named"), texts, strict=False))
    env = {"DUDZIAN_KEY_FILE": str(named), "DECISION_LOG_HMAC_KEY": texts[2], "DECISION_KEY": texts[3]}
    private_file(tmp_path / "dudzian" / "keys" / "risk-ci.key", texts[4])
    os_keychain.entries["dudzian.trading", "risk-ci"] = texts[5]
    found = [find_signing_key("risk-ci", env=env, config_dir=tmp_path, key_file=given)]
    for name in (None, *env):
        env.pop(name or "", None)
        found.append(find_signing_key("risk-ci", env=env, config_dir=tmp_path))
    (tmp_path / "dudzian" / "keys" / "risk-ci.key").unlink()
    found.append(find_signing_key("risk-ci", env=env, config_dir=tmp_path))
    assert [key.secret for key in found if key] == secrets
    assert {key.id for key in found if key} == {"risk-ci"}


def test_a_usable_keychain_gets_the_new_key(tmp_path: Path, os_keychain: type[MemoryKeychain]) -> None:
    made = signing_key("risk-ci", env={}, config_dir=tmp_path)
    assert (made.created, made.source) == (True, "OS keychain")
    assert os_keychain.entries == {("dudzian.trading", "risk-ci"): made.secret.hex()}
    assert list(tmp_path.iterdir()) == []
    assert signing_key("risk-ci", env={}, config_dir=tmp_path).secret == made.secret


def test_a_locked_keychain_is_no_reason_to_make_another_key(
    tmp_path: Path, os_keychain: type[MemoryKeychain], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_keychain, "locked", True)
    with pytest.raises(ConfigError, match="unlock it"):
        signing_key("risk-ci", env={}, config_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_poor_keychain_is_not_used(tmp_path: Path, os_keychain: type[MemoryKeychain], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_keychain, "priority", 0.5)
    assert signing_key("risk-ci", env={}, config_dir=tmp_path).source != "OS keychain"
    assert os_keychain.entries == {}


def test_of_two_starts_at_once_both_get_the_same_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dudzian" / "keys" / "risk-ci.key"
    real = os.link

    def other_was_first(source: Path, target: Path) -> None:
        private_file(path, SECRET.hex())
        real(source, target)

    monkeypatch.setattr(os, "link", other_was_first)
    made = signing_key("risk-ci", env={}, config_dir=tmp_path)
    assert (made.created, made.secret) == (False, SECRET)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="modes do not protect there")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path / "key", SECRET.hex(), mode)
    with pytest.raises(ConfigError, match=rf"found {mode:04o}; run: chmod 600 {path}"):
        find_signing_key("risk-ci", env={}, key_file=path)
    assert read_key_file(path, private=False) == SECRET


def test_a_key_file_that_is_missing_or_no_file(tmp_path: Path) -> None:
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "fifo")
    for name in ("missing", "fifo", "."):
        with pytest.raises(ConfigError, match="key file"):
            find_signing_key("risk-ci", env={"DUDZIAN_KEY_FILE": str(tmp_path / name)})


@pytest.mark.parametrize("key_id", ["", "../x", "a/b", ".hidden", "a" * 65, "a b"])
def test_a_key_id_is_no_path(tmp_path: Path, key_id: str) -> None:
    with pytest.raises(ConfigError, match="signing key id"):
        signing_key(key_id, env={}, config_dir=tmp_path)


@given(st.binary(min_size=16, max_size=80))
def test_hex_and_base64_are_read(secret: bytes) -> None:
    assert decode_key(f" {secret.hex()}\n", "x") == secret
    encoded = base64.b64encode(secret).decode()
    if encoded.endswith("="):
        assert decode_key(encoded, "x") == secret


@pytest.mark.parametrize("text", ["", "secret", "00" * 15, "not a key at all", "zażółć gęślą jaźń", "0" * 31])
def test_other_text_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="variable X: expected a key") as refusal:
        decode_key(text, "variable X")
    assert not text or text not in str(refusal.value)


def test_a_key_hides_its_value() -> None:
    key = SigningKey(id="risk-ci", secret=SECRET, source="test")
    for shown in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert SECRET.hex() not in shown
        assert repr(SECRET) not in shown


def test_keyring_is_not_imported_where_a_key_is_at_hand() -> None:
    script = (
        "import sys; from dudzian_daemon.adapters.keychain import find_signing_key; "
        "find_signing_key('risk-ci', env={'DECISION_KEY': '00' * 32}); sys.exit('keyring' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
