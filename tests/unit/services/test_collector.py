"""The collector frees what holds itself, and looks through nothing that was there before."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import anyio
import pytest

from dudzian_daemon.services.collector import COLLECT_S, LATE_S, Collector
from dudzian_daemon.testing.clock import ManualClock


class Ring:
    """Holds itself."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def collecting_only_when_told() -> Iterator[None]:
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


async def test_what_holds_itself_is_freed_within_ten_seconds_once_the_old_was_set_aside() -> None:
    clock = ManualClock()
    collector, before = Collector(clock), weakref.ref(Ring())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collector.run)
        await clock.advance(10 * COLLECT_S)
        assert before() is not None  # a round would be a long one
        collector.set_aside()
        assert before() is None
        assert gc.get_freeze_count() > 10_000
        await clock.advance(COLLECT_S + LATE_S)
        after = weakref.ref(Ring())
        await clock.advance(COLLECT_S - 1)
        assert after() is not None
        await clock.advance(1)
        assert after() is None
        tasks.cancel_scope.cancel()
