"""Owns one session: takes inputs from the feed and commands from the inbox to the core, and gives the records to `DurableCycles`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import msgspec

from dudzian_daemon.adapters.checkpoints import Checkpoints
from dudzian_daemon.adapters.durable_cycles import DurableCycles
from dudzian_daemon.domain import events
from dudzian_daemon.domain.cycle_events import Timing, wall_fields
from dudzian_daemon.domain.errors import StorageError, StorageFull
from dudzian_daemon.domain.market import Elapsed, Phase, Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.ports import Journal
from dudzian_daemon.domain.records import CycleRecord, StrategyFault
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.pace import Pace
from dudzian_daemon.kernel.stacks import told
from dudzian_daemon.trading.barrier import in_order
from dudzian_daemon.trading.driver import Driver

log = logs.logger("session")


class Feed(Protocol):
    """Where inputs come from."""

    def items(self) -> AsyncIterator[Tick | Elapsed | WindowEnd]:
        """Ticks in their order, time that passes without one, and the ends of windows."""
        ...


class Ending(msgspec.Struct, frozen=True):
    """How the session ends: `kind` of the last journal entry, and the command recorded before it, if any."""

    kind: str
    reason: str
    close_positions: bool


class Session:
    """The one task that steps the core. `run` returns when the session was ended, by its data or by `end`."""

    name = "session"

    def __init__(
        self,
        driver: Driver,
        feed: Feed,
        pace: Pace,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        *,
        store_rows: Callable[[Tick], None],
        observe_commit: Callable[[float], None],
    ) -> None:
        self._driver = driver
        self._feed = feed
        self._pace = pace
        self._journal = journal
        self._bus = bus
        self._clock = clock
        self._store_rows = store_rows
        self.durable = DurableCycles(journal, bus, clock, driver.core.sequence, observe_commit, self._tell_disk)
        #: Looks at each cycle just after its step; on False the kill switch is put on before anything else is taken.
        self.inspect: Callable[[CycleRecord], bool] = lambda _record: True
        #: What of the feed goes to the core, in its order.
        self.let_through: Callable[[Tick | Elapsed | WindowEnd], Sequence[Tick | Elapsed | WindowEnd]] = lambda item: (item,)
        self._feeding: anyio.CancelScope | None = None  # made in `run`: a session is put together in a thread, which knows no loop
        self._stopped_feeding = False
        self._ended = anyio.Event()
        self._state = self._before_frozen = "starting"
        self._upcoming: int | None = None
        self._release_at: int | None = None
        #: Commands (name, arguments) that are stepped in before the very first input, warm-up included.
        self.opening: Sequence[tuple[str, dict[str, str]]] = ()
        self._caught: list[BaseException] = []
        driver.core.strategies.on_fault = self._caught.append
        self._checkpoints = Checkpoints(driver, journal)
        self._resumed = driver.last > (0, Phase.COMMAND)
        #: What was released at the instant of the last recorded tick is complete: from here on a command may come in between.
        self._in_order = anyio.Event()
        if not self._resumed:
            self._in_order.set()
        self.data_ended = False

    def stepped_before(self, duration_ns: int) -> None:
        """What had to be run again at the start counts for the next checkpoint: lives too short for one of their own need it most."""
        self._checkpoints.stepped(duration_ns)

    async def run(self) -> None:
        """Feed the core until the data ends or `end` is called; lines are committed beside it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.durable.commit_lines, name="session.commit")
            tasks.start_soon(self.durable.close_quiet_lines, name="session.quiet")
            with anyio.CancelScope() as self._feeding:
                if self._stopped_feeding:
                    self._feeding.cancel()
                await self._feed_core()
            await self._ended.wait()
            tasks.cancel_scope.cancel()

    def overdue_seconds(self) -> float:
        """How late the next input is, by the wall: 0 while it is not yet due or time does not pass by itself."""
        if self._release_at is None:
            return 0.0
        return max(0.0, (self._clock.monotonic_ns() - self._release_at) / 1e9)

    async def until_in_order(self) -> None:
        """Wait until a resumed feed has released what belongs to the instant of the last recorded tick; without a restart at once."""
        await self._in_order.wait()

    def stop_feeding(self) -> None:
        """No further input from the feed; commands still step the core."""
        self._stopped_feeding = True
        if self._feeding is not None:
            self._feeding.cancel()

    async def command(self, command_id: str, name: str, arguments: dict[str, str]) -> int:
        """Step a command in and wait until its line is durable; returns its sequence. While the disk is full it waits before."""
        return await self._command(lambda: command_id, name, arguments)

    async def own_command(self, origin: str, name: str, arguments: dict[str, str]) -> int:
        """As `command`, for one that the daemon gives itself: its id is unique in the session, restarts included."""
        return await self._command(partial(self._own_id, origin), name, arguments)

    async def _command(self, command_id: Callable[[], str], name: str, arguments: dict[str, str]) -> int:
        await self._in_order.wait()
        await self.durable.until_disk_takes_lines()
        now = self._pace.command_instant(self._upcoming)  # an input that is late keeps its place: just after the last one
        sequence = self._step(partial(self._driver.command, command_id(), name, arguments, now=now))
        await self.durable.until(sequence)
        return sequence

    def _own_id(self, origin: str) -> str:
        """Every command is a cycle of its own, so no two of them are given before the same one, in whichever run."""
        return f"{origin}-{self._driver.core.sequence + 1}"

    async def settled(self) -> int:
        """Wait until all that the core has done so far is durable; returns its sequence."""
        sequence = self._driver.core.sequence
        await self.durable.until(sequence)
        return sequence

    def record_entry(self, kind: str, d: dict[str, Any], w: dict[str, Any]) -> None:
        """Put an entry that is no cycle into the journal, where it stands between the cycles; it is made durable with the next commit."""
        self._journal.append_entry(kind, d, w)
        self.durable.commit_soon()

    async def close_book(self, ending: Ending) -> None:
        """Record why the session stops and, if wanted, close its positions on the last prices. Before the first input there is no when."""
        self.stop_feeding()
        if self._driver.core.sequence == 0:
            return
        keeps = {"keep_orders": "yes"} if ending.kind == "stopped" and not ending.close_positions else {}
        await self.command(
            f"{ending.reason}-{self._driver.last[0] + 1}",
            "stop",
            {"reason": ending.reason, "close_positions": _yes(ending.close_positions), **keeps},
        )
        self._step(self._driver.snapshot)

    async def finish(self, ending: Ending) -> None:
        """Make everything durable, release it, and write the last entry."""
        self.stop_feeding()
        await self.durable.until(self._driver.core.sequence)
        self._checkpoints.take_now("stop")
        await self._journal.close(ending.kind, {"reason": ending.reason, "sequence": self._driver.core.sequence})
        await self.durable.keep_head(True)
        self._publish_state("stopped", ending.reason)
        self._ended.set()

    async def give_up(self, ending: Ending) -> None:
        """End after a fault: the core is stepped no more; what it has done so far is made durable if the disk takes it."""
        self.stop_feeding()
        facts = {"reason": ending.reason, "sequence": self.durable.newest}
        with suppress(StorageError):  # the fault that is being told already
            self.durable.release(await self._journal.close(ending.kind, facts))
            await self.durable.keep_head(True)
        self._publish_state("stopped", ending.reason)
        self._ended.set()

    # -- feeding the core ------------------------------------------------------------------------------------------

    async def _feed_core(self) -> None:
        self._publish_state("warming_up")
        if self._resumed:
            self._go_on()
        try:
            async for offered in self._feed.items():
                for item in self.let_through(offered):
                    await self._take(item)
                if reason := self._checkpoints.due:
                    await self._checkpoints.take(reason)
                    self.durable.commit_soon()
        finally:
            self._in_order.set()
        self.data_ended = True
        self._publish_state("data_ended")

    def _go_on(self) -> None:
        """Where the last run ended: time passes from there, and a window that it had just ended gets its snapshot."""
        self._pace.anchor(self._driver.last[0])
        if self._driver.feed.closing:
            self._step(self._driver.snapshot)
        if self._driver.feed.last is not None:
            self._publish_state("running")

    async def _take(self, item: Tick | Elapsed | WindowEnd) -> None:
        if isinstance(item, Elapsed):
            await self.durable.until_room()
            self._step(partial(self._driver.timers_before, item.instant, Phase.OPEN))
            return
        if isinstance(item, WindowEnd):
            self._in_order.set()
            await self._end_window(item)
            return
        if item.instant > self._driver.last[0]:
            self._in_order.set()
        await self._until_due(item)
        item = in_order(item, self._driver.last)
        if item.rows:
            await anyio.to_thread.run_sync(self._store_rows, item)
        self._step_opening(item.instant)
        self._step(partial(self._driver.advance, item), due_at=self._release_at)
        self._upcoming = None
        if item.rows:
            self._pace.anchor(item.instant)
            self._publish_state("running")

    def _step_opening(self, instant: int) -> None:
        """The opening commands, the last one at the instant of the first input: the phase of commands comes before every other.

        After a restart they wait until the instant of the last recorded tick is complete.
        """
        if instant <= self._driver.last[0]:
            return
        commands, self.opening = self.opening, ()
        for number, (name, arguments) in enumerate(commands, start=1):
            now = instant - len(commands) + number
            self._step(partial(self._driver.command, self._own_id("opening"), name, arguments, now=now))

    async def _end_window(self, window: WindowEnd) -> None:
        self._upcoming = self._release_at = None
        await self.durable.until_room()
        arguments = {"window": str(window.number), "close_positions": "yes"}
        self._step(partial(self._driver.command, f"end_of_data-{window.number}", "end_of_data", arguments))
        self._step(self._driver.snapshot)
        await self.durable.until(self._driver.core.sequence)

    async def _until_due(self, tick: Tick) -> None:
        """Wait for the tick's time and for the disk. Ticks of one instant are released back to back: no command comes between."""
        if tick.instant <= self._driver.last[0]:
            return
        self._upcoming = tick.instant
        release_at = None if tick.rows else self._pace.release_at(tick.instant)
        self._release_at = release_at
        if release_at is None:
            await anyio.lowlevel.checkpoint()
        else:
            await self._clock.sleep_until(release_at)
        await self.durable.until_room()

    def _step(self, step: Callable[[], Iterator[CycleRecord]], due_at: int | None = None) -> int:
        """Run one step, due at a monotonic time (ns), under exact money and append its cycles; returns the core's sequence."""
        started, before = self._clock.wall_ns(), self._clock.monotonic_ns()
        with exact_money():
            inspected = [(record, self.inspect(record)) for record in step()]
        records = [record for record, _ in inspected]
        late_ns = None if due_at is None else max(0, before - due_at)
        timing = Timing(started, self._clock.monotonic_ns() - before, late_ns)
        self._checkpoints.stepped(timing.duration_ns)
        for record in records:
            self.durable.append(record, timing, wall_fields(timing, self._tell_faults(record.faults)))
        if not all(sound for _, sound in inspected):
            arguments = {"on": "yes", "reason": "self_check"}
            self._step(partial(self._driver.command, self._own_id("self_check"), "kill_switch", arguments))
        self._checkpoints.hash_state()
        return self._driver.core.sequence

    def _tell_faults(self, faults: Sequence[StrategyFault]) -> list[dict[str, str]]:
        """Text and stack of what the plugins raised, in the order of the record's faults."""
        caught, self._caught[:] = self._caught[: len(faults)], self._caught[len(faults) :]
        details = [{"text": detail.text, "stack": detail.stack} for detail in map(told, caught)]
        for fault, detail in zip(faults, details, strict=False):  # a record holds no more faults than were caught
            where = {"strategy": fault.strategy, "unit": fault.unit, "where": fault.where}
            log.warning("strategy_fault", action="contain", **where, text=detail["text"], stack=detail["stack"])
        return details

    # -- what is told ----------------------------------------------------------------------------------------------

    def _tell_disk(self, fault: StorageFull | None) -> None:
        """The core is frozen by a full disk, or goes on."""
        if fault is None:
            self._publish_state(self._before_frozen, "the disk takes lines again")
        else:
            self._before_frozen = self._state
            self._publish_state("frozen", f"{fault}; the lines are kept in memory")

    def _publish_state(self, state: str, detail: str = "") -> None:
        self._state = state
        message = events.SessionState(state=state, log_id=self._journal.log_id, instant=self._driver.last[0], detail=detail)
        self._bus.publish(events.SESSION_STATE, message)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
