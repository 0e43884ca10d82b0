"""`dudzian seed-paper-cache`: offline, byte for byte the same in every process, and only where it may write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import DAY_NS, Candle, Series

CONFIG = Path(__file__).resolve().parents[2] / "config"
CACHE = Path("var", "data", "binance_paper")
JANUARY_NS = 1_704_067_200 * 10**9


def seed(data: Path, *options: str) -> int:
    try:
        main(["seed-paper-cache", "--config", str(CONFIG / "core.yaml"), "--data-dir", str(data), *options])
    except SystemExit as stop:
        assert isinstance(stop.code, int | None)
        return stop.code or 0
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def config_with(folder: Path, old: str, new: str) -> Path:
    shutil.copytree(CONFIG, folder / "config")
    core = folder / "config" / "core.yaml"
    text = core.read_text(encoding="utf-8")
    assert old in text
    core.write_text(text.replace(old, new), encoding="utf-8")
    return core


def test_the_runbooks_command_fills_the_cache_of_all_instruments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed(tmp_path, "--environment", "binance_paper", "--days", "60", "--start-date", "2024-01-01") == 0
    assert capsys.readouterr().out.splitlines() == [
        "binance_paper: wrote 480 made-up 1d candles of 8 instruments from 2024-01-01 up to 2024-03-01",
        "binance_paper: wrote 34560 made-up 5m candles of 2 instruments from 2024-01-01 up to 2024-03-01",
        "binance_paper: wrote 34560 made-up 30s candles of 2 instruments from 2024-02-24 up to 2024-03-01 "
        "(cut to the last of 60 days: --max-rows)",
        f"binance_paper: {tmp_path / CACHE}",
    ]
    store = ParquetCandleStore(tmp_path / CACHE)
    days = [series for series in store.series() if series.granularity == "1d"]
    assert (len(days), len(store.series())) == (8, 12)
    for series in days:
        candles = store.read(series, 0, JANUARY_NS + 365 * DAY_NS)
        assert (len(candles), candles[0].end - DAY_NS, candles[-1].end) == (60, JANUARY_NS, JANUARY_NS + 60 * DAY_NS)


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "dudzian_daemon", "seed-paper-cache", "--days", "40", "--max-rows", "3000", "--quiet"]
        command += ["--data-dir", str(tmp_path / hash_seed)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "DUDZIAN_CONFIG": str(CONFIG / "core.yaml")}
        run = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert (run.stdout, run.stderr) == (b"", b"")
    first, second = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert first == second
    assert len(first) == 8 * 2 + 2 * 2 + 2 + 1, "two months of days and of 5m, one of 30s, and the manifest"


def test_a_second_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--days", "5", "--max-rows", "2880")
    seed(tmp_path, *arguments)
    before = contents(tmp_path)
    capsys.readouterr()
    assert seed(tmp_path, *arguments) == 0
    assert "wrote 0 made-up 1d candles" in (out := capsys.readouterr().out)
    assert "40 were there already" in out
    assert contents(tmp_path) == before


def test_json_says_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed(tmp_path, "--environment", "paper", "--days", "2", "--interval", "H1", "--seed", "7", "--json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    series = document.pop("series")
    assert [each["instrument"] for each in series] == [
        f"binance:{base}/USDT" for base in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "LTC", "MATIC")
    ]
    assert series[0] == {
        "instrument": "binance:BTC/USDT",
        "interval": "1h",
        "start": "2024-01-01T00:00:00+00:00",
        "end": "2024-01-03T00:00:00+00:00",
        "added": 48,
        "revised": 0,
        "unchanged": 0,
        "months": 1,
    }
    assert document == {
        "environment": "binance_paper",
        "store": str(tmp_path / CACHE),
        "seed": 7,
        "source": "seeded",
        "dry_run": False,
    }


def test_what_is_written_is_what_the_scheduler_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(tmp_path, "--days", "3", "--max-rows", "2880")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["run", "--dry-run", "--json", "-e", "binance_paper", "--config", str(CONFIG / "core.yaml"), "--data-dir", str(tmp_path)])
    plan = json.loads(capsys.readouterr().out)
    assert (len(plan["schedules"]), plan["without_candles"]) == (4, [])


def test_granularities_may_be_repeated_in_any_spelling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed(tmp_path, "--days", "2", "--granularity", "D1", "--granularity", "4h", "--dry-run") == 0
    assert [line.split(" from ")[0] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        "binance_paper: would write up to 16 made-up 1d candles of 8 instruments",
        "binance_paper: would write up to 96 made-up 4h candles of 8 instruments",
    ]


def test_a_dry_run_writes_nothing_and_quiet_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed(tmp_path, "--dry-run") == 0
    assert "would write up to 480" in capsys.readouterr().out
    assert seed(tmp_path, "--dry-run", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--environment", "demo"], "environment demo cannot be seeded"),
        (["--environment", "nowhere"], "unknown environment 'nowhere'"),
        (["--start-date", "01.02.2024"], "--start-date: expected a day such as 2024-01-01"),
        (["--start-date", "2024-13-01"], "--start-date"),
        (["--start-date", "1969-12-31"], "--start-date"),
        (["--interval", "1w"], "expected an interval out of 30s"),
        (["--days", "0"], "--days"),
        (["--max-rows", "0"], "--max-rows"),
    ],
)
def test_wrong_options_are_named_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert seed(tmp_path, *options) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "exit_code"), [("mode: paper", "mode: live", 7), ("    data_cache_path: var/data/binance_paper\n", "", 2)]
)
def test_live_environments_and_those_without_a_cache_are_refused(tmp_path: Path, old: str, new: str, exit_code: int) -> None:
    config = config_with(tmp_path, old, new)
    assert seed(tmp_path / "data", "--config", str(config)) == exit_code
    assert not (tmp_path / "data").exists()


def test_real_candles_are_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series, end = Series("binance:ETH/USDT", "1h"), JANUARY_NS + DAY_NS
    real = Candle(end, series.instrument, "1h", end, 2300.0, 2301.0, 2299.0, 2300.5, 10.0)
    ParquetCandleStore(tmp_path / CACHE).write(series, [real], source="exchange")
    before = contents(tmp_path)
    assert seed(tmp_path) == 2
    error = capsys.readouterr().err
    assert "holds candles from exchange" in error
    assert "choose another data folder or move this store away" in error
    assert error.count("\n") == 1
    assert contents(tmp_path) == before


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom dudzian_daemon.cli.main import main\n"
        "try:\n    main([sys.argv[1], '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'ccxt', 'pyarrow', 'numpy', 'pandas', 'aiohttp', 'aiosqlite', 'sqlite3'} & set(sys.modules)\nsys.exit(sorted(heavy) or 0)"
    )
    for name in ("seed-paper-cache", "inspect-manifest"):
        run = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, "")
