"""`dudzian secrets` and `check-key-rotation`: labels and states on stdout, values nowhere."""

from __future__ import annotations

import io
import json
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations
import pytest

from dudzian_daemon.cli.main import main
from dudzian_daemon.kernel.clock import SystemClock

CONFIG = Path(__file__).resolve().parents[2] / "config" / "core.yaml"
CREDENTIAL = "binance_paper_trading:trading"
VALUE = '{"key": "K3y-0f-the-venue-77", "secret": "S3cret-0f-the-venue-88"}'


def dudzian(*arguments: str) -> int:
    try:
        main([*arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int | None)
        return stop.code or 0
    return 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUDZIAN_HEADLESS_STORAGE", str(tmp_path / "secrets.age"))
    monkeypatch.setenv("DUDZIAN_HEADLESS_PASSPHRASE", str(pyrage.x25519.Identity.generate()))
    return tmp_path


def keep(monkeypatch: pytest.MonkeyPatch, label: str, value: str, *flags: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(value + "\n"))
    return dudzian("secrets", "set", label, *flags)


def test_found_missing_and_placeholder(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert keep(monkeypatch, CREDENTIAL, VALUE) == 0
    assert keep(monkeypatch, "scheduler-local", "<token of the scheduler>") == 0
    assert dudzian("secrets", "check", "--config", str(CONFIG), "-e", "binance_paper", "--json") == 1
    out = capsys.readouterr().out
    report = json.loads(out[out.index("{") :])
    assert {each["label"]: each["state"] for each in report["secrets"]} == {
        CREDENTIAL: "found",
        "risk-ci": "missing",
        "scheduler-local": "placeholder",
        "kill-switch": "missing",
    }
    assert report["backend"] == f"age file {place / 'secrets.age'}"
    assert "venue-77" not in out
    assert "venue-88" not in out
    monkeypatch.setenv("DUDZIAN_KILL_SWITCH_TOKEN", "0123456789abcdef0123")
    assert keep(monkeypatch, "risk-ci", "00" * 32) == 0
    assert dudzian("secrets", "check", "--config", str(CONFIG), "-e", "binance_paper") == 0
    out = capsys.readouterr().out
    assert "kill-switch (kill switch): found in environment variable DUDZIAN_KILL_SWITCH_TOKEN" in out
    assert "0123456789abcdef0123" not in out


def test_a_secret_is_exported_for_its_owner_alone(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    keep(monkeypatch, "risk-ci", "ab" * 32)
    target = place / "risk-ci.key"
    assert dudzian("secrets", "export", "risk-ci", "--to-file", str(target), "--config", str(CONFIG)) == 0
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("ab" * 32 + "\n", 0o600)
    assert "abab" not in capsys.readouterr().out
    assert dudzian("secrets", "export", "risk-ci", "--to-file", str(target), "--config", str(CONFIG)) == 2
    assert "is there already" in capsys.readouterr().err
    assert dudzian("secrets", "export", "nobody", "--to-file", str(place / "x"), "--config", str(CONFIG)) == 3
    assert not (place / "x").exists()


def test_the_daemons_key_file_can_be_exported_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dudzian_daemon.adapters.keychain import signing_key

    made = signing_key("risk-ci", env={})
    assert dudzian("secrets", "export", "risk-ci", "--to-file", str(tmp_path / "k"), "--config", str(CONFIG)) == 0
    assert (tmp_path / "k").read_text().strip() == made.secret.hex()


@pytest.mark.parametrize(("label", "value", "words"), [("../x", VALUE, "expected a label"), ("risk-ci", "", "expected a value of 1 to")])
def test_what_is_no_label_or_no_value_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], label: str, value: str, words: str
) -> None:
    assert keep(monkeypatch, label, value) == 2
    assert words in capsys.readouterr().err
    assert not (place / "secrets.age").exists()


def test_a_label_that_nothing_reads_is_refused_before_its_value_is_asked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep(monkeypatch, "kill-swich", VALUE) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in (CREDENTIAL, "risk-ci", "scheduler-local", "did you mean 'kill-switch'?", "--any-label"))
    assert "venue-77" not in error
    assert sys.stdin.read() == VALUE + "\n"
    assert not (place / "secrets.age").exists()


def test_any_label_is_kept_on_demand_and_can_be_taken_out_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep(monkeypatch, "risk-2023", "cd" * 32, "--any-label") == 0
    assert dudzian("secrets", "export", "risk-2023", "--to-file", str(place / "k"), "--config", str(CONFIG)) == 0
    assert (place / "k").read_text().strip() == "cd" * 32
    assert "cdcd" not in capsys.readouterr().out


def test_labels_of_alert_channels_and_of_the_mail_are_known(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place / "config"
    shutil.copytree(CONFIG.parent, folder)
    (folder / "alerts.yaml").write_text("version: 1\nalerts: {channels: {telegram: {primary: {credential: night_bot}}}}\n")
    with (folder / "core.yaml").open("a") as core:
        core.write("reporting: {mail: {host: localhost, sender: a@example.org, recipients: [b@example.org], password_id: post}}\n")
    for label in ("night_bot", "post"):
        assert keep(monkeypatch, label, VALUE) == 2
        assert keep(monkeypatch, label, VALUE, "--config", str(folder / "core.yaml")) == 0


def test_without_any_keychain_set_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert keep(monkeypatch, CREDENTIAL, VALUE) == 2
    error = capsys.readouterr().err
    assert "--headless-storage" in error
    assert "venue-77" not in error


def test_help_loads_neither_keyring_nor_age() -> None:
    code = (
        "import sys\nfrom dudzian_daemon.cli.main import main\ntry: main(['secrets', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'keyring', 'pyrage', 'pyarrow', 'aiohttp'} & set(sys.modules)), file=sys.stderr)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stderr.strip() == "[]"


def now() -> datetime:
    return datetime.fromtimestamp(SystemClock().wall_ns() // 10**9, UTC)


def rotation(data: Path, *options: str) -> int:
    return dudzian("check-key-rotation", "--config", str(CONFIG), "--data-dir", str(data), *options)


def register(data: Path, age_days: float) -> Path:
    path = data / "security" / "rotation_log.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    moment = now() - timedelta(days=age_days)
    path.write_text(
        json.dumps({"binance_paper_trading::trading": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "other::read": "2020-01-01T00:00:00Z"})
    )
    return path


@pytest.mark.parametrize(("age_days", "code", "state"), [(10, 0, "ok"), (80, 1, "due"), (91, 2, "overdue")])
def test_three_ages_give_three_codes_and_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], age_days: float, code: int, state: str
) -> None:
    path = register(tmp_path, age_days)
    before = sha256(path.read_bytes()).hexdigest()
    assert rotation(tmp_path, "--dry-run", "--json") == code
    assert json.loads(capsys.readouterr().out)["keys"][0]["state"] == state
    assert rotation(tmp_path, "--dry-run", "--update", "-e", "binance_paper") == 0
    assert sha256(path.read_bytes()).hexdigest() == before


def test_a_key_that_was_never_changed_is_overdue_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rotation(tmp_path) == 2
    assert "binance_paper_trading::trading: overdue, never recorded" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_update_sets_one_key_and_leaves_the_others(tmp_path: Path) -> None:
    path = register(tmp_path, 200)
    assert rotation(tmp_path, "--update", "-e", "binance_paper") == 0
    found = json.loads(path.read_text())
    assert found["other::read"] == "2020-01-01T00:00:00Z"
    assert datetime.fromisoformat(found["binance_paper_trading::trading"]) > now() - timedelta(hours=1)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ('{"a": 1}', [], "expected a JSON map from key::purpose to a time"),
        ("{}", ["--update"], "--update: expected --environment"),
        ("{}", ["--update", "-e", "demo"], "has no `keychain_key`"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, options: list[str], words: str) -> None:
    path = register(tmp_path, 1)
    path.write_text(content)
    assert rotation(tmp_path, *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert path.read_text() == content
