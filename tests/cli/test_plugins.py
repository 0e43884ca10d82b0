"""`dudzian plugins`: from a new strategy to its backtest, and everything a plugin file can have wrong."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dudzian_daemon.app.plugins.template import CONFIGURATION, strategy_source
from dudzian_daemon.cli.main import main
from dudzian_daemon.config.places import bundled


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder, empty and not yet there; nothing of the checkout's configuration in the working folder."""
    monkeypatch.setenv("DUDZIAN_PLUGINS_DIR", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own"


def dudzian(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(ended.value.code or 0)


def write(own: Path, source: str, name: str = "tried") -> Path:
    (own / "strategies").mkdir(parents=True, exist_ok=True, mode=0o755)
    path = own / "strategies" / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    path.chmod(0o644)
    return path


def findings(capsys: pytest.CaptureFixture[str], *names: str, code: int) -> dict[str, dict[str, Any]]:
    """What `plugins check --json` says of one plugin, by check."""
    assert dudzian("plugins", "check", *names, "--json") == code
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["ok"]) == ("dudzian.plugins_check/1", not code)
    return {finding["check"]: finding for finding in document["plugins"][0]["findings"]}


# -- new, check, backtest ----------------------------------------------------------------------------------------------


def test_a_new_strategy_keeps_the_contract_and_trades_in_a_backtest(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dudzian("plugins", "new", "strategy", "above_mean") == 0
    said = capsys.readouterr().out
    path = own / "strategies" / "above_mean.py"
    assert path.read_text(encoding="utf-8") == strategy_source("above_mean")
    assert f"wrote {path}" in said
    assert "dudzian plugins check above_mean" in said
    assert CONFIGURATION.substitute(name="above_mean") in said
    assert "dudzian backtest --strategies above_mean" in said

    assert dudzian("plugins", "check", "above_mean") == 0
    said = capsys.readouterr().out
    assert "FAILED" not in said
    assert {"loads", "deterministic", "causal", "state", "silent", "gap", "warm_up"} <= {
        line.split()[1][:-1] for line in said.splitlines()[1:]
    }

    config = configured(tmp_path, CONFIGURATION.substitute(name="above_mean"))
    window = ("--from", "2024-02-01", "--to", "2024-02-10", "--data-dir", tmp_path / "data", "--config", config)
    assert dudzian("backtest", "--strategies", "above_mean", *window, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["trades"]) > 10
    assert {trade["strategy"] for trade in result["trades"]} == {"above_mean"}


def test_the_howto_leads_from_new_to_backtest(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "write-a-strategy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|yaml|sh)\n(.*?)```", page, flags=re.DOTALL)
    code, snippet = (next(text for kind, text in blocks if kind == wanted) for wanted in ("python", "yaml"))
    assert code == strategy_source("above_mean")
    monkeypatch.setenv("DUDZIAN_CONFIG", str(configured(tmp_path, snippet)))
    monkeypatch.setenv("DUDZIAN_DATA_DIR", str(tmp_path / "data"))
    commands = [line.split()[1:] for kind, text in blocks if kind == "sh" for line in text.splitlines()]
    assert [command[:2] for command in commands[:2]] == [["plugins", "new"], ["plugins", "check"]]
    with restored_signals():
        assert [dudzian(*command) for command in commands] == [0] * len(commands), capsys.readouterr().err


@contextmanager
def restored_signals() -> Iterator[None]:
    """`run` keeps its handlers to the end of the process; this process goes on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def configured(folder: Path, snippet: str) -> Path:
    """The shipped configuration with the lines that `plugins new` told to add."""
    yaml = YAML(typ="safe")
    tree = yaml.load(bundled("config") / "core.yaml")
    merge(tree, yaml.load(snippet))
    (folder / "config" / "credentials").mkdir(parents=True)
    for name in ("instruments.yaml", "credentials/binance_paper.yaml"):
        (folder / "config" / name).write_bytes((bundled("config") / name).read_bytes())
    yaml.dump(tree, folder / "config" / "core.yaml")
    return folder / "config" / "core.yaml"


def merge(tree: dict[str, Any], added: dict[str, Any]) -> None:
    for key, value in added.items():
        if isinstance(tree.get(key), dict) and isinstance(value, dict):
            merge(tree[key], value)
        else:
            tree[key] = value


def test_a_plugin_of_any_kind_is_checked_by_its_name(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "exchanges").mkdir(parents=True, mode=0o755)
    assert dudzian("plugins", "check", "binance", "webhook", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(each["kind"], each["name"], each["ok"]) for each in document["plugins"]] == [
        ("exchanges", "binance", True),
        ("alerts", "webhook", True),
    ]
    source = (bundled("plugins") / "exchanges" / "binance.py").read_text(encoding="utf-8")
    path = own / "exchanges" / "mine.py"
    path.write_text(source.replace("    def source", "    def create_order(self):\n        return 1\n\n    def source"), encoding="utf-8")
    path.chmod(0o644)
    assert "create_order: expected market data only" in findings(capsys, "mine", code=1)["loads"]["detail"]


def test_new_never_writes_over_a_file(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(own, "mine\n")
    assert dudzian("plugins", "new", "strategy", "tried") == 2
    assert capsys.readouterr().err == f"dudzian: there is a strategy 'tried' already: {path} (user); choose another name\n"
    assert path.read_text() == "mine\n"
    assert dudzian("plugins", "new", "strategy", "daily_trend") == 2
    assert "there is a strategy 'daily_trend' already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Above", "9lives", "a-b", "../up", "class", ""])
def test_a_name_that_is_none(own: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert dudzian("plugins", "new", "strategy", name) == 2
    said = capsys.readouterr().err
    assert said == f"dudzian: expected a name of small letters, digits and _ that begins with a letter, found {name!r}\n"
    assert not own.exists()


def test_only_strategies_are_written(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dudzian("plugins", "new", "exchange", "mine") == 2
    assert capsys.readouterr().err == "dudzian: expected what to write to be strategy, found 'exchange'\n"


# -- list --------------------------------------------------------------------------------------------------------------


def test_the_list_names_every_file_and_runs_none(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(own, "raise AssertionError('it was run')\nPLUGIN = 1\n")
    broken = write(own, "def broken(:\n", "broken")
    twin = write(own, "PLUGIN = 1\n", "daily_trend")
    empty = write(own, "x = 1\n", "empty")
    bad = write(own, "PLUGIN = 1\n", "Bad-Name")
    assert dudzian("plugins", "list", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "dudzian.plugins/1"
    listed = {each["path"]: (each["name"], each["origin"], each["problem"]) for each in document["plugins"]}
    assert listed[str(path)] == ("tried", "user", "")
    assert listed[str(broken)] == ("broken", "user", f"{broken}:1: invalid syntax")
    assert listed[str(empty)] == ("empty", "user", f"{empty}: no `PLUGIN = <its class>`")
    assert listed[str(twin)][2].endswith(f"; rename {twin}, and `plugin:` in the configuration where it is meant")
    name, _origin, problem = listed[str(bad)]
    assert (name, problem.partition(" (")[0]) == ("Bad-Name", "expected a name in lower_snake_case")
    assert problem.endswith("found 'Bad-Name'; rename the file to bad_name.py")
    bundled_path = str(bundled("plugins") / "strategies" / "mean_reversion.py")
    assert listed[bundled_path] == ("mean_reversion", "bundled", "")
    assert dudzian("plugins", "list") == 0
    assert f"\n  {broken}:1: invalid syntax\n" in capsys.readouterr().out


# -- check: what does not hold -----------------------------------------------------------------------------------------

PEEKS = (
    strategy_source("tried")
    .replace(
        "        state.close = candle.close\n",
        "        state.close = candle.close\n        SEEN.append(candle.close)\n",
    )
    .replace(
        "        if mean is None or",
        "        if mean is None or len(SEEN) % 7 == 0 or",
    )
    .replace("PLUGIN =", "SEEN: list[float] = []\nPLUGIN =")
)
RAISES = strategy_source("tried").replace(
    "        state.mean.push(candle.close)\n",
    "        if candle.end == 1704574800000000000:\n            raise KeyError('here')\n        state.mean.push(candle.close)\n",
)


def test_what_remembers_outside_its_state_is_named(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(own, PEEKS)
    found = findings(capsys, "tried", code=1)
    assert not found["deterministic"]["ok"]


def test_what_raises_is_named_with_its_candle(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(own, RAISES)
    assert dudzian("plugins", "check", "tried") == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "FAILED" in line)
    assert "on_candle: KeyError: 'here'" in line
    assert "[candle that ends 2024-01-06 21:00:00 UTC]" in line


def test_what_a_plugin_prints_is_no_part_of_the_answer(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push = "        state.mean.push(candle.close)\n"
    write(own, strategy_source("tried").replace(push, f"{push}        print('seen', candle.close, sep=': ')\n") + "\nprint('loaded')\n")
    assert dudzian("plugins", "check", "tried", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["ok"]
    assert told.err.startswith("loaded\nseen: ")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def broken(:\n", "tried.py:1: invalid syntax"),
        ("x = 1\n", "found no PLUGIN"),
        (
            strategy_source("tried").replace("def on_gap", "def on_gaps"),
            "on_gap: expected a method (self, state, series, start, end), found none",
        ),
    ],
)
def test_what_does_not_load_is_a_finding_and_harms_no_other(own: Path, capsys: pytest.CaptureFixture[str], source: str, said: str) -> None:
    write(own, source)
    write(own, strategy_source("sound"), "sound")
    assert dudzian("plugins", "check", "tried", "sound", "--json") == 1
    tried, sound = json.loads(capsys.readouterr().out)["plugins"]
    (finding,) = tried["findings"]
    assert (finding["check"], finding["ok"], said in finding["detail"], "\n" in finding["detail"]) == ("loads", False, True, False)
    assert sound["ok"]


def test_parameters_of_the_configuration_are_tried(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(own, strategy_source("tried"))
    for window, ok in ((30, True), (1, False)):
        snippet = CONFIGURATION.substitute(name="tried").replace("window: 20", f"window: {window}")
        config = configured(tmp_path / str(window), snippet)
        assert dudzian("plugins", "check", "tried", "--config", config, "--json") == int(not ok)
        (report,) = json.loads(capsys.readouterr().out)["plugins"]
        assert (report["parameters"], report["ok"]) == ({"window": window}, ok)
        last = report["findings"][-1]
        assert ok or (last["check"] == "parameters" and "Expected `int` >= 2" in last["detail"])


def test_a_strategy_of_days_is_tried_on_days(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuses = (
        "        if granularity != '1d':\n            raise ValueError(f'expected 1d, found {granularity}')\n        return (SeriesNeed"
    )
    write(own, strategy_source("tried").replace("        return (SeriesNeed", refuses))
    found = findings(capsys, "tried", code=0)
    assert "(1d: 20 candles)" in found["silent"]["detail"]


def test_a_plugin_that_is_not_there(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.mkdir()
    assert dudzian("plugins", "check", "daly_trend") == 2
    assert capsys.readouterr().err.endswith("; did you mean 'daily_trend'?\n")


def test_a_folder_that_is_not_there(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("list",), ("check",)):
        assert dudzian("plugins", *command) == 2
        assert capsys.readouterr().err.startswith("dudzian: --plugins-dir: expected a folder with strategies")
