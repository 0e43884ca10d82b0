"""`dudzian run`: its help, and `--dry-run`, which says what would run and leaves no trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import DEMO_WINDOWS, SHORT_WINDOWS, daemon, short_config, tree, write_config


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The command keeps its handlers to the end of the process; this process goes on."""
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run", *map(str, arguments)])
    return int(ended.value.code or 0)


def plan(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run("--dry-run", "--json", *arguments) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert "dudzian run --dry-run" in text and "--speed" in text


def test_a_dry_run_says_what_would_run_and_writes_nothing(
    tmp_path: Path, isolated_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(isolated_environment)
    assert run("--dry-run", "--data-dir", tmp_path / "data", "--speed", "max") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "environment   demo (demo), execution PaperTradingExecutionService, speed max"
    assert lines[1] == "balance       10000 USDT (from paper_trading.initial_balances.USDT)"
    assert lines[3] == f"data folder   {tmp_path / 'data'}"
    assert [line.split()[0] for line in lines[4:]] == ["config"] * 4 + ["schedule"] * 5 + ["plugin"] * 4 + ["window"] * 2
    assert not (tmp_path / "data").exists()
    assert tree(isolated_environment) == before


def test_a_dry_run_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = plan(capsys, "--data-dir", tmp_path / "data", "--speed", "2.5")
    assert (document["schema"], document["environment"], document["speed"]) == ("dudzian.run_plan/1", "demo", "2.5")
    assert document["execution"] == "PaperTradingExecutionService"
    assert list(document["schedules"]) == ["alt_reversion_1h", "alt_trend_1h", "btc_trend_d1", "eth_arbitrage_1h", "volatility_1d"]
    assert [window["start"] for window in document["windows"]] == ["2020-10-15T00:00", "2024-01-08T00:00"]
    assert not (tmp_path / "data").exists()


def test_a_dry_run_follows_the_configuration_it_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, windows=(DEMO_WINDOWS, SHORT_WINDOWS))
    document = plan(capsys, "--config", config, "--data-dir", tmp_path / "data")
    assert document["windows"] == [
        {"start": "2024-02-01T00:00", "end": "2024-03-01T00:00", "series": ["binance:ETH/USDT 1h", "binance_mirror:ETH/USDT 1h"]},
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--environment", "kraken_paper"), "is disabled in"),
        (("--environment", "binance_paper"), "make some with: dudzian seed-paper-cache --environment binance_paper"),
        (("--speed", "fast"), "--speed: expected max, real or a number above 0"),
    ],
)
def test_a_dry_run_fails_as_the_run_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run("--dry-run", "--data-dir", tmp_path / "data", *arguments) == 2
    captured = capsys.readouterr()
    assert (said in captured.err, captured.err.count("\n"), captured.out) == (True, 1, "")
    assert not (tmp_path / "data").exists()


def test_json_is_for_dry_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--data-dir", tmp_path / "data") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("dudzian: --json: expected --dry-run beside it, found a real run")
    assert (captured.out, captured.err.count("\n"), list(tmp_path.iterdir())) == ("", 1, [])


def test_every_wrong_parameter_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(
        tmp_path,
        fast=("fast_ma: 25", "fast_ma: 125"),
        least=("min_momentum: 0.001", "min_momentum: lots"),
        top=("target_volatility: 0.10, lookback: 20", "target_volatility: -1, lookback: 20"),
    )
    assert run("--dry-run", "--config", config, "--data-dir", tmp_path / "data") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"dudzian: {config}:").partition(" strategies.")[2] for line in lines] == [
        "core_daily_trend.parameters.fast_ma: expected fast_ma < slow_ma, found 125 >= 100",
        "core_daily_trend.parameters.min_momentum: expected a number, found 'lots'",
        "demo_volatility_target.parameters.target_volatility: expected a number > 0.0, found -1",
    ]


def test_schedules_for_which_there_are_no_candles_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with pytest.raises(SystemExit, match="0"):
        main(["seed-paper-cache", "-e", "binance_paper", "--days", "2", "--interval", "1d", "--data-dir", str(data)])
    capsys.readouterr()
    document = plan(capsys, "--environment", "binance_paper", "--data-dir", data)
    assert document["without_candles"] == ["core_cross_exchange", "core_mean_reversion"]  # they take 30s and 5m, the seeded ones are 1d


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max") as child:
        ended = child.end()
    lines = ended.out.splitlines()
    assert (ended.code, lines[-1]) == (0, "Shutdown complete")
    assert lines[0].startswith("dudzian: paper only, no order leaves this machine; no metrics port; session ")
    assert any(line.startswith("content chain ") for line in lines)


ROUNDS = """
import gc, sys
from pathlib import Path
from dudzian_daemon.cli.main import main
rounds = {True: 0, False: 0}
def counted(phase, _facts):
    rounds["feed.warm_up" in Path(sys.argv[1]).read_text()] += phase == "start"
def main_counted():
    gc.collect()
    gc.callbacks.append(counted)
    try:
        main(sys.argv[2:])
    finally:
        gc.callbacks.clear()
        sys.stderr.write(f"{rounds[False]} {rounds[True]} {gc.isenabled()}")
main_counted()
"""


def test_garbage_is_looked_for_once_all_is_loaded(tmp_path: Path, isolated_environment: Path) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    arguments = ["run", "--config", short_config(tmp_path), "--data-dir", tmp_path / "data", "--speed", "max", "--no-ui"]
    environment = os.environ | {"DUDZIAN_FAULTS_TRACE": str(trace)}
    line = [sys.executable, "-c", ROUNDS, trace, *arguments]
    done = subprocess.run(list(map(str, line)), env=environment, capture_output=True, text=True, check=True)
    loading, running, on = done.stderr.splitlines()[-1].split()
    assert (int(loading) < 10, int(running) > 0, on) == (True, True, "True")  # the few are those of the command line's own modules
