"""The shared request budget: its ceiling, the pauses a venue asks for."""

from __future__ import annotations

import anyio
import pytest

from dudzian_daemon.adapters.venue_budget import BACKGROUND_SHARE, CEILING, RequestBudget
from dudzian_daemon.testing.clock import ManualClock


@pytest.mark.parametrize("limit", [60, 1200, 2400, 6000])
def test_no_minute_can_exceed_the_ceiling(limit: int) -> None:
    budget = RequestBudget("binance", limit, ManualClock())
    live, background = budget._live, budget._background
    assert live.max_rate + live.max_rate / live.time_period * 60 <= limit * CEILING + 1e-6
    share = limit * CEILING * BACKGROUND_SHARE
    assert background.max_rate + background.max_rate / background.time_period * 60 <= share + 1e-6


async def test_a_pause_holds_everybody_to_the_second() -> None:
    clock = ManualClock()
    budget = RequestBudget("binance", 6000, clock)
    done: list[str] = []

    async def ask(name: str, *, background: bool) -> None:
        await budget.take(2, background=background)
        done.append(name)

    budget.pause(7, "asked to")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ask("live", background=False))
        tasks.start_soon(lambda: ask("backfill", background=True))
        await clock.advance(6.999)
        assert done == []
        assert budget.paused_s == pytest.approx(0.001)
        await clock.advance(0.002)
    assert sorted(done) == ["backfill", "live"]
    assert budget.taken == 4


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clock = ManualClock()
    budget = RequestBudget("binance", 6000, clock)
    budget.pause(60, "a ban")
    budget.pause(1, "a limit")
    assert budget.paused_s == 60
    assert budget.pauses == 1


async def test_the_venues_own_count_stops_us_until_its_next_minute() -> None:
    clock = ManualClock()
    await clock.advance(42)
    budget = RequestBudget("binance", 6000, clock)
    budget.observe(None)
    budget.observe(4199)
    assert budget.paused_s == 0
    budget.observe(4200)
    assert budget.paused_s == pytest.approx(18)
