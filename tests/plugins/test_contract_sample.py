"""The shared contract checks on the shipped candles, the crash of March 2020 among them, for every file in plugins/strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.testing.contract import check_strategy
from tests.plugins.shipped import instant, shipped_for

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "strategies").glob("[!_]*.py"))
#: With its defaults the reversion finds 2020 too wild for an entry.
BRAVE = {"mean_reversion": {"lookback": 20, "volatility_cap": 0.08}}


@pytest.mark.parametrize(
    ("granularity", "start", "end", "parameters"),
    [("1d", "2018-01-01", "2021-02-17", {}), ("1d", "2019-11-15", "2020-06-01", BRAVE), ("1h", "2024-03-01", "2024-04-01", {})],
    ids=["three years", "march 2020", "by the hour"],
)
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_to_the_contract_on_the_shipped_candles(name: str, granularity: str, start: str, end: str, parameters: Any) -> None:
    plugin: Any = load_plugin("strategies", name, [PLUGINS]).plugin
    findings = {
        each.check: each for each in check_strategy(plugin, parameters.get(name), shipped_for(plugin.legs, granularity, start, end))
    }
    assert [each for each in findings.values() if not each.ok] == []
    assert len(findings) == 8
    spoken = findings["speaks"].at
    assert spoken is not None, "the other checks prove nothing of a plugin that never speaks"
    assert instant(start) < spoken <= instant(end)
    assert findings["warm_up"].detail == "a longer history changes nothing"
