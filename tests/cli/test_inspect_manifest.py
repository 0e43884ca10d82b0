"""`dudzian inspect-manifest`: what it shows equals the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.candle_files import folder_of
from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.adapters.manifest import FILE_NAME, writing
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import DAY_NS, Candle, Series

CONFIG = Path(__file__).resolve().parents[2] / "config" / "core.yaml"
CACHE = Path("var", "data", "binance_paper")
JANUARY_NS = 1_704_067_200 * 10**9


def inspect(*options: str) -> int:
    try:
        main(["inspect-manifest", "--config", str(CONFIG), *options])
    except SystemExit as stop:
        assert isinstance(stop.code, int | None)
        return stop.code or 0
    return 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = ParquetCandleStore(tmp_path / CACHE)
    for base, granularity, numbers in (("BTC", "1d", range(40)), ("BTC", "1h", [0, 1, 5]), ("ETH", "1d", [3])):
        series = Series(f"binance:{base}/USDT", granularity)
        ends = [JANUARY_NS + (number + 1) * series.step_ns for number in numbers]
        rows = [Candle(end, series.instrument, granularity, end, 10.0, 11.0, 9.0, 10.5, 1.0) for end in ends]
        store.write(series, rows[:1], source="exchange")
        store.write(series, rows[1:], source="backfill")
    return tmp_path


def test_json_equals_the_data(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("--environment", "binance_paper", "--data-dir", str(data), "--json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["environment"], document["manifest_path"]) == ("binance_paper", str(data / CACHE / FILE_NAME))
    assert document["interrupted_files"] == 0
    store = ParquetCandleStore(data / CACHE)
    assert [Series(entry["symbol"], entry["interval"]) for entry in document["entries"]] == store.series()
    for entry, missing, sources in zip(
        document["entries"], [0, 3, 0], [["backfill", "exchange"], ["backfill", "exchange"], ["exchange"]], strict=True
    ):
        series = Series(entry["symbol"], entry["interval"])
        candles = store.read(series, 0, JANUARY_NS + 365 * DAY_NS)
        on_disk = [path.stat().st_size for path in folder_of(data / CACHE, series).rglob("*.parquet")]
        assert (entry["row_count"], entry["missing"], entry["sources"]) == (len(candles), missing, sources)
        assert entry["first_timestamp_ms"] == (candles[0].end - series.step_ns) // 10**6
        assert entry["last_timestamp_ms"] == (candles[-1].end - series.step_ns) // 10**6
        assert (entry["files"], entry["bytes"]) == (len(on_disk), sum(on_disk))
    assert document["entries"][0]["first_timestamp_iso"] == "2024-01-01T00:00:00Z"
    assert document["entries"][0]["last_timestamp_iso"] == "2024-02-09T00:00:00Z"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--symbol", "BTC_USDT"], ["1d", "1h"]),
        (["--symbol", "btcusdt", "--interval", "D1"], ["1d"]),
        (["--symbol", "BTC/USDT", "--symbol", "ETHUSDT", "--interval", "1d"], ["1d", "1d"]),
        (["--interval", "H1", "--interval", "4h"], ["1h"]),
        (["--symbol", "SOL_USDT"], []),
    ],
)
def test_filters_take_every_spelling(data: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: list[str]) -> None:
    assert inspect("--environment", "paper", "--data-dir", str(data), "--json", *options) == 0
    assert [entry["interval"] for entry in json.loads(capsys.readouterr().out)["entries"]] == expected


def test_the_default_environment_shows_the_shipped_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("--data-dir", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert f"{sample_root() / FILE_NAME}: 12 series, 28443 candles" in out
    assert any(line.split()[:4] == ["binance:BTC/USDT", "1d", "1325", "1048"] for line in out.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_cache_says_how_to_fill_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("--environment", "paper", "--data-dir", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "0 series, 0 candles" in out
    assert "dudzian seed-paper-cache" in out


def test_an_interrupted_write_is_shown_and_not_counted(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with writing(data / CACHE) as writer:
        writer.intend(list(writer.manifest.current.values())[:2])
    assert inspect("--environment", "paper", "--data-dir", str(data)) == 0
    out = capsys.readouterr().out
    assert "3 series, 44 candles" in out
    assert "2 month files of an interrupted write" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--symbol", "DOGE_USDT"], "unknown instrument 'DOGE_USDT'"),
        (["--interval", "2d"], "expected an interval out of"),
        (["--environment", "nowhere"], "unknown environment"),
    ],
)
def test_unknown_names_exit_2(data: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert inspect("--data-dir", str(data), *options) == 2
    assert words in capsys.readouterr().err


def test_a_damaged_manifest_exits_1_with_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / CACHE / FILE_NAME).write_bytes(b"rubbish" * 4096)
    assert inspect("--environment", "paper", "--data-dir", str(data)) == 1
    error = capsys.readouterr().err
    assert f"manifest {data / CACHE / FILE_NAME} is not what was written" in error
    assert error.count("\n") == 1


def test_a_series_of_which_only_live_candles_are_stored_is_shown(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, fives = ParquetCandleStore(data / CACHE), Series("binance:BTC/USDT", "5m")
    for number in (1, 2, 4):
        end = JANUARY_NS + number * fives.step_ns
        store.append_live(fives, Candle(end, fives.instrument, "5m", end, 10.0, 11.0, 9.0, 10.5, 1.0), source="exchange")
    assert inspect("--environment", "paper", "--data-dir", str(data), "--json", "--interval", "5m") == 0
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert (entry["row_count"], entry["live_rows"], entry["missing"], entry["sources"]) == (0, 3, 1, ["live"])
    assert (entry["first_timestamp_iso"], entry["last_timestamp_iso"]) == ("2024-01-01T00:00:00Z", "2024-01-01T00:15:00Z")


def test_holes_are_listed_with_live_candles_and_revisions(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, hours = ParquetCandleStore(data / CACHE), Series("binance:BTC/USDT", "1h")
    end = JANUARY_NS + 8 * hours.step_ns
    store.append_live(hours, Candle(end, hours.instrument, "1h", end, 10.0, 11.0, 9.0, 10.5, 1.0), source="exchange")
    first = JANUARY_NS + hours.step_ns
    store.write(hours, [Candle(first, hours.instrument, "1h", first, 10.0, 11.0, 9.0, 10.0, 1.0)], source="exchange")
    assert inspect("--environment", "paper", "--data-dir", str(data), "--json", "--interval", "1h", "--holes") == 0
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert entry["holes"] == [["2024-01-01T02:00:00Z", "2024-01-01T05:00:00Z"], ["2024-01-01T06:00:00Z", "2024-01-01T07:00:00Z"]]
    assert (entry["row_count"], entry["live_rows"], entry["revisions"]) == (3, 1, 1)
    assert inspect("--environment", "paper", "--data-dir", str(data), "--interval", "1h", "--holes") == 0
    assert "binance:BTC/USDT 1h: hole [2024-01-01T02:00:00Z, 2024-01-01T05:00:00Z)" in capsys.readouterr().out
