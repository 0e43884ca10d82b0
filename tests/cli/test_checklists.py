"""`dudzian preflight`, `session-check` and `init`: items in order, evidence and remedy, answers on the record, a beginning to verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import daemon, short_config


def ask(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def checked(capsys: pytest.CaptureFixture[str], *arguments: object, code: int) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert ask(*arguments, "--json") == code
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "dudzian.checklist/1" and document["ok"] == (code == 0)
    return {line["item"]: line for line in document["items"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where a session has run and ended."""
    home = tmp_path_factory.mktemp("home")
    with daemon(home, "--config", short_config(home), "--speed", "max", "--no-ui") as child:
        assert child.end().code == 0
    return home


def test_after_a_session_until_all_is_well(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DUDZIAN_KEY_FILE", str(next(home.rglob("*.key"))))
    data = home / "data"
    places = ("--data-dir", data, "--config", home / "config" / "core.yaml")
    command = ("session-check", "-e", "demo", *places)
    lines = checked(capsys, *command, code=1)
    assert list(lines)[:2] == ["stopped", "alerts"] and list(lines)[-1] == "next_session"
    assert len(lines) == 9
    assert {name: lines[name]["status"] for name in ("stopped", "report", "signatures", "allocations", "next_session")} == {
        "stopped": "ok",
        "report": "failed",
        "signatures": "ok",
        "allocations": "ok",
        "next_session": "question",
    }
    assert lines["report"]["remedy"] == "dudzian archive-report demo"
    assert ask("archive-report", "demo", "--no-encrypt", *places) == 0
    answered = (*command, "--operator", "jan", "--answer", "next_session=yes, nothing changes")
    lines = checked(capsys, *answered, code=0)
    assert (lines["report"]["status"], lines["next_session"]["status"]) == ("ok", "answered")
    log = (data / "docs" / "audit" / "paper_trading_log.md").read_text()
    assert "| jan | session-check | next_session | yes, nothing changes |" in log
    record = json.loads((data / "docs" / "audit" / "paper_trading_log.jsonl").read_text().splitlines()[-1])
    assert (record["operator"], record["item"], record["answer"]) == ("jan", "next_session", "yes, nothing changes")
    assert checked(capsys, *command, "--answer", "next_session=no", code=1)["next_session"]["status"] == "failed"


def test_before_a_session(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DUDZIAN_KEY_FILE", str(next(home.rglob("*.key"))))
    command = ("preflight", "-e", "demo", "--data-dir", home / "data", "--config", home / "config" / "core.yaml")
    answers = ("--answer", "alert_seen=yes", "--answer", "vpn=yes, 203.0.113.7")
    lines = checked(capsys, *command, *answers, code=1)  # this home has no candles of the daily trend
    order = ["code", "config", "scheduler", "daily_trend", "key_rotation", "decision_log", "coverage", "precheck", "environment", "token"]
    assert list(lines) == [*order, "alert_seen", "vpn", "space", "retention"]
    wanted = {"config": "ok", "scheduler": "warning", "decision_log": "ok", "environment": "ok", "space": "ok", "retention": "ok"}
    wanted |= {"daily_trend": "failed", "alert_seen": "answered", "vpn": "answered"}
    assert {name: lines[name]["status"] for name in wanted} == wanted
    assert "no replay window" in lines["daily_trend"]["evidence"]


def test_what_fails_is_told_with_evidence_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUDZIAN__REPORTING__MIN_FREE_MB", "900000000")
    lines = checked(capsys, "preflight", "--data-dir", tmp_path, code=1)
    assert lines["scheduler"]["status"] == "failed"
    assert "has no candles" in lines["scheduler"]["evidence"] and "seed-paper-cache" in lines["scheduler"]["remedy"]
    assert (lines["vpn"]["status"], lines["space"]["status"]) == ("question", "failed")
    assert "expected 900,000,000 MB free at " in lines["space"]["evidence"]
    assert ask("session-check", "--data-dir", tmp_path, "--answer", "stopped=yes") == 2
    assert "expected ITEM=TEXT with ITEM one of next_session" in capsys.readouterr().err


def test_a_store_of_daily_candles_alone_is_a_warning_that_names_the_schedules_that_lack_theirs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("seed-paper-cache", "--days", 10, "--start-date", "2024-01-01", "--interval", "1d", "--data-dir", tmp_path) == 0
    line = checked(capsys, "preflight", "--data-dir", tmp_path, code=1)["scheduler"]
    assert line["status"] == "warning" and "seed-paper-cache" in line["remedy"]
    assert line["evidence"] == (
        "no stored candles for core_cross_exchange, core_mean_reversion; runs of the others: core_daily_trend 10, core_volatility_target 10"
    )


def test_init_writes_a_configuration_that_is_valid_and_a_log_that_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, data = tmp_path / "config", tmp_path / "data"
    arguments = ("init", "--yes", "-e", "demo", "--balance", "25000", "--config-dir", config, "--data-dir", data)
    assert ask(*arguments, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["schema"], done["key_created"]) == ("dudzian.init/1", True)
    text = (config / "core.yaml").read_text()
    assert "# Risk profiles by name." in text and "default_environment: demo" in text and "USDT: 25000" in text
    assert ask("validate-config", "--config", config / "core.yaml") == 0
    assert ask("verify-decision-log", data / "logs" / "decision_journal" / "demo.jsonl") == 0
    assert "1 signed" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in config.rglob("*") if path.is_file()}
    assert ask(*arguments) == 2
    assert "expected no configuration at" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in config.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--yes", "-e", "nowhere"), "unknown environment 'nowhere'"),
        (("--yes", "--balance", "none"), "--balance: expected an amount above 0"),
        ((), "init: expected a terminal to ask in"),
    ],
)
def test_init_writes_nothing_for_a_wrong_answer(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("init", *arguments, "--config-dir", tmp_path / "config", "--data-dir", tmp_path / "data") == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
