"""`dudzian validate-config`: what it prints and how it exits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dudzian_daemon.app.plugins.template import strategy_source
from dudzian_daemon.cli.main import main

SAMPLE = Path(__file__).parent.parent / "unit" / "config" / "sample"

REFUSED = "{lookbak: 96, entry_zscore: -1.9, max_holding_period: true}"
BUNDLED = Path(__file__).parents[2] / "config" / "core.yaml"
SECOND = "{strategy: core_daily_trend, instrument_bucket: demo_btc, interval: 1d, cadence_seconds: 86400, risk_profile: balanced}"
MISSING = "no such file; expected the main configuration file, named by --config or DUDZIAN_CONFIG"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "config"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str]:
    with pytest.raises(SystemExit) as ended:
        main(["validate-config", *arguments])
    return ended.value.code, capsys.readouterr().out


def test_a_valid_configuration_is_told_in_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--config", str(folder / "core.yaml"))
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"valid: {folder / 'core.yaml'}, {folder / 'instruments.yaml'}")
    assert lines[1] == "environment demo (default): mode=demo exchange=binance risk_profile=balanced scheduler=demo_pipeline"
    assert lines[3].startswith("environment kraken_paper, paper_kraken (disabled): mode=paper")


def test_an_invalid_one_is_told_with_place_and_suggestion_and_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_file = folder / "core.yaml"
    text = main_file.read_text(encoding="utf-8").replace("    risk_profile: balanced\n", "    risk_profil: balanced\n", 1)
    main_file.write_text(text, encoding="utf-8")
    code, out = run(capsys, "--config", str(main_file))
    assert code == 2
    assert out.splitlines() == [
        f"{main_file}:7:3 environments.demo.risk_profile: missing; this key is required",
        f"{main_file}:13:5 environments.demo.risk_profil: unknown key; did you mean 'risk_profile'?",
        "invalid: 2 problems",
    ]


def change(folder: Path, *pairs: tuple[str, str]) -> Path:
    """The main file with texts exchanged."""
    path = folder / "core.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def told(out: str) -> list[str]:
    """What the lines say behind the name and place of a file."""
    return [line.partition(" strategies.")[2] for line in out.splitlines()[:-1]]


def test_parameters_that_a_plugin_does_not_take_are_told_all_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_file = change(
        folder,
        ("fast_ma: 25", "fast_ma: 125"),
        ("min_momentum: 0.001", "min_momentum: lots"),
        ("strategies:\n", f"strategies:\n  first: {{plugin: mean_reversion, parameters: {REFUSED}}}\n"),
    )
    code, out = run(capsys, "--config", str(main_file))
    assert (code, out.splitlines()[-1]) == (2, "invalid: 5 problems")
    assert told(out) == [
        "first.parameters.lookbak: unknown parameter; did you mean 'lookback'?",
        "first.parameters.entry_zscore: expected a number > 0.0, found -1.9",
        "first.parameters.max_holding_period: expected a whole number, found True",
        "core_daily_trend.parameters.fast_ma: expected fast_ma < slow_ma, found 125 >= 100",
        "core_daily_trend.parameters.min_momentum: expected a number, found 'lots'",
    ]
    number = next(number for number, line in enumerate(main_file.read_text().splitlines(), start=1) if "min_momentum: lots" in line)
    assert out.splitlines()[4].startswith(f"{main_file}:{number}:")


def test_a_plugin_of_ones_own_is_looked_at_too(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own" / "strategies").mkdir(parents=True, mode=0o755)
    path = tmp_path / "own" / "strategies" / "above_mean.py"
    path.write_text(strategy_source("above_mean"), encoding="utf-8")
    path.chmod(0o644)
    main_file = change(folder, ("strategies:\n", "strategies:\n  mine: {plugin: above_mean, parameters: {window: 1}}\n"))
    code, out = run(capsys, "--config", str(main_file), "--plugins-dir", str(tmp_path / "own"))
    assert (code, told(out)) == (2, ["mine.parameters.window: expected a whole number >= 2, found 1"])


@pytest.mark.parametrize("used", [False, True])
def test_a_plugin_that_is_not_there_is_an_error_where_it_would_run(folder: Path, capsys: pytest.CaptureFixture[str], used: bool) -> None:
    main_file = change(folder, ("strategies:\n", "strategies:\n  mine: {plugin: daly_trend}\n"))
    if used:
        change(folder, ("{strategy: core_daily_trend,", "{strategy: mine,"))
    code, out = run(capsys, "--config", str(main_file))
    line = next(line for line in out.splitlines() if "strategies.mine.plugin" in line)
    assert "plugin strategies/daly_trend: no such file in" in line and line.endswith("did you mean 'daily_trend'?")
    assert (code, line.startswith("warning: ")) == ((2, False) if used else (0, True))


VENUES = "venues: [binance, binance_mirror]"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (VENUES, "venues: [binance, nowhere]", "unknown venue of ETH_USDT 'nowhere'; known: binance"),
        (VENUES, "venues: [binance]", "trades 2 instrument(s) together, found 1 venue(s)"),
        ("      schedules:\n", f"      schedules:\n        second: {SECOND}\n", "both run strategy 'core_daily_trend' on binance:BTC/USDT"),
    ],
    ids=["unknown venue", "too few legs", "two owners of a position"],
)
def test_what_would_keep_a_session_from_starting_is_no_valid_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    path = folder / "core.yaml"
    path.write_text(BUNDLED.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    code, out = run(capsys, "--config", str(path))
    assert code == 2
    assert ["environments.demo.scheduler: " in out, said in out, out.splitlines()[-1]] == [True, True, "invalid: 1 problem"]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ("binance:BTC/USDT", True),  # not of its bucket, but of the configuration: a filter
        ("binance_mirror:ETH/USDT", True),
        ("binance:BTCUSDT", False),
        ("nowhere:BTC/USDT", False),
        ("binance:DOGE/USDT", False),
        ("BTC", False),
    ],
)
def test_a_strategy_that_would_wait_for_ever_for_candles_that_nobody_has(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: str, fits: bool
) -> None:
    plugin = tmp_path / "own" / "strategies" / "filtered.py"
    plugin.parent.mkdir(parents=True)
    need = "SeriesNeed(Series(instruments[0], granularity), self.params.window)"
    other = f'SeriesNeed(Series("{wanted}", granularity), 1)'
    plugin.write_text(strategy_source("filtered").replace(f"({need},)", f"({need}, {other})"), encoding="utf-8")
    plugin.chmod(0o644)
    schedule = "{strategy: filtered, instrument_bucket: demo_pair, interval: 1h, cadence_seconds: 3600, risk_profile: balanced}"
    text = BUNDLED.read_text(encoding="utf-8").replace("      schedules:\n", f"      schedules:\n        mine: {schedule}\n", 1)
    path = folder / "core.yaml"
    path.write_text(text.replace("strategies:\n", "strategies:\n  filtered: {plugin: filtered}\n", 1), encoding="utf-8")
    code, out = run(capsys, "--config", str(path), "--plugins-dir", str(tmp_path / "own"))
    assert code == (0 if fits else 2), out
    assert fits or f"strategy 'filtered' needs candles of '{wanted}'; expected venue:BASE/QUOTE" in out


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--config", str(folder / "core.yaml"), "--environment", "paper", "--json")
    document = json.loads(out)
    assert (code, document["valid"], document["errors"], document["warnings"]) == (0, True, [], [])
    assert [file["path"] for file in document["files"]][:2] == [str(folder / "core.yaml"), str(folder / "instruments.yaml")]
    (environment,) = document["environments"]
    assert (environment["name"], environment["risk_profile"], environment["default"]) == ("binance_paper", "balanced", False)
    assert environment["default_strategy"] == "core_daily_trend" and environment["default_controller"] == "daily_trend_core"


def test_json_of_an_invalid_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--config", str(tmp_path / "none.yaml"), "--json")
    document = json.loads(out)
    assert (code, document["valid"]) == (2, False)
    first = {"file": str(tmp_path / "none.yaml"), "line": 0, "column": 0, "key": "", "message": MISSING}
    assert document["errors"] == [first]


def test_an_unknown_environment_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--config", str(folder / "core.yaml"), "--environment", "binance_papr")
    assert code == 2
    assert out.splitlines()[0] == "--environment: unknown environment 'binance_papr'; did you mean 'binance_paper'?"


def test_show_origin(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUDZIAN__RUNTIME__METRICS_SERVICE__PORT", "9200")
    code, out = run(capsys, "--config", str(folder / "core.yaml"), "--environment", "demo", "--show-origin")
    lines = out.splitlines()
    assert code == 0
    assert "runtime.metrics_service.port = 9200  (env DUDZIAN__RUNTIME__METRICS_SERVICE__PORT)" in lines
    assert "runtime.metrics_service.enabled = true  (default)" in lines
    assert f"version = 1  ({folder / 'core.yaml'}:3:10)" in lines
    assert "environments.demo.instrument_universe = []  (default)" in lines
    assert not any(line.startswith("environments.binance_paper") for line in lines)
    _, out = run(capsys, "--config", str(folder / "core.yaml"), "--show-origin", "--json")
    assert {"key": "runtime.metrics_service.host", "value": "127.0.0.1"}.items() <= next(
        entry.items() for entry in json.loads(out)["values"] if entry["key"] == "runtime.metrics_service.host"
    )


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--schema")
    assert code == 0
    Draft202012Validator.check_schema(json.loads(out))


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--help")
    assert code == 0
    assert all(word in out for word in ("--config", "--json", "--show-origin", "--schema", "Examples"))


def test_it_loads_nothing_heavy(folder: Path) -> None:
    script = (
        "import sys\nfrom dudzian_daemon.cli.main import main\n"
        f"try:\n    main(['validate-config', '--config', {str(folder / 'core.yaml')!r}])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'ccxt', 'pyarrow', 'numpy', 'pandas', 'aiohttp', 'keyring', 'jsonschema'} & set(sys.modules)\n"
        "sys.stderr.write(','.join(sorted(heavy)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
