"""What an operator does to a running session: orders by hand, cancels, closes, the kill switch, the release of a drawdown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import DAY_NS, MINUTE_NS, Command, Phase, Quote, Tick
from dudzian_daemon.domain.orders import Intent, OrderStatus, Outcome, Protection, RefusalCode, Side, Signal
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.domain.risk import OrderControls, RiskLimits
from dudzian_daemon.testing.market import candles, limits
from tests.unit.trading.desk import BTC, BTC_1H, WIDE, Desk, desk, enter, flat_hours, hour, open_tick

HAND = msgspec.structs.replace(WIDE, name="manual")


def session(
    *said: Signal, manual: RiskLimits = HAND, balanced: RiskLimits = WIDE, prices: list[float] | None = None, **changes: Any
) -> Desk:
    made = desk({hour(1): list(said)}, profiles={"balanced": balanced, "manual": manual}, **changes)
    made.feed(candles(BTC_1H, prices or [100.0, 100.0, 100.0]))
    return made


def place(made: Desk, side: str = "buy", quantity: str = "10", **arguments: str) -> CycleRecord:
    wish: dict[str, Any] = {"instrument": BTC.key, "side": side, "quantity": quantity}
    return made.command("order_place", **wish | arguments)


def print_at(made: Desk, price: float) -> list[CycleRecord]:
    return made.ticks([open_tick(made.driver.last[0] + 1, price)])


def held(made: Desk, strategy: str = "manual") -> Decimal:
    return made.core.ledger.position(strategy, BTC.key)


# -- orders by hand ----------------------------------------------------------------------------------------------------


def test_an_order_by_hand_passes_the_gate_fills_and_is_a_position_of_its_own() -> None:
    made = session(enter(target=0.1))
    record = place(made)
    (verdict,) = record.verdicts
    command = record.inputs[-1]
    assert isinstance(command, Command)
    assert (verdict.profile, verdict.outcome, verdict.signal_id) == ("manual", Outcome.APPROVED, f"manual/{command.id}")
    print_at(made, 100.0)
    assert [held(made), held(made, "told")] == [Decimal(10)] * 2
    assert made.fills[-1].strategy == "manual"


def test_as_shipped_the_manual_profile_refuses_every_opening_order() -> None:
    zeros = {
        name: Decimal(0) for name in ("max_position_pct", "max_leverage", "max_net_exposure", "max_daily_loss_pct", "hard_drawdown_pct")
    }
    made = session(manual=limits("manual", max_open_positions=0, **zeros))
    assert place(made).verdicts[0].code is RefusalCode.POSITION_LIMIT


def test_a_value_buys_what_it_can_at_the_last_price() -> None:
    made = session()
    (verdict,) = place(made, quantity="", value="123.4567", asset="USDT").verdicts
    assert verdict.approved == Decimal("1.234")


def test_a_resting_limit_order_is_cancelled_by_its_id_and_frees_what_it_had_reserved() -> None:
    made = session()
    placed = place(made, kind="limit", limit_price="95")
    order_id = placed.results[0].order_id
    made.command("kill_switch", on="yes")
    record = made.command("order_cancel", order_id=order_id)
    assert [(each.outcome, each.rule, each.approved) for each in record.verdicts] == [(Outcome.APPROVED, "cancel", Decimal(10))]
    assert [(each.status, each.code) for each in record.results] == [(OrderStatus.CANCELLED, "operator")]
    assert made.core.gate.reservations.open == {}
    again = made.command("order_cancel", order_id=order_id)
    assert (again.verdicts[0].code, again.results) == (RefusalCode.UNKNOWN_ORDER, ())


def test_close_cancels_what_rests_and_closes_the_position_even_when_halted() -> None:
    made = session()
    place(made)
    print_at(made, 100.0)
    place(made, "sell", "10", kind="limit", limit_price="105", reduce_only="yes")
    made.command("kill_switch", on="yes")
    record = made.command("order_close", instrument=BTC.key)
    assert [each.status for each in record.results] == [OrderStatus.CANCELLED, OrderStatus.ACCEPTED]
    print_at(made, 100.0)
    assert held(made) == 0


def test_an_operator_may_close_a_strategys_book_and_nobody_elses() -> None:
    made = session(enter(target=0.1))
    place(made)
    print_at(made, 100.0)
    made.command("order_close", instrument=BTC.key, strategy="told")
    print_at(made, 100.0)
    assert [held(made), held(made, "told")] == [Decimal(10), Decimal(0)]
    nothing = made.command("order_close", instrument=BTC.key, strategy="nobody")
    assert nothing.verdicts[0].code is RefusalCode.NO_POSITION


def test_a_bracket_by_hand_ends_with_one_of_its_exits() -> None:
    made = session()
    record = place(made, take_profit="105", stop_loss="95")
    assert [each.status for each in record.results] == [OrderStatus.ACCEPTED] * 3
    print_at(made, 100.0)
    assert made.core.gate.reserved_reducing("manual", BTC.key) == 10
    print_at(made, 94.0)
    print_at(made, 94.0)
    assert held(made) == 0
    assert made.core.execution.open_orders == []
    assert made.core.gate.reservations.open == {}


def test_an_oco_by_hand_exits_a_position_at_one_of_its_two_prices() -> None:
    made = session()
    place(made)
    print_at(made, 100.0)
    record = place(made, "sell", link="oco", limit_price="105", stop_price="95", stop_limit_price="94", reduce_only="yes")
    assert [(each.side, each.terms.kind) for each in record.results if each.terms] == [("sell", "limit"), ("sell", "stop_limit")]
    assert made.core.gate.reserved_reducing("manual", BTC.key) == 10  # the larger of the two, not both
    (done,) = print_at(made, 106.0)
    assert [(each.status, each.code) for each in done.results] == [(OrderStatus.FILLED, None), (OrderStatus.CANCELLED, "oco")]
    assert held(made) == 0
    assert made.core.gate.reservations.open == {}


@pytest.mark.parametrize(
    "wrong", [{"link": "bracket"}, {"link": "oco", "stop_price": "95"}, {"expires_at": "9" * 30, "time_in_force": "gtd"}]
)
def test_what_cannot_be_read_as_an_order_is_refused_on_the_record(wrong: dict[str, str]) -> None:
    (verdict,) = place(session(), **wrong).verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.REFUSED, RefusalCode.INVALID_ORDER)


# -- halted ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "on", "off"),
    [
        ("kill_switch", {"on": "yes"}, {"on": "no"}),
        ("state_unknown", {"reason": "self_check"}, {"on": "no", "operator": "jan", "reason": "seen"}),
    ],
)
def test_what_is_halted_stays_halted_until_an_operator_lifts_it(command: str, on: dict[str, Any], off: dict[str, Any]) -> None:
    made = session()
    (change,) = made.command(command, **on).risk
    assert (change.profile, change.state) == ("*", "halted")
    made.feed(flat_hours(30, start=made.driver.last[0] - made.driver.last[0] % DAY_NS + DAY_NS))
    assert place(made).verdicts[0].outcome is Outcome.REFUSED
    (lifted,) = made.command(command, **off).risk
    assert lifted.state == "active"
    assert place(made).verdicts[0].outcome is Outcome.APPROVED


def test_what_is_unknown_is_known_again_only_on_a_record_that_says_who_and_why() -> None:
    made = session()
    signed: dict[str, Any] = {"on": "no", "operator": "jan", "reason": "books compared"}
    assert [change.rule for change in made.command("state_unknown", **signed).risk] == ["not_unknown"]
    made.command("state_unknown", reason="self_check")
    for missing in ({"operator": " "}, {"reason": ""}):
        (change,) = made.command("state_unknown", **signed | missing).risk
        assert (change.change, change.rule, change.state) == ("release_refused", "unsigned", "halted")
    assert place(made).verdicts[0].code is RefusalCode.STATE_UNKNOWN
    record = made.command("state_unknown", **signed)
    (change,), command = record.risk, record.inputs[-1]
    assert (change.change, change.rule, change.state) == ("released", "self_check", "active")
    assert isinstance(command, Command)
    assert (command.arguments["operator"], command.arguments["reason"]) == ("jan", "books compared")


def test_a_resting_order_that_opens_is_not_taken_by_the_kill_switch_but_no_new_one_comes() -> None:
    made = session()
    place(made, kind="limit", limit_price="95")
    made.command("kill_switch", on="yes")
    assert len(made.core.execution.open_orders) == 1
    assert place(made, quantity="5").verdicts[0].code is RefusalCode.KILL_SWITCH


# -- a drawdown and its release ----------------------------------------------------------------------------------------


FALLEN = limits(max_position_pct=Decimal(1), max_daily_loss_pct=Decimal("0.9"), hard_drawdown_pct=Decimal("0.10"))
RECORD = {"profile": "balanced", "operator": "jan", "reason": "reviewed"}


def fallen() -> Desk:
    return session(enter(target=1.0), balanced=FALLEN, prices=[100.0, 100.0, 89.0, 89.0])


def release(made: Desk, now: int = 0, **changes: str) -> tuple[str, str]:
    (change,) = made.command("release_drawdown", now=now, **RECORD | changes).risk
    return change.change, change.rule


def test_a_drawdown_is_released_when_flat_on_a_later_day_by_a_named_operator_with_a_reason() -> None:
    made = fallen()
    assert held(made, "told") == 0
    assert release(made) == ("release_refused", "same_day")
    made.feed(flat_hours(2, 80.0, start=hour(0, day=1)))
    assert release(made, operator=" ") == ("release_refused", "unsigned")
    assert release(made, reason="") == ("release_refused", "unsigned")
    assert release(made, profile="nobody") == ("release_refused", "not_latched")
    assert release(made) == ("released", "hard_drawdown_pct")
    state = made.core.gate.states["balanced"]
    assert (state.reducing, state.peak_equity) == (False, made.core.ledger.equity)
    assert release(made) == ("release_refused", "not_latched")
    made.feed(flat_hours(2, 80.0, start=hour(3, day=1)))
    assert [change.change for change in made.risk].count("tripped") == 1  # the peak is the equity of the release


def test_a_drawdown_is_not_released_while_a_position_is_open() -> None:
    made = session(enter(target=1.0), balanced=FALLEN, prices=[100.0, 100.0])
    made.command("market", instrument=BTC.key, open="no")  # its closing has to wait
    made.feed(candles(BTC_1H, [89.0, 89.0], start=hour(2)))
    assert held(made, "told") > 0
    assert release(made, now=hour(1, day=1)) == ("release_refused", "not_flat")


# -- closing until flat ------------------------------------------------------------------------------------------------


def quote(made: Desk, bid: float, size: float) -> None:
    """A quote late enough for what we took of the last one to have come back."""
    instant = made.driver.last[0] + MINUTE_NS
    made.ticks([Tick(instant, Phase.QUOTE, (Quote(instant, BTC.key, bid, bid + 0.01, size, size),))])


def test_a_breach_is_closed_in_the_slices_that_the_data_shows_until_flat() -> None:
    rules = limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.9"))
    made = session(enter(target=0.5), balanced=rules, prices=[100.0, 100.0])
    left = []
    for _ in range(9):
        quote(made, 90.0, 10.0)
        left.append(held(made, "told"))
    assert left[0] == 50
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert all(fill.quantity <= 10 for fill in made.fills[1:])
    assert {fill.side for fill in made.fills[1:]} == {Side.SELL}
    ids = [result.order_id for result in made.results if result.status is OrderStatus.ACCEPTED]
    assert len(ids) == len(set(ids))


# -- the catastrophe stop ----------------------------------------------------------------------------------------------


def guarded(pct: str) -> RiskLimits:
    return msgspec.structs.replace(WIDE, catastrophe_stop_pct=Decimal(pct))


@pytest.mark.parametrize(
    ("protection", "closed"),
    [
        (Protection.NONE, True),
        (Protection.ZSCORE_EXIT, True),
        (Protection.REBALANCE, True),
        (Protection.HEDGED, False),
        (Protection.STOP, False),
    ],
)
def test_a_directional_position_without_a_stop_has_a_last_one(protection: Protection, closed: bool) -> None:
    wish = enter(target=0.1, protection=protection, stop_price=90.0, numbers={"atr": 1.0})
    made = session(wish, balanced=guarded("0.2"), prices=[100.0, 100.0, 80.06, 79.9, 79.9])
    met = [change for change in made.risk if change.change == "stop_met"]
    assert [(change.rule, change.limit) for change in met] == ([("catastrophe_stop_pct", Decimal("200.1"))] if closed else [])
    assert (held(made, "told") == 0) is closed


def test_the_next_position_after_a_last_stop_is_a_new_one() -> None:
    rules = limits(
        max_position_pct=Decimal(1),
        catastrophe_stop_pct=Decimal("0.2"),
        hard_drawdown_pct=Decimal("0.9"),
        max_daily_loss_pct=Decimal("0.9"),
    )
    made = desk({hour(1): [enter(target=0.2)], hour(6): [enter(target=0.2)]}, profiles={"balanced": rules})
    made.feed(candles(BTC_1H, [100.0, 100.0, 79.0, 79.0, 79.0, 79.0, 79.0, 79.0, 79.0]))
    assert [fill.side for fill in made.fills] == [Side.BUY, Side.SELL, Side.BUY]
    assert held(made, "told") > 0
    assert made.core.gate.stops.closing == {}
    made.feed(candles(BTC_1H, [60.0, 60.0], start=made.driver.last[0]))
    assert held(made, "told") == 0
    assert [change.change for change in made.risk] == ["stop_met", "stop_met"]


def test_a_short_position_has_it_on_the_other_side() -> None:
    wish = Signal(instrument=BTC.key, intent=Intent.ENTER, reason="told to", target=-0.1)
    made = session(wish, balanced=guarded("0.2"), prices=[100.0, 100.0, 119.0, 121.0, 121.0], allow_short=True)
    assert [change.change for change in made.risk] == ["stop_met"]
    assert held(made, "told") == 0


def test_an_order_that_would_enlarge_the_position_goes_before_it_is_closed() -> None:
    made = session(manual=msgspec.structs.replace(HAND, catastrophe_stop_pct=Decimal("0.05")))
    place(made)
    print_at(made, 100.0)
    place(made, kind="limit", limit_price="91")
    (record,) = print_at(made, 94.0)
    assert [(each.status, each.code) for each in record.results] == [
        (OrderStatus.CANCELLED, "catastrophe_stop"),
        (OrderStatus.ACCEPTED, None),
    ]
    print_at(made, 94.0)
    assert held(made) == 0


# -- repeated executions -----------------------------------------------------------------------------------------------


def test_an_order_is_ended_at_its_last_allowed_fill() -> None:
    made = session(controls=OrderControls(repeated_executions=3))
    place(made, quantity="50", kind="limit", limit_price="101")
    for _ in range(6):
        quote(made, 99.0, 10.0)
    assert len(made.fills) == 3
    assert [(each.status, each.code) for each in made.results][-1] == (OrderStatus.CANCELLED, RefusalCode.REPEATED_EXECUTION)
    assert made.core.gate.reservations.open == {}
