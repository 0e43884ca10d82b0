"""Whatever the disk takes for its commits and whenever commands come: one order of inputs, nothing released early, nothing lost."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.domain.errors import StorageFull
from dudzian_daemon.domain.market import Command
from tests.unit.services.stage import HOUR_A_SECOND, OPERATOR, Stage, busy
from tests.unit.services.test_session import assert_nothing_was_released_early

HOURS = 6
PERIODS = st.integers(0, 3_000).map(lambda ms: ms / 1000)
#: Seconds until the next command, and how often the disk is full before it.
EVENTS = st.lists(st.tuples(PERIODS, st.integers(0, 2)), max_size=6)


@given(delay_s=PERIODS, events=EVENTS)
@settings(max_examples=150)
def test_any_disk_and_any_commands(delay_s: float, events: list[tuple[float, int]]) -> None:
    asyncio.run(play(delay_s, events))


async def play(delay_s: float, events: list[tuple[float, int]]) -> None:
    stage = Stage(HOURS, busy(HOURS), speed=HOUR_A_SECOND, delay_s=delay_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        for number, (seconds, full) in enumerate(events):
            stage.journal.faults += [StorageFull("no space left")] * full
            await stage.clock.advance(seconds)
            tasks.start_soon(stage.session.command, f"c{number}", "kill_switch", {"on": "yes"})
        await stage.clock.advance(60.0)
        tasks.start_soon(stage.session.finish, OPERATOR)
        await stage.clock.advance(10.0)
    durable = stage.journal.durable
    assert [cycle.sequence for cycle in stage.cycles] == [record.sequence for record in durable] == list(range(1, len(durable) + 1))
    assert all((a.instant, a.phase) < (b.instant, b.phase) for a, b in pairwise(durable))
    inputs = [item for record in durable for item in record.inputs]
    assert all(a.instant <= b.instant for a, b in pairwise(inputs))
    commands = {item.id for item in inputs if isinstance(item, Command)}
    assert commands >= {f"c{number}" for number in range(len(events))}
    assert_nothing_was_released_early(stage)
