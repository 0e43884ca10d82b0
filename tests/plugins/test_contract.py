"""The strategy contract, for every file in plugins/strategies: a new plugin is tested without a new test.

The checks are those of `dudzian plugins check`, here on a made-up market with something for every taste (on the shipped
candles in test_contract_sample.py); what they do not ask is asked below.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.domain.market import HOUR_NS, Candle, Instrument
from dudzian_daemon.domain.ports import MarketView, Position, Strategy
from dudzian_daemon.testing.contract import check_strategy
from dudzian_daemon.testing.market import START_NS, candles, instrument, schedule, spec
from tests.plugins.lively import STRETCH, lively
from tests.unit.trading.desk import WIDE, Desk

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "strategies").glob("[!_]*.py"))
COUNT = 8 * STRETCH
CHECKS = ["raises_nothing", "speaks", "deterministic", "causal", "state", "silent", "gap", "warm_up"]

pytestmark = pytest.mark.parametrize("name", NAMES)


def plugin_of(name: str) -> Any:
    """The plugin's class, through the loader that the daemon uses."""
    return load_plugin("strategies", name, [PLUGINS]).plugin


def strategy_of(name: str) -> Strategy:
    """The plugin with the defaults of its parameters."""
    plugin = plugin_of(name)
    strategy: Strategy = plugin(plugin.Params())
    return strategy


def instruments_of(strategy: Strategy) -> list[Instrument]:
    """As many as one unit trades, with ticks and lots fine enough for any price."""
    fine = dict.fromkeys(("tick_size", "lot_size", "min_quantity"), Decimal("1e-12"))
    return [instrument(f"COIN{number}", **fine) for number in range(strategy.legs)]


def desk_of(name: str) -> Desk:
    """A session of one unit of the plugin, so far from every limit that only the plugin speaks."""
    strategy = strategy_of(name)
    traded = instruments_of(strategy)
    plan = schedule("tried", traded, max_signals=100)
    return Desk(spec({"tried": strategy}, [plan], traded, profiles={"balanced": WIDE}, opening_balance=Decimal(10**9), allow_short=True))


def market_of(session: Desk, count: int = COUNT, *, start: int = START_NS, scale: float = 100.0) -> list[Sequence[Candle]]:
    """Candles of every series that the unit declares."""
    (unit,) = session.core.strategies.units["tried"]
    return [lively(need.series, count, start=start, scale=scale) for need in unit.needs]


def warm_up_of(session: Desk) -> int:
    (unit,) = session.core.strategies.units["tried"]
    return max(need.warm_up for need in unit.needs)


# -- the shared checks -------------------------------------------------------------------------------------------------


def test_it_holds_to_the_contract_in_a_lively_market(name: str) -> None:
    strategy = strategy_of(name)
    needs = strategy.series([each.key for each in instruments_of(strategy)], "1h")
    findings = check_strategy(plugin_of(name), None, {need.series: lively(need.series, COUNT) for need in needs})
    assert [(finding.check, finding.ok) for finding in findings] == [(check, True) for check in CHECKS], findings


# -- what they do not ask ----------------------------------------------------------------------------------------------


def test_it_opens_and_closes_positions_in_a_lively_market(name: str) -> None:
    session = desk_of(name)
    session.feed(*market_of(session))
    assert session.faults == []
    assert len(session.fills) >= 2, "the checks prove nothing of a plugin that never trades"


def test_a_decision_does_not_depend_on_which_future_follows(name: str) -> None:
    one, other = desk_of(name), desk_of(name)
    one.feed(*market_of(one))
    cut = warm_up_of(one) + STRETCH
    then = START_NS + cut * HOUR_NS
    crash = [series[cut - 1].close * 0.7**number for series in market_of(other)[:1] for number in range(1, 20)]
    (unit,) = other.core.strategies.units["tried"]
    rows = [[*series[:cut], *candles(need.series, crash, start=then)] for need, series in zip(unit.needs, market_of(other), strict=True)]
    other.feed(*rows)
    assert [signal for signal in other.signals if signal.instant <= then] == [signal for signal in one.signals if signal.instant <= then]


def test_it_says_nothing_to_an_empty_view(name: str) -> None:
    strategy = strategy_of(name)
    positions = {each.key: Position() for each in instruments_of(strategy)}
    assert list(strategy.decide(strategy.new_state(), MarketView(instant=START_NS, candles={}, positions=positions))) == []


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_it_holds_at_any_price(name: str, scale: float) -> None:
    session = desk_of(name)
    session.feed(*market_of(session, scale=scale))
    assert session.faults == []


def test_a_market_that_does_not_move_is_no_fault(name: str) -> None:
    session = desk_of(name)
    (unit,) = session.core.strategies.units["tried"]
    session.feed(*[candles(need.series, [100.0] * (2 * need.warm_up)) for need in unit.needs])
    assert session.faults == []


def test_unknown_parameters_are_refused_and_known_ones_are_frozen(name: str) -> None:
    plugin = plugin_of(name)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_parameter": 1}, plugin.Params)
    assert plugin.Params.__struct_config__.frozen
