from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from dudzian_daemon.kernel.clock import SECOND_NS
from dudzian_daemon.kernel.service import ServiceState, UnitRegistry
from dudzian_daemon.kernel.supervisor import Action, RestartPolicy, Stage, StageReport, StopReport, Supervisor
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.kernel.conftest import LogLines

S = ServiceState


class Hiccup(Exception):
    pass


class Fatal(Exception):
    pass


def verdict(error: Exception) -> Action:
    if isinstance(error, Hiccup | RuntimeError):
        return Action.RETRY
    return Action.STOP_DAEMON if isinstance(error, Fatal) else Action.STOP_SERVICE


@dataclass
class House:
    """A supervisor on a manual clock, with what its services and units did."""

    supervisor: Supervisor
    clock: ManualClock
    units: UnitRegistry
    did: list[str] = field(default_factory=list)

    def seconds(self) -> float:
        return self.clock.monotonic_ns() / SECOND_NS

    def note(self, what: str) -> None:
        self.did.append(f"{self.seconds():g} {what}")

    async def while_advancing(self, seconds: float, function: Callable[[], Awaitable[StopReport]]) -> StopReport:
        reports: list[StopReport] = []

        async def call() -> None:
            reports.append(await function())

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await self.clock.advance(seconds)
            assert reports, f"not done after {seconds} s"
        return reports[0]


@asynccontextmanager
async def hosting(*stages: Stage, restart: RestartPolicy | None = None) -> AsyncIterator[House]:
    clock, units = ManualClock(), UnitRegistry()
    stages, completed = stages or (Stage("only", 2),), False
    async with Supervisor(clock=clock, units=units, verdict=verdict, stages=stages, restart=restart) as supervisor:
        yield House(supervisor, clock, units)
        completed = True
    assert completed, "the supervisor cancelled the test"


class Script:
    """Plays one outcome per run: seconds to work, and what to raise then (None: return). Runs on when the script is over."""

    def __init__(self, name: str, house: House, *plays: tuple[float, BaseException | None]) -> None:
        self.name = name
        self.house = house
        self.plays = list(plays)
        self.starts: list[float] = []

    async def run(self) -> None:
        self.starts.append(self.house.seconds())
        if not self.plays:
            await anyio.sleep_forever()
        seconds, error = self.plays.pop(0)
        await self.house.clock.sleep(seconds)
        if error is not None:
            raise error


class Polite(Script):
    """Ends `takes` seconds after it was asked to stop."""

    def __init__(self, name: str, house: House, takes: float = 0, error: Exception | None = None) -> None:
        super().__init__(name, house)
        self.takes, self.error = takes, error
        self.asked = anyio.Event()

    async def run(self) -> None:
        await self.asked.wait()
        await self.house.clock.sleep(self.takes)
        self.house.note(f"{self.name} ended")
        if self.error is not None:
            raise self.error

    async def stop(self) -> None:
        self.house.note(f"{self.name} asked")
        self.asked.set()


class Stubborn(Script):
    """Does not end when cancelled, until released."""

    def __init__(self, name: str, house: House) -> None:
        super().__init__(name, house)
        self.released = anyio.Event()

    async def run(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.released.wait()


def state_of(house: House, name: str) -> tuple[ServiceState, str, int]:
    unit = house.units[name]
    return unit.state, unit.detail, unit.restarts


async def test_a_service_that_returns_is_stopped_and_its_task_carries_its_name() -> None:
    async with hosting() as house:
        house.supervisor.add(Script("done", house, (1, None)), stage="only")
        house.supervisor.add(Script("works", house), stage="only")
        await house.clock.settle()
        assert {"done", "works"} <= {task.get_name() for task in asyncio.all_tasks()}
        await house.clock.advance(1)
        assert state_of(house, "done") == (S.STOPPED, "", 0)
        assert state_of(house, "works") == (S.RUNNING, "", 0)
        assert "done" not in {task.get_name() for task in asyncio.all_tasks()}
    assert state_of(house, "works") == (S.STOPPED, "", 0)


async def test_restarts_back_off_from_one_second_doubling_to_the_cap(log_lines: LogLines) -> None:
    async with hosting() as house:
        shaky = Script("shaky", house, *[(0, Hiccup(f"no {n}")) for n in range(9)])
        house.supervisor.add(shaky, stage="only")
        await house.clock.advance(0.5)
        assert state_of(house, "shaky") == (S.BACKING_OFF, "Hiccup: no 0", 0)
        await house.clock.advance(600)
        assert state_of(house, "shaky") == (S.RUNNING, "", 9)
    gaps = [after - before for before, after in zip(shaky.starts, shaky.starts[1:], strict=False)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    restarts = [line for line in log_lines() if line["event"] == "service_restarts"]
    assert [line["delay_seconds"] for line in restarts] == gaps
    assert {line["service"] for line in restarts} == {"shaky"}


async def test_a_fault_that_comes_again_is_told_once_a_minute_and_another_one_at_once(log_lines: LogLines) -> None:
    async with hosting() as house:
        faults = [*(["no descriptors"] * 6), "another one", "no descriptors"]
        house.supervisor.add(Script("shaky", house, *[(0, Hiccup(fault)) for fault in faults]), stage="only")
        await house.clock.advance(600)
        assert state_of(house, "shaky") == (S.RUNNING, "", len(faults))
    told = [line["delay_seconds"] for line in log_lines() if line["event"] == "service_restarts"]
    assert told == [1, 60, 60], "at once, the other one 63 s later, and the first one after that"


async def test_a_fault_that_was_overcome_is_not_the_last_word() -> None:
    async with hosting() as house:
        house.supervisor.add(Script("shaky", house, (0, Hiccup("once")), (1, None)), stage="only")
        await house.clock.advance(2)
        assert state_of(house, "shaky") == (S.STOPPED, "", 1)


async def test_the_first_fault_that_stops_the_daemon_is_the_one_reported() -> None:
    async with hosting() as house:
        first, second = Fatal("first"), Fatal("second")
        house.supervisor.add(Script("b", house, (2, second)), stage="only")
        house.supervisor.add(Script("a", house, (1, first)), stage="only")
        await house.clock.advance(2)
        assert house.supervisor.fault is first
        assert house.supervisor.reason == "a failed: Fatal: first"


async def test_a_healthy_run_starts_the_back_off_anew_a_shorter_one_does_not() -> None:
    async with hosting() as house:
        shaky = Script("shaky", house, (0, Hiccup()), (0, Hiccup()), (59, Hiccup()), (60, Hiccup()), (0, Hiccup()))
        house.supervisor.add(shaky, stage="only")
        await house.clock.advance(600)
    assert shaky.starts == [0, 1, 3, 3 + 59 + 4, 66 + 60 + 1, 127 + 2]


@pytest.mark.parametrize(("window", "starts", "state"), [(100.0, 4, S.FAILED), (5.0, 7, S.RUNNING)])
async def test_too_many_restarts_within_the_window_are_a_failure(window: float, starts: int, state: ServiceState) -> None:
    policy = RestartPolicy(first_seconds=2, cap_seconds=2, most_restarts=3, window_seconds=window)
    async with hosting(restart=policy) as house:
        shaky = Script("shaky", house, *[(0, Hiccup("again"))] * 6)
        house.supervisor.add(shaky, stage="only")
        await house.clock.advance(50)
        assert len(shaky.starts) == starts
        assert house.units["shaky"].state is state


async def test_a_service_may_have_a_policy_of_its_own_that_never_gives_up() -> None:
    async with hosting(restart=RestartPolicy(most_restarts=0)) as house:
        shaky = Script("shaky", house, *[(0, Hiccup())] * 40)
        house.supervisor.add(shaky, stage="only", restart=RestartPolicy(first_seconds=1, cap_seconds=1, most_restarts=None))
        strict = Script("strict", house, (0, Hiccup()))
        house.supervisor.add(strict, stage="only")
        await house.clock.advance(100)
        assert (len(shaky.starts), house.units["shaky"].state) == (41, S.RUNNING)
        assert (len(strict.starts), house.units["strict"].state) == (1, S.FAILED)


async def test_a_stop_service_verdict_fails_the_service_and_leaves_the_others(log_lines: LogLines) -> None:
    async with hosting() as house:
        house.supervisor.add(Script("bad", house, (1, KeyError("what"))), stage="only")
        house.supervisor.add(Script("good", house), stage="only")
        await house.clock.advance(100)
        assert state_of(house, "bad") == (S.FAILED, "KeyError: 'what'", 0)
        assert house.units["good"].state is S.RUNNING
        assert house.supervisor.reason == ""
        assert house.supervisor.fault is None
    (line,) = [line for line in log_lines() if line["event"] == "service_failed"]
    assert (line["level"], line["service"], line["action"]) == ("error", "bad", "stop_service")
    assert "KeyError: 'what'" in line["exception"]


@pytest.mark.parametrize("wrap", [False, True])
async def test_a_stop_daemon_verdict_asks_for_the_stop_also_from_within_a_group(wrap: bool) -> None:
    fatal = Fatal("the log is not what was written")
    error = ExceptionGroup("tasks", [Hiccup(), ExceptionGroup("inner", [KeyError(), fatal]), KeyError()]) if wrap else fatal
    async with hosting() as house:
        house.supervisor.add(Script("journal", house, (3, error)), stage="only")
        house.supervisor.add(Script("other", house), stage="only")
        await house.clock.advance(3)
        assert await house.supervisor.stop_requested() == "journal failed: Fatal: the log is not what was written"
        assert house.supervisor.fault is error
        assert house.units["other"].state is S.RUNNING


@pytest.mark.parametrize(("error", "reason"), [(None, "session ended"), (KeyError(1), "session failed: KeyError: 1")])
async def test_the_end_of_an_essential_service_ends_the_daemon(error: Exception | None, reason: str) -> None:
    async with hosting() as house:
        house.supervisor.add(Script("session", house, (1, error)), stage="only", essential=True)
        await house.clock.advance(1)
        assert await house.supervisor.stop_requested() == reason
        assert house.supervisor.fault is error


async def test_a_cancelled_error_nobody_asked_for_is_a_fault_like_another() -> None:
    async with hosting() as house:
        leaky = Script("leaky", house, (1, asyncio.CancelledError()))
        house.supervisor.add(leaky, stage="only")
        house.supervisor.add(Script("other", house), stage="only")
        await house.clock.advance(5)
        assert leaky.starts == [0, 2]
        assert house.units["other"].state is S.RUNNING


async def test_an_inner_timeout_does_not_confuse_the_supervisor() -> None:
    class Timing(Script):
        async def run(self) -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.sleep_forever()
            await super().run()

    async with hosting() as house:
        timing = Timing("timing", house, (1, asyncio.CancelledError()))
        house.supervisor.add(timing, stage="only")
        await house.clock.advance(5)
        assert timing.starts == [0, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_process_passes_through(error: BaseException) -> None:
    async def host() -> None:
        async with hosting() as house:
            house.supervisor.add(Script("s", house, (0, error)), stage="only")
            await anyio.sleep_forever()

    with pytest.raises(type(error)):
        anyio.run(host)


async def test_stages_run_in_order_services_of_one_side_by_side_actions_alone() -> None:
    async with hosting(Stage("feed", 2), Stage("end", 10)) as house:
        supervisor = house.supervisor

        async def report() -> None:
            house.note("report begun")
            await house.clock.sleep(1)
            house.note("report done")

        supervisor.add(Polite("sink a", house, takes=2), stage="end")
        supervisor.add(Polite("sink b", house, takes=1), stage="end")
        supervisor.add_action("report", report, stage="end")
        supervisor.add(Polite("adapter", house), stage="end")
        supervisor.add(Polite("feed", house, takes=1), stage="feed")
        supervisor.add(Script("ended before", house, (0, None)), stage="feed")
        await house.clock.advance(0)
        stopped = await house.while_advancing(30, supervisor.stop)
    assert house.did == [
        *("0 feed asked", "1 feed ended", "1 sink a asked", "1 sink b asked", "2 sink b ended", "3 sink a ended"),
        *("3 report begun", "4 report done", "4 adapter asked", "4 adapter ended"),
    ]
    expected = (StageReport(name="feed", seconds=1), StageReport(name="end", seconds=3))
    assert stopped == StopReport(reason="stop", forced=False, stages=expected)
    assert {unit.state for unit in house.units.snapshot().values()} == {S.STOPPED}


async def test_what_overruns_its_budget_is_cancelled_and_named(log_lines: LogLines) -> None:
    async with hosting(Stage("sinks", 2), Stage("end", 1)) as house:
        house.supervisor.add(Polite("quick", house, takes=1.5), stage="sinks")
        house.supervisor.add(Polite("slow", house, takes=5), stage="sinks")
        house.supervisor.add_action("never", _never_called, stage="sinks")
        house.supervisor.add_action("hangs", anyio.sleep_forever, stage="end")
        stopped = await house.while_advancing(3, house.supervisor.stop)
    assert stopped.stages == (
        StageReport(name="sinks", seconds=2, overran=("slow",), skipped=("never",)),
        StageReport(name="end", seconds=1, overran=("hangs",)),
    )
    assert house.did == ["0 quick asked", "0 slow asked", "1.5 quick ended"]
    assert house.units["slow"].state is S.STOPPED
    overruns = [(line["stage"], line["overran"], line["budget_seconds"]) for line in log_lines() if line["event"] == "stage_overran"]
    assert overruns == [("sinks", ["slow"], 2), ("end", ["hangs"], 1)]


async def _never_called() -> None:
    pytest.fail("an action ran after its stage's budget was used up")


async def test_a_stop_call_that_hangs_counts_as_its_service() -> None:
    class Deaf(Script):
        async def stop(self) -> None:
            await anyio.sleep_forever()

    async with hosting() as house:
        house.supervisor.add(Deaf("deaf", house, (1, None)), stage="only")
        await house.clock.settle()
        stopped = await house.while_advancing(2, house.supervisor.stop)
    assert stopped.stages == (StageReport(name="only", seconds=2, overran=("deaf",)),)


async def test_what_does_not_even_end_when_cancelled_holds_the_stop_for_the_grace_only() -> None:
    async with hosting(Stage("first", 2), Stage("second", 2)) as house:
        stubborn = Stubborn("stubborn", house)
        house.supervisor.add(stubborn, stage="first")
        house.supervisor.add(Polite("next", house), stage="second")
        await house.clock.settle()
        stopped = await house.while_advancing(2.5, house.supervisor.stop)
        assert stopped.stages == (
            StageReport(name="first", seconds=2.5, overran=("stubborn",), stuck=("stubborn",)),
            StageReport(name="second", seconds=0),
        )
        assert house.units["stubborn"].state is S.STOPPING
        stubborn.released.set()


async def test_faults_in_the_stop_are_named_and_stop_nothing_else(log_lines: LogLines) -> None:
    async def fail() -> None:
        raise ValueError("no space for the report")

    async with hosting(Stage("a", 1), Stage("b", 1)) as house:
        house.supervisor.add(Polite("retries", house, error=Hiccup("too late to retry")), stage="a")
        house.supervisor.add_action("report", fail, stage="a")
        house.supervisor.add(Polite("fatal", house, error=Fatal("broken log")), stage="b")
        await house.clock.settle()
        stopped = await house.while_advancing(1, house.supervisor.stop)
    assert stopped.stages == (
        StageReport(name="a", seconds=0, failed=("retries", "report")),
        StageReport(name="b", seconds=0, failed=("fatal",)),
    )
    assert state_of(house, "retries") == (S.FAILED, "Hiccup: too late to retry", 0)
    assert isinstance(house.supervisor.fault, Fatal)
    assert [line["step"] for line in log_lines() if line["event"] == "stop_step_failed"] == ["report"]


async def test_a_service_that_backs_off_is_not_asked_but_ended() -> None:
    class Shaky(Polite):
        async def run(self) -> None:
            raise Hiccup

    async with hosting() as house:
        house.supervisor.add(Shaky("shaky", house), stage="only")
        await house.clock.settle()
        assert state_of(house, "shaky")[0] is S.BACKING_OFF
        stopped = await house.while_advancing(0, house.supervisor.stop)
    assert stopped.stages == (StageReport(name="only", seconds=0),)
    assert house.did == []
    assert house.units["shaky"].state is S.STOPPED


async def test_a_sink_may_be_restarted_while_earlier_stages_still_stop() -> None:
    async with hosting(Stage("feed", 9), Stage("sinks", 1)) as house:
        sink = Script("sink", house, (1, Hiccup()))
        house.supervisor.add(Polite("feed", house, takes=5), stage="feed")
        house.supervisor.add(sink, stage="sinks")
        await house.clock.settle()
        await house.while_advancing(5, house.supervisor.stop)
    assert sink.starts == [0, 2]


async def test_a_forced_stop_cuts_the_present_stage_and_runs_only_durable_ones() -> None:
    async with hosting(Stage("feed", 9), Stage("close", 9), Stage("journal", 9, durable=True), Stage("adapters", 9)) as house:
        supervisor = house.supervisor

        async def close() -> None:
            house.note("positions closed")

        async def seal() -> None:
            await house.clock.sleep(2)
            house.note("sealed")

        supervisor.add(Polite("feed", house, takes=5), stage="feed")
        supervisor.add_action("close", close, stage="close")
        supervisor.add(Polite("journal", house, takes=1), stage="journal")
        supervisor.add_action("seal", seal, stage="journal")
        supervisor.add(Polite("adapter", house), stage="adapters")

        async def force_after(seconds: float) -> None:
            await house.clock.sleep(seconds)
            assert house.units["adapter"].state is S.RUNNING
            supervisor.force()

        async with anyio.create_task_group() as group:
            group.start_soon(force_after, 3)
            group.start_soon(force_after, 4)
            stopped = await house.while_advancing(30, supervisor.stop)
    assert house.did == ["0 feed asked", "3 journal asked", "4 journal ended", "6 sealed"]
    assert stopped == StopReport(
        reason="stop",
        forced=True,
        stages=(
            StageReport(name="feed", seconds=3, skipped=("feed",)),
            StageReport(name="close", seconds=0, skipped=("close",)),
            StageReport(name="journal", seconds=3),
            StageReport(name="adapters", seconds=0, skipped=("adapter",)),
        ),
    )
    assert {unit.state for unit in house.units.snapshot().values()} == {S.STOPPED}


async def test_force_before_the_stop_asks_for_it() -> None:
    async with hosting(Stage("a", 5), Stage("b", 5, durable=True)) as house:
        house.supervisor.add(Polite("a", house), stage="a")
        house.supervisor.add(Polite("b", house), stage="b")
        house.supervisor.force()
        assert await house.supervisor.stop_requested() == "forced stop"
        stopped = await house.while_advancing(0, house.supervisor.stop)
    assert [(stage.name, stage.skipped) for stage in stopped.stages] == [("a", ("a",)), ("b", ())]
    assert house.did == ["0 b asked", "0 b ended"]


async def test_the_first_reason_counts_and_the_stop_happens_once() -> None:
    async with hosting() as house:
        house.supervisor.request_stop("SIGTERM")
        house.supervisor.request_stop("SIGINT")
        assert (await house.supervisor.stop()).reason == "SIGTERM"
        with pytest.raises(RuntimeError, match="stopping already"):
            await house.supervisor.stop()
        with pytest.raises(RuntimeError, match="stopping already"):
            house.supervisor.add(Script("late", house), stage="only")


async def test_leaving_without_a_stop_or_by_a_cancellation_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    with anyio.CancelScope() as scope:
        async with hosting() as house:
            for number in range(3):
                house.supervisor.add(Polite(f"s{number}", house), stage="only")
            house.supervisor.add(Script("backs off", house, (0, Hiccup())), stage="only")
            await house.clock.settle()
            scope.cancel()
            await house.supervisor.stop()
    assert scope.cancelled_caught
    assert asyncio.all_tasks() == before
    assert {unit.state for unit in house.units.snapshot().values()} <= {S.STOPPED}
    assert house.clock.sleeping == 0


async def test_names_stages_and_second_lives() -> None:
    async with hosting(Stage("a", 1), Stage("b", 1)) as house:
        house.supervisor.add(Script("s", house, (1, KeyError())), stage="a")
        with pytest.raises(ValueError, match="'s' exists already"):
            house.supervisor.add(Script("s", house), stage="b")
        with pytest.raises(LookupError, match=r"no stop stage 'c'; there are \['a', 'b'\]"):
            house.supervisor.add(Script("t", house), stage="c")
        await house.clock.advance(1)
        assert house.units["s"].state is S.FAILED
        house.supervisor.add(Polite("s", house), stage="b")
        await house.clock.settle()
        assert list(house.supervisor.health()) == ["s"]
        stopped = await house.while_advancing(0, house.supervisor.stop)
    assert house.did == ["1 s asked", "1 s ended"]
    assert [stage.failed for stage in stopped.stages] == [(), ()]


async def test_health_tells_state_age_of_the_last_beat_and_detail() -> None:
    async with hosting() as house:
        heartbeat = house.supervisor.add(Script("beats", house), stage="only")
        house.supervisor.add(Script("silent", house, (1, Hiccup("gone"))), stage="only")
        await house.clock.settle()
        heartbeat.beat("candle 12")
        await house.clock.advance(1.5)
        health = house.supervisor.health()
        assert (health["beats"].state, health["beats"].beat_age_seconds, health["beats"].detail) == (S.RUNNING, 1.5, "candle 12")
        assert (health["silent"].state, health["silent"].beat_age_seconds, health["silent"].detail) == (S.BACKING_OFF, None, "Hiccup: gone")
