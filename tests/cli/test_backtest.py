"""`dudzian backtest`: what it says, what it writes, what it refuses, and that its journal is the daemon's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import DEMO_WINDOWS, daemon, report, verdicts, write_config

WEEK = ("--from", "2024-02-01", "--to", "2024-02-07")
#: The same days in the words of the configuration.
WEEK_WINDOW = """        - start: 2024-02-01
          end: 2024-02-08
          instruments: [BTC_USDT, ETH_USDT, SOL_USDT, XRP_USDT, LTC_USDT, MATIC_USDT]"""
TWO_WINDOWS = """        - {start: 2021-01-05, end: 2021-01-20, instruments: [BTC_USDT], granularity: 1d}
        - {start: 2024-02-01, end: 2024-02-04, instruments: [ETH_USDT, LTC_USDT, XRP_USDT]}"""
DEMO = ("core_daily_trend", "demo_cross_exchange", "demo_mean_reversion", "demo_volatility_target")


def backtest(*arguments: object) -> int:
    try:
        main(["backtest", *map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def document(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert backtest("--json", *arguments) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


# -- what it says ------------------------------------------------------------------------------------------------------


def test_without_arguments_all_four_strategies_trade_on_the_demo_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = document(capsys, "--data-dir", tmp_path / "data")
    assert [(window["first"], window["last"]) for window in said["windows"]] == [("2020-10-15", "2021-02-16"), ("2024-01-08", "2024-06-30")]
    closed = {name: sum(trip["strategy"] == name for trip in said["trades"]) for name in DEMO}
    assert all(closed.values()), closed
    assert closed == {name: figures["round_trips"] for name, figures in said["statistics"]["strategies"].items()}
    assert said["open_positions"] == []
    assert said["synthetic"] == ["binance_mirror:ETH/USDT"]
    assert {trip["synthetic"] for trip in said["trades"] if trip["instrument"].startswith("binance_mirror:")} == {True}
    assert not any(trip["synthetic"] for trip in said["trades"] if trip["instrument"].startswith("binance:"))
    assert list(tmp_path.iterdir()) == []  # nothing was asked to be written


def test_the_text_has_every_figure_of_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = document(capsys, *WEEK)
    assert backtest(*WEEK) == 0
    text = capsys.readouterr().out
    total = said["statistics"]["total"]
    rows = {row[0]: row[1] for row in (re.split(r" {2,}", line) for line in text.splitlines()) if len(row) > 2}
    assert rows["closing equity"] == f"{float(total['closing_equity']):,.2f}"
    assert rows["max drawdown"] == f"{total['max_drawdown'] * 100:,.2f} %"
    assert rows["Sharpe"] == f"{total['sharpe']:,.2f}"
    assert rows["round trips"] == f"{total['round_trips']}"
    assert rows["fees"] == f"{float(total['fees']):,.2f}"
    heads = next(line for line in text.splitlines() if line.startswith("amounts in USDT"))
    assert heads.split()[3:] == ["account", *DEMO]
    assert "window        2024-02-01 to 2024-02-07: binance 1d BTC/USDT" in text
    assert "binance_mirror:ETH/USDT: prices of a declared model" in text


def test_a_schedule_that_lacks_history_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    (short,) = document(capsys, *WEEK)["never_warm"]
    assert short == {"schedule": "btc_trend_d1", "series": "binance:BTC/USDT 1d", "needed": 100, "had": 31 + 7}
    assert backtest(*WEEK) == 0
    assert "never warm    btc_trend_d1 decided nothing: expected 100 candles of binance:BTC/USDT 1d, found 38" in capsys.readouterr().out
    assert document(capsys, "--from", "2024-04-09", "--to", "2024-04-10")["never_warm"] == []  # the hundredth day


def test_the_document_names_its_conventions(capsys: pytest.CaptureFixture[str]) -> None:
    conventions = document(capsys, *WEEK, "--strategies", "core_daily_trend")["conventions"]
    assert (conventions["periods_per_year"], conventions["ddof"], conventions["riskless_rate"]) == (365, 1, 0.0)
    assert "/ (n - 1)" in conventions["sharpe"]
    assert "/ n)" in conventions["sortino"]


def test_strategies_may_be_repeated_or_parted_by_commas(capsys: pytest.CaptureFixture[str]) -> None:
    together = document(capsys, *WEEK, "--strategies", "demo_mean_reversion, core_daily_trend")
    assert together == document(capsys, *WEEK, "--strategies", "core_daily_trend", "--strategies", "demo_mean_reversion")
    assert list(together["statistics"]["strategies"]) == ["core_daily_trend", "demo_mean_reversion"]


def test_equity_by_cycle_is_told_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*WEEK, "--strategies", "demo_mean_reversion")
    said = document(capsys, *arguments, "--per-cycle")
    curve = said["equity_by_cycle"]
    assert len(curve["instants"]) == len(curve["equity"]) == said["counts"]["cycles"]
    assert document(capsys, *arguments)["equity_by_cycle"] is None


def test_a_profile_for_research_takes_the_limits_away(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--from", "2024-03-01", "--to", "2024-04-30", "--strategies", "demo_mean_reversion")
    assert "daily_loss_limit" in document(capsys, *arguments)["counts"]["refusal_codes"]
    free = document(capsys, *arguments, "--profile", "unlimited_research")
    assert free["profiles"] == ["manual", "unlimited_research"]
    assert set(free["counts"]["refusal_codes"]) <= {"max_signals"}  # which is the schedule's, not the profile's


# -- what it refuses ---------------------------------------------------------------------------------------------------

STORED = "(2018-01-01 to 2021-02-16, 2024-01-01 to 2024-06-30)"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--strategies", "nope"), f"--strategies: environment 'demo' does not run 'nope'; known: {', '.join(DEMO)}"),
        (("--strategies", "a,core_daily_trend,b"), f"--strategies: environment 'demo' does not run 'a', 'b'; known: {', '.join(DEMO)}"),
        (("--from", "2024-03-02", "--to", "2024-03-01"), "--from: expected a day that is not after --to 2024-03-01, found 2024-03-02"),
        (("--from", "yesterday"), "--from: expected a day such as 2024-01-31, found 'yesterday'"),
        (("--to", "2024-02-30"), "--to: expected a day such as 2024-01-31, found '2024-02-30'"),
        (
            ("--from", "2030-01-01"),
            f"--from, --to: expected days of which candles are stored {STORED}, found 2030-01-01 to 2024-06-30",
        ),
        (
            ("--from", "2024-06-01", "--to", "2024-07-01"),
            f"--from, --to: expected days of which candles are stored {STORED}, found 2024-06-01 to 2024-07-01",
        ),
        (
            ("--from", "2022-01-01", "--to", "2022-12-31"),
            f"--from, --to: expected days of which candles are stored {STORED}, found 2022-01-01 to 2022-12-31",
        ),
        (
            ("--profile", "nope"),
            "unknown risk profile 'nope'; known: conservative, balanced, aggressive, manual, unlimited_research",
        ),
        (
            ("-e", "nope"),
            "unknown environment 'nope'; known: demo, binance_paper, kraken_paper, paper_binance, paper, paper_kraken",
        ),
        (("--per-cycle",), "--per-cycle: expected --json beside it, found none; the tables for people have no row per cycle"),
        (("--plot", "equity.pdf"), "--plot: expected a file that ends in .png or .html, found equity.pdf"),
        (("--plot", "nowhere/equity.png"), "--plot: expected a folder at nowhere, found none; make it first"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest("--data-dir", tmp_path / "data", *arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"dudzian: {line}\n")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_cache_names_the_command_that_fills_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest("-e", "binance_paper", "--data-dir", tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("make some with: dudzian seed-paper-cache --environment binance_paper --days 180\n")


# -- what it writes ----------------------------------------------------------------------------------------------------


def test_plots_are_written_and_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, page = tmp_path / "equity.png", tmp_path / "equity.html"
    for path in (picture, page):
        assert backtest(*WEEK, "--plot", path) == 0
        assert capsys.readouterr().err == f"dudzian: plot written to {path}\n"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    text = page.read_text(encoding="utf-8")
    assert "Backtest of demo, 4 strategies" in text
    assert "demo_volatility_target" in text


@pytest.mark.parametrize(
    ("windows", "chosen", "days"),
    [(TWO_WINDOWS, DEMO, ()), (WEEK_WINDOW, DEMO, WEEK), (TWO_WINDOWS, ("demo_cross_exchange", "demo_mean_reversion"), ())],
    ids=["two windows", "from and to", "two strategies"],
)
@pytest.mark.integration
def test_its_journal_is_intact_and_says_what_the_daemon_s_says(
    windows: str, chosen: tuple[str, ...], days: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    config = write_config(home, windows=(DEMO_WINDOWS, windows), port=("metrics_service: {", "metrics_service: {enabled: false, "))
    _keep_schedules(config, chosen)
    with daemon(home, "--config", config, "--speed", "max") as child:
        assert child.end().code == 0
    live = report(home / "data")

    arguments: tuple[object, ...] = days or ("--config", config)
    if set(chosen) != set(DEMO):
        arguments = ("--config", write_config(tmp_path / "whole", windows=(DEMO_WINDOWS, windows)), "--strategies", ",".join(chosen))
    said = document(capsys, *arguments, "--data-dir", tmp_path / "data", "--journal")
    assert (said["journal"]["content_chain"], said["journal"]["cycles"]) == (live["content_chain"], live["cycles"])
    assert said["counts"]["fills"] == live["fills"] > 0
    assert said["statistics"]["total"]["closing_equity"] == live["closing_equity"]

    with pytest.raises(SystemExit, match="0"):
        main(["verify-decision-log", said["journal"]["folder"]])
    assert verdicts(home)[0].content == said["journal"]["content_chain"]


def _keep_schedules(config: Path, strategies: tuple[str, ...]) -> None:
    """Leave out the demo's other schedules."""
    others = [name for name in DEMO if name not in strategies]
    lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
    start = lines.index("    demo_pipeline:\n")
    end = lines.index("    core_multi_pipeline:\n")
    kept = [line for line in lines[start:end] if not any(f"{{strategy: {name}," in line for name in others)]
    config.write_text("".join([*lines[:start], *kept, *lines[end:]]), encoding="utf-8")
