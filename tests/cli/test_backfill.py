"""`dudzian backfill` from the command line: plans, copies from another store, a log, and one line for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.candle_files import path_of
from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import Series
from tests.unit.app.coverage.real_store import CACHE, CONFIG, at, bars

DAYS = Series("binance:BTC/USDT", "1d")
OPTIONS = ("--symbol", "BTC_USDT", "--granularity", "1d")
#: Days that no clock adds to.
YEAR = (*OPTIONS, "--date-window", "2024-01-01:2024-12-31")


def backfill(data: Path, *options: str) -> int:
    try:
        main(["backfill", "--config", str(CONFIG), "--data-dir", str(data), "-e", "paper", *options])
    except SystemExit as stop:
        assert isinstance(stop.code, int | None)
        return stop.code or 0
    return 0


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another store with the days of BTC of that year."""
    store = ParquetCandleStore(tmp_path / "other")
    store.write(DAYS, bars(DAYS, at("2024-01-01T00:00:00"), at("2025-01-01T00:00:00")), source="binance")
    return store.root


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_plan_asks_nobody_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backfill(tmp_path / "data", "--plan-only", *OPTIONS, "--date-window", "2024-01-01:2024-02-15") == 0
    assert capsys.readouterr().out.splitlines() == [
        "binance:BTC_USDT 1d: 46 candles to fetch in 1 hole, 0 are there",
        "binance_paper: 46 candles to fetch (plan only)",
    ]
    assert not (tmp_path / "data").exists()


def test_from_another_store_and_again_without_a_request(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    options = ("--from-store", str(other), *YEAR)
    assert backfill(data, *options, "--json") == 0
    (series,) = document(capsys)["series"]
    assert (series["status"], series["left_rows"]) == ("complete", 0)
    copy, source = ParquetCandleStore(data / CACHE), ParquetCandleStore(other)
    assert copy.read(DAYS, 0, 2**62) == source.read(DAYS, 0, 2**62)
    before = files(data / CACHE)
    assert backfill(data, *options) == 0
    assert capsys.readouterr().out.splitlines() == [
        "binance:BTC_USDT 1d: up to date, 0 added",
        "binance_paper: 0 candles added with 0 requests",
    ]
    assert files(data / CACHE) == before
    log = [json.loads(line) for line in (data / "logs" / "backfill.log").read_text().splitlines()]
    assert [line["event"] for line in log] == ["backfill begins", "series done", "backfill begins"]
    assert log[1]["series"] == "binance:BTC/USDT 1d"


def test_a_store_that_lacks_bars_says_nothing_of_the_venue(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--from-store", str(other), *OPTIONS, "--date-window", "2023-12-01:2024-12-31", "--json")
    assert backfill(tmp_path / "data", *options) == 0
    (series,) = document(capsys)["series"]
    assert (series["status"], series["left_rows"], series["venue_gap_rows"]) == ("incomplete", 31, 0)
    assert not (tmp_path / "data" / CACHE / "venue_gaps.json").exists()


def test_damage_is_moved_away_and_mended(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    options = ("--from-store", str(other), *YEAR)
    assert backfill(data, *options) == 0
    path = path_of(data / CACHE, (DAYS, 2024, 3))
    good = path.read_bytes()
    path.write_bytes(good[:100] + bytes([good[100] ^ 4]) + good[101:])
    capsys.readouterr()
    assert backfill(data, *options) == 0
    out = capsys.readouterr().out
    assert f"damaged, moved to {data / CACHE / '_quarantine'}" in out
    assert "31 added" in out
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--since", "2999-01-01"], "--since: expected a first day that has begun, found '2999-01-01'"),
        (["--date-window", "2999-01-01:2999-02-01"], "--date-window: expected a first day that has begun, found '2999-01-01:2999-02-01'"),
        (["--since", "yesterday"], "--since: expected a day such as 2016-01-01"),
        (["--date-window", "2024-02-01:2024-01-01"], "--date-window: expected a START that is not after END"),
        (["--date-window", "2024"], "--date-window: expected START:END"),
        (["--date-window", "2024-01-01:2024-01-02", "--since", "2024-01-01"], "expected --since or --date-window, found both"),
        (["--granularity", "2d"], "expected an interval out of"),
        (["--granularity", "15m"], "expected --since for 15m"),
        (["--symbol", "DOGE_USDT"], "unknown instrument 'DOGE_USDT'"),
        (["-e", "demo"], "environment demo reads the shipped sample"),
        (["-e", "nowhere"], "unknown environment 'nowhere'"),
        (["--throttle-seconds", "-1"], "--throttle-seconds"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert backfill(tmp_path / "data", *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "data" / CACHE).exists()


@pytest.mark.parametrize(
    ("make", "words"), [(lambda _path: None, "found no ohlcv_manifest.sqlite"), (Path.mkdir, "found no ohlcv_manifest.sqlite")]
)
def test_a_source_that_is_no_store_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / "nothing")
    assert backfill(tmp_path / "data", "--from-store", str(tmp_path / "nothing"), *YEAR) == 2
    assert words in capsys.readouterr().err


def test_real_candles_never_join_seeded_ones(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["seed-paper-cache", "--config", str(CONFIG), "--data-dir", str(tmp_path), "--interval", "1d", "--days", "3", "--quiet"])
    assert backfill(tmp_path, "--from-store", str(other), *YEAR) == 2
    assert "seeded and real candles never share a store" in capsys.readouterr().err
    seeded = tmp_path / CACHE
    assert backfill(tmp_path / "data", "--from-store", str(seeded), *YEAR) == 2
    assert "expected candles of a venue, found seeded ones" in capsys.readouterr().err


def test_at_the_end_it_says_what_is_stored_if_asked(tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--from-store", str(other), *YEAR)
    assert backfill(tmp_path / "data", *options, "--manifest-report-format", "table") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 series, " in lines[2]
    assert lines[4].split()[:2] == ["binance:BTC/USDT", "1d"]
    assert backfill(tmp_path / "data", *options, "--json", "--manifest-report-format", "json") == 0
    (entry,) = document(capsys)["manifest"]["entries"]
    assert (entry["first_timestamp_iso"], entry["missing"]) == ("2024-01-01T00:00:00Z", 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--refresh-seconds", "60", "--json"), "--refresh-seconds: expected a backfill that goes on, found --json beside it"),
        (("--json", "--manifest-report-format", "table"), "--manifest-report-format: expected json or none beside --json, found table"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert backfill(tmp_path / "data", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
