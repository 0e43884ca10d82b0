"""Whatever a plugin raises or returns is a recorded fault and costs nobody else anything; positions are the core's own facts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import HOUR_NS, Candle, Gap, Phase, Series, Tick, WarmUp
from dudzian_daemon.domain.orders import Intent, OrderStatus, RefusalCode, Side, Signal
from dudzian_daemon.domain.ports import MarketView, Position
from dudzian_daemon.domain.records import StrategyChange
from dudzian_daemon.testing.market import START_NS, Bar, candles, instrument, schedule, spec
from tests.unit.trading.desk import (
    BTC,
    BTC_1D,
    BTC_1H,
    ETH,
    ETH_1H,
    WIDE,
    Desk,
    Scripted,
    Seen,
    close_tick,
    desk,
    enter,
    flat_hours,
    hour,
    leave,
    open_tick,
)

ENTRY_AT = hour(2)


class Rubbish(Scripted):
    """Returns whatever it is given, from every decision."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        super().__init__()
        self.answer = answer

    def decide(self, state: Seen, view: MarketView) -> Sequence[Signal]:
        answer: Sequence[Signal] = self.answer()
        return answer


def beside(bad: Scripted) -> Desk:
    """The bad strategy on BTC, and a good one on ETH that enters at `ENTRY_AT`, both in the same ticks."""
    good = Scripted({ENTRY_AT: [enter(ETH.key)]})
    plans = [schedule("bad", [BTC], priority=1), schedule("good", [ETH])]
    return Desk(spec({"bad": bad, "good": good}, plans, [BTC, ETH], profiles={"balanced": WIDE}, quarantine_after=1000))


def play(session: Desk) -> Desk:
    session.feed(flat_hours(4), flat_hours(4, 10.0, series=ETH_1H))
    return session


def raising() -> Any:
    raise RuntimeError("the plugin is broken")


def leaving() -> Any:
    raise SystemExit(3)


def recursing() -> Any:
    return recursing()


def endless() -> Iterator[Signal]:
    return itertools.repeat(enter())


def loosely(**fields: Any) -> Signal:
    """A signal whose fields nobody has checked."""
    return msgspec.structs.replace(enter(), **fields)


RUBBISH: dict[str, Callable[[], Any]] = {
    "raises": raising,
    "ends the process": leaving,
    "recurses": recursing,
    "None": lambda: None,
    "a number": lambda: 7,
    "a text": lambda: "buy",
    "a lonely signal": enter,
    "a list of dicts": lambda: [{"instrument": BTC.key}],
    "an unknown instrument": lambda: [enter("binance:DOGE/USDT")],
    "an instrument of another unit": lambda: [enter(ETH.key)],
    "a confidence of 2": lambda: [enter(confidence=2.0)],
    "a confidence below 0": lambda: [enter(confidence=-0.1)],
    "no confidence": lambda: [loosely(confidence=None)],
    "a confidence that is no number": lambda: [enter(confidence=math.nan)],
    "an infinite target": lambda: [enter(target=math.inf)],
    "a target of 1e308": lambda: [enter(target=1e308)],
    "a target of -1e308": lambda: [enter(target=-1e308)],
    "a target of text": lambda: [loosely(target="all")],
    "a stop that is no number": lambda: [enter(stop_price=math.nan)],
    "a number behind it that is none": lambda: [enter(numbers={"sma": math.nan})],
    "numbers that are no dict": lambda: [loosely(numbers=[1.0])],
    "an intent of text": lambda: [loosely(intent="enter")],
    "a reason that is no text": lambda: [loosely(reason=3)],
    "a reason that no journal can hold": lambda: [loosely(reason="\ud800")],
    "a reason as long as a book": lambda: [enter(reason="x" * 20_000)],
    "ten thousand numbers behind it": lambda: [enter(numbers={str(number): 1.0 for number in range(10_000)})],
    "a reason of an unknown class": lambda: [loosely(reason=object())],
    "a protection of text": lambda: [loosely(protection="hope")],
    "ten thousand signals": lambda: [enter()] * 10_000,
    "signals without end": endless,
    "one good and one bad": lambda: [enter(), enter(confidence=2.0)],
}


@pytest.mark.parametrize("answer", RUBBISH.values(), ids=RUBBISH.keys())
def test_rubbish_is_a_fault_on_record_and_the_others_trade_on(answer: Callable[[], Any]) -> None:
    clean, session = play(beside(Scripted())), play(beside(Rubbish(answer)))
    assert [(fault.strategy, fault.unit, fault.where) for fault in session.faults] == [("bad", "bad[binance:BTC/USDT]", "decide")] * 4
    assert all(fault.error for fault in session.faults)
    assert [signal.strategy for signal in session.signals] == ["good"]
    assert session.fills == clean.fills
    assert session.core.ledger.equity == clean.core.ledger.equity
    assert msgspec.json.encode(session.records)


@pytest.mark.parametrize("extreme", [1e308, -1e308, 5e-324, -0.0])
def test_extreme_but_true_numbers_behind_a_signal_are_recorded_as_they_are(extreme: float) -> None:
    session = desk(strategy=Rubbish(lambda: [enter(stop_price=extreme, numbers={"x": extreme})]))
    session.feed(flat_hours(1))
    assert session.faults == []
    assert [(signal.stop_price, signal.numbers) for signal in session.signals] == [(extreme, {"x": extreme})]


@pytest.mark.parametrize("target", [1000.0, -1000.0, 5e-324])
def test_the_largest_and_smallest_targets_are_judged(target: float) -> None:
    session = desk(strategy=Rubbish(lambda: [enter(target=target)]))
    session.feed(flat_hours(1))
    assert session.faults == []
    assert len(session.verdicts) == 1


class Scribbler(Scripted):
    """Changes everything it is shown, and the signal it has given away."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = {"x": 1.0}

    def decide(self, state: Seen, view: MarketView) -> Sequence[Signal]:
        view.positions[BTC.key] = Position(quantity=99.0)
        view.positions.pop(BTC.key)
        view.candles.clear()
        self.numbers["x"] += 1.0
        return [enter(numbers=self.numbers)] if view.instant == hour(1) else []


def test_what_a_plugin_does_to_its_view_or_its_signal_changes_nothing_of_ours() -> None:
    session = desk(strategy=Scribbler())
    session.feed(flat_hours(4))
    assert session.faults == []
    assert len(session.fills) == 1
    assert session.signals[0].numbers == {"x": 2.0}
    (unit,) = session.core.strategies.units["told"]
    assert unit.positions[BTC.key].quantity == float(session.fills[0].quantity)
    assert set(unit.latest) == {BTC_1H}


class Breaking(Scripted):
    """Raises where it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.born = False

    def new_state(self) -> Seen:
        if self.where == "new_state" and self.born:
            raising()
        self.born = True
        return Seen()

    def on_candle(self, state: Seen, candle: Candle) -> None:
        if self.where == "on_candle":
            raising()

    def on_gap(self, state: Seen, series: Series, start: int, end: int) -> bool:
        if self.where == "on_gap":
            raising()
        return True


@pytest.mark.parametrize("where", ["on_candle", "on_gap", "new_state"])
def test_a_fault_in_any_method_is_fenced(where: str) -> None:
    session = beside(Breaking(where))
    session.ticks([Tick(START_NS, Phase.REVISION, (Gap(START_NS, BTC.key, "1h", START_NS - HOUR_NS, START_NS),))])
    play(session)
    assert {(fault.strategy, fault.where, fault.error) for fault in session.faults} == {("bad", where, "RuntimeError")}
    assert [fill.strategy for fill in session.fills] == ["good"]


def test_a_strategy_with_too_many_faults_is_quarantined_and_its_position_closed() -> None:
    class Failing(Scripted):
        def decide(self, state: Seen, view: MarketView) -> Sequence[Signal]:
            self.views.append(view)
            return [enter()] if len(self.views) == 1 else raising()

    bad, good = Failing(), Scripted({hour(8): [enter(ETH.key)]})
    session = Desk(
        spec({"bad": bad, "good": good}, [schedule("bad", [BTC]), schedule("good", [ETH])], [BTC, ETH], profiles={"balanced": WIDE})
    )
    session.feed(flat_hours(9), flat_hours(9, 10.0, series=ETH_1H))
    changes = [(record.instant, change) for record in session.records for change in record.strategies]
    assert changes == [(hour(4), StrategyChange(strategy="bad", change="quarantined", reason="faults"))]
    assert len(session.faults) == 3
    assert [(fill.strategy, fill.side) for fill in session.fills] == [("bad", Side.BUY), ("bad", Side.SELL), ("good", Side.BUY)]


class Counted(Breaking):
    """Counts the calls of its code in which it raises."""

    calls = 0

    def on_candle(self, state: Seen, candle: Candle) -> None:
        self.calls += 1
        super().on_candle(state, candle)


def test_a_warm_up_is_broken_off_at_the_fault_that_quarantines() -> None:
    bad = Counted("on_candle")
    plans = [schedule("bad", [BTC, ETH]), schedule("good", [ETH])]
    good = Scripted({hour(1): [enter(ETH.key)]}, warm_up=3)
    session = Desk(spec({"bad": bad, "good": good}, plans, [BTC, ETH], profiles={"balanced": WIDE}))
    history = {series.instrument: candles(series, [10.0] * 50, start=hour(-50)) for series in (BTC_1H, ETH_1H)}
    warm = tuple(WarmUp(START_NS, key, "1h", hour(-50), START_NS, 50, key) for key in history)
    (record,) = session.ticks([Tick(START_NS, Phase.REVISION, warm, history)])
    assert (bad.calls, [fault.where for fault in record.faults]) == (3, ["on_candle"] * 3)
    assert record.strategies == (StrategyChange(strategy="bad", change="quarantined", reason="faults"),)
    session.feed(flat_hours(2), flat_hours(2, 10.0, series=ETH_1H))
    assert bad.calls == len(session.faults) == 3
    assert [fill.strategy for fill in session.fills] == ["good"]


def test_within_one_tick_too_the_last_fault_is_the_last_call() -> None:
    pairs = [instrument(f"C{number}") for number in range(5)]
    bad = Rubbish(raising)
    session = Desk(spec({"bad": bad}, [schedule("bad", pairs)], pairs, profiles={"balanced": WIDE}, quarantine_after=4))
    session.feed(*[candles(Series(pair.key, "1h"), [10.0]) for pair in pairs])
    assert [fault.unit for fault in session.faults] == [f"bad[{pair.key}]" for pair in pairs[:4]]
    assert [change.change for record in session.records for change in record.strategies] == ["quarantined"]


def test_a_quarantined_strategy_is_not_told_of_gaps_nor_made_anew() -> None:
    session = beside(Breaking("on_gap"))
    session.command("quarantine", now=START_NS - 1, strategy="bad")
    session.ticks([Tick(START_NS, Phase.REVISION, (Gap(START_NS, BTC.key, "1h", START_NS - HOUR_NS, START_NS),))])
    assert session.faults == []


def test_one_that_is_resumed_has_all_its_faults_again() -> None:
    session = desk(strategy=Breaking("on_candle"))
    session.feed(flat_hours(4))
    session.command("resume", strategy="told")
    session.feed(flat_hours(4, start=hour(4)))
    assert len(session.faults) == 6
    changes = [change.change for record in session.records for change in record.strategies]
    assert changes == ["quarantined", "resumed", "quarantined"]


def test_a_suspended_strategy_sees_and_does_not_speak() -> None:
    strategy = Scripted()
    session = desk(strategy=strategy)
    bars = flat_hours(6)
    session.feed(bars[:2])
    session.command("suspend", strategy="told")
    session.feed(bars[2:4])
    session.command("resume", strategy="told")
    session.feed(bars[4:])
    assert [view.instant for view in strategy.views] == [hour(1), hour(2), hour(5), hour(6)]
    assert strategy.states[-1] == tuple(hour(number) for number in range(1, 7))


def test_a_plugin_that_fails_when_it_is_resumed_is_a_fault_too() -> None:
    session = beside(Breaking("new_state"))
    session.command("quarantine", now=START_NS - 1, strategy="bad")
    record = session.command("resume", strategy="bad")
    assert [(fault.strategy, fault.where) for fault in record.faults] == [("bad", "new_state")]
    assert [fill.strategy for fill in play(session).fills] == ["good"]


def test_a_gap_resets_the_unit_unless_the_plugin_says_it_need_not() -> None:
    class Careless(Scripted):
        def on_gap(self, state: Seen, series: Series, start: int, end: int) -> bool:
            return False

    told = []
    for strategy in (Scripted(warm_up=3), Careless(warm_up=3)):
        session = desk(strategy=strategy)
        session.feed(flat_hours(4))
        session.ticks([Tick(hour(9), Phase.REVISION, (Gap(hour(9), BTC.key, "1h", hour(5), hour(10)),))])
        session.feed(flat_hours(4, start=hour(9)))
        told.append([(view.instant - START_NS) // HOUR_NS for view in strategy.views])
    assert told == [[3, 4, 12, 13], [3, 4, 10, 11, 12, 13]]


def test_warm_up_moves_the_state_and_asks_for_no_decision() -> None:
    history = candles(BTC_1H, [100.0] * 5, start=hour(-5))
    strategy = Scripted({START_NS: [enter()]}, warm_up=5)
    session = desk(strategy=strategy)
    warm = WarmUp(START_NS, BTC.key, "1h", hour(-5), START_NS, 5, "digest")
    session.ticks([Tick(START_NS, Phase.REVISION, (warm,), {"digest": history})])
    assert (strategy.views, session.signals) == ([], [])
    session.feed(flat_hours(1))
    assert [view.instant for view in strategy.views] == [hour(1)]
    assert len(strategy.states[0]) == 6


def test_each_closed_candle_is_given_once_and_a_decision_needs_a_new_one() -> None:
    strategy = Scripted()
    session = desk(strategy=strategy, schedule={"cadence_ns": HOUR_NS // 4})
    session.feed(flat_hours(3))
    assert strategy.states == [(hour(1),), (hour(1), hour(2)), (hour(1), hour(2), hour(3))]


def test_signals_are_judged_by_confidence_then_instrument_then_number() -> None:
    script = {hour(1): [enter(confidence=0.3), leave(confidence=0.9), enter(ETH.key, confidence=0.9)]}
    session = Desk(spec({"told": Scripted(script)}, [schedule("told", [ETH, BTC])], [BTC, ETH], profiles={"balanced": WIDE}))
    session.feed(flat_hours(1), flat_hours(1, 10.0, series=ETH_1H))
    assert [(signal.instrument, signal.intent, signal.id.rsplit("/", 1)[1]) for signal in session.signals] == [
        (BTC.key, Intent.EXIT, "1"),
        (ETH.key, Intent.ENTER, "0"),
        (BTC.key, Intent.ENTER, "0"),
    ]
    assert session.signals[0].id == f"told/{BTC.key}/{hour(1)}/1"
    assert {signal.schedule for signal in session.signals} == {"told"}


def test_ten_signals_under_a_most_of_four_pass_the_four_most_confident() -> None:
    chances = [0.1, 0.9, 0.5, 0.7, 0.3, 0.8, 0.2, 0.6, 0.4, 1.0]
    script = {hour(1): [enter(confidence=chance, target=chance / 100.0) for chance in chances]}
    session = desk(script, schedule={"max_signals": 4})
    session.feed(flat_hours(2))
    accepted = {result.signal_id for result in session.results if result.status is OrderStatus.ACCEPTED}
    assert [signal.confidence for signal in session.signals if signal.id in accepted] == [1.0, 0.9, 0.8, 0.7]
    assert [verdict.code for verdict in session.verdicts] == [None] * 4 + [RefusalCode.MAX_SIGNALS] * 6


def test_exits_do_not_use_up_the_most_signals() -> None:
    script = {hour(1): [enter(target=0.01)], hour(2): [leave(), leave(), enter(target=0.02, confidence=0.5)]}
    session = desk(script, schedule={"max_signals": 1})
    session.feed(flat_hours(3))
    codes = [verdict.code for verdict in session.verdicts]
    assert RefusalCode.MAX_SIGNALS not in codes


def test_position_facts_follow_the_fills_and_the_closes_after_them() -> None:
    strategy = Scripted({hour(1): [enter(target=0.1)], hour(4): [enter(target=0.3)], hour(5): [leave()]})
    session = desk(strategy=strategy)
    bars: list[Bar] = [
        100.0,
        (110.0, 112.0, 108.0, 111.0),
        (111.0, 115.0, 90.0, 95.0),
        (95.0, 99.0, 95.0, 98.0),
        98.0,
        (98.0, 98.0, 97.0, 97.0),
        97.0,
    ]
    session.feed(candles(BTC_1H, bars))
    facts = {view.instant: view.positions[BTC.key] for view in strategy.views}
    bought = session.fills[0]
    assert facts[hour(1)] == Position()
    second = facts[hour(2)]
    assert (second.quantity, second.entry_instant) == (float(bought.quantity), hour(1))
    assert second.entry_price == pytest.approx(float(bought.price), rel=1e-15)
    assert (second.candles_held, second.highest_close, second.lowest_close) == (1, 111.0, 111.0)
    fourth = facts[hour(4)]
    assert (fourth.candles_held, fourth.highest_close, fourth.lowest_close) == (3, 111.0, 95.0)
    assert facts[hour(6)] == Position()


def test_a_candle_that_ended_at_the_entry_and_came_after_it_is_not_counted() -> None:
    strategy = Scripted({hour(1): [enter()]})
    session = desk(strategy=strategy)
    first, second = candles(BTC_1H, [100.0, 104.0])
    session.ticks([open_tick(hour(0), 100.0), close_tick(first), open_tick(hour(2), 103.0)])
    session.ticks([close_tick(msgspec.structs.replace(second, instant=hour(2) + 1))])
    facts = strategy.views[-1].positions[BTC.key]
    assert (facts.entry_instant, facts.candles_held, facts.highest_close) == (hour(2), 0, 0.0)


def test_a_refused_entry_leaves_the_strategy_flat_and_it_may_ask_again() -> None:
    strategy = Scripted({hour(1): [enter()], hour(3): [enter()]})
    session = desk(strategy=strategy)
    session.command("kill_switch", now=START_NS, on="yes")
    session.feed(flat_hours(2))
    session.command("kill_switch", on="no")
    session.feed(flat_hours(2, start=hour(2)))
    assert [verdict.code for verdict in session.verdicts] == [RefusalCode.KILL_SWITCH, None]
    assert strategy.views[2].positions[BTC.key] == Position()


def test_the_finest_series_that_anyone_takes_drives_matching_and_marking() -> None:
    plans = [schedule("daily", [BTC], granularity="1d"), schedule("hourly", [BTC])]
    session = Desk(spec({"daily": Scripted(), "hourly": Scripted({hour(23): [enter()]})}, plans, [BTC], profiles={"balanced": WIDE}))
    assert session.core.execution_series == {BTC.key: "1h"}
    session.feed(flat_hours(24), candles(BTC_1D, [(100.0, 500.0, 100.0, 500.0)]))
    last = session.core.ledger.prices.last_price(BTC.key)
    assert last is not None
    assert last.price == 100


def test_what_has_open_prints_executes_even_if_a_finer_series_was_declared() -> None:
    plans = [schedule("daily", [BTC], granularity="1d"), schedule("hourly", [BTC])]
    session = Desk(spec({"daily": Scripted(), "hourly": Scripted()}, plans, [BTC], profiles={"balanced": WIDE}))
    session.feed(candles(BTC_1D, [(100.0, 500.0, 100.0, 400.0)]))
    last = session.core.ledger.prices.last_price(BTC.key)
    assert last is not None
    assert last.price == 400


def test_the_ages_in_a_view_are_those_of_its_candles() -> None:
    strategy = Scripted()
    session = desk(strategy=strategy)
    session.feed(flat_hours(1))
    assert strategy.views[0].age_ns(BTC_1H) == 0
