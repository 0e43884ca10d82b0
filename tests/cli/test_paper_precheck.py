"""`dudzian paper-precheck` and `doctor`: one exit code per kind of failure, a kept report whose digest is that of its bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import stamina
from anyio.from_thread import start_blocking_portal

from dudzian_daemon.adapters.candle_files import path_of
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import Series
from dudzian_daemon.testing.exchange import LoopbackExchange
from tests.integration.small_disk import small_disk

CONFIG = Path(__file__).resolve().parents[2] / "config" / "core.yaml"
CACHE = Path("var", "data", "binance_paper")
REPORTS = Path("audit", "paper_precheck_reports")
SEED = ["seed-paper-cache", "--interval", "1d", "--quiet", "--days", "60", "--start-date", "2024-01-01"]


def dudzian(*arguments: str) -> int:
    try:
        main([*arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int | None)
        return stop.code or 0
    return 0


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    assert dudzian(*SEED, "--config", str(CONFIG), "--data-dir", str(folder)) == 0
    return folder


@pytest.fixture
def data(tmp_path: Path, full: Path) -> Path:
    shutil.copytree(full, tmp_path / "data")
    return tmp_path / "data"


def precheck(data: Path, *options: str, config: Path = CONFIG, environment: str = "binance_paper") -> int:
    return dudzian("paper-precheck", "--config", str(config), "--data-dir", str(data), "-e", environment, *options)


def altered(folder: Path, old: str, new: str) -> Path:
    shutil.copytree(CONFIG.parent, folder / "config")
    core = folder / "config" / "core.yaml"
    text = core.read_text()
    assert old in text
    core.write_text(text.replace(old, new))
    return core


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def codes(report: dict[str, Any]) -> set[str]:
    return {each["code"] for each in report["checks"] if each["status"] != "ok"}


def test_go_with_warnings_and_the_kept_report_has_the_digest_that_was_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert precheck(data, "--json") == 0
    report = document(capsys)
    assert (report["status"], report["coverage_status"], report["risk_status"]) == ("warning", "ok", "ok")
    assert report["config"] == {"valid": True, "errors": [], "warnings": []}
    assert report["manifest_path"] == f"{CACHE.as_posix()}/ohlcv_manifest.sqlite"
    assert codes(report) == {"secret_missing", "rotation_overdue", "ip_allowlist_empty"}
    assert all(each["remedy"] for each in report["checks"] if each["status"] != "ok")
    kept = Path(report["report"]["path"])
    assert kept.parent == data / REPORTS
    assert sha256(kept.read_bytes()).hexdigest() == report["report"]["sha256"]
    assert kept.with_name(f"{kept.name}.sha256").read_text() == f"{report['report']['sha256']}  {kept.name}\n"
    assert json.loads(kept.read_text()) == {key: value for key, value in report.items() if key != "report"}


def test_warnings_can_be_fatal(data: Path) -> None:
    assert precheck(data, "--fail-on-warnings") == 4


def test_a_wrong_configuration_is_2(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert precheck(data, "--json", config=altered(tmp_path, "max_open_positions: 5", "max_open_positions: many")) == 2
    report = document(capsys)
    assert (report["status"], report["coverage_status"], report["risk_status"]) == ("error", "skipped", "skipped")
    assert "max_open_positions" in report["config"]["errors"][0]


def test_an_unknown_environment_is_2_and_names_no_path(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert precheck(data, "--json", environment="../../escaped") == 2
    assert Path(document(capsys)["report"]["path"]).parent == data / REPORTS
    assert {path.parent for path in data.parent.rglob("*escaped*")} == {data / REPORTS}


def test_lacking_candles_are_3(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path_of(data / CACHE, (Series("binance:ETH/USDT", "1d"), 2024, 2)).unlink()
    assert precheck(data, "--json") == 3
    report = document(capsys)
    assert (report["coverage_status"], report["coverage_warnings"]) == ("error", ["coverage_error"])
    assert "ETH_USDT 1d: manifest_status:damaged" in " ".join(report["coverage"]["issues"])
    assert precheck(data, "--symbol", "BTC_USDT") == 0


def test_no_candles_at_all_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert precheck(tmp_path, "--json") == 3
    assert document(capsys)["coverage_warnings"] == ["manifest_missing"]


def test_a_broken_risk_profile_is_5_and_can_be_passed_over_for_debugging(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core = altered(tmp_path, "max_open_positions: 5", "max_open_positions: 0")
    assert precheck(data, "--json", config=core) == 5
    report = document(capsys)
    assert (report["risk_status"], report["status"]) == ("error", "error")
    assert "balanced: wide_stop" in report["risk"]["issues"]
    assert precheck(data, "--json", "--skip-risk-check", config=core) == 0
    report = document(capsys)
    assert (report["risk_status"], report["risk"]) == ("skipped", {"status": "skipped"})


def test_a_profile_without_target_volatility_is_a_warning(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core = altered(tmp_path, "target_volatility: 0.11", "target_volatility: 0")
    assert precheck(data, "--json", config=core) == 0
    report = document(capsys)
    assert (report["risk_status"], report["risk"]["warnings"]) == ("warning", ["balanced: target_volatility_not_positive"])


def test_too_little_space_is_5(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert precheck(data, "--json", "--min-free-mb", "1000000000") == 5
    assert "disk_low" in codes(document(capsys))


def test_a_small_disk_for_the_daily_reports_is_5_until_less_is_wanted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = altered(tmp_path, "version: 1\n", "version: 1\nreporting: {min_free_mb: 10}\n")
    with small_disk(data / "data" / "reports" / "daily"):
        assert precheck(data, "--json") == 5
        (told,) = (each for each in document(capsys)["checks"] if each["check"] == "disk")
        assert told["message"] == f"expected 2,000 MB free at {data / 'data' / 'reports' / 'daily'} (reporting.min_free_mb), found 16"
        assert precheck(data, config=config) == 0
        assert precheck(data, "--min-free-mb", "17", config=config) == 5


def test_the_budgets_of_the_process_are_shown_and_held_against_the_machine(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(config: Path) -> dict[str, Any]:
        assert precheck(data, "--json", config=config) == 0
        (found,) = (each for each in document(capsys)["checks"] if each["check"] == "resource_limits")
        return dict(found)

    shown = "cpu_percent 65 % of a core, memory_mb 2,048 MB, io_read_mb_s 120 MB/s, io_write_mb_s 80 MB/s; a warning from 80% of each"
    assert told(CONFIG)["message"] == shown
    beyond = told(altered(tmp_path, "memory_mb: 2048", "memory_mb: 9000000"))
    assert (beyond["status"], beyond["code"]) == ("warning", "resource_limits_beyond_machine")
    assert "found memory_mb 9,000,000 of " in beyond["message"]


def test_limits_of_the_command_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path_of(data / CACHE, (Series("binance:ETH/USDT", "1d"), 2024, 2)).unlink()
    assert precheck(data, "--json", "--min-ok-ratio", "1.5") == 2
    assert "expected a number from 0 to 1" in capsys.readouterr().err
    assert precheck(data, "--json", "--min-ok-ratio", "0.999", "--max-gap-minutes", "30") == 3
    assert document(capsys)["coverage"]["threshold_issues"] == ["max_gap_exceeded:41760>30", "ok_ratio_below_threshold:0.875<0.999"]


def test_reports_can_go_elsewhere_or_nowhere(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert precheck(data, "--audit-dir", "", "--output", str(tmp_path / "new" / "report.json")) == 0
    assert not (data / "audit").exists()
    assert json.loads((tmp_path / "new" / "report.json").read_text())["environment"] == "binance_paper"
    for _ in range(3):
        assert precheck(data, "--audit-dir", str(tmp_path / "elsewhere")) == 0
    assert len(list((tmp_path / "elsewhere").glob("*.json"))) == 3
    assert "report " in capsys.readouterr().out


def test_doctor_says_what_to_do_and_writes_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path for path in data.rglob("*") if path.is_file())
    assert dudzian("doctor", "--config", str(CONFIG), "--data-dir", str(data), "-e", "paper") == 0
    out = capsys.readouterr().out
    assert "look  rotation: key binance_paper_trading::trading is overdue" in out
    assert "      -> change it at the venue, then: dudzian check-key-rotation --environment binance_paper --update" in out
    assert sorted(path for path in data.rglob("*") if path.is_file()) == before
    path_of(data / CACHE, (Series("binance:ETH/USDT", "1d"), 2024, 2)).unlink()
    assert dudzian("doctor", "--config", str(CONFIG), "--data-dir", str(data), "-e", "paper") == 5
    assert "FAIL  coverage:" in capsys.readouterr().out


def test_seed_coverage_precheck_on_an_empty_disk_are_0_and_the_same_in_two_processes(tmp_path: Path) -> None:
    """Three commands of the runbook in their order, in one shell each, under two hash seeds."""
    seed, place = "seed-paper-cache --environment binance_paper --days 60 --start-date 2024-01-01 --interval 1d", tmp_path / "place"
    outcomes = []
    for hash_seed in ("1", "2"):
        child = subprocess.run(
            [sys.executable, "-c", _THREE, seed, str(CONFIG), str(place)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=False,
        )
        assert child.returncode == 0, child.stderr.decode()
        files = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        reports = [content for name, content in files.items() if name.startswith("audit/") and name.endswith(".json")]
        assert len(reports) == 1
        kept = {name: content for name, content in files.items() if not name.startswith("audit/")}
        assert any(name.endswith(".parquet") for name in kept)
        outcomes.append((child.stdout, reports, kept))
        place.rename(tmp_path / hash_seed)
    assert outcomes[0] == outcomes[1]


_THREE = """
import sys
from dudzian_daemon.cli.main import main
seed, config, place = sys.argv[1:]
commands = (seed, 'check-data-coverage --environment binance_paper --json', 'paper-precheck --environment binance_paper')
for command in commands:
    try:
        if command.startswith('paper'):
            sys.stdout = open('/dev/null', 'w')
        main([*command.split(), '--config', config, '--data-dir', place])
    except SystemExit as stop:
        if stop.code:
            sys.exit(f'{command}: {stop.code}')
"""


@pytest.mark.parametrize(
    ("skew_ms", "status", "code"),
    [(0, "ok", ""), (60_000, "warning", "venue_clock_differs"), (-600_000, "error", "venue_clock_differs")],
)
def test_the_clock_is_compared_with_the_venues(
    data: Path, capsys: pytest.CaptureFixture[str], skew_ms: int, status: str, code: str
) -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(LoopbackExchange()) as exchange:
        exchange.skew_ms = skew_ms
        exit_code = precheck(data, "--json", "--base-url", exchange.url)
        assert {request.path for request in exchange.requests} == {"/api/v3/time"}
    found = {each["check"]: each for each in document(capsys)["checks"]}
    assert found["venue"]["status"] == "ok"
    assert (found["venue_clock"]["status"], found["venue_clock"]["code"]) == (status, code)
    assert exit_code == (5 if status == "error" else 0)


@pytest.mark.parametrize("command", ["paper-precheck", "doctor"])
def test_log_lines_are_told_to_who_asks_for_them(command: str, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    online = 'offline_mode: false\n    adapter_settings: {base_url: "http://127.0.0.1:9"}'
    place = ["--environment", "binance_paper", "--data-dir", str(data), "--config", str(altered(data, "offline_mode: true", online))]
    for verbose, lines in ((["--verbose"], 2), ([], 0)):
        with stamina.set_testing(True, attempts=2), pytest.raises(SystemExit):
            main([command, *place, *verbose, "--json"])
        out, err = capfd.readouterr()
        assert json.loads(out)["status"]
        assert [json.loads(line)["event"] for line in err.splitlines()] == ["venue_fault"] * lines


def test_a_venue_that_cannot_be_reached_is_a_warning_and_an_address_out_of_bounds_an_error(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stamina.set_testing(True, attempts=2):
        assert precheck(data, "--json", "--base-url", "http://127.0.0.1:9") == 0
    told = capsys.readouterr()
    report, error = json.loads(told.out), told.err
    assert "venue_unreachable" in codes(report)
    clock = next(each for each in report["checks"] if each["check"] == "venue_clock")
    assert all(part in clock["message"] for part in ("asked 2 times", "http://127.0.0.1:9/api/v3/time"))
    assert "reaches 127.0.0.1" in clock["remedy"]
    assert error == ""
    assert precheck(data, "--json", "--base-url", "https://api.binance.example") == 5
    report = document(capsys)
    assert "venue_unusable" in codes(report)
    assert "venue_clock" not in {each["check"] for each in report["checks"]}
