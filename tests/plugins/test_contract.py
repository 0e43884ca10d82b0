"""The strategy contract, for every file in plugins/strategies: a new plugin is tested without a new test."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.app.plugins import load_plugin
from dudzian_daemon.domain.market import HOUR_NS, Candle, Gap, Instrument, Phase, Tick
from dudzian_daemon.domain.ports import MarketView, Position, Strategy
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.market import START_NS, candles, instrument, schedule, spec
from dudzian_daemon.trading.timeline import candle_ticks
from tests.plugins.lively import STRETCH, lively
from tests.unit.trading.desk import WIDE, Desk

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "strategies").glob("[!_]*.py"))
COUNT = 8 * STRETCH

pytestmark = pytest.mark.parametrize("name", NAMES)


def strategy_of(name: str) -> Strategy:
    """The plugin with the defaults of its parameters, through the loader that the daemon uses."""
    plugin: Any = load_plugin("strategies", name, [PLUGINS]).plugin
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


def encoded(records: Sequence[CycleRecord]) -> bytes:
    return msgspec.json.encode(records)


def test_it_has_something_to_say_in_a_lively_market_and_raises_nothing(name: str) -> None:
    session = desk_of(name)
    session.feed(*market_of(session))
    assert session.faults == []
    assert len(session.fills) >= 2, "the checks below prove nothing of a plugin that never speaks"


def test_the_same_candles_give_the_same_records(name: str) -> None:
    runs = []
    for _ in range(2):
        session = desk_of(name)
        session.feed(*market_of(session))
        runs.append(encoded(session.records))
    assert runs[0] == runs[1]


def test_a_decision_is_unchanged_when_later_candles_are_cut(name: str) -> None:
    whole = desk_of(name)
    whole.feed(*market_of(whole))
    for cut in range(warm_up_of(whole), COUNT, 97):
        shorter = desk_of(name)
        shorter.feed(*[series[:cut] for series in market_of(shorter)])
        last = shorter.records[-1].instant
        assert shorter.signals == [signal for signal in whole.signals if signal.instant <= last]


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


def test_saving_and_loading_its_state_at_every_input_changes_nothing(name: str) -> None:
    kept, moved = desk_of(name), desk_of(name)
    kept.feed(*market_of(kept))
    (unit,) = moved.core.strategies.units["tried"]
    rows = {need.series: series for need, series in zip(unit.needs, market_of(moved), strict=True)}
    for tick in candle_ticks(rows, moved.core.execution_series):
        unit.state = msgspec.json.decode(msgspec.json.encode(unit.state), type=type(unit.state))
        moved.ticks([tick])
    assert encoded(moved.records) == encoded(kept.records)


def test_it_is_silent_before_it_is_warm(name: str) -> None:
    session = desk_of(name)
    session.feed(*market_of(session))
    assert min(signal.instant for signal in session.signals) >= START_NS + warm_up_of(session) * HOUR_NS


def test_it_says_nothing_to_an_empty_view(name: str) -> None:
    strategy = strategy_of(name)
    positions = {each.key: Position() for each in instruments_of(strategy)}
    assert list(strategy.decide(strategy.new_state(), MarketView(instant=START_NS, candles={}, positions=positions))) == []


def test_it_survives_a_gap(name: str) -> None:
    session = desk_of(name)
    half, hole = COUNT // 2, 30
    session.feed(*[series[:half] for series in market_of(session)])
    again = START_NS + (half + hole) * HOUR_NS
    (unit,) = session.core.strategies.units["tried"]
    gaps = [Gap(again, need.series.instrument, need.series.granularity, again - hole * HOUR_NS, again) for need in unit.needs]
    session.ticks([Tick(again, Phase.REVISION, tuple(gaps))])
    session.feed(*market_of(session, start=again))
    assert session.faults == []
    if unit.strategy.on_gap(unit.strategy.new_state(), unit.needs[0].series, 0, 1):
        later = [signal.instant for signal in session.signals if signal.instant > again]
        assert later
        assert min(later) >= again + warm_up_of(session) * HOUR_NS


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
    plugin: Any = load_plugin("strategies", name, [PLUGINS]).plugin
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_parameter": 1}, plugin.Params)
    assert plugin.Params.__struct_config__.frozen
