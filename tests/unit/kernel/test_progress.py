"""Loops that say when they come round again: a late one is named, and no other."""

from __future__ import annotations

from dudzian_daemon.kernel.progress import SLACK_SECONDS, Progress
from dudzian_daemon.testing.clock import ManualClock


async def test_a_loop_that_does_not_come_round_is_stuck_after_its_time_and_some_slack() -> None:
    clock = ManualClock()
    progress = Progress(clock)
    progress.expect("store", 5)
    progress.expect("watch", 10)
    await clock.advance(5 + SLACK_SECONDS)
    assert progress.stuck() == []
    await clock.advance(1)
    assert progress.stuck() == ["store has made no progress for 61 s"]
    progress.expect("store", 5)
    assert progress.stuck() == []
    await clock.advance(1000)
    assert len(progress.stuck()) == 2
    progress.done()
    assert progress.stuck() == []
