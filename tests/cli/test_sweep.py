"""`dudzian sweep`: what it finds, keeps, goes on from, proves and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no annotations
import pytest

from dudzian_daemon.adapters import optuna_search
from dudzian_daemon.app.backtest.run import BacktestOptions
from dudzian_daemon.app.sweep.execution import local_executor
from dudzian_daemon.app.sweep.kept import Kept
from dudzian_daemon.app.sweep.plan import SweepOptions, planned
from dudzian_daemon.app.sweep.run import Sweep
from dudzian_daemon.cli.main import main
from dudzian_daemon.testing.clock import ManualClock

TREND = ("--strategies", "core_daily_trend", "--from", "2019-01-01", "--to", "2019-12-31", "--profile", "unlimited_research", "--jobs", "1")
GRID = ("--param", "fast_ma=10,20,60", "--param", "slow_ma=50,80", "--top", "2")
INTERRUPTED = 130


def sweep(*arguments: object) -> int:
    try:
        main(["sweep", *map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def document(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert sweep("--json", *arguments) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def rows(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "trials").to_pylist()  # type: ignore[no-any-return]  # as above


def test_a_grid_is_ranked_kept_and_not_computed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = document(capsys, *TREND, *GRID, "--output", tmp_path)
    assert (first["computed"], first["refused"], [fold["trials"] for fold in first["folds"]]) == (5, 1, [5])
    kept = rows(tmp_path)
    assert sorted((row["param_fast_ma"], row["param_slow_ma"]) for row in kept) == [(10, 50), (10, 80), (20, 50), (20, 80), (60, 80)]
    best = sorted(kept, key=lambda row: -row["sharpe"])[:2]
    assert [winner["statistics"]["sharpe"] for winner in first["winners"]] == [row["sharpe"] for row in best]
    assert all(winner["reproduced"] and 0.0 <= winner["deflated_sharpe"] <= 1.0 for winner in first["winners"])

    assert sweep(*TREND, *GRID, "--output", tmp_path) == 2
    assert "expected no results yet, found some; go on there with --resume" in capsys.readouterr().err
    again = document(capsys, *TREND, *GRID, "--output", tmp_path, "--resume")
    assert again == first | {"computed": 0}
    more = document(capsys, *TREND, *GRID, "--param", "momentum_window=20,30", "--output", tmp_path, "--resume")
    assert more["computed"] == 10  # another parameter makes other combinations

    other = document(capsys, "--dry-run", *TREND, *GRID, "--output", tmp_path, "--resume")
    assert (other["trials"], other["kept"]) == (5, 15)
    assert sweep(*TREND[:-4], "--jobs", 1, *GRID, "--output", tmp_path, "--resume") == 2  # under the shipped profile
    assert "found those of another risk profile; choose another folder" in capsys.readouterr().err


def test_a_winner_is_what_a_backtest_with_a_journal_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (winner,) = document(capsys, *TREND, *GRID, "--top", "1", "--output", tmp_path / "out")["winners"]
    for name, value in winner["parameters"].items():
        monkeypatch.setenv(f"DUDZIAN__STRATEGIES__CORE_DAILY_TREND__PARAMETERS__{name.upper()}", str(value))
    monkeypatch.setenv("DECISION_LOG_HMAC_KEY", "0123456789abcdef" * 4)
    with pytest.raises(SystemExit):
        main(["backtest", *TREND[:-2], "--json", "--journal", "--data-dir", str(tmp_path / "data")])
    said = json.loads(capsys.readouterr().out)
    assert said["journal"]["content_chain"] == winner["content_chain"]
    assert said["journal"]["cycles"] == winner["cycles"]
    assert said["statistics"]["total"] == winner["statistics"]


def test_worker_processes_find_what_this_process_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = document(capsys, *TREND, *GRID, "--output", tmp_path / "here")
    there = document(capsys, *TREND[:-2], "--jobs", "2", *GRID, "--output", tmp_path / "there")
    assert there == here | {"output": str(tmp_path / "there")}


def test_the_best_of_each_training_window_is_measured_on_the_days_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = document(capsys, *TREND, "--param", "fast_ma=10,30", "--walk-forward", "180:90", "--output", tmp_path)
    spans = [(fold["train"]["first"], fold["train"]["last"], fold["test"]["first"], fold["test"]["last"]) for fold in said["folds"]]
    assert spans == [
        ("2019-01-01", "2019-06-29", "2019-06-30", "2019-09-27"),
        ("2019-04-01", "2019-09-27", "2019-09-28", "2019-12-26"),
    ]
    kept = rows(tmp_path)
    for fold, winner in zip(said["folds"], said["winners"], strict=True):
        train = [row for row in kept if (row["part"], row["fold"]) == ("train", fold["fold"])]
        (test,) = (row for row in kept if (row["part"], row["fold"]) == ("test", fold["fold"]))
        best = max(train, key=lambda row: (row["sharpe"] is not None, row["sharpe"] or 0.0))
        assert len(train) == 2
        assert json.loads(best["parameters"]) == winner["parameters"] == json.loads(test["parameters"])
        assert (fold["train_metric"], fold["test_metric"]) == (best["sharpe"], test["sharpe"])
    assert said["winners"][0]["train"]["sharpe"] == said["folds"][0]["train_metric"]


def test_the_twin_ranks_as_the_step_and_decides_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = document(capsys, *TREND, *GRID, "--output", tmp_path / "slow")
    fast = document(capsys, *TREND, *GRID, "--fast", "--output", tmp_path / "fast")
    assert [winner["twin_difference"] for winner in fast["winners"]] == ["", ""]
    assert [winner["content_chain"] for winner in fast["winners"]] == [winner["content_chain"] for winner in slow["winners"]]
    assert all(winner["decisions"] > 0 for winner in fast["winners"])
    estimates = {row["parameters"]: row for row in rows(tmp_path / "fast") if row["engine"] == "twin"}
    assert len(estimates) == 5
    for row in rows(tmp_path / "slow"):  # near enough to rank by: positions do not compound in an estimate
        assert estimates[row["parameters"]]["total_return"] == pytest.approx(row["total_return"], rel=0.05, abs=0.002)
        assert estimates[row["parameters"]]["round_trips"] == row["round_trips"]


def test_a_sampler_asks_the_same_with_the_same_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    wish = (*TREND, "--param", "fast_ma=5:60:5", "--param", "slow_ma=30:90:10", "--search", "optuna", "--trials", "10", "--top", "1")
    one = document(capsys, *wish, "--seed", "4", "--output", tmp_path / "one")
    two = document(capsys, *wish, "--seed", "4", "--output", tmp_path / "two")
    assert two == one | {"output": str(tmp_path / "two")}
    assert one["folds"][0]["trials"] <= 10 - one["refused"]
    assert {row["seed"] for row in rows(tmp_path / "one")} == {4}
    again = document(capsys, *wish, "--seed", "4", "--output", tmp_path / "one", "--resume")
    assert again == one | {"computed": 0}


def test_a_sampler_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(optuna_search, "find_spec", lambda _name: None)
    assert sweep(*TREND, *GRID, "--search", "optuna") == 2
    assert "install it with: pip install 'dudzian[sweep]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--strategies", "nope", "--param", "a=1"), "--strategies: environment 'demo' does not run 'nope'"),
        (("--strategies", "a,b", "--param", "a=1"), "--strategies: expected one strategy to search the parameters of, found 2"),
        ((*TREND, "--param", "nope=1"), "--param nope: unknown parameter"),
        ((*TREND, "--param", "fast_ma=0"), "--param fast_ma: expected a whole number >= 1, found 0"),
        (TREND, "--param: expected at least one"),
        ((*TREND, *GRID, "--metric", "sharp"), "--metric: expected sharpe,"),
        ((*TREND, *GRID, "--search", "random"), "--search: expected grid or optuna, found 'random'"),
        ((*TREND, *GRID, "--search", "optuna", "--fast"), "--fast: expected --search grid beside it"),
        ((*TREND, *GRID, "--walk-forward", "90"), "--walk-forward: expected TRAIN:TEST in whole days"),
        ((*TREND, *GRID, "--walk-forward", "300:90"), "--walk-forward: expected at most the 365 days"),
        ((*TREND[:2], *GRID, "--walk-forward", "30:9"), "--walk-forward: expected --from and --to beside it"),
        (
            (*TREND, "--param", "fast_ma=1:90:1", "--param", "slow_ma=91:220:1"),
            "at most 10,000 trials, found 11,700; narrow --param, or say --yes",
        ),
        ((*TREND, "--param", "fast_ma=1:2000:1", "--param", "slow_ma=1:2000:1"), "at most 1,000,000 combinations, found 4,000,000"),
        (("--strategies", "demo_cross_exchange", "--param", "max_notional=1,2", "--fast", "--jobs", "1"), "with a vectorised twin"),
        ((*TREND, *GRID, "--from", "2030-01-01"), "--from: expected a day that is not after --to 2019-12-31, found 2030-01-01"),
        ((*TREND, *GRID, "--to", "2030-01-01"), "--from, --to: expected days of which candles are stored"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(*arguments, "--output", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert line in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out" / "trials").exists()


def test_what_is_done_is_kept_when_a_person_interrupts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = BacktestOptions(strategies=("core_daily_trend",), first=date(2019, 1, 1), last=date(2019, 12, 31), profile="unlimited_research")
    plan = planned(SweepOptions(backtest=days, parameters=("fast_ma=10,20,60", "slow_ma=50,80"), output=tmp_path), {})

    def interrupt(done: int, total: int) -> None:
        assert total == 5
        if done == 3:
            raise KeyboardInterrupt

    with local_executor(1) as executor, pytest.raises(KeyboardInterrupt):
        Sweep(plan, Kept(plan, ManualClock()), executor, 1, interrupt).run()
    assert len(rows(tmp_path)) == 3
    assert document(capsys, *TREND, *GRID, "--output", tmp_path, "--resume")["computed"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal as a terminal does")
def test_ctrl_c_is_one_line_and_code_130(tmp_path: Path) -> None:
    wish = ("--param", "fast_ma=2:40:1", "--param", "slow_ma=41:90:1", "--output", str(tmp_path))
    program = [sys.executable, "-m", "dudzian_daemon", "sweep", *TREND, *wish]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job would have it ignored
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while not (tmp_path / "sweep.json").exists():  # from here on it computes
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (INTERRUPTED, "")
    done = len(rows(tmp_path)) if (tmp_path / "trials").exists() else 0
    kept = f"{done} results of this run are kept in {tmp_path}, go on with --resume --output {tmp_path}"
    assert said == f"dudzian: sweep: interrupted; {kept}\n"
