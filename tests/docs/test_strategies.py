"""docs/reference/strategies.md says of the bundled strategies what their files say."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.domain.market import Series
from dudzian_daemon.domain.orders import Intent, Signal
from dudzian_daemon.testing.market import instrument
from dudzian_daemon.testing.trial import Trial
from tests.plugins.lively import lively

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "strategies.md").read_text(encoding="utf-8")
NAMES = sorted(path.stem for path in (ROOT / "plugins" / "strategies").glob("[!_]*.py"))
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def plugin_of(name: str) -> Any:
    return load_plugin("strategies", name, [ROOT / "plugins"]).plugin


def section(name: str) -> str:
    """The page from the heading to the next one."""
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_bundled_strategy_has_its_section() -> None:
    headings = re.findall(r"^## (\w+)$", PAGE, flags=re.MULTILINE)
    assert sorted(headings) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_parameters_ranges_and_defaults_are_those_of_the_code(name: str) -> None:
    params = plugin_of(name).Params
    schema = msgspec.json.schema(params)["$defs"][params.__name__]["properties"]
    expected = {
        field: (", ".join(f"{sign} {rule[bound]}" for bound, sign in BOUNDS.items() if bound in rule) or "any", str(rule["default"]))
        for field, rule in schema.items()
    }
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", section(name), flags=re.MULTILINE)
    assert {field: (bounds, default) for field, bounds, default in rows} == expected


#: Beside the defaults, parameters with which every reason to leave comes up.
TRIED: dict[str, tuple[dict[str, Any], ...]] = {
    "daily_trend": (
        {"fast_ma": 5, "slow_ma": 20, "atr_multiplier": 50.0},
        {"breakout_lookback": 3, "atr_multiplier": 50.0},
    ),
    "mean_reversion": (
        {"max_holding_period": 400},
        {"lookback": 6, "exit_zscore": 0.01, "volatility_cap": 0.006, "max_holding_period": 90},
    ),
}


def spoken(name: str) -> list[Signal]:
    """What the strategy says in a lively market."""
    maker = plugin_of(name)
    rows = {(series := Series(instrument(f"COIN{leg}").key, "1h")): lively(series, 640) for leg in range(maker.legs)}
    traded = [series.instrument for series in rows]
    makers = [partial(maker, maker.Params(**parameters)) for parameters in ({}, *TRIED.get(name, ()))]
    return [said for make in makers for said in Trial(make, traded, "1h").play(rows).signals]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_and_recorded_is_documented(name: str) -> None:
    documented = set(re.findall(r"`(\w+)`", section(name)))
    signals = spoken(name)
    reasons = {signal.reason.removeprefix("close_") for signal in signals}
    assert reasons <= documented
    assert {key for signal in signals for key in signal.numbers} <= documented
    assert {signal.protection.value for signal in signals} <= documented
    told = set(re.findall(r"^\| (?:enter|exit|rebalance)[^|]*\| `(\w+)` \|", section(name), flags=re.MULTILINE))
    assert told <= reasons, "a reason that is never given"
    assert {Intent.EXIT, Intent.REBALANCE} & {signal.intent for signal in signals}


def test_the_example_of_the_volatility_target_is_right() -> None:
    annual = Decimal("0.02") * Decimal(365).sqrt()
    assert f"{annual * 100:.0f} % a year" in section("volatility_target")
    assert f"asks for {Decimal('0.10') / annual:.2f} of the budget" in section("volatility_target")
