"""The session: durable first, then visible; commands in between; frozen when nothing can be recorded."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from dudzian_daemon.adapters.checkpoints import STEP_NS
from dudzian_daemon.adapters.durable_cycles import FULL_DISK_RETRY_SECONDS, MAX_LINES_AHEAD, QUIET_SECONDS
from dudzian_daemon.domain import events
from dudzian_daemon.domain.errors import StorageError, StorageFull
from dudzian_daemon.domain.market import HOUR_NS, SECOND_NS, Command
from dudzian_daemon.testing.market import START_NS
from dudzian_daemon.trading.state import decode_state
from tests.unit.services.stage import HOUR_A_SECOND, OPERATOR, SERVICE, Stage, busy
from tests.unit.trading.desk import enter, hour


def assert_nothing_was_released_early(stage: Stage) -> None:
    """The messages of a cycle end with its `session.cycle_durable`; each came when the journal was that far."""
    due = 0
    for heard in reversed(stage.heard):
        if heard.topic == events.CYCLE_DURABLE:
            due = heard.message.record.sequence
        if heard.topic not in (events.SESSION_STATE, events.UNIT_STATE):
            assert heard.durable_sequence >= due > 0


async def test_a_session_plays_its_data_and_closes() -> None:
    stage = Stage(24, busy(24))
    await stage.play()
    assert stage.states == ["warming_up", "running", "data_ended", "stopped"]
    assert stage.journal.last_entry == ("closed", {"reason": "end_of_data", "sequence": stage.desk.core.sequence})
    assert [cycle.sequence for cycle in stage.cycles] == list(range(1, stage.desk.core.sequence + 1))
    assert [record.sequence for record in stage.journal.durable] == [cycle.sequence for cycle in stage.cycles]
    assert len(stage.stored) == 1
    assert_nothing_was_released_early(stage)


async def test_nothing_is_released_before_its_commit_has_returned() -> None:
    stage = Stage(24, busy(24), delay_s=5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.settle()
        stepped = stage.desk.core.sequence
        assert stepped > 24
        assert stage.journal.pending > 0
        assert stage.cycles == []
        await stage.clock.advance(4.9)
        assert stage.cycles == []
        await stage.clock.advance(30.0)
        assert [cycle.sequence for cycle in stage.cycles] == list(range(1, stage.desk.core.sequence + 1))
        assert set(stage.commits) == {5.0}
        tasks.cancel_scope.cancel()
    assert_nothing_was_released_early(stage)


async def test_the_core_runs_ahead_of_the_disk_by_a_bounded_number_of_lines() -> None:
    stage = Stage(MAX_LINES_AHEAD, busy(MAX_LINES_AHEAD), delay_s=60.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(59.0)
        assert stage.journal.pending >= MAX_LINES_AHEAD
        await stage.clock.advance(60.0 * 20)
        assert stage.session.data_ended
        tasks.cancel_scope.cancel()
    assert MAX_LINES_AHEAD <= stage.journal.most_pending <= MAX_LINES_AHEAD + 2  # open and close of one instant come together
    assert_nothing_was_released_early(stage)


async def test_the_public_event_of_a_cycle_adds_up() -> None:
    stage = Stage(12, busy(12))
    await stage.play()
    keys = {"sequence", "signals", "results", "orders", "started_at", "finished_at", "duration_s", "instant", "phase"}
    for cycle, record in zip(stage.cycles, stage.journal.durable, strict=True):
        assert set(msgspec.to_builtins(cycle)) == keys
        assert (cycle.sequence, cycle.instant, cycle.phase) == (record.sequence, record.instant, record.phase)
        assert (cycle.signals, cycle.results, cycle.orders) == (record.signals, record.results, len(record.results))
        assert cycle.duration_s == cycle.finished_at - cycle.started_at >= 0.0
        assert cycle.started_at == stage.journal.walls[cycle.sequence]["started_ns"] / 1e9
    assert sum(cycle.orders for cycle in stage.cycles) > 12


async def test_quiet_cycles_wait_a_second_for_company() -> None:
    stage = Stage(12, speed=HOUR_A_SECOND)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(QUIET_SECONDS * 4.5)
        released = [cycle.instant for cycle in stage.cycles]
        assert hour(3) in released and stage.desk.driver.last[0] == hour(4)
        tasks.cancel_scope.cancel()
    assert_nothing_was_released_early(stage)


@pytest.mark.parametrize("seconds", [0.0, 0.25, 2.5, 5.999, 9.0])
async def test_a_command_steps_in_between_two_inputs(seconds: float) -> None:
    stage = Stage(12, speed=HOUR_A_SECOND)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(seconds)
        before, now = stage.desk.driver.last[0], START_NS + round(seconds * SECOND_NS) * 3600
        sequence = await stage.session.command("c1", "kill_switch", {"on": "yes"})
        (record,) = [each for each in stage.journal.durable if each.sequence == sequence]
        (command,) = [each for each in record.inputs if isinstance(each, Command)]
        assert (command.id, command.instant) == ("c1", max(before + 1, now))
        assert before < command.instant < before + HOUR_NS
        await stage.clock.advance(12.0)
        tasks.cancel_scope.cancel()
    instants = [(each.instant, each.phase) for each in stage.journal.durable]
    assert instants == sorted(set(instants))
    assert_nothing_was_released_early(stage)


async def test_a_command_is_answered_only_when_it_is_durable() -> None:
    stage = Stage(4, speed=HOUR_A_SECOND, delay_s=3.0)
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await stage.session.command("c1", "kill_switch", {"on": "yes"}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        tasks.start_soon(ask)
        await stage.clock.advance(2.9)
        assert answers == []
        await stage.clock.advance(4.0)
        assert answers == [2]
        assert stage.journal.durable_sequence >= 2
        tasks.cancel_scope.cancel()


async def test_ids_of_the_daemons_own_commands_are_made_of_the_cycle_so_no_later_run_gives_one_again() -> None:
    stage = Stage(8, busy(8), speed=HOUR_A_SECOND)
    stage.session.opening = [("kill_switch", {"on": "yes"}), ("kill_switch", {"on": "no"})]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        for on in ("yes", "no"):
            tasks.start_soon(stage.session.own_command, "budget", "kill_switch", {"on": on})
            await stage.clock.advance(2.0)
        tasks.cancel_scope.cancel()
    given = [(item.id, record.sequence) for record in stage.journal.durable for item in record.inputs if isinstance(item, Command)]
    assert [command_id for command_id, _ in given[:2]] == ["opening-1", "opening-2"]
    assert [command_id for command_id, _ in given[2:]] == [f"budget-{sequence}" for _, sequence in given[2:]]
    assert len(set(given)) == 4


async def test_what_was_run_again_at_the_start_counts_for_the_first_checkpoint() -> None:
    """Else lives that are too short for a checkpoint of their own would have more and more to run again."""
    stage = Stage(8, busy(8))
    stage.session.stepped_before(STEP_NS)
    await stage.play()
    assert [reason for reason, _ in stage.journal.checkpoints] == ["due", "stop"]
    assert decode_state(stage.journal.checkpoints[0][1]).core.sequence <= 2


async def test_a_full_disk_freezes_core_and_commands_until_there_is_space() -> None:
    stage = Stage(12, busy(12), speed=HOUR_A_SECOND)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(2.0)
        stage.journal.faults += [StorageFull("no space left")] * 3
        await stage.clock.advance(1.0)
        frozen_at, told = stage.desk.core.sequence, len(stage.cycles)
        assert (stage.states[-1], stage.heard[-1].message.detail) == ("frozen", "no space left; the lines are kept in memory")
        tasks.start_soon(stage.session.command, "c1", "close_positions", {"close_positions": "yes"})
        await stage.clock.advance(FULL_DISK_RETRY_SECONDS * 2)
        assert (stage.desk.core.sequence, len(stage.cycles)) == (frozen_at, told)
        await stage.clock.advance(FULL_DISK_RETRY_SECONDS)
        assert stage.states == ["warming_up", "running", "frozen", "running"]
        await stage.clock.advance(12.0)
        assert stage.session.data_ended
        tasks.cancel_scope.cancel()
    assert any(isinstance(item, Command) and item.id == "c1" for record in stage.journal.durable for item in record.inputs)
    assert [record.sequence for record in stage.journal.durable] == list(range(1, stage.desk.core.sequence + 1))
    assert_nothing_was_released_early(stage)


async def test_a_broken_disk_ends_the_session() -> None:
    stage = Stage(12, busy(12))
    stage.journal.faults.append(StorageError("sync failed"))
    with pytest.raises(ExceptionGroup) as caught:
        await stage.session.run()
    assert caught.group_contains(StorageError, match="sync failed")
    stage.journal.faults.append(StorageError("and again"))
    await stage.session.give_up(SERVICE)
    assert (stage.journal.last_entry, stage.cycles, stage.states[-1]) == (None, [], "stopped")


async def test_after_a_fault_of_the_feed_what_was_done_is_made_durable() -> None:
    stage = Stage(12, busy(12), broken_after=8)
    with pytest.raises(ExceptionGroup) as caught:
        await stage.session.run()
    assert caught.group_contains(LookupError, match="the reel tears")
    sequence = stage.desk.core.sequence
    await stage.session.give_up(SERVICE)
    assert stage.journal.last_entry == ("stopped", {"reason": "service", "sequence": sequence})
    assert [cycle.sequence for cycle in stage.cycles] == list(range(1, sequence + 1))
    assert_nothing_was_released_early(stage)


@pytest.mark.parametrize(("ending", "fills"), [(OPERATOR, 2), (SERVICE, 1)])
async def test_a_stop_closes_the_book_or_keeps_it(ending: object, fills: int) -> None:
    stage = Stage(12, {hour(2): [enter()]}, speed=HOUR_A_SECOND)
    chosen = OPERATOR if ending is OPERATOR else SERVICE
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(4.5)
        await stage.session.close_book(chosen)
        await stage.session.finish(chosen)
    records = stage.journal.durable
    assert stage.journal.last_entry == (chosen.kind, {"reason": chosen.reason, "sequence": records[-1].sequence})
    assert len([fill for record in records for fill in record.fills]) == fills
    (stop,) = [item for record in records for item in record.inputs if isinstance(item, Command)]
    assert (stop.name, stop.instant) == ("stop", START_NS + round(4.5 * HOUR_NS))
    assert_nothing_was_released_early(stage)


async def test_a_stop_before_the_first_input_records_no_moment() -> None:
    stage = Stage(12)
    async with anyio.create_task_group() as tasks:
        stage.session.stop_feeding()
        tasks.start_soon(stage.session.run)
        await stage.session.close_book(OPERATOR)
        await stage.session.finish(OPERATOR)
    assert stage.journal.last_entry == ("closed", {"reason": "operator", "sequence": 0})
    assert stage.journal.durable == []


async def test_the_next_input_is_overdue_only_when_it_is() -> None:
    stage = Stage(12, busy(12), speed=HOUR_A_SECOND)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(1.5)
        assert stage.session.overdue_seconds() == 0.0
        stage.journal.faults += [StorageFull("no space left")] * 100
        await stage.clock.advance(30.0)
        assert 20.0 < stage.session.overdue_seconds() < 30.0
        tasks.cancel_scope.cancel()
