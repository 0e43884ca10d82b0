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

from dudzian_daemon.cli.main import main

SAMPLE = Path(__file__).parent.parent / "unit" / "config" / "sample"


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
    first = {"file": str(tmp_path / "none.yaml"), "line": 0, "column": 0, "key": "", "message": "no such file"}
    assert document["errors"][0] == first


def test_an_unknown_environment_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--config", str(folder / "core.yaml"), "--environment", "binance_papr")
    assert code == 2
    assert out.splitlines()[0] == "--environment: unknown environment 'binance_papr'; did you mean 'binance_paper'?"


def test_show_origin(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUDZIAN__RUNTIME__METRICS_HTTP__PORT", "9200")
    code, out = run(capsys, "--config", str(folder / "core.yaml"), "--environment", "demo", "--show-origin")
    lines = out.splitlines()
    assert code == 0
    assert "runtime.metrics_http.port = 9200  (env DUDZIAN__RUNTIME__METRICS_HTTP__PORT)" in lines
    assert "runtime.metrics_http.enabled = true  (default)" in lines
    assert f"version = 1  ({folder / 'core.yaml'}:3:10)" in lines
    assert "environments.demo.instrument_universe = []  (default)" in lines
    assert not any(line.startswith("environments.binance_paper") for line in lines)
    _, out = run(capsys, "--config", str(folder / "core.yaml"), "--show-origin", "--json")
    assert {"key": "runtime.metrics_http.host", "value": "127.0.0.1"}.items() <= next(
        entry.items() for entry in json.loads(out)["values"] if entry["key"] == "runtime.metrics_http.host"
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
