"""A session that goes on under another key: on the record, verified by both keys, refused where one is missing or comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.adapters.keychain import find_other_key
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from tests.integration.daemon_process import Ended, daemon, dudzian, journal_lines, report, short_config

ROTATED = ("signing_key_id: risk-ci", "signing_key_id: risk-2026")


def start(home: Path, config: Path, *, faults: str = "") -> Ended:
    said = ("run", "--data-dir", home / "data", "--config", config, "--no-ui", "--speed", "max")
    return dudzian(home, *said, faults=faults)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A home with a session that was killed under the first key, and the path of that key."""
    config = short_config(tmp_path)
    assert start(tmp_path, config, faults="journal.fsync=kill@3").code != 0
    config.write_text(config.read_text(encoding="utf-8").replace(*ROTATED), encoding="utf-8")
    return next(tmp_path.rglob("risk-ci.key"))


def test_the_session_goes_on_and_both_keys_prove_it(killed: Path, tmp_path: Path) -> None:
    config = tmp_path / "config" / "core.yaml"
    assert start(tmp_path, config).code == 0
    lines = journal_lines(tmp_path / "data")
    change = next(line for line in lines if line["d"]["kind"] == "key_change")
    assert (change["d"]["key"], change["s"]["key"]) == ("risk-2026", "risk-ci")
    assert {line["s"]["key"] for line in lines if line["s"]["line"] > change["s"]["line"]} == {"risk-2026"}
    logs = [log for log in find_logs(tmp_path / "data") if "telemetry" not in log.label and "reports" not in log.label]
    config_dir = killed.parents[2]
    terms = Terms(key=lambda key_id: find_other_key(key_id, env={}, config_dir=config_dir))
    reports = [verify_log(log, terms) for log in logs]
    reports = [judged for judged in reports if judged.integrity != "not_a_log"]  # alerts and their audit are not
    assert [judged.finding for judged in reports if judged.integrity != "intact"] == []
    assert reports[0].key_ids == ["risk-ci", "risk-2026"]
    # the whole session is what it would have been under one key
    other = tmp_path / "other"
    other.mkdir()
    assert start(other, short_config(other)).code == 0
    assert report(tmp_path / "data")["content_chain"] == report(other / "data")["content_chain"]


def test_without_the_old_key_it_is_refused_with_what_to_do(killed: Path, tmp_path: Path) -> None:
    secret = killed.read_text(encoding="ascii")
    killed.unlink()
    ended = start(tmp_path, tmp_path / "config" / "core.yaml")
    assert ended.code == 2
    assert "expected its key risk-ci, to hand over to risk-2026, found it nowhere; put it into the file risk-ci.key" in ended.err
    killed.write_text(secret, encoding="ascii")
    killed.chmod(0o600)
    assert start(tmp_path, tmp_path / "config" / "core.yaml").code == 0


def test_a_key_that_was_left_does_not_come_back(killed: Path, tmp_path: Path) -> None:
    config = tmp_path / "config" / "core.yaml"
    assert start(tmp_path, config, faults="journal.fsync=kill@3").code != 0
    config.write_text(config.read_text(encoding="utf-8").replace(ROTATED[1], ROTATED[0]), encoding="utf-8")
    ended = start(tmp_path, config)
    assert (ended.code, "expected a key that it has not left, found risk-ci" in ended.err) == (2, True)


def test_no_false_alarm_while_the_daemon_writes(tmp_path: Path) -> None:
    config = short_config(tmp_path)
    with daemon(tmp_path, "--config", config, "--speed", "max", "--no-ui") as child:
        child.wait_for_line("session")
        key = next(tmp_path.rglob("risk-ci.key"))
        terms = Terms(key=lambda key_id: find_other_key(key_id, env={}, config_dir=key.parents[2]), pause=lambda: None)
        seen: dict[str, set[int]] = {}
        closed = False
        while not closed:
            for log in find_logs(tmp_path / "data" / "data"):
                judged = verify_log(log, terms)
                assert judged.integrity in ("intact", "unreadable"), judged.finding
                assert judged.integrity == "intact" or "no whole line" in judged.reason
                seen.setdefault(log.label, set()).add(judged.entries)
                closed = closed or judged.completeness == "closed"
        assert child.end().code == 0
    assert max(map(len, seen.values())) > 2
