"""`dudzian telemetry-risk-profiles`: within the allocations or not, from telemetry made by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.cli.main import main
from dudzian_daemon.sinks.telemetry.runs import RunMeter, SchedulerSet, ScheduleRun, encoded, telemetry_path
from dudzian_daemon.testing.market import instrument, schedule
from tests.unit.sinks.test_telemetry import cycle

KNOWN = SchedulerSet(
    environment="binance_paper",
    scheduler="core_multi_pipeline",
    namespace="runtime.multi_strategy.core",
    schedules={
        "trend": schedule("trend", [instrument()], allocation=Decimal("0.35")),
        "sizer": schedule("sizer", [instrument("ETH")], allocation=Decimal("0.25"), profile="conservative"),
    },
    max_drift_seconds={"trend": 60, "sizer": 60},
)


def ask(folder: Path, *arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["telemetry-risk-profiles", "--data-dir", str(folder), *map(str, arguments)])
    return int(ended.value.code or 0)


def write(folder: Path, *runs: ScheduleRun) -> None:
    path = telemetry_path(folder)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a line of ours\n" + encoded(runs))


def run(name: str, peak: float, *, session: str = "a" * 32, latency_ms: float = 2.0, **changes: Any) -> ScheduleRun:
    (made,) = RunMeter(KNOWN).take(cycle(1, name, log_id=session))
    return msgspec.structs.replace(made, peak_portfolio_weight=peak, latency_ms=latency_ms, **changes)


def test_within_the_allocations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, run("trend", 0.10), run("sizer", 0.25), run("trend", 0.349), run("trend", 0.2))
    assert ask(tmp_path, "--summary", "core") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "scheduler     core_multi_pipeline (binance_paper), 4 runs of 1 session(s)"
    assert [line.split()[1:] for line in lines[1:3]] == [
        ["balanced", "trend", "34.90%", "of", "35.00%", "within"],
        ["conservative", "sizer", "25.00%", "of", "25.00%", "within"],
    ]
    assert lines[-1] == "verdict       within the limits"


def test_over_an_allocation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    over = run("sizer", 0.2501, timestamp="2024-05-01T00:00:00.000000Z")
    write(tmp_path, run("trend", 0.10), run("sizer", 0.2), over, run("sizer", 0.1))
    assert ask(tmp_path, "--summary", "core_multi_pipeline", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["schema"], answer["within"]) == ("dudzian.telemetry_risk_profiles/1", False)
    trend, sizer = answer["schedulers"][0]["shares"]
    assert (trend["within"], sizer["within"], sizer["peak"], sizer["cap"]) == (True, False, 0.2501, 0.25)
    assert sizer["first_over"] == "2024-05-01T00:00:00.000000Z"
    assert ask(tmp_path) == 1
    assert "OVER since 2024-05-01" in capsys.readouterr().out


def test_only_the_latest_session_counts_unless_all_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, run("trend", 0.9, session="a" * 32), run("trend", 0.1, session="b" * 32))
    assert (ask(tmp_path), ask(tmp_path, "--all-sessions")) == (0, 1)


def test_dry_runs_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, run("trend", 0.1), run("trend", 0.9, session="", dry_run=True))
    assert ask(tmp_path) == 0


def test_a_slow_run_is_a_breach_if_that_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, run("trend", 0.1), run("trend", 0.1, latency_ms=250.0))
    assert (ask(tmp_path), ask(tmp_path, "--max-latency-ms", "250.5"), ask(tmp_path, "--max-latency-ms", "250")) == (0, 0, 1)
    assert "latency       250.0 ms at most, 1 at or above 250 ms" in capsys.readouterr().out


def test_rehearsals_alone_are_nothing_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, run("trend", 0.9, dry_run=True))
    assert ask(tmp_path, "--summary", "core") == 2
    told = "found those of rehearsals only; run the daemon first: dudzian run --environment binance_paper\n"
    assert capsys.readouterr().err.endswith(told)


def test_schedulers_are_told_apart(tmp_path: Path) -> None:
    demo: dict[str, Any] = {"scheduler": "demo_pipeline", "multi_strategy": "runtime.multi_strategy.demo", "environment": "demo"}
    write(tmp_path, run("trend", 0.1), run("trend", 0.9, session="b" * 32, **demo))
    assert (ask(tmp_path, "--summary", "core"), ask(tmp_path, "--summary", "demo"), ask(tmp_path)) == (0, 1, 1)


def test_nothing_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(tmp_path / "none") == 2
    assert "found none; run the daemon first: dudzian run" in capsys.readouterr().err
    write(tmp_path, run("trend", 0.1))
    assert ask(tmp_path, "--summary", "cora") == 2
    assert "expected runs of scheduler 'cora' in " in (error := capsys.readouterr().err)
    assert "there are runs of core_multi_pipeline" in error and error.count("\n") == 1


def test_another_file(tmp_path: Path) -> None:
    write(tmp_path, run("trend", 0.9))
    assert ask(tmp_path / "elsewhere", "--telemetry", telemetry_path(tmp_path)) == 1
