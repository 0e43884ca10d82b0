"""What is kept of a core while it is driven: days, cycles, time in the market, costs, and strategies that add up to the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.backtest.run import simulate
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.testing.market import START_NS, Bar, candles, preset, schedule, spec
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window
from tests.unit.trading.desk import BTC, BTC_1H, ETH, ETH_1H, WIDE, Scripted, enter, hour, leave

FEE = Decimal("0.001")
FREE = preset(taker_fee=Decimal(0), slippage_bps=Decimal(0))
COSTLY = preset(taker_fee=FEE, slippage_bps=Decimal(0))


class Shelf:
    """A candle store that is a few lists."""

    def __init__(self, *series: Sequence[Candle]) -> None:
        self._rows = {Series(each[0].instrument, each[0].granularity): each for each in series}

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        return [row for row in self._rows[series] if start <= row.end - series.step_ns and row.end <= end]


def played(
    scripts: Mapping[str, Mapping[int, Sequence[Signal]]],
    *series: Sequence[Candle],
    costs: object = FREE,
    windows: Sequence[tuple[int, int]] = ((START_NS, START_NS + 2 * DAY_NS),),
) -> Performance:
    """A backtest of scripted strategies on BTC and ETH."""
    strategies = {name: Scripted(script) for name, script in scripts.items()}
    plans = [schedule(name, [BTC, ETH]) for name in scripts]
    session = spec(strategies, plans, [BTC, ETH], profiles={"balanced": WIDE}, preset=costs)
    with exact_money():
        core = Core(session)
    needs = {Series(each[0].instrument, each[0].granularity): 1 for each in series}
    return simulate(core, [Window(start, end, needs) for start, end in windows], Shelf(*series))


def hours(bars: Sequence[Bar], series: Series = BTC_1H) -> list[Candle]:
    return candles(series, bars)


def test_the_equity_of_a_day_is_that_of_its_last_close_the_one_at_midnight_included() -> None:
    bars = [100.0] * 23 + [110.0] + [120.0] * 24
    found = played({"a": {hour(1): [enter(target=0.5)]}}, hours(bars))
    assert found.days == [START_NS // DAY_NS, START_NS // DAY_NS + 1]
    assert found.total.daily == [Decimal(10_500), Decimal(11_000)]
    assert found.strategies["a"].daily == found.total.daily


def test_days_in_which_nothing_came_count_too() -> None:
    bars = hours([100.0] * 24 * 4)
    found = played({"a": {}}, [*bars[:20], *bars[-4:]], windows=[(START_NS, START_NS + 4 * DAY_NS)])
    assert len(found.days) == len(found.total.daily) == 4


def test_between_windows_there_is_no_time() -> None:
    found = played(
        {"a": {hour(1): [enter(target=0.5)]}},
        hours([100.0] * 24 * 10),
        windows=[(START_NS, START_NS + DAY_NS), (START_NS + 5 * DAY_NS, START_NS + 6 * DAY_NS)],
    )
    first = START_NS // DAY_NS
    assert found.days == [first, first + 5]
    assert found.elapsed_ns // HOUR_NS == 48
    assert found.total.held_ns // HOUR_NS == 23  # closed at the end of the first window


def test_time_in_the_market_counts_two_positions_at_once_once() -> None:
    btc = {hour(1): [enter(target=0.2)], hour(11): [leave()]}
    eth = {hour(6): [enter(ETH.key, target=0.2)], hour(16): [leave(ETH.key)]}
    found = played({"a": btc, "b": eth}, hours([100.0] * 48), hours([10.0] * 48, ETH_1H))
    assert [account.held_ns // HOUR_NS for account in (found.total, found.strategies["a"], found.strategies["b"])] == [15, 10, 10]


def test_costs_and_turnover_are_those_of_the_fills() -> None:
    found = played(
        {"a": {hour(1): [enter(target=0.5)], hour(2): [leave()]}}, hours([100.0, 100.0, 200.0, 200.0] + [200.0] * 44), costs=COSTLY
    )
    (trip,) = found.trips.done
    traded = trip.quantity * 100 + trip.quantity * 100
    assert trip.quantity == Decimal("50.000")
    assert (found.total.traded, found.total.fees, trip.fees) == (traded, traded * FEE, traded * FEE)
    assert found.total.daily[-1] == 10_000 + trip.profit == 10_000 - trip.fees


def test_what_the_strategies_made_is_what_the_account_made() -> None:
    bars = [100.0 + (number * 37) % 23 for number in range(48)]
    scripts = {
        "a": {hour(2): [enter(target=0.3)], hour(9): [leave()], hour(12): [enter(target=0.2)]},
        "b": {hour(4): [enter(target=0.25)], hour(30): [leave()]},
        "idle": {},
    }
    found = played(scripts, hours(bars), costs=COSTLY)
    assert len(found.strategies["a"].profits) == 2  # the second one was closed at the end of the window
    for day, total in enumerate(found.total.daily):
        assert total - found.opening == sum(account.daily[day] - found.opening for account in found.strategies.values())
    assert found.strategies["idle"].daily == [found.opening] * 2
    for name in ("fees", "traded", "slippage"):
        assert getattr(found.total, name) == sum(getattr(account, name) for account in found.strategies.values())
    assert found.total.daily[-1] - found.opening == sum(found.total.profits)
    assert found.total.fees == sum(trip.fees for trip in found.trips.done)


def test_counts_and_the_curve_of_cycles() -> None:
    found = played({"a": {hour(1): [enter(target=0.5)], hour(3): [enter(BTC.key, target=5.0)]}}, hours([100.0] * 48))
    counts = found.counts
    assert (counts.bars, counts.signals, counts.fills) == (48, 2, 2)
    assert counts.approved + counts.adjusted + counts.refused >= 2
    assert len(found.by_cycle.instants) == len(found.by_cycle.values) == counts.cycles
    assert list(found.by_cycle.instants) == sorted(found.by_cycle.instants)
    assert found.by_cycle.values[-1] == pytest.approx(float(found.total.daily[-1]))
