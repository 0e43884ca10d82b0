"""The account watched while it runs: each cycle what it touched, every few minutes all of it against the fold of its entries.

On a difference: no new orders (kill switch, recorded), an event for the alerts, and a file that says what differs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.domain import events
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord, Difference, LedgerEntry
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.trading.invariants import Fold, SelfCheck, differences
from dudzian_daemon.trading.ledger import LedgerState
from dudzian_daemon.trading.step import Core

FOLD_SECONDS: Final = 300.0


class SelfCheckSink:
    """`inspect` is for the session, within its step; `run` follows the durable cycles and folds them in a worker.

    After the first difference it says no more: the account is wrong from there on.
    """

    name = "self_check"

    def __init__(self, core: Core, follower: CycleFollower, bus: Bus, clock: Clock, *, log_id: str, folder: Path) -> None:
        profiles = {(each.strategy, key): each.profile for each in core.spec.schedules for key in each.instruments}
        self.check = SelfCheck(core.spec.instruments, profiles)
        self._core = core
        self._follower = follower
        self._bus = bus
        self._clock = clock
        self._log_id = log_id
        self._folder = folder
        self._fold = Fold()
        self._entries: list[LedgerEntry] = []
        self._wanted: tuple[int, LedgerState] | None = None
        self._found: tuple[Difference, ...] = ()
        self._failed = anyio.Event()
        self._seen = 0
        self._turn = anyio.Lock()
        if core.sequence:
            reducing = [name for name, state in core.gate.states.items() if state.reducing]
            self.check.go_on(core.ledger, core.execution.open_orders, core.sequence, reducing)
            self._fold.go_on(core.ledger.state())
            self._seen = core.sequence
            follower.begin_after(core.sequence)
        #: Puts the kill switch on, when a full fold differs.
        self.halt: Callable[[], Awaitable[object]] | None = None
        #: Full folds that agreed.
        self.folds = 0

    def inspect(self, record: CycleRecord) -> bool:
        """The cheap part, just after the step and under exact money; False at the first difference."""
        if self._found:
            return True
        found = self.check.look(record, self._core.ledger)
        if found:
            self._fail(found)
        return not found

    async def run(self) -> None:
        """Follow until the bus is closed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._want_folds, name="self_check.clock")
            tasks.start_soon(self._tell, name="self_check.tell")
            async for batch in self._follower.cycles():
                for cycle in batch:
                    self._entries += cycle.record.entries
                    self._seen = cycle.record.sequence
                    if self._wanted is not None and cycle.record.sequence == self._wanted[0]:
                        await self._compare(self._wanted[1])
            tasks.cancel_scope.cancel()

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()

    async def _want_folds(self) -> None:
        while True:
            await self._clock.sleep(FOLD_SECONDS)
            if self._wanted is None:
                self._wanted = (self._core.sequence, self._core.ledger.state())
            if self._wanted[0] == self._seen:  # nothing is on its way that would bring it up
                await self._compare(self._wanted[1])

    async def _compare(self, state: LedgerState) -> None:
        entries, self._entries, self._wanted = self._entries, [], None
        async with self._turn:
            found = await anyio.to_thread.run_sync(_folded, self._fold, entries, state)
        if found and not self._found:
            self._fail(found)
        self.folds += not found

    def _fail(self, found: Sequence[Difference]) -> None:
        self._found = tuple(found)
        self._failed.set()

    async def _tell(self) -> None:
        await self._failed.wait()
        path = self._folder / f"{self._log_id}-{self._found[0].sequence or self._core.sequence}.json"
        self._bus.publish(events.SELF_CHECK, events.SelfCheckFailed(log_id=self._log_id, differences=self._found, file=str(path)))
        await anyio.to_thread.run_sync(_write, path, msgspec.json.format(msgspec.json.encode(self._found)))
        if self.halt is not None and not self._core.gate.kill_switch:
            await self.halt()


def _folded(fold: Fold, entries: Sequence[LedgerEntry], state: LedgerState) -> list[Difference]:
    with exact_money():
        found = [each for entry in entries for each in fold.add(entry)]
        return found + differences(fold.state(), state)


def _write(path: Path, text: bytes) -> None:
    ensure_dir(path.parent)
    write_atomic(path, text + b"\n")
