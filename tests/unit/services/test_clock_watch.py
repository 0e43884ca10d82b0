"""The wall clock is set while a session runs: one entry for each time, and neither order nor days of the session notice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import anyio
import pytest

from dudzian_daemon.domain.events import CLOCK_JUMP
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS, Command
from dudzian_daemon.kernel.clock import Anchored
from dudzian_daemon.kernel.pace import Pace
from dudzian_daemon.services.clock_watch import ClockWatch
from dudzian_daemon.testing.clock import START_NS
from tests.unit.services.stage import END_OF_DATA, HOUR_A_SECOND, Stage, busy

pytestmark = pytest.mark.filterwarnings("error")


class WallPace(Pace):
    """Commands are stamped by the wall, as beside a live feed."""

    def __init__(self, clock: Anchored, speed: float) -> None:
        super().__init__(clock, speed)
        self._wall = clock

    def now(self) -> int:
        return self._wall.wall_ns()


class Watched:
    """A stage whose session lives on an anchored clock, with the watch beside it."""

    def __init__(self, hours: int) -> None:
        self.stage = Stage(hours, busy(hours), speed=HOUR_A_SECOND)
        self.clock = Anchored(self.stage.clock)
        session = self.stage.session
        session._clock, session._pace = self.clock, WallPace(self.clock, HOUR_A_SECOND)
        self.watch = ClockWatch(self.clock, self.stage.bus, session.record_entry)

    @property
    def jumps(self) -> list[float]:
        """Seconds of each entry."""
        return [w["jump_ns"] / SECOND_NS for kind, w in self.stage.journal.entries if kind == "clock_jump"]


@pytest.mark.parametrize("seconds", [-3600.0, 86_400.0, 1.5, -2.0, 365 * 86_400.0])
async def test_a_jump_is_one_entry_and_order_is_kept(seconds: float) -> None:
    watched = Watched(30)
    stage = watched.stage
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        tasks.start_soon(watched.watch.run)
        await stage.until("running")
        await stage.clock.advance(12.2)
        tasks.start_soon(stage.session.command, "before", "kill_switch", {"on": "yes"})
        stage.clock.jump_wall(seconds)
        tasks.start_soon(stage.session.command, "unseen", "kill_switch", {"on": "no"})
        await stage.clock.advance(4.0)
        tasks.start_soon(stage.session.command, "after", "kill_switch", {"on": "yes"})
        await stage.clock.advance(20.0)
        await stage.session.finish(END_OF_DATA)
        tasks.cancel_scope.cancel()
    assert watched.jumps == [seconds]
    assert [heard.message.jump_ns for heard in stage.heard if heard.topic == CLOCK_JUMP] == [round(seconds * SECOND_NS)]
    records = stage.journal.durable
    instants = [(record.instant, record.phase) for record in records]
    assert instants == sorted(set(instants))
    commands = [item.id for record in records for item in record.inputs if isinstance(item, Command)]
    assert commands[:3] == ["before", "unseen", "after"]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))


async def test_there_and_back_are_two_entries_and_a_day_still_rolls_once() -> None:
    watched = Watched(50)
    stage = watched.stage
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        tasks.start_soon(watched.watch.run)
        await stage.until("running")
        await stage.clock.advance(23.5)  # half an hour of the market before midnight
        for seconds in (86_400.0, -86_400.0):
            stage.clock.jump_wall(seconds)
            await stage.clock.advance(1.0)  # midnight is in the first of them
        await stage.clock.advance(40.0)
        await stage.session.finish(END_OF_DATA)
        tasks.cancel_scope.cancel()
    assert watched.jumps == [86_400.0, -86_400.0]
    days = Counter(change.change for record in stage.journal.durable for change in record.risk)
    assert days == {}, "a day that rolls with nothing tripped says nothing"
    assert {state.day for state in stage.desk.core.gate.states.values()} == {START_NS // DAY_NS + 2}
    walls = [wall["started_ns"] for _, wall in sorted(stage.journal.walls.items())]
    falls = sum(later < earlier for earlier, later in pairwise(walls))
    assert falls == 1, "wall times fall with the entry that says so, and nowhere else"


async def test_a_slow_drift_within_the_tolerance_is_none() -> None:
    watched = Watched(4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.watch.run)
        for _ in range(9):
            watched.stage.clock.jump_wall(0.1)
            await watched.stage.clock.advance(1.0)
        assert watched.jumps == []
        watched.stage.clock.jump_wall(0.2)
        await watched.stage.clock.advance(1.0)
        tasks.cancel_scope.cancel()
    assert [round(jump, 6) for jump in watched.jumps] == [1.1]
