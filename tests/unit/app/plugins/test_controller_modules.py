"""Modules of `--pipeline-module` and `--realtime-module`: they supply signals, and nothing behind the gate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dudzian_daemon.app.plugins.controller_modules import controllers_of
from dudzian_daemon.domain.errors import PluginError
from tests.unit.app.plugins.test_plugins import GOOD

KNOWN = ["core_daily_trend", "core_mean_reversion"]
SUPPLIES = GOOD.replace("PLUGIN = Example", "CONTROLLERS = {'core_daily_trend': Example}")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """Makes a module importable; returns its file."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        path.chmod(0o644)
        return path

    tmp_path.chmod(0o755)
    yield make
    for name in [name for name in sys.modules if name.startswith("dudzian_plugins.controllers.")]:
        del sys.modules[name]


def test_a_module_supplies_who_makes_the_signals_of_a_strategy(module: Callable[[str, str], Path]) -> None:
    path = module("tried_one", SUPPLIES)
    supplied = controllers_of(["tried_one"], KNOWN)
    assert list(supplied) == ["core_daily_trend"]
    source = supplied["core_daily_trend"]
    assert (source.kind, source.name, source.path, source.source) == ("controllers", "tried_one", path, path.read_bytes())


def test_the_earlier_module_has_it_the_later_one_fills_up(module: Callable[[str, str], Path]) -> None:
    module("tried_one", SUPPLIES)
    module(
        "tried_two",
        SUPPLIES.replace("{'core_daily_trend': Example}", "dict.fromkeys(('core_daily_trend', 'core_mean_reversion'), Example)"),
    )
    supplied = controllers_of(["tried_one", "tried_two"], KNOWN)
    assert {strategy: source.name for strategy, source in supplied.items()} == {
        "core_daily_trend": "tried_one",
        "core_mean_reversion": "tried_two",
    }


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            SUPPLIES + "class ThresholdRiskEngine:\n    pass\n",
            "supplies ThresholdRiskEngine: a module may supply signals, nothing behind the gate",
        ),
        (SUPPLIES + "class Ledger:\n    pass\n", "supplies Ledger: a module may supply signals, nothing behind the gate"),
        (
            SUPPLIES.replace("'core_daily_trend'", "'core_daly_trend'"),
            "unknown strategy 'core_daly_trend'; did you mean 'core_daily_trend'?",
        ),
        (SUPPLIES.replace("'core_daily_trend'", "'zzz'"), "unknown strategy 'zzz'; known: core_daily_trend, core_mean_reversion"),
        (
            SUPPLIES.replace("def decide", "def decided"),
            "CONTROLLERS['core_daily_trend']: decide: expected a method (self, state, view), found none",
        ),
        ("CONTROLLERS = [1]\n", "expected CONTROLLERS = {strategy name: class}, found [1]"),
        ("x = (\n", "tried_one.py:1: '(' was never closed"),
    ],
)
def test_what_a_module_may_not_supply(module: Callable[[str, str], Path], source: str, said: str) -> None:
    module("tried_one", source)
    with pytest.raises(PluginError) as caught:
        controllers_of(["tried_one"], KNOWN)
    assert str(caught.value).startswith("plugin controllers/tried_one: ")
    assert said in str(caught.value)
    assert "dudzian_plugins.controllers.tried_one" not in sys.modules


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my/signals.py", "expected the name of an importable module such as my_signals.daily, not a path"),
        ("..signals", "expected the name of an importable module such as my_signals.daily, not a path"),
        ("tried_nowhere", "there is no Python file of that name to import"),
        ("tried_nowhere.signals", "ModuleNotFoundError: No module named 'tried_nowhere'"),
        ("itertools", "there is no Python file of that name to import"),
    ],
)
def test_only_importable_names(name: str, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        controllers_of([name], KNOWN)
    assert str(caught.value) == f"controller module {name!r}: {said}"
