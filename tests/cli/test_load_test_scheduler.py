"""`dudzian load-test-scheduler`: a real daemon under load, its figures against the budgets, and what wrong input is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from dudzian_daemon.app.load_test.plan import LoadPlan, LoadSettings, load_plan
from dudzian_daemon.app.load_test.report import load_report, report_lines
from dudzian_daemon.app.load_test.run import Measured
from dudzian_daemon.cli.json_schemas import schema_of
from dudzian_daemon.cli.main import main
from dudzian_daemon.sinks.telemetry.runs import ScheduleRun

COMMAND = "load-test-scheduler"
QUICK = ("--iterations", "10", "--pace-ms", "10")


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([COMMAND, *map(str, arguments)])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_a_load_is_played_and_reported_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(places))
    code, out, _ = ask(capsys, *QUICK, "--schedules", 2, "--data-dir", tmp_path / "data")
    files = sorted((tmp_path / "data").rglob("*.*"))
    assert ([path.suffix for path in files], list(places.iterdir())) == ([".json", ".txt"], [])
    assert {path.parent for path in files} == {tmp_path / "data/logs/load_tests"}
    report = json.loads(files[0].read_text())
    jsonschema.validate(report, schema_of(COMMAND))
    assert code == (report["resource_status"] == "error")  # a busy machine may be too slow for this pace
    assert (report["environment"], report["iterations"], report["runs"], report["faults"]) == ("binance_paper", 24, 48, 0)
    assert list(report["schedules"]) == ["core_daily_trend", "core_mean_reversion"]
    assert [each["name"] for each in report["budgets"]] == ["cpu_percent", "memory_mb", "io_read_mb_s", "io_write_mb_s", "latency_ms"]
    assert 20 < report["budgets"][1]["used"] < 2048 and report["p50_latency_ms"] <= report["p99_latency_ms"] <= report["max_latency_ms"]
    assert out.startswith(files[1].read_text())


def test_a_budget_that_is_passed_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, *QUICK, "--schedules", 1, "--memory-budget", 10, "--json", "--data-dir", tmp_path)
    report = json.loads(out)
    assert (code, report["resource_status"]) == (1, "error")
    assert report["breaches"]["memory_mb"] > 2


def test_dry_run_tells_the_load_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, "--dry-run", "--json", "--data-dir", tmp_path / "data")
    plan = json.loads(out)
    jsonschema.validate(plan, schema_of(COMMAND))
    assert (code, plan["iterations"], plan["seconds"], len(plan["schedules"])) == (0, 72, 18.0, 4)
    assert plan["limits"]["cpu_percent"] == 65.0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--schedules", "9"), "--schedules: expected at most 4"),
        (("-e", "demo"), "--environment: expected one of mode paper"),
        (("-e", "nowhere"), "unknown environment 'nowhere'"),
        (("--iterations", "0"), "--iterations: expected a whole number from 1"),
        (("--pace-ms", "soon"), "--pace-ms: expected a whole number"),
        (("--output", "/proc/nowhere/x.json"), "cannot be made"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    code, out, err = ask(capsys, *arguments, "--data-dir", tmp_path / "data")
    assert (code, out, err.count("\n"), said in err) == (2, "", 1, True)
    assert not (tmp_path / "data").exists()


def plan() -> LoadPlan:
    return load_plan(LoadSettings(memory_budget=100), {})


def run(latency_ms: float) -> ScheduleRun:
    """Of a schedule that gave a signal."""
    kinds = {"str": "x", "int": 1, "float": 1.0, "bool": False}
    values: dict[str, Any] = {each.name: kinds.get(getattr(each.type, "__name__", "")) for each in msgspec.structs.fields(ScheduleRun)}
    return ScheduleRun(**values | {"latency_ms": latency_ms, "signals": 1, "faults": 0})


def judged(*latencies: float, memory_mb: float = 50.0, cpu_percent: float = 10.0) -> Any:
    measured = Measured(
        runs=tuple(map(run, latencies)),
        seconds=10.0,
        cpu_percent=cpu_percent,
        memory_mb=memory_mb,
        io_read_mb_s=None,
        io_write_mb_s=0.5,
        samples=40,
    )
    return load_report(plan().told, measured, 0)


def test_the_worst_budget_is_the_status() -> None:
    well, near, over, slow = judged(1, 2, 3), judged(1, memory_mb=85), judged(1, memory_mb=85, cpu_percent=66), judged(*[1.0] * 10, 300.0)
    assert [each.resource_status for each in (well, near, over, slow)] == ["ok", "warning", "error", "error"]
    assert [each.exit_code for each in (well, near, over, slow)] == [0, 0, 1, 1]
    assert (near.warnings, over.breaches, over.warnings) == ({"memory_mb": 0.85}, {"cpu_percent": 1.015}, {"memory_mb": 0.85})
    assert slow.breaches == {"latency_ms": 1.2}
    assert (well.avg_latency_ms, well.p50_latency_ms, well.max_latency_ms, well.jitter_ms) == (2.0, 2.0, 3.0, 0.816)
    lines = list(report_lines(over))
    assert any(line.startswith("OVER          cpu_percent 66.0 of 65") for line in lines)
    assert any("io_read_mb_s unknown" in line for line in lines)


def test_the_load_is_the_same_wherever_it_is_made() -> None:
    one, other = plan(), plan()
    assert (one.variables, one.series) == (other.variables, other.series)
    assert json.loads(one.variables["DUDZIAN__ENVIRONMENTS__BINANCE_PAPER__ALERT_CHANNELS"]) == []
    assert {each.window.granularity for each in one.series} == {"1h"}
