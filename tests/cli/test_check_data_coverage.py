"""`dudzian check-data-coverage`: what is needed, what is missing, and what to do about it, with the exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.candle_files import path_of
from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.manifest import FILE_NAME
from dudzian_daemon.adapters.venue_gaps import add_venue_gaps
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import DAY_NS, Series
from dudzian_daemon.domain.spans import Span
from tests.unit.app.coverage.real_store import BASKET, CACHE, CONFIG, at, bars

DAYS = Series("binance:BTC/USDT", "1d")
HOURS = Series("binance:BTC/USDT", "1h")
NOW = "2024-06-30T12:00:00Z"


def coverage(data: Path, *options: str, config: Path = CONFIG) -> int:
    try:
        main(["check-data-coverage", "--config", str(config), "--data-dir", str(data), "-e", "binance_paper", *options])
    except SystemExit as stop:
        assert isinstance(stop.code, int | None)
        return stop.code or 0
    return 0


def small_windows(folder: Path, data_quality: str = "") -> Path:
    """The shipped configuration with 40 days of days and 10 of hours to keep, and perhaps limits of the environment's own."""
    shutil.copytree(CONFIG.parent, folder / "config")
    path = folder / "config" / "instruments.yaml"
    path.write_text(path.read_text().replace("lookback_days: 1825", "lookback_days: 40").replace("lookback_days: 730", "lookback_days: 10"))
    core = folder / "config" / "core.yaml"
    mark = "    data_cache_path: var/data/binance_paper\n"
    core.write_text(core.read_text().replace(mark, mark + data_quality))
    return core


def fill(data: Path, base: str) -> None:
    store = ParquetCandleStore(data / CACHE)
    for granularity, lookback in (("1d", 41), ("1h", 11)):
        series = Series(f"binance:{base}/USDT", granularity)
        end = at("2024-06-30T12:00:00") // series.step_ns * series.step_ns
        store.write(series, bars(series, end - lookback * DAY_NS, end), source="binance")


def without_hours(data: Path, *gone: int) -> None:
    """Take hours of BTC out of a filled cache."""
    store = ParquetCandleStore(data / CACHE)
    candles = [each for each in store.read(HOURS, 0, at("2025-01-01T00:00:00")) if each.end - HOURS.step_ns not in gone]
    for month in (5, 6):
        path_of(data / CACHE, (HOURS, 2024, month)).unlink(missing_ok=True)
    store.quarantine_damaged(HOURS)
    store.write(HOURS, candles, source="binance")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return small_windows(tmp_path)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    for base in BASKET:
        fill(folder, base)
    return folder


@pytest.fixture
def data(tmp_path: Path, full: Path) -> Path:
    shutil.copytree(full, tmp_path / "data")
    return tmp_path / "data"


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def entry(report: dict[str, Any], symbol: str, interval: str) -> dict[str, Any]:
    (found,) = [each for each in report["entries"] if (each["symbol"], each["interval"]) == (symbol, interval)]
    return dict(found)


def test_a_full_cache_is_ok(data: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage(data, "--as-of", NOW, "--json", config=config) == 0
    report = document(capsys)
    assert (report["status"], report["issues"], report["threshold_issues"]) == ("ok", [], [])
    assert (report["requirement"], report["as_of"]) == ("backfill_windows", NOW)
    assert report["manifest_path"] == f"{CACHE.as_posix()}/{FILE_NAME}"
    assert (report["summary"]["total"], report["summary"]["ok"], report["summary"]["ok_ratio"]) == (16, 16, 1.0)
    days = entry(report, "BTC_USDT", "1d")
    assert (days["required_rows"], days["row_count"], days["missing_rows"]) == (40, 40, 0)
    assert (days["gap_minutes"], days["threshold_minutes"]) == (36 * 60, 2 * 1440)
    assert days["last_timestamp_iso"] == "2024-06-29T00:00:00Z"
    assert entry(report, "BTC_USDT", "1h")["required_rows"] == 240
    assert set(report["gap_statistics_by_interval"]) == {"1d", "1h"}


def test_a_candle_that_lacks_in_the_middle_is_found_and_can_be_repaired(
    data: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_hours(data, at("2024-06-25T05:00:00"), at("2024-06-25T06:00:00"))
    assert coverage(data, "--as-of", NOW, "--json", config=config) == 1
    report = document(capsys)
    found = entry(report, "BTC_USDT", "1h")
    assert (report["status"], found["status"]) == ("warning", "warning")
    assert found["issues"] == ["manifest_status:gap", "insufficient_rows:238<240"]
    assert found["holes"] == [{"start_iso": "2024-06-25T05:00:00Z", "end_iso": "2024-06-25T07:00:00Z", "rows": 2}]
    assert found["repair"] == "dudzian backfill -e binance_paper --symbol BTC_USDT --granularity 1h --since 2024-06-25"
    assert report["issues"] == [
        "binance:BTC_USDT 1h: manifest_status:gap",
        "binance:BTC_USDT 1h: insufficient_rows:238<240",
    ]
    add_venue_gaps(data / CACHE, {HOURS: [Span(at("2024-06-25T05:00:00"), at("2024-06-25T07:00:00"))]})
    assert coverage(data, "--as-of", NOW, "--json", config=config) == 0
    found = entry(document(capsys), "BTC_USDT", "1h")
    assert (found["venue_gap_rows"], found["required_rows"], found["row_count"]) == (2, 238, 238)


def test_a_month_that_is_gone_or_altered_is_named(data: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path_of(data / CACHE, (DAYS, 2024, 6)).unlink()
    altered = path_of(data / CACHE, (HOURS, 2024, 6))
    altered.write_bytes(altered.read_bytes()[:-1])
    assert coverage(data, "--as-of", NOW, "--json", config=config) == 1
    report = document(capsys)
    assert report["status"] == "error"
    gone, other = entry(report, "BTC_USDT", "1d"), entry(report, "BTC_USDT", "1h")
    assert gone["issues"] == ["manifest_status:damaged", "manifest_status:stale", "insufficient_rows:11<40"]
    assert "the file is gone" in gone["damaged"][0]
    assert str(altered) in other["damaged"][0]
    assert entry(report, "ETH_USDT", "1h")["status"] == "ok"


def test_freshness_is_judged_at_the_time_given(data: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage(data, "--as-of", "2024-07-01T23:59:59Z", "--interval", "1d", config=config) == 1
    assert "manifest_status:stale" in capsys.readouterr().out
    assert coverage(data, "--as-of", "2024-06-30T13:00:00Z", "--interval", "H1", config=config) == 0
    assert coverage(data, "--as-of", "2024-06-30T13:00:01Z", "--interval", "1h", config=config) == 1
    assert coverage(data, "--as-of", "2024-06-29", "--interval", "1d", "--symbol", "BTC_USDT", config=config) == 0


def test_limits_of_the_environment_go_before_those_of_its_profile(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without_hours(data, at("2024-06-25T05:00:00"))
    lax = small_windows(tmp_path / "lax")
    assert coverage(data, "--as-of", NOW, "--json", config=lax) == 1
    assert document(capsys)["threshold_issues"] == []
    strict = small_windows(tmp_path / "strict", "    data_quality: {max_gap_minutes: 30, min_ok_ratio: 0.999}\n")
    assert coverage(data, "--as-of", NOW, "--json", config=strict) == 1
    report = document(capsys)
    assert report["threshold_issues"] == ["max_gap_exceeded:60>30", "ok_ratio_below_threshold:0.9375<0.999"]
    assert (report["status"], entry(report, "BTC_USDT", "1h")["status"]) == ("error", "error")


def test_a_market_that_has_ended_is_not_stale(tmp_path: Path, data: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instruments = config.parent / "instruments.yaml"
    old = 'symbol: LTCUSDT, tick_size: "0.01"'
    assert old in instruments.read_text()
    instruments.write_text(instruments.read_text().replace(old, f"listed_until: 2024-06-30, {old}"))
    assert coverage(data, "--as-of", "2024-07-10", "--symbol", "LTC_USDT", "--interval", "1d", "--json", config=config) == 0
    assert entry(document(capsys), "LTC_USDT", "1d")["required_rows"] == 29


def test_filters_take_every_spelling(data: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--symbol", "BTC_USDT", "--interval", "D1"], ["--symbol", "btcusdt", "--granularity", "1d"]):
        assert coverage(data, "--as-of", NOW, "--json", *options, config=config) == 0
        assert [(each["symbol"], each["interval"]) for each in document(capsys)["entries"]] == [("BTC_USDT", "1d")]
    assert coverage(data, "--as-of", NOW, "--json", "--instrument-bucket", "spot_core_major", config=config) == 0
    assert {each["symbol"] for each in document(capsys)["entries"]} == {"BTC_USDT", "ETH_USDT"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--symbol", "DOGE_USDT"], "unknown instrument 'DOGE_USDT'"),
        (["--interval", "2d"], "expected an interval out of"),
        (["--interval", "4h"], "nothing of that selection is needed"),
        (["--instrument-bucket", "spot"], "unknown instrument bucket 'spot'"),
        (["--as-of", "yesterday"], "--as-of: expected a time such as"),
    ],
)
def test_wrong_names_exit_2_with_one_line(data: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert coverage(data, *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_files_are_written_with_their_folders(data: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, figures = tmp_path / "a" / "b" / "binance_paper.json", tmp_path / "m" / "coverage.prom"
    options = ("--as-of", NOW, "--json", "--output", str(output), "--metrics-file", str(figures))
    assert coverage(data, *options, config=config) == 0
    assert output.read_text() == capsys.readouterr().out
    text = figures.read_text()
    assert 'dudzian_coverage_required_rows{environment="binance_paper",instrument="binance:BTC/USDT",interval="1h"} 240.0' in text
    assert 'dudzian_coverage_entries{environment="binance_paper",status="ok"} 16.0' in text
    if shutil.which("promtool"):
        lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_an_empty_cache_lacks_everything(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage(tmp_path / "nothing", "--json", config=config) == 1
    report = document(capsys)
    assert {tuple(each["issues"][:2]) for each in report["entries"]} == {("manifest_status:missing", "missing_row_count")}
    assert report["summary"]["ok_ratio"] == 0.0


def test_seeded_candles_are_judged_by_their_own_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = ["seed-paper-cache", "--config", str(CONFIG), "--data-dir", str(tmp_path), "--interval", "1d", "--quiet"]
    with pytest.raises(SystemExit):
        main([*seed, "--days", "60", "--start-date", "2024-01-01"])
    assert coverage(tmp_path, "--json") == 0
    report = document(capsys)
    assert (report["requirement"], report["as_of"], report["summary"]["total"]) == ("seeded_window", "2024-03-01T00:00:00Z", 8)
    assert coverage(tmp_path, "--as-of", "2024-02-29") == 0
    assert coverage(tmp_path, "--as-of", "2024-02-10") == 0
    capsys.readouterr()
    assert coverage(tmp_path, "--as-of", "2024-03-31", "--symbol", "BTC_USDT") == 1
    assert "repair: dudzian seed-paper-cache -e binance_paper --granularity 1d --start-date 2024-03-01 --days 31" in capsys.readouterr().out
    path_of(tmp_path / CACHE, (DAYS, 2024, 2)).unlink()
    assert coverage(tmp_path) == 1
    assert "binance:BTC_USDT 1d: manifest_status:damaged" in capsys.readouterr().out
