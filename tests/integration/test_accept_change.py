"""`dudzian accept-change`: a signed consent to one change, which one start uses, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.keychain import SigningKey, read_key_file
from dudzian_daemon.app.change_consent import consent_path, consented, give
from dudzian_daemon.app.recovery import PendingChange
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.testing.clock import ManualClock
from tests.integration.daemon_process import LAST_LINE, Ended, daemon, dudzian, journal_bytes, journal_lines, short_config, verdicts

pytestmark = pytest.mark.integration

OLD, NEW, NEWER = "max_position_pct: 0.05", "max_position_pct: 0.04", "max_position_pct: 0.03"


def start(home: Path, *arguments: object, faults: str = "") -> Ended:
    with daemon(home, "--config", home / "config" / "core.yaml", "--no-ui", "--speed", "max", *arguments, faults=faults) as child:
        return child.end()


def accept(home: Path, *arguments: object) -> Ended:
    return dudzian(home, "accept-change", "--data-dir", home / "data", "--config", home / "config" / "core.yaml", *arguments)


def change(home: Path, old: str, new: str) -> None:
    path = home / "config" / "core.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Home of a session that was killed, and whose configuration is another since."""
    short_config(tmp_path)
    assert start(tmp_path, faults="journal.fsync=kill@3").code != 0
    change(tmp_path, OLD, NEW)
    return tmp_path


def test_a_consent_lets_one_start_go_on(crashed: Path) -> None:
    before = journal_bytes(crashed / "data")
    shown = accept(crashed, "--dry-run", "--json")
    document: dict[str, Any] = json.loads(shown.out)
    assert document["change"]["config"]["risk_profiles.balanced.max_position_pct"] == ["0.05", "0.04"]
    unasked = accept(crashed)
    assert (unasked.code, len(unasked.err.splitlines())) == (2, 1)
    assert not consent_path(crashed / "data").exists()
    assert start(crashed).code == 2

    given = accept(crashed, "--yes")
    assert (given.code, given.err) == (0, "")
    assert "risk_profiles.balanced.max_position_pct: 0.05 -> 0.04" in given.out
    file = consent_path(crashed / "data")
    assert file.stat().st_mode & 0o777 == 0o600
    kept = file.read_bytes()
    assert journal_bytes(crashed / "data") == before

    ended = start(crashed, faults="journal.fsync=kill@3")
    assert ended.code != 0 and "goes on after cycle" in ended.out
    assert not file.exists()

    file.write_bytes(kept)  # a second use: the way back and forth again is another change
    change(crashed, NEW, OLD)
    refused = start(crashed)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "for another session, or for another run" in refused.err
    change(crashed, OLD, NEW)
    ended = start(crashed)
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert not file.exists()
    changes = [line["d"].get("change") for line in journal_lines(crashed / "data") if line["d"]["kind"] == "run"]
    assert changes == [None, document["change"], None]
    assert {verdict.integrity for verdict in verdicts(crashed)} == {"intact"}


def test_a_change_after_the_consent_needs_another_one(crashed: Path) -> None:
    assert accept(crashed, "--yes").code == 0
    change(crashed, NEW, NEWER)
    refused = start(crashed)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "changed once more" in refused.err
    assert accept(crashed, "--yes").code == 0
    assert start(crashed).code == 0


def test_where_nothing_differs_there_is_nothing_to_accept(crashed: Path) -> None:
    change(crashed, NEW, OLD)
    ended = accept(crashed, "--yes")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "nothing differs from the run before: the session goes on as it is")
    assert not consent_path(crashed / "data").exists()


def test_without_a_session_there_is_nothing_to_accept(tmp_path: Path) -> None:
    short_config(tmp_path)
    (tmp_path / "some.key").write_text("ab" * 32)
    (tmp_path / "some.key").chmod(0o600)
    with_key = {"DUDZIAN_KEY_FILE": str(tmp_path / "some.key")}
    said = ("accept-change", "--data-dir", tmp_path / "data", "--config", tmp_path / "config" / "core.yaml", "--yes")
    ended = dudzian(tmp_path, *said, env=with_key)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "no session goes on" in ended.err


KEY = SigningKey(id="k", secret=b"k" * 32, source="test")
CHANGE = PendingChange(log_id="0" * 32, run="1" * 64, before="2" * 64, now="3" * 64, difference={"config": {"a": ["1", "2"]}})


def given(folder: Path, clock: ManualClock) -> dict[str, Any]:
    give(folder, CHANGE, KEY, clock, valid_ns=3_600 * 10**9)
    document: dict[str, Any] = json.loads(consent_path(folder).read_bytes())
    return document


@pytest.mark.parametrize(
    ("member", "value", "why"),
    [
        ("now", "4" * 64, "not signed"),
        ("expires_at", 2**62, "not signed"),
        ("mac", "", "not signed"),
        ("key", "other", "not signed"),
        ("schema", "dudzian.accepted_change/2", "not signed"),
        ("more", 1, "it is none"),
        ("at", "yesterday", "it is none"),
    ],
)
def test_a_changed_consent_is_refused(tmp_path: Path, member: str, value: object, why: str) -> None:
    document = given(tmp_path, clock := ManualClock()) | {member: value}
    consent_path(tmp_path).write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=why):
        consented(tmp_path, CHANGE, KEY, clock)


def test_a_consent_is_good_for_its_hours_and_its_key_only(tmp_path: Path) -> None:
    clock = ManualClock()
    assert consented(tmp_path, CHANGE, KEY, clock) is None
    given(tmp_path, clock)
    assert consented(tmp_path, CHANGE, KEY, clock) is not None
    with pytest.raises(ConfigError, match="not signed by key k"):
        consented(tmp_path, CHANGE, SigningKey(id="k", secret=b"j" * 32, source="test"), clock)
    clock.jump_wall(3_601.0)
    with pytest.raises(ConfigError, match="it expired at 2024-01-01T01:00:00"):
        consented(tmp_path, CHANGE, KEY, clock)


def test_the_key_file_is_read_as_the_daemon_does(tmp_path: Path) -> None:
    """The consent is signed by the daemon's own key, which the first run made."""
    short_config(tmp_path)
    assert start(tmp_path, faults="journal.fsync=kill@3").code != 0
    change(tmp_path, OLD, NEW)
    assert accept(tmp_path, "--yes").code == 0
    secret = read_key_file(next(tmp_path.rglob("*.key")))
    document = json.loads(consent_path(tmp_path / "data").read_bytes())
    found = PendingChange(
        log_id=document["log_id"], run=document["run"], before=document["before"], now=document["now"], difference=document["change"]
    )
    key = SigningKey(id=document["key"], secret=secret, source="test")
    assert consented(tmp_path / "data", found, key, ManualClock()) is not None
