"""`dudzian run-daily-trend`: one schedule, the plan before the run, what is refused, and no connection while it only looks."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dudzian_daemon.adapters.journal_reader import entries, sessions
from dudzian_daemon.cli.json_schemas import schema_of
from dudzian_daemon.cli.main import main
from dudzian_daemon.config.places import bundled
from tests.integration.daemon_process import Child

#: A month of BTC by the day that ships with the package.
MONTH = ("-e", "demo", "--date-window", "2020-12-01:2020-12-31")

NO_CONNECTION = """
import json, sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event in ("socket.connect", "socket.bind", "socket.getaddrinfo") else None)
from dudzian_daemon.cli.main import main
codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as ended:
        codes.append(ended.code or 0)
sys.stderr.write(json.dumps([codes, seen]))
"""


def ask(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run-daily-trend", *map(str, arguments)])
    return int(ended.value.code or 0)


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert ask(*arguments) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def config_without(tmp_path: Path, *lines: str) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    for name in ("core.yaml", "instruments.yaml"):
        text = (bundled("config") / name).read_text()
        for line in lines:
            text = text.replace(line, "")
        (folder / name).write_text(text)
    return folder / "core.yaml"


def test_a_dry_run_builds_one_schedule_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for how in (("--dry-run",), ("--mode", "dry-run")):
        plan = answer(capsys, *MONTH, *how, "--json", "--data-dir", tmp_path / "data")
        assert list(plan["schedules"]) == ["btc_trend_d1"]
        assert plan["windows"] == [{"start": "2020-12-01T00:00", "end": "2021-01-01T00:00", "series": ["binance:BTC/USDT 1d"]}]
    assert not (tmp_path / "data").exists()


def test_no_look_ahead_of_a_run_opens_a_connection(tmp_path: Path) -> None:
    common = ["run-daily-trend", *MONTH, "--data-dir", str(tmp_path)]
    modes = [
        ["--dry-run"],
        ["--mode", "dry-run", "--runtime-plan-jsonl", str(tmp_path / "plan.jsonl")],
        ["--print-runtime-plan"],
        ["--print-runtime-modules"],
        ["--print-risk-profiles"],
    ]
    script = [sys.executable, "-c", NO_CONNECTION, json.dumps([[*common, *mode] for mode in modes])]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == [[0] * len(modes), []]


def test_what_is_said_of_the_one_schedule_takes_effect_and_is_told_with_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--risk-profile", "aggressive", "--history-bars", "150", "--health-interval", "77", "--poll-seconds", "30")
    plan = answer(capsys, *MONTH, *flags, "--log-level", "DEBUG", "--print-runtime-plan", "--data-dir", tmp_path)
    schedule = "runtime.multi_strategy_schedulers.demo_pipeline.schedules.btc_trend_d1"
    assert plan["status"] == "ready"
    assert plan["risk_profile"]["name"] == "aggressive"
    assert plan["risk_profile"]["limits"]["max_position_pct"] == "0.1"
    assert plan["run"]["schedules"]["btc_trend_d1"]["profile"] == "aggressive"
    assert plan["strategy_details"]["max_history_bars"] == 150
    told = {
        f"{schedule}.risk_profile": ["aggressive", "cli --risk-profile"],
        f"{schedule}.warmup_bars": [150, "cli --history-bars"],
        "alerts.health_interval_seconds": [77, "cli --health-interval"],
        "environments.demo.adapter_settings.poll_seconds": [30, "cli --poll-seconds"],
        "logging.level": ["DEBUG", "cli --log-level"],
        "runtime.metrics_service.enabled": [True, "default"],
    }
    assert {key: list(plan["values"][key].values()) for key in told} == told
    assert plan["values"][f"{schedule}.cadence_seconds"]["source"].startswith(str(plan["config_file"]["path"]))
    assert not [key for key in plan["values"] if "alt_trend_1h" in key]


def test_the_plan_has_every_section_of_the_runbook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = answer(capsys, *MONTH, "--print-runtime-plan", "--data-dir", tmp_path)
    assert plan["schema"] == "dudzian.runtime_plan/1"
    assert {"origin", "resolved_from", "fallback_used", "candidates"} <= set(plan["modules"]["pipeline"])
    assert {"commit", "branch", "tag", "is_dirty", "dirty_entries"} <= set(plan["git"])
    assert (plan["config_file"]["sha256"], plan["config_file"]["size"]) == (
        sha256(Path(plan["config_file"]["path"]).read_bytes()).hexdigest(),
        Path(plan["config_file"]["path"]).stat().st_size,
    )
    assert {"interval", "interval_ms", "tick_seconds", "symbols", "execution"} <= set(plan["controller_details"])
    assert plan["controller_details"]["interval_ms"] == 86_400_000
    assert {"class", "required_intervals", "parameters", "max_history_bars"} <= set(plan["strategy_details"])
    assert {"exchange", "risk_profile", "adapter", "telemetry", "ip_allowlist_count", "decision_journal_enabled"} <= set(
        plan["environment_details"]
    )
    assert plan["pipeline_details"] == {"class": "Core", "module": "dudzian_daemon.trading.step", "built": True}
    assert plan["paper_precheck"]["status"] == "not_run"
    for facts in (plan["config_file"], *plan["config_files"], *plan["files"]):
        assert {"permissions", "security_flags", "security_warnings", "parent"} <= set(facts)


def test_the_plan_says_of_the_metrics_service_what_there_is_and_why_the_rest_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = tmp_path / "audit" / "metrics" / "telemetry.jsonl"
    telemetry.parent.mkdir(parents=True)
    telemetry.write_text("{}\n")
    telemetry.chmod(0o646)
    plan = answer(capsys, *MONTH, "--print-runtime-plan", "--metrics-port", 9200, "--data-dir", tmp_path)
    told = plan["metrics_service_details"]
    known = schema_of("run-daily-trend")["$defs"]
    Draft202012Validator(known["MetricsServiceDetails"] | {"$defs": known}).validate(told)
    assert set(told) == set(known["MetricsServiceDetails"]["properties"])
    assert (told["enabled"], told["port"], told["port_source"]) == (True, 9200, "cli --metrics-port")
    jsonl = {name: told["jsonl"][name] for name in ("path", "exists", "sha256", "source", "sink_available")}
    assert jsonl == {
        "path": str(telemetry),
        "exists": True,
        "sha256": sha256(b"{}\n").hexdigest(),
        "source": "default",
        "sink_available": True,
    }
    assert (told["jsonl"]["file"]["permissions"], told["jsonl"]["file"]["security_flags"]) == (
        "0646",
        ["readable_by_others", "writable_by_others"],
    )
    assert any(str(telemetry) in warning for warning in plan["security_warnings"])
    ui_alerts = told["ui_alerts"]
    assert (ui_alerts["path"], ui_alerts["source"]) == (str(tmp_path / "logs" / "ui_telemetry_alerts.jsonl"), "default")
    assert not ui_alerts["sink_available"] and "logs/alerts_audit.jsonl" in ui_alerts["reason"]
    tls, auth, state = told["tls"], told["auth"], told["runtime_state"]
    assert not tls["enabled"] and "names no certificate" in tls["reason"]
    assert [tls[name] for name in ("certificate", "key", "client_ca", "client_auth")] == [None, None, None, False]
    assert (auth["required"], auth["token_configured"], auth["token_env"]) == (False, True, "DUDZIAN_KILL_SWITCH_TOKEN")
    assert (state["service_enabled"], state["ui_alert_sink_active"], state["ui_alerts_path"]) == (True, False, None)
    assert (state["address"], state["jsonl_path"]) == ("http://127.0.0.1:9200/metrics", str(telemetry))
    assert [folder["exists"] for folder in state["folders"]] == [True, False]


def test_the_plan_is_on_disk_before_a_start_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "plan.jsonl"
    with Child(tmp_path, "run-daily-trend", "--runtime-plan-jsonl", path, "--data-dir", tmp_path / "data", "--metrics-port", "0") as child:
        ended = child.end()
    assert (ended.code, "has no candles" in ended.err) == (2, True)
    line = json.loads(path.read_text())
    assert (line["status"], "has no candles" in line["error"]) == ("failed", True)
    assert line["strategy_details"]["class"] == "DailyTrend"
    assert ask("--strategy", "nobody", "--runtime-plan-jsonl", path, "--data-dir", tmp_path / "data") == 2
    assert "unknown strategy 'nobody'" in json.loads(path.read_text().splitlines()[1])["error"]


def test_a_run_names_its_plan_in_the_journal_and_ends_after_one_decision(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    arguments = (*MONTH, "--run-once", "--runtime-plan-jsonl", path, "--speed", "max", "--no-ui", "--metrics-port", "0")
    with Child(tmp_path, "run-daily-trend", *arguments, "--data-dir", tmp_path / "data") as child:
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, "Shutdown complete")
    (session,) = sessions(tmp_path / "data", "demo")
    found = [entry for segment in session.segments for entry in entries(segment)]
    run = next(entry for entry in found if entry.kind == "run")
    wall, commit = json.loads(run.w), json.loads(path.read_bytes())["git"]["commit"]
    assert wall["plan_sha256"] == sha256(path.read_bytes().removesuffix(b"\n")).hexdigest()
    assert wall.get("commit", "") == commit
    cycles = [cycle.record for entry in found for cycle in entry.cycles()]
    assert [record.due for record in cycles if record.due] == [("btc_trend_d1",)]


def test_modules_of_the_environment_are_taken_unless_the_command_line_names_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("json decimal", "json,decimal", "json; decimal"):
        monkeypatch.setenv("RUN_DAILY_TREND_PIPELINE_MODULES", text)
        modules = answer(capsys, "--print-runtime-modules")
        assert modules["pipeline_modules"] == ["json", "decimal"]
        assert (modules["pipeline"]["origin"], modules["pipeline"]["selected"]) == ("env", "json")
    modules = answer(capsys, "--print-runtime-modules", "--pipeline-module", "no_such_module")
    assert modules["pipeline_modules"] == ["no_such_module"]
    assert (modules["pipeline"]["origin"], modules["pipeline"]["fallback_used"]) == ("default", False)
    assert modules["environment_overrides"][0]["verdict"] == "cli_override"
    for text, reason in ((" ", "empty_value"), ("a:b", "invalid_value")):
        monkeypatch.setenv("RUN_DAILY_TREND_PIPELINE_MODULES", text)
        assert ask(*MONTH, "--dry-run", "--data-dir", tmp_path) == 0
        assert f"RUN_DAILY_TREND_PIPELINE_MODULES is ignored: {reason}" in capsys.readouterr().err


def test_risk_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "--print-risk-profiles", "-e", "paper")
    assert (told["environment"], told["environment_found"], told["environment_profile"]) == ("binance_paper", True, "balanced")
    assert told["profiles"]["balanced"]["associated_environments"] == ["demo", "binance_paper", "kraken_paper"]
    assert told["profiles"]["manual"]["requires_manual_controls"] is True
    assert told["profiles"]["unlimited_research"]["classification"] == "research"
    assert {"limits", "data_quality", "deployment_pipeline"} <= set(told["profiles"]["balanced"])
    assert answer(capsys, "--print-risk-profiles", "-e", "elsewhere")["environment_found"] is False


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_security_warnings_end_the_run_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.jsonl"
    arguments = (*MONTH, "--dry-run", "--data-dir", tmp_path / "data", "--runtime-plan-jsonl", path)
    path.touch()
    path.chmod(0o666)
    assert ask(*arguments) == 0
    assert ask(*arguments, "--fail-on-security-warnings") == 3
    assert f"{path} can be written by others; run: chmod o-w {path}" in capsys.readouterr().err
    monkeypatch.setenv("RUN_DAILY_TREND_FAIL_ON_SECURITY_WARNINGS", "1")
    assert ask(*arguments) == 3
    path.chmod(0o640)
    assert ask(*arguments) == 0
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    monkeypatch.setenv("DUDZIAN__RISK__DECISION_LOG__SIGNING_KEY_PATH", str(key))
    assert ask(*arguments) == 3
    assert f"run: chmod go-r {key}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--strategy", "nobody"), 2, "unknown strategy 'nobody'; known: core_daily_trend, core_mean_reversion"),
        (("--controller", "nobody"), 2, "unknown controller 'nobody'; known: daily_trend_core"),
        (("--risk-profile", "nobody"), 2, "unknown risk profile 'nobody'; known: conservative, balanced"),
        (("-e", "nobody"), 2, "unknown environment 'nobody'; known: demo, binance_paper"),
        (("--strategy", "demo_mean_reversion"), 2, "has no schedule of strategy 'demo_mean_reversion' on 1d"),
        (("--date-window", "2024-02-30:2024-03-01"), 2, "--date-window: expected two days as"),
        (("--date-window", "2024-02-02:2024-02-01"), 2, "--date-window: expected two days as"),
        (("--mode", "run-once", "--dry-run"), 2, "--mode: expected the same as --dry-run, found run-once"),
        (("--pipeline-module", "no_such_module"), 2, "controller module 'no_such_module'"),
        (("--adapter-factory", "binance=kraken"), 2, "--adapter-factory: expected live market data (--live), found stored candles"),
        (("--allow-live",), 7, "live trading is not built"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("-e", "demo", *arguments, "--no-ui", "--data-dir", tmp_path / "data") == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "data").exists()


def test_an_environment_without_defaults_needs_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_without(tmp_path, "    default_strategy: core_daily_trend\n", "    default_controller: daily_trend_core\n")
    arguments = ("--config", config, *MONTH, "--dry-run", "--data-dir", tmp_path)
    assert ask(*arguments) == 2
    assert "names no default_strategy" in capsys.readouterr().err
    assert ask(*arguments, "--strategy", "core_daily_trend") == 2
    assert "names no default_controller" in capsys.readouterr().err
    assert ask(*arguments, "--strategy", "core_daily_trend", "--controller", "daily_trend_core") == 0
