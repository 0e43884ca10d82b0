"""An alert sink that is given up in any step of its work: what it has told is in the audit."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.unit.sinks.alert_bench import BOUND_S, Bench, ScriptedChannel
from tests.unit.sinks.test_alerts import TRIP

#: Rounds of the loop from a delivery until the thread that writes its line has been asked, and some more.
ROUNDS = 8


@pytest.mark.parametrize("rounds", range(ROUNDS))
async def test_every_delivery_that_was_told_is_in_the_audit(tmp_path: Path, rounds: int) -> None:
    bench = Bench(tmp_path, {"file:a": ScriptedChannel()})
    with anyio.fail_after(BOUND_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.sink.run)
            bench.cycle(1, risk=(TRIP,))
            await bench.until(lambda: bench.outcomes("file:a") == ["sent RISK-DAILY-LIMIT"])
            for _ in range(rounds):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert [(line["channel"], line["status"]) for line in bench.audit()] == [("file:a", "OK")]
