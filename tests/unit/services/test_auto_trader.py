"""AutoTrader over a real session: durable before visible, copies for every reader, and no road to live trading."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from threading import Event, Thread
from typing import Any, Self

import anyio
import pandas  # type: ignore[import-untyped]  # pandas ships no types of its own
import pytest

from dudzian_daemon.api.auto_trader import AutoTrader, Bus, ConfigError, LiveBlocked, NullExecutionService, SkippedOrder
from dudzian_daemon.domain import events
from dudzian_daemon.domain.orders import OrderLeg, Side
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel import logs
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from tests.unit.domain import cycle_samples as samples
from tests.unit.domain.cycle_samples import EVENT_S, WALL_S, cycle, durable, record, result, signal
from tests.unit.services.stage import Stage, busy
from tests.unit.trading.desk import desk

EXECUTION = desk().core.execution


class Face:
    """AutoTrader on a bus of its own, with cycles made by hand: cycle n ends `WALL_S` + n seconds, and then the wall clock says so."""

    def __init__(self, **options: Any) -> None:
        self.bus = Bus()
        self.clock = ManualClock(wall_ns=WALL_S * 10**9)
        self.auto_trader = AutoTrader(self.bus, EXECUTION, clock=self.clock, **options)

    def run(self, *cycles: events.ControllerCycle, verdicts: list[CycleRecord] | None = None) -> None:
        records = {each.sequence: each for each in verdicts or []}
        for each in cycles:
            self.clock.jump_wall(each.finished_at - self.clock.wall_ns() / 1e9)
            self.bus.publish(events.CONTROLLER_CYCLE, each)
            self.bus.publish(events.CYCLE_DURABLE, durable(records.get(each.sequence, record(each.sequence))))

    @property
    def sequences(self) -> list[int]:
        return [each["sequence"] for each in self.auto_trader.get_controller_cycle_history()]

    @property
    def answered(self) -> list[str]:
        """Group ids of the kept risk evaluations."""
        return [each["decision"]["group_id"] for each in self.auto_trader.get_risk_evaluations()]


def face(count: int, **options: Any) -> Face:
    """After `count` cycles, each with one approved signal."""
    ready = Face(**options)
    numbers = range(1, count + 1)
    asked = [record(number, [samples.verdict(f"s{number}")], [signal(f"s{number}")]) for number in numbers]
    ready.run(*(cycle(number, [signal(f"s{number}")], [result(f"s{number}")]) for number in numbers), verdicts=asked)
    return ready


# -- a whole session -----------------------------------------------------------------------------------------------


async def test_it_shows_what_is_durable_and_nothing_else() -> None:
    stage = Stage(24, busy(24), delay_s=5.0)
    auto_trader = AutoTrader(stage.bus, stage.desk.core.execution, clock=stage.clock, keep_cycles=None, keep_evaluations=None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.settle()
        assert stage.desk.core.sequence > 24
        assert auto_trader.get_last_controller_cycle() is None
        assert auto_trader.get_controller_cycle_history() == auto_trader.get_risk_evaluations() == []
        assert auto_trader.summarize_controller_cycle_history()["total"] == auto_trader.summarize_risk_evaluations()["total"] == 0
        await stage.clock.advance(40.0)
        tasks.cancel_scope.cancel()
    shown = [each["sequence"] for each in auto_trader.get_controller_cycle_history()]
    assert shown == [each.sequence for each in stage.journal.durable] == list(range(1, stage.desk.core.sequence + 1))


async def test_its_figures_are_those_of_the_session() -> None:
    stage = Stage(24, busy(24))
    auto_trader = AutoTrader(stage.bus, stage.desk.core.execution, clock=stage.clock, keep_cycles=None, keep_evaluations=None)
    await stage.play()
    records = stage.journal.durable
    results = [each for record in records for each in record.results]
    verdicts = [each for record in records for each in record.verdicts]
    summary, answers = auto_trader.summarize_controller_cycle_history(), auto_trader.summarize_risk_evaluations()
    assert summary["total"] == len(records)
    assert summary["orders"]["total"] == summary["results"]["total"] == len(results)
    assert 0 < summary["orders"]["distinct"] == len({each.order_id for each in results}) < len(results)
    assert summary["results"]["status_counts"]["filled"] == sum(len(record.fills) for record in records)
    assert summary["signals"]["by_side"] == {"buy": 12, "sell": 12}
    assert answers["total"] == len(verdicts) == 25  # the last one for what the end of the data closed
    assert ["intent" in each["decision"] for each in auto_trader.get_risk_evaluations()] == [True] * 24 + [False]
    assert list(answers["services"]) == [ThresholdRiskEngine.__name__]
    ended = {each["finished_at"] for each in auto_trader.get_controller_cycle_history()}
    assert {each["timestamp"] for each in auto_trader.get_risk_evaluations()} <= ended


# -- cycles --------------------------------------------------------------------------------------------------------


def test_the_last_cycle_is_a_copy_and_none_before_the_first() -> None:
    ready = Face()
    assert ready.auto_trader.get_last_controller_cycle() is None
    ready.run(cycle(1, [signal()], [result()]))
    last = ready.auto_trader.get_last_controller_cycle()
    assert last is not None
    seven = {"signals", "results", "started_at", "finished_at", "sequence", "duration_s", "orders"}
    assert seven <= set(last)
    assert (last["sequence"], last["orders"], last["finished_at"], last["duration_s"]) == (1, 1, WALL_S + 1.0, 0.25)
    last["signals"][0]["numbers"]["close"] = -1.0
    last["results"][0].clear()
    last["sequence"] = 99
    again = ready.auto_trader.get_last_controller_cycle()
    assert again is not None
    assert (again["sequence"], again["signals"][0]["numbers"], again["results"][0]["status"]) == (1, {"close": 100.5}, "accepted")
    ready.auto_trader.get_controller_cycle_history()[0]["signals"][0].clear()
    assert ready.auto_trader.get_controller_cycle_history() == [again]


@pytest.mark.parametrize(
    ("limit", "reverse", "expected"),
    [
        (2, True, [5, 4]),
        (2, False, [4, 5]),
        (None, False, [1, 2, 3, 4, 5]),
        (None, True, [5, 4, 3, 2, 1]),
        (0, True, []),
        (-2, False, []),
        (99, False, [1, 2, 3, 4, 5]),
    ],
)
def test_the_history_by_limit_and_direction(limit: int | None, reverse: bool, expected: list[int]) -> None:
    history = face(5).auto_trader.get_controller_cycle_history(limit=limit, reverse=reverse)
    assert [each["sequence"] for each in history] == expected


def test_the_limit_of_cycles_is_32_until_it_is_set() -> None:
    ready = face(40)
    assert ready.auto_trader.get_controller_cycle_history_limit() == 32
    assert ready.sequences == list(range(9, 41))
    assert ready.auto_trader.set_controller_cycle_history_limit(3) == 3
    assert ready.sequences == [38, 39, 40]
    for unlimited in (None, 0, -7):
        assert ready.auto_trader.set_controller_cycle_history_limit(unlimited) == -1
    ready.run(*(cycle(number) for number in range(41, 91)))
    assert ready.sequences == list(range(38, 91))


def test_the_age_of_cycles_by_the_wall() -> None:
    ready = face(5)
    assert ready.auto_trader.get_controller_cycle_history_ttl() is None
    assert ready.auto_trader.set_controller_cycle_history_ttl(2) == ready.auto_trader.get_controller_cycle_history_ttl() == 2.0
    assert ready.sequences == [3, 4, 5]
    ready.clock.jump_wall(0.5)
    assert ready.sequences == [4, 5]
    ready.run(cycle(20))
    assert ready.sequences == [20]
    ready.clock.jump_wall(100)
    assert ready.sequences == []
    last = ready.auto_trader.get_last_controller_cycle()
    assert last is not None
    assert last["sequence"] == 20


@pytest.mark.parametrize("off", [None, 0, -1.5])
def test_the_age_of_cycles_is_turned_off(off: float | None) -> None:
    ready = face(5)
    ready.auto_trader.set_controller_cycle_history_ttl(10)
    assert ready.auto_trader.set_controller_cycle_history_ttl(off) is None
    assert ready.auto_trader.get_controller_cycle_history_ttl() is None
    ready.clock.jump_wall(1e6)
    assert ready.sequences == [1, 2, 3, 4, 5]


def test_the_age_of_cycles_by_the_market_moves_with_cycles_only() -> None:
    ready = face(5, by="instant")
    assert ready.auto_trader.set_controller_cycle_history_ttl(7200) == 7200.0
    assert ready.sequences == [3, 4, 5]
    ready.clock.jump_wall(1e6)
    assert ready.sequences == [3, 4, 5]
    ready.run(cycle(6))
    assert ready.sequences == [4, 5, 6]
    ready.auto_trader.set_controller_cycle_history_ttl(3600, by="wall")
    ready.clock.jump_wall(1e6)
    assert ready.sequences == []


def test_the_age_by_the_market_before_the_first_cycle() -> None:
    ready = Face(by="instant")
    ready.auto_trader.set_controller_cycle_history_ttl(7200)
    ready.auto_trader.set_risk_evaluations_ttl(7200)
    assert not ready.sequences
    assert not ready.answered
    ready.run(cycle(1), verdicts=[record(1, [samples.APPROVED])])
    assert (ready.sequences, ready.answered) == ([1], ["s1"])


def test_clearing_keeps_the_numbering() -> None:
    ready = face(3)
    ready.auto_trader.clear_controller_cycle_history()
    assert ready.sequences == []
    last = ready.auto_trader.get_last_controller_cycle()
    assert last is not None
    assert last["sequence"] == 3
    ready.run(cycle(4))
    assert ready.sequences == [4]


AT_2 = datetime.fromtimestamp(WALL_S + 2, UTC)


@pytest.mark.parametrize("since", [WALL_S + 2, WALL_S + 2.0, AT_2, AT_2.replace(tzinfo=None), pandas.Timestamp(AT_2)], ids=repr)
def test_every_view_takes_the_same_filters(since: Any) -> None:
    auto_trader = face(5).auto_trader
    span: dict[str, Any] = {"since": since, "until": WALL_S + 4}
    assert [each["sequence"] for each in auto_trader.controller_cycle_history_to_records(**span)] == [2, 3, 4]
    assert [each["sequence"] for each in auto_trader.controller_cycle_history_to_records(**span, limit=2, reverse=True)] == [4, 3]
    assert auto_trader.controller_cycle_history_to_dataframe(**span, reverse=True)["sequence"].tolist() == [4, 3, 2]
    summary = auto_trader.summarize_controller_cycle_history(**span, limit=2)
    assert (summary["total"], summary["first_sequence"], summary["last_sequence"]) == (2, 3, 4)
    assert summary["filters"] == {"since": WALL_S + 2.0, "until": WALL_S + 4.0, "limit": 2, "by": "wall"}
    assert summary["config"] == {"limit": 32, "ttl": None}
    assert [each["timestamp"] for each in auto_trader.get_risk_evaluations(**span)] == [WALL_S + 2.0, WALL_S + 3.0, WALL_S + 4.0]
    assert auto_trader.summarize_risk_evaluations(**span)["total"] == 3
    assert len(auto_trader.risk_evaluations_to_dataframe(**span)) == 3


def test_filters_take_either_time_line_whatever_the_usual_one_is() -> None:
    third = EVENT_S + 3 * 3600
    for usual in ("wall", "instant"):
        auto_trader = face(5, by=usual).auto_trader
        assert [each["sequence"] for each in auto_trader.controller_cycle_history_to_records(since=third, by="instant")] == [3, 4, 5]
        assert [each["sequence"] for each in auto_trader.controller_cycle_history_to_records(since=WALL_S + 4, by="wall")] == [4, 5]
        shown = auto_trader.controller_cycle_history_to_records(since=third, until=third)
        assert [each["sequence"] for each in shown] == ([3] if usual == "instant" else [])
    with pytest.raises(ConfigError, match="by: expected instant or wall, found 'clock'"):
        Face(by="clock")


BASE = ["sequence", "started_at", "finished_at", "duration_s", "orders"]


def test_records_as_they_are() -> None:
    (only,) = face(1).auto_trader.controller_cycle_history_to_records()
    assert list(only) == [*BASE, "signals_count", "results_count", "signals", "results"]
    assert (only["started_at"], only["finished_at"]) == (WALL_S + 0.75, WALL_S + 1.0)
    (bare,) = face(1).auto_trader.controller_cycle_history_to_records(include_counts=False, include_sequences=False, include_instant=True)
    assert list(bare) == [*BASE, "instant"]
    assert bare["instant"] == EVENT_S + 3600.0


@pytest.mark.parametrize(("zone", "shown"), [(UTC, UTC), (timezone(timedelta(hours=2)), timezone(timedelta(hours=2))), (None, None)])
def test_records_with_datetimes_in_a_zone(zone: Any, shown: Any) -> None:
    (only,) = face(1).auto_trader.controller_cycle_history_to_records(coerce_timestamps=True, include_instant=True, tz=zone)
    expected = datetime.fromtimestamp(WALL_S + 1, UTC).astimezone(zone or UTC)
    assert only["finished_at"] == (expected if zone else expected.replace(tzinfo=None))
    assert {type(only[name]) for name in ("started_at", "finished_at", "instant")} == {datetime}
    assert {only[name].tzinfo for name in ("started_at", "finished_at", "instant")} == {shown}
    assert only["duration_s"] == 0.25


def test_frames_have_their_columns_also_when_empty() -> None:
    auto_trader = face(2).auto_trader
    whole = auto_trader.controller_cycle_history_to_dataframe()
    assert list(whole.columns) == [*BASE, "signals_count", "results_count", "signals", "results"]
    assert whole["finished_at"].tolist() == [pandas.Timestamp(WALL_S + number, unit="s", tz="UTC") for number in (1, 2)]
    empty = auto_trader.controller_cycle_history_to_dataframe(limit=0)
    assert (len(empty), list(empty.columns)) == (0, list(whole.columns))
    assert empty.dtypes.equals(whole.dtypes)
    bare = auto_trader.controller_cycle_history_to_dataframe(include_counts=False, include_sequences=False, coerce_timestamps=False)
    assert (list(bare.columns), bare["finished_at"].tolist()) == (BASE, [WALL_S + 1.0, WALL_S + 2.0])


# -- risk evaluations ----------------------------------------------------------------------------------------------


def judged() -> Face:
    """Four answers in two cycles."""
    ready = Face()
    one = record(1, [samples.APPROVED, samples.ADJUSTED], [signal("s1"), signal("s2")])
    two = record(2, [samples.REFUSED, samples.UNJUDGED], [signal("s3"), signal("s4")])
    ready.run(cycle(1), cycle(2), verdicts=[one, two])
    return ready


def test_risk_evaluations_oldest_first_or_newest_first() -> None:
    ready = judged()
    assert ready.answered == ["s1", "s2", "s3", "s4"]
    newest = ready.auto_trader.get_risk_evaluations(limit=3, reverse=True)
    assert [each["decision"]["group_id"] for each in newest] == ["s4", "s3", "s2"]
    assert [each["timestamp"] for each in newest] == [WALL_S + 2.0, WALL_S + 2.0, WALL_S + 1.0]
    newest[0]["decision"].clear()
    assert ready.answered == ["s1", "s2", "s3", "s4"]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"approved": True}, ["s1", "s2"]),
        ({"approved": None}, ["s4"]),
        ({"normalized": False}, ["s3", "s4"]),
        ({"include_errors": False}, ["s1", "s2", "s3"]),
        ({"service": "ThresholdRiskEngine", "normalized": False, "limit": 1}, ["s4"]),
        ({"service": "OtherGate"}, []),
        ({"until": WALL_S + 1}, ["s1", "s2"]),
    ],
)
def test_list_table_and_summary_of_risk_evaluations_agree(asked: dict[str, Any], wanted: list[str]) -> None:
    auto_trader = judged().auto_trader
    assert [each["decision"]["group_id"] for each in auto_trader.get_risk_evaluations(**asked)] == wanted
    frame = auto_trader.risk_evaluations_to_dataframe(**asked)
    assert [each["group_id"] for each in frame["decision"]] == wanted
    assert auto_trader.summarize_risk_evaluations(**asked)["total"] == len(wanted)


def test_a_decision_is_flattened_if_asked_for() -> None:
    auto_trader = judged().auto_trader
    base = ["timestamp", "approved", "normalized", "decision", "service", "response", "error"]
    assert list(auto_trader.risk_evaluations_to_dataframe(decision_fields=["reason"]).columns) == base
    whole = auto_trader.risk_evaluations_to_dataframe(flatten_decision=True)
    assert whole["decision_id"].tolist() == whole["decision_group_id"].tolist() == ["s1", "s2", "s3", "s4"]
    assert {"decision_instrument", "decision_intent", "decision_reason", "decision_profile"} <= set(whole.columns)
    some = auto_trader.risk_evaluations_to_dataframe(flatten_decision=True, decision_prefix="wish.", decision_fields=("reason", "colour"))
    assert list(some.columns) == [*base, "wish.reason", "wish.colour"]
    assert some["wish.reason"].tolist() == ["told to"] * 4
    assert some["wish.colour"].isna().all()


def test_the_limit_of_risk_evaluations_is_256_until_it_is_set() -> None:
    ready = face(300)
    assert ready.auto_trader.get_risk_evaluations_limit() == 256
    assert (len(ready.answered), ready.answered[0]) == (256, "s45")
    assert ready.auto_trader.set_risk_evaluations_limit(2) == 2
    assert ready.answered == ["s299", "s300"]
    assert ready.auto_trader.set_risk_evaluations_limit(None) == ready.auto_trader.get_risk_evaluations_limit() == -1
    ready.auto_trader.clear_risk_evaluations()
    assert ready.answered == []
    assert ready.sequences[-1] == 300


def test_the_age_of_risk_evaluations() -> None:
    ready = face(5)
    assert ready.auto_trader.get_risk_evaluations_ttl() is None
    assert ready.auto_trader.set_risk_evaluations_ttl(2) == ready.auto_trader.get_risk_evaluations_ttl() == 2.0
    assert ready.answered == ["s3", "s4", "s5"]
    ready.clock.jump_wall(1)
    assert ready.auto_trader.risk_evaluations_to_dataframe()["timestamp"].tolist() == [WALL_S + 4.0, WALL_S + 5.0]
    assert ready.auto_trader.summarize_risk_evaluations()["config"] == {"limit": 256, "ttl": 2.0}
    assert ready.sequences == [1, 2, 3, 4, 5]
    ready.run(cycle(30), verdicts=[record(30, [samples.APPROVED])])
    assert ready.answered == ["s1"]
    assert ready.auto_trader.set_risk_evaluations_ttl(0) is None


def test_an_answer_without_its_cycle_is_dated_by_the_clock() -> None:
    ready = Face()
    ready.bus.publish(events.CYCLE_DURABLE, durable(record(7, [samples.APPROVED])))
    assert [each["timestamp"] for each in ready.auto_trader.get_risk_evaluations()] == [float(WALL_S)]


# -- threads -------------------------------------------------------------------------------------------------------


class Onlookers:
    """Threads that each do one thing again and again while the session runs."""

    def __init__(self, *acts: Callable[[], None]) -> None:
        self._ended = Event()
        self._threads = [Thread(target=self._again, args=(number, act)) for number, act in enumerate(acts)]
        self.rounds = [0] * len(acts)
        self.faults: list[Exception] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _again(self, number: int, act: Callable[[], None]) -> None:
        try:
            while not self._ended.is_set():
                act()
                self.rounds[number] += 1
        except (AssertionError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            self.faults.append(error)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns every ten microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_two_readers_and_a_setter_during_cycles(eager_threads: None) -> None:
    ready = face(1)
    auto_trader = ready.auto_trader

    def read_cycles() -> None:
        last = auto_trader.get_last_controller_cycle()
        shown = auto_trader.get_controller_cycle_history()
        numbers = [each["sequence"] for each in shown]
        assert last is not None
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert numbers[-1] >= last["sequence"]
        assert all(each["orders"] == len(each["results"]) == 2 for each in shown[1:])
        summary = auto_trader.summarize_controller_cycle_history()
        assert summary["total"] <= summary["config"]["limit"]
        assert summary["last_sequence"] - summary["first_sequence"] + 1 == summary["total"]
        assert summary["orders"]["total"] == summary["results"]["total"] == sum(summary["results"]["status_counts"].values())

    def read_answers() -> None:
        answers = auto_trader.get_risk_evaluations()
        assert len({each["timestamp"] for each in answers}) * 8 == len(answers)
        summary = auto_trader.summarize_risk_evaluations()
        assert summary["total"] <= summary["config"]["limit"]
        assert summary["total"] == summary["approved"] + summary["rejected"] == 2 * summary["approved"]

    def turn() -> None:
        for limit in (8, 64):
            assert auto_trader.set_controller_cycle_history_limit(limit) == limit
            assert auto_trader.set_risk_evaluations_limit(limit) == limit
            auto_trader.set_controller_cycle_history_ttl(3600.0 if limit == 8 else None)

    number = 1
    auto_trader.clear_risk_evaluations()
    with Onlookers(read_cycles, read_answers, turn) as onlookers:
        while min(number, *onlookers.rounds) < 200 and not onlookers.faults:
            number += 1
            answers = record(number, [samples.APPROVED, samples.REFUSED] * 4)
            ready.run(cycle(number, [signal()], [result(), result("s2")]), verdicts=[answers])
    assert onlookers.faults == []
    assert ready.sequences[-1] == number


# -- confirmation --------------------------------------------------------------------------------------------------


def mode(auto_trader: AutoTrader) -> tuple[bool, int | None, bool]:
    """The switch, the confirmation, and what follows from the two."""
    state = auto_trader.confirmation
    return state.enabled, state.confirmed_at, auto_trader.is_auto_trade_confirmed


def test_auto_mode_is_confirmed_by_two_steps_and_off_takes_both_back() -> None:
    auto_trader, now = Face().auto_trader, WALL_S * 10**9
    assert mode(auto_trader) == (True, None, False)
    with pytest.raises(ConfigError, match=r"auto mode is not confirmed, so no cycle is driven: call confirm_auto_trade\(\) first"):
        auto_trader.require_confirmed()
    auto_trader.confirm_auto_trade()
    auto_trader.require_confirmed()
    assert mode(auto_trader) == (True, now, True)
    auto_trader.set_enable_auto_trade(True)
    assert mode(auto_trader) == (True, now, True)
    auto_trader.set_enable_auto_trade(False)
    assert mode(auto_trader) == (False, None, False)
    with pytest.raises(ConfigError, match=r"call set_enable_auto_trade\(True\) before confirm_auto_trade\(\)"):
        auto_trader.confirm_auto_trade()
    with pytest.raises(ConfigError, match=r"call set_enable_auto_trade\(True\) and confirm_auto_trade\(\) first"):
        auto_trader.require_confirmed()
    auto_trader.set_enable_auto_trade(True)
    assert mode(auto_trader) == (True, None, False)
    auto_trader.confirm_auto_trade()
    auto_trader.confirm_auto_trade(False)
    assert mode(auto_trader) == (True, None, False)


# -- paper only ----------------------------------------------------------------------------------------------------

LEG = OrderLeg(instrument="binance:BTC/USDT", side=Side.SELL, quantity=Decimal("0.5"), reduce_only=False)


def test_without_an_execution_service_it_is_in_paper_only_mode(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", json=True)
    try:
        auto_trader = AutoTrader(Bus(), clock=ManualClock())
    finally:
        logs.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert '"event":"paper-only mode"' in line
    assert '"level":"warning"' in line
    assert '"component":"AutoTrader"' in line
    assert '"live_allowed":false' in line
    assert auto_trader.paper_only
    assert isinstance(auto_trader.execution, NullExecutionService)
    assert auto_trader.execution.execute([LEG, LEG]) == [SkippedOrder(symbol=LEG.instrument, side=Side.SELL, size=Decimal("0.5"))] * 2
    assert {answer.status for answer in auto_trader.execution.execute([LEG])} == {"skipped"}
    assert auto_trader.live_allowed is False
    with pytest.raises(LiveBlocked, match="paper-only mode: no execution service is configured; complete the configuration") as refused:
        auto_trader.activate_live()
    assert refused.value.exit_code == 7


def test_with_an_execution_service_live_trading_is_refused_too(capsys: pytest.CaptureFixture[str]) -> None:
    auto_trader = Face().auto_trader
    assert (auto_trader.paper_only, auto_trader.live_allowed, auto_trader.execution) == (False, False, EXECUTION)
    assert capsys.readouterr().err == ""
    with pytest.raises(LiveBlocked, match="this package trades on paper only, it has no road to an exchange") as refused:
        auto_trader.activate_live()
    assert refused.value.exit_code == 7


def test_the_public_face_loads_no_data_frame() -> None:
    code = "import sys, dudzian_daemon.api.auto_trader; print(sorted({'pandas', 'numpy', 'pyarrow', 'aiohttp', 'ccxt'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
