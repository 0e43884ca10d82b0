"""How often a venue is asked while nothing is due."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario.made_venue import DAYS, live, spec_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return spec_of(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(("poll_seconds", "times"), [(5, 12), (20, 3), (300, 0)])
async def test_a_venue_with_nothing_due_is_asked_for_a_candle_once_a_poll(spec, poll_seconds, times) -> None:
    async with live(spec, needs={DAYS: 3}, quote_seconds=600, poll_seconds=poll_seconds) as run:
        before, cycles = run.source.asked.count("candles 1d"), len(run.ticks)
        await run.clock.advance(61)
        assert run.source.asked.count("candles 1d") - before == times
        assert len(run.ticks) == cycles  # what was known before is no input


async def test_a_venue_that_is_gone_is_missed_by_the_poll(spec) -> None:
    async with live(spec, needs={DAYS: 3}, quote_seconds=3600, poll_seconds=60) as run:
        await run.clock.advance(30)
        run.source.down = True
        await run.clock.advance(600)
        assert [(alert.code, alert.active) for alert in run.alerts] == [("ADAPTER-OFFLINE", True)]
