"""The account watched while it runs: silent as long as it is right; a difference stops new orders, is told, and is written down."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import msgspec

from dudzian_daemon.domain import events
from dudzian_daemon.domain.records import CycleRecord, Difference
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.sinks.self_check import FOLD_SECONDS, SelfCheckSink
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.services.stage import Stage, busy
from tests.unit.sinks.durable import follow, publish
from tests.unit.trading.desk import Desk, desk, flat_hours


class Watched:
    """A desk whose cycles a self-check looks at, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.bus = Bus()
        self.told: list[events.SelfCheckFailed] = []
        self.halted = 0
        self.desk: Desk = desk(busy(6))
        self.sink = SelfCheckSink(self.desk.core, follow(self.bus, "check"), self.bus, self.clock, log_id="f" * 32, folder=folder)
        self.sink.halt = self.halt
        self.bus.subscribe(events.SELF_CHECK, lambda _topic, message: self.told.append(message), name="ear")

    def files(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def written(self, file: str) -> list[Difference]:
        return msgspec.json.decode(Path(file).read_bytes(), type=list[Difference])

    async def halt(self) -> None:
        self.halted += 1

    async def run(self, *seconds: float) -> None:
        """Publish all cycles, let the clock go by, end."""
        publish(self.bus, self.desk.records)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sink.run)
            for span in seconds:
                await self.clock.advance(span)
                with anyio.fail_after(60):
                    while self.sink.folds == 0 and not self.told:
                        await anyio.lowlevel.checkpoint()
            await self.sink.stop()


def traded(watched: Watched) -> None:
    watched.desk.feed(flat_hours(8))


async def test_the_fold_of_all_entries_agrees_every_five_minutes(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    traded(watched)
    await watched.run(FOLD_SECONDS)
    assert (watched.sink.folds, watched.told, watched.halted) == (1, [], 0)
    assert watched.files() == []


async def test_a_ledger_that_is_not_its_entries_stops_new_orders_and_says_where(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    traded(watched)
    watched.desk.core.ledger.balances["expense:fees", "USDT"] += 1
    await watched.run(FOLD_SECONDS)
    (told,) = watched.told
    assert [(each.rule, each.subject) for each in told.differences] == [("INV-09", "expense:fees USDT")]
    assert (watched.halted, watched.sink.folds) == (1, 0)
    assert watched.files() == [Path(told.file).name]
    assert watched.written(told.file) == list(told.differences)


async def test_a_cycle_that_does_not_add_up_is_told_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    traded(watched)
    ledger = watched.desk.core.ledger
    ledger.wallet["USDT"] += Decimal("0.00000001")
    looked = [watched.sink.inspect(record) for record in watched.desk.records[:1]]
    assert looked == [False]
    assert watched.sink.inspect(watched.desk.records[1])  # said once; from there on nothing adds up
    await watched.run(1)
    (told,) = watched.told
    assert {each.rule for each in told.differences} >= {"INV-01", "INV-03"}


async def test_the_session_switches_new_orders_off_within_the_step(tmp_path: Path) -> None:
    """Through the real session: the switch is a recorded command, so it replays."""
    stage = Stage(5, busy(5))
    seen: list[int] = []

    def inspect(record: CycleRecord) -> bool:
        seen.append(record.sequence)
        return record.sequence != 4

    stage.session.inspect = inspect
    await stage.play()
    assert seen == list(range(1, len(seen) + 1))
    (switched,) = [each for each in stage.journal.durable if any(change.change == "kill_switch" for change in each.risk)]
    assert switched.sequence == 5
    assert [command.arguments["reason"] for command in switched.inputs if hasattr(command, "arguments")] == ["self_check"]
    assert stage.desk.core.gate.kill_switch
