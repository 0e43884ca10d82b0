"""A follower of a session that goes on: first what the journal held already, then what comes; and how far a projection had come."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.cycle_follower import CycleFollower, Mark, mark
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.domain import events
from dudzian_daemon.kernel.bus import Bus, Policy
from tests.unit.adapters.journal_samples import KEY, quiet_cycle, small_session, write_session
from tests.unit.sinks.durable import durable

OURS, BEFORE = "a" * 32, "b" * 32


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("begun", [0, 3, 7])
def test_what_is_recorded_comes_first_and_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: int, *, near: bool) -> None:
    folder = write_session(tmp_path, small_session(), end=None).parent
    monkeypatch.setattr("dudzian_daemon.adapters.cycle_follower._NEAR", 20_000 if near else 0)
    bus = Bus()
    queue = bus.subscribe_queued(events.CYCLE_DURABLE, name="test", size=10, policy=Policy.DROP_OLDEST)
    follower = CycleFollower(queue, folder, sequence=begun, recorded=7)
    for sequence in (8, 9):
        bus.publish(events.CYCLE_DURABLE, durable(quiet_cycle(sequence), folder.name))
    follower.end()

    async def read() -> list[int]:
        return [cycle.record.sequence async for batch in follower.cycles() for cycle in batch]

    assert anyio.run(read) == list(range(begun + 1, 10))


def projection(path: Path, *told: tuple[str, int]) -> Path:
    log = ChainedLog.create(path, "c" * 32, KEY)
    log.append(encode(genesis("demo", "test", signed=True, projection=True)), b"{}")
    for session, sequence in told:
        log.append(encode({"kind": "fill", "session": session, "sequence": sequence}), b"{}")
    log.append(encode({"kind": "stopped", "sequence": told[-1][1]}), b"{}")
    log.commit_now()
    log.release()
    return path


def test_the_mark_is_the_last_cycle_told_and_its_lines(tmp_path: Path) -> None:
    one = projection(tmp_path / "one", (BEFORE, 9), (OURS, 2), (OURS, 4), (OURS, 5), (OURS, 5))
    two = projection(tmp_path / "two", (BEFORE, 8), (OURS, 5), (OURS, 6), (OURS, 6))
    other = projection(tmp_path / "other", (BEFORE, 9))
    assert mark([one], OURS) == Mark(5, 2)
    assert mark([one, two], OURS) == mark([two, one], OURS) == Mark(6, 2)
    assert mark([other], OURS) == mark([], OURS) == Mark()


def test_a_cycle_that_lies_in_two_files_is_counted_over_both(tmp_path: Path) -> None:
    one = projection(tmp_path / "one", (OURS, 4), (OURS, 5))
    two = projection(tmp_path / "two", (OURS, 5), (OURS, 5))
    assert mark([one, two], OURS) == Mark(5, 3)
