"""`dudzian run-multi-strategy-scheduler`: the scheduler's set, dry runs that trade nothing, and real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import Child, short_config, tree


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run-multi-strategy-scheduler", *map(str, arguments)])
    return int(ended.value.code or 0)


def telemetry(folder: Path) -> list[dict[str, object]]:
    text = (folder / "audit" / "metrics" / "telemetry.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def seed(folder: Path, days: int = 150) -> None:
    window = ("--days", str(days), "--start-date", "2023-01-01", "--interval", "1d")
    with pytest.raises(SystemExit) as ended:
        main(["seed-paper-cache", "-e", "binance_paper", *window, "--data-dir", str(folder)])
    assert not ended.value.code


def test_the_default_is_the_core_set_on_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(tmp_path)
    before = tree(tmp_path)
    capsys.readouterr()
    assert run("--dry-run", "--json", "--data-dir", tmp_path) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["environment"] == "binance_paper"
    assert sorted(plan["schedules"]) == ["core_cross_exchange", "core_daily_trend", "core_mean_reversion", "core_volatility_target"]
    assert tree(tmp_path) == before


def test_a_dry_run_emits_telemetry_and_trades_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(tmp_path)
    before = set(tree(tmp_path))
    capsys.readouterr()
    assert run("--dry-run", "--emit-telemetry", "--environment", "paper_binance", "--json", "--data-dir", tmp_path) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["orders"], answer["faults"]) == (0, 0)
    assert answer["runs"]["core_daily_trend"] == answer["runs"]["core_volatility_target"] == 150
    assert answer["signals"]["core_volatility_target"] > 0
    assert set(tree(tmp_path)) - before == {"audit", "audit/metrics", "audit/metrics/telemetry.jsonl"}
    lines = telemetry(tmp_path)
    assert len(lines) == sum(answer["runs"].values())
    assert {(line["multi_strategy"], line["dry_run"], line["session"]) for line in lines} == {("runtime.multi_strategy.core", True, "")}
    assert max(float(str(line["latency_ms"])) for line in lines) == answer["max_latency_ms"]
    assert {line["portfolio_weight"] for line in lines} == {0.0}


def lively(home: Path) -> Path:
    """A configuration whose schedules all have candles: four months of three pairs, without the set's one schedule of BTC."""
    config = short_config(home)
    windows = "        - {start: 2024-02-01, end: 2024-06-01, instruments: [ETH_USDT, LTC_USDT, XRP_USDT]}"
    lines = [windows if "start: 2024-02-01" in line else line for line in config.read_text(encoding="utf-8").splitlines()]
    config.write_text("\n".join(line for line in lines if "btc_trend_d1:" not in line) + "\n", encoding="utf-8")
    return config


def test_once_is_until_each_schedule_has_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--config", lively(tmp_path), "-e", "demo", "--dry-run", "--emit-telemetry", "--json", "--data-dir", tmp_path / "data")
    assert run(*arguments, "--run-once") == 0
    assert json.loads(capsys.readouterr().out)["runs"] == {
        "alt_trend_1h": 24,
        "alt_reversion_1h": 24,
        "volatility_1d": 1,
        "eth_arbitrage_1h": 24,
    }


def test_another_scheduler_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(tmp_path)
    capsys.readouterr()
    assert run("--scheduler", "core_multi_pipeline", "-e", "binance_paper", "--dry-run", "--json", "--data-dir", tmp_path) == 0
    assert "core_daily_trend" in json.loads(capsys.readouterr().out)["schedules"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scheduler", "core_pipeline"), "unknown scheduler 'core_pipeline'; did you mean 'core_multi_pipeline'?"),
        (("--environment", "kraken_paper"), "is disabled in"),
        ((), "make some with: dudzian seed-paper-cache --environment binance_paper"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run("--dry-run", "--emit-telemetry", "--data-dir", tmp_path / "data", *arguments) == 2
    captured = capsys.readouterr()
    assert (said in captured.err, captured.err.count("\n"), captured.out) == (True, 1, "")
    assert not (tmp_path / "data").exists()


def test_json_is_for_dry_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--data-dir", tmp_path / "data") == 2
    assert capsys.readouterr().err.startswith("dudzian: --json: expected --dry-run beside it")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("days", "said"), [(1, "1 run, no signals"), (150, "150 runs, ")])
def test_a_rehearsal_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], days: int, said: str) -> None:
    seed(tmp_path, days)
    capsys.readouterr()
    assert run("--dry-run", "--emit-telemetry", "--data-dir", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(" runs, no orders filled")
    (target,) = [line for line in lines if line.startswith("schedule      core_volatility_target: ")]
    assert said in target
    assert ("all refused" in target) == (days > 1)
    assert "schedule      core_mean_reversion: no runs, no signals" in lines


@pytest.mark.integration
def test_a_real_run_is_a_daemon_and_ends_once_all_have_run(tmp_path: Path) -> None:
    arguments = ("--config", lively(tmp_path), "-e", "demo", "--run-once", "--speed", "max", "--data-dir", tmp_path / "data")
    with Child(tmp_path, "run-multi-strategy-scheduler", *arguments) as child:
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, "Shutdown complete")
    assert "ended by operator" in ended.out
    lines = telemetry(tmp_path / "data")
    assert {line["schedule"] for line in lines} == {"alt_trend_1h", "alt_reversion_1h", "volatility_1d", "eth_arbitrage_1h"}
    assert {line["dry_run"] for line in lines} == {False}
