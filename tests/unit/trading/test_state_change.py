"""What of a session's state carries over to another spec, and what has no home there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from dudzian_daemon.domain.fees import MODEL
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Side, Signal
from dudzian_daemon.testing.market import candles, limits, preset, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.state import SessionState
from dudzian_daemon.trading.state_change import adapted, homeless
from dudzian_daemon.trading.step import Core
from tests.unit.trading.desk import BTC, BTC_1H, ETH, ETH_1H, WIDE, Desk, Scripted, enter, flat_hours, hour, leave


def made(*strategies: str, instruments: Any = (BTC, ETH), granularity: str = "1h", **changes: Any) -> SessionSpec:
    plans = [schedule(name, instruments, granularity=granularity, **changes) for name in strategies]
    profiles = {"balanced": WIDE, "other": limits("other")}
    script = {hour(1): [enter(target=0.5)]}
    return spec({name: Scripted(script) for name in strategies}, plans, instruments, profiles=profiles)


def played() -> SessionState:
    """`told` holds 50 BTC and has an order of ETH that found no price; the kill switch is on; the market has fallen."""
    script = {hour(1): [enter(target=0.5)], hour(2): [enter(ETH.key)]}
    desk = Desk(spec({"told": Scripted(script)}, [schedule("told", [BTC, ETH])], [BTC, ETH], profiles={"balanced": WIDE}))
    desk.feed(candles(BTC_1H, [100.0, 100.0, 90.0]), flat_hours(2, 10.0, series=ETH_1H))
    desk.command("kill_switch", on="yes")
    return desk.driver.export()


def told(state: SessionState, session: SessionSpec, *anew: str) -> Core:
    with exact_money():
        driver = Driver(Core(session))
        adapted(driver, state, anew)
    return driver.core


def test_a_position_or_order_without_a_schedule_or_instrument_is_named() -> None:
    state = played()
    assert homeless(state, made("told")) == []
    assert homeless(state, made("told", instruments=(BTC,))) == [f"told {ETH.key}"]
    assert homeless(state, made("another")) == [f"told {BTC.key}", f"told {ETH.key}"]


def test_books_orders_switches_and_what_strategies_know_stay() -> None:
    state = played()
    core = told(state, made("told", "another"))
    assert core.ledger.position("told", BTC.key) == 50
    assert [order.instrument for order in core.execution.open_orders] == [ETH.key]
    assert core.gate.kill_switch
    assert (core.sequence, core.scheduler.export()["told"]) == (state.core.sequence, state.core.schedules["told"])
    unit, _ = core.strategies.units["told"]
    assert unit.warm
    assert unit.state.ends == [hour(1), hour(2), hour(3)]  # type: ignore[attr-defined] # the desk's own State


def test_a_strategy_that_begins_anew_keeps_its_position_facts_only() -> None:
    core = told(played(), made("told"), "told")
    unit, _ = core.strategies.units["told"]
    assert (unit.warm, unit.latest, unit.fresh) == (False, {}, False)
    assert unit.positions[BTC.key].quantity == 50.0


def test_so_does_one_that_takes_other_series() -> None:
    unit, _ = told(played(), made("told", granularity="1d")).strategies.units["told"]
    assert not unit.warm
    assert unit.positions[BTC.key].quantity == 50.0


def test_a_profile_that_is_new_measures_its_losses_from_now() -> None:
    core = told(played(), made("told", profile="other"))
    assert core.ledger.equity < Decimal(9_600)
    assert core.gate.states["other"].start_of_day_equity == core.ledger.equity
    assert core.gate.states["balanced"].peak_equity >= Decimal(9_990)


# -- presets -----------------------------------------------------------------------------------------------------------


DEARER = preset(name="dearer", slippage_bps=Decimal(50), memory_ns=0, latency_ns=1)


def under_another_preset(*script: tuple[int, Signal]) -> Desk:
    """What `played` left goes on under dearer fills; the kill switch is off."""
    session = msgspec.structs.replace(made("told"), preset=DEARER, strategies={"told": Scripted({at: [said] for at, said in script})})
    desk = Desk(session)
    with exact_money():
        adapted(desk.driver, played(), ())
    desk.command("kill_switch", on="no")
    return desk


def test_what_is_held_or_ordered_fills_by_the_preset_it_was_opened_under_until_it_is_flat() -> None:
    desk = under_another_preset((hour(4), leave()), (hour(6), enter(target=0.1)))
    desk.feed(flat_hours(8, 100.0, start=hour(3)))
    assert [(fill.side, fill.preset, fill.slippage) for fill in desk.fills] == [
        (Side.SELL, "candle_default", Decimal("0.05")),
        (Side.BUY, "dearer", Decimal("0.50")),
    ]
    desk.feed(flat_hours(2, 10.0, start=hour(12), series=ETH_1H))
    assert [(fill.instrument, fill.preset) for fill in desk.fills[2:]] == [(ETH.key, "candle_default")]


def test_what_is_pinned_stays_so_over_the_next_change_and_a_restart() -> None:
    desk = under_another_preset()
    state = desk.driver.export()
    assert set(state.core.venue.pinned) == {f"told {BTC.key}", f"told {ETH.key}"}
    again = msgspec.json.decode(msgspec.json.encode(state), type=SessionState)
    third = told(again, msgspec.structs.replace(made("told"), preset=preset(name="third")))
    assert {each.name for each in third.execution.export().pinned.values()} == {"candle_default"}
    back = told(again, made("told"))
    assert back.execution.export().pinned == {}


def test_a_position_whose_model_of_fills_this_version_has_not_is_named() -> None:
    state = played()
    venue = msgspec.structs.replace(state.core.venue, preset=preset(model=MODEL + 1))
    newer = msgspec.structs.replace(state, core=msgspec.structs.replace(state.core, venue=venue))
    assert homeless(newer, made("told")) == [f"told {BTC.key}", f"told {ETH.key}"]
