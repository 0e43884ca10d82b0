"""Trips, resets and releases over random days, against a small reference that keeps whole histories."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import RefusalCode
from dudzian_daemon.domain.risk import TradingState
from dudzian_daemon.testing.market import START_NS, limits
from tests.unit.trading.gate import Account

TODAY = START_NS // DAY_NS


class Step(NamedTuple):
    """An hour: where equity goes, whether anything is held, what an operator does."""

    equity: int
    flat: bool
    releases: bool


STEPS = st.lists(st.builds(Step, st.integers(8_500, 11_500), st.booleans(), st.booleans()), min_size=1, max_size=40)


class Reference:
    """Two per cent a day, eight from the peak; remembers only what the rule speaks of."""

    def __init__(self) -> None:
        self.base = self.peak = 10_000
        self.blocked_day: int | None = None
        self.latched_day: int | None = None

    def mark(self, day: int, equity: int) -> None:
        self.peak = max(self.peak, equity)
        if self.blocked_day is None and equity < self.base and (self.base - equity) * 50 >= self.base:
            self.blocked_day = day
        if self.latched_day is None and equity < self.peak and (self.peak - equity) * 100 >= self.peak * 8:
            self.latched_day = day

    def roll(self, day: int, equity: int, flat: bool) -> None:
        self.base = equity
        if self.blocked_day is not None and self.blocked_day < day and flat:
            self.blocked_day = None

    def release(self, day: int, equity: int, flat: bool) -> None:
        if self.latched_day is not None and flat and day > self.latched_day:
            self.latched_day, self.peak = None, equity

    @property
    def blocked(self) -> bool:
        return self.blocked_day is not None or self.latched_day is not None


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_a_profile_reduces_exactly_while_the_rule_says_so(steps: list[Step]) -> None:
    rules = limits(max_daily_loss_pct=Decimal("0.02"), hard_drawdown_pct=Decimal("0.08"))
    with exact_money():
        gate, reference = Account(rules).gate, Reference()
        gate.roll_day(TODAY, Decimal(10_000), exposed=())
        day = TODAY
        for number, step in enumerate(steps):
            instant = START_NS + number * 6 * HOUR_NS
            if instant // DAY_NS > day:
                day = instant // DAY_NS
                gate.roll_day(day, Decimal(step.equity), exposed=() if step.flat else {"balanced"})
                reference.roll(day, step.equity, step.flat)
            changes = gate.judge_equity(instant, Decimal(step.equity))
            before = reference.blocked_day, reference.latched_day
            reference.mark(day, step.equity)
            assert len(changes) == sum(old != new for old, new in zip(before, (reference.blocked_day, reference.latched_day), strict=True))
            if step.releases:
                gate.release_drawdown("balanced", instant, Decimal(step.equity), flat=step.flat, signed=True)
                reference.release(day, step.equity, step.flat)
            assert (gate.state("balanced") is TradingState.REDUCING) == reference.blocked


def test_the_profile_of_orders_by_hand_trips_in_silence_until_it_is_used() -> None:
    with exact_money():
        account = Account(limits(), limits("manual", max_daily_loss_pct=Decimal("0.001")))
        assert account.gate.judge_equity(START_NS, Decimal(9_980)) == []
        assert account.gate.state("manual") is TradingState.REDUCING
        assert account.buy("1", strategy="manual", profile="manual").code is RefusalCode.DAILY_LOSS_LIMIT
        used = Account(limits(), limits("manual", max_daily_loss_pct=Decimal("0.001")))
        used.hold("1", "100", strategy="manual")
        assert [change.profile for change in used.gate.judge_equity(START_NS, Decimal(9_980))] == ["manual"]


def test_switches_are_told_with_what_they_are_about() -> None:
    gate = Account(limits()).gate
    told = gate.set_unknown("self_check")
    assert (told.profile, told.change, told.state, told.rule) == ("*", "state_unknown", TradingState.HALTED, "self_check")
    closed = gate.set_market("binance:BTC/USDT", is_open=False, instant=START_NS)
    assert (closed.change, closed.rule) == ("market_closed", "binance:BTC/USDT")
    assert gate.closed_markets == {"binance:BTC/USDT": START_NS}
    opened = gate.set_market("binance:BTC/USDT", is_open=True, instant=START_NS + 1)
    assert (opened.change, opened.rule, gate.closed_markets) == ("market_open", "binance:BTC/USDT", {})
    assert gate.set_market("binance:ETH/USDT", is_open=True, instant=START_NS).change == "market_open"  # it was open
    switched = gate.set_kill_switch(True)
    assert (switched.profile, switched.change, switched.state, switched.rule) == ("*", "kill_switch", TradingState.HALTED, "kill_switch")
    refused = gate.release_drawdown("balanced", START_NS, Decimal(1), flat=True, signed=True)
    assert (refused.profile, refused.change, refused.rule) == ("balanced", "release_refused", "not_latched")
