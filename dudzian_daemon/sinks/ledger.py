"""The ledger's daily files `ledger-YYYYMMDD.jsonl`: one line per entry and per ended order, each naming its journal line.

A projection in the format of the journal (sealed, chained): behind the journal, never ahead of it, never holding the core
back. The date is that of the entry's instant, UTC. Each file is a log of its own and begins with the end of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import msgspec

from dudzian_daemon import __version__
from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.cycle_follower import CycleFollower, Mark
from dudzian_daemon.adapters.files import ensure_dir, os_errors, require_regular_or_absent
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_lines import is_begun
from dudzian_daemon.domain.errors import DudzianError, Permanent, StorageError, StorageFull
from dudzian_daemon.domain.events import CycleDurable
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.orders import Fill, OrderResult, OrderStatus
from dudzian_daemon.domain.records import LedgerEntry
from dudzian_daemon.kernel.clock import Clock, iso_utc

#: How long the sink waits before it asks a full disk again.
FULL_DISK_RETRY_SECONDS: Final = 1.0
#: Ends of an order that the ledger tells though no money moves.
_ENDS: Final = {OrderStatus.CANCELLED: "cancel", OrderStatus.EXPIRED: "expire"}


class LedgerFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files lie, how long (by the time they were last written), and whether a write waits for the disk."""

    folder: Path
    artifact: str
    key: SigningKey | None
    retention_days: int
    fsync: bool


class LedgerSink:
    """Writes what the cycles booked; a day's file is opened with its first line and let go of with the next day's."""

    name = "ledger"

    def __init__(self, follower: CycleFollower, files: LedgerFiles, clock: Clock, *, environment: str, begun: Mark | None = None) -> None:
        """`begun` is how far an earlier run of the session has come; its last cycle may have been cut short."""
        self._follower = follower
        self._begun = begun or Mark()
        follower.begin_after(max(self._begun.sequence - 1, 0))
        self._files = files
        self._clock = clock
        self._environment = environment
        self._log: ChainedLog | None = None

    async def run(self) -> None:
        """Consume until the bus is closed, then let go of the file."""
        try:
            async for cycle, told in self._follower.left():
                await self._tell(cycle, told)
            if self._log is not None:  # the new session's files follow none of the old one's
                await self._end_file()
                self._log.release()
                self._log = None
            async for batch in self._follower.cycles():
                for cycle in batch:
                    await self._tell(cycle, self._begun.lines if cycle.record.sequence == self._begun.sequence else 0)
                await self._commit()
            await self._end_file()
        finally:
            if self._log is not None:
                self._log.release()

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._follower.end()

    async def _tell(self, cycle: CycleDurable, told: int) -> None:
        """Append what the cycle booked, but for the lines that are there."""
        for day, line in islice(ledger_lines(cycle, self._environment), told, None):
            log = await self._log_of(day)
            log.append(encode(line), b"{}")

    async def _log_of(self, day: str) -> ChainedLog:
        path = self._files.folder / f"ledger-{day}.jsonl"
        if self._log is not None and self._log.path == path:
            return self._log
        await self._end_file()
        before = None if self._log is None else (self._log.path.name, self._log.line_hash)
        if self._log is not None:
            self._log.release()
        while True:
            try:
                self._log = await anyio.to_thread.run_sync(self._open, path, before, self._clock.wall_ns())
            except StorageFull:
                await self._clock.sleep(FULL_DISK_RETRY_SECONDS)
            except DudzianError as error:
                raise _behind(error) from error
            else:
                return self._log

    def _open(self, path: Path, before: tuple[str, str] | None, now_ns: int) -> ChainedLog:
        ensure_dir(path.parent)
        prune(path.parent, self._files.retention_days, now_ns)
        require_regular_or_absent(path)
        if path.exists() and not is_begun(path):
            return ChainedLog.resume(path, self._files.key, faults="ledger", sync=self._files.fsync)
        path.unlink(missing_ok=True)
        if before is None and self._begun.sequence:
            before = self._left_off(path)
        log = ChainedLog.create(path, new_log_id(), self._files.key, faults="ledger", sync=self._files.fsync)
        begun = genesis(self._files.artifact, f"dudzian {__version__}", signed=self._files.key is not None, projection=True)
        log.append(encode(begun), encode({"at": now_ns}))
        if before is not None:
            log.append(encode({"kind": "follows", "file": before[0], "line_hash": before[1]}), b"{}")
        return log

    def _left_off(self, path: Path) -> tuple[str, str] | None:
        """Name and last hash of the file that an earlier run of the session wrote last, without the torn tail it may have had."""
        earlier = [each for each in path.parent.glob("ledger-*.jsonl") if each.name < path.name]
        if not earlier:
            return None
        log = ChainedLog.resume(max(earlier), self._files.key, faults="ledger", sync=self._files.fsync)
        log.release()
        return log.path.name, log.line_hash

    async def _end_file(self) -> None:
        """Say that the file was not torn off here; a later session may go on after it."""
        if self._log is not None:
            self._log.append(encode({"kind": "stopped", "sequence": self._follower.sequence}), b"{}")
        await self._commit()

    async def _commit(self) -> None:
        """Commit, waiting while the disk is full. Raises `Permanent` when it fails: the files are behind then, and the session goes on."""
        while self._log is not None:
            try:
                await self._log.commit()
            except StorageFull:
                await self._clock.sleep(FULL_DISK_RETRY_SECONDS)
            except StorageError as error:
                raise _behind(error) from error
            else:
                return


def prune(folder: Path, retention_days: int, now_ns: int) -> list[Path]:
    """Delete ledger files last written more than `retention_days` before `now_ns`; returns them."""
    gone = []
    with os_errors(folder):
        found = sorted(folder.glob("ledger-*.jsonl"))
    for path in found:
        with os_errors(path):
            if path.stat().st_mtime_ns < now_ns - retention_days * DAY_NS:
                path.unlink()
                gone.append(path)
    return gone


def ledger_lines(cycle: CycleDurable, environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the cycle booked and which orders it ended, each with its UTC date; amounts are exact text."""
    record = cycle.record
    common = {"session": cycle.log_id, "sequence": record.sequence, "line_hash": cycle.line_hash, "environment": environment}
    fills = {fill.id: fill for fill in record.fills}
    told = (result for result in record.results if result.price is not None)  # one for each fill, in the same order
    statuses = {fill.id: result.status for fill, result in zip(record.fills, told, strict=True)}
    for entry in record.entries:
        instant = entry.instant or record.instant
        detail = _of_fill(fills[entry.fill_id], statuses[entry.fill_id]) if entry.fill_id else {}
        yield iso_utc(instant)[:10].replace("-", ""), {"kind": entry.kind, **common, **_of_entry(entry, instant), **detail}
    for result in record.results:
        kind = _ENDS.get(result.status)
        if kind is not None:
            yield iso_utc(record.instant)[:10].replace("-", ""), {"kind": kind, **common, **_of_end(result, record.instant)}


def _of_entry(entry: LedgerEntry, instant: int) -> dict[str, Any]:
    return {
        "timestamp": iso_utc(instant),
        "entry": entry.number,
        "order_id": entry.order_id,
        "fill_id": entry.fill_id,
        "signal_id": entry.signal_id,
        "strategy": entry.strategy,
        "symbol": entry.instrument,
        "reference": entry.reference,
        "leverage": entry.leverage,
        "position_value": entry.position_value,
        "position_change": entry.quantity,
        "cost_change": entry.cost,
        "realised": entry.realised,
        "margin_change": entry.margin,
        "postings": entry.postings,
    }


def _of_fill(fill: Fill, status: OrderStatus) -> dict[str, Any]:
    return {
        "side": fill.side,
        "quantity": fill.quantity,
        "price": fill.price,
        "reference_price": fill.reference_price,
        "slippage": fill.slippage,
        "fee": fill.fee,
        "fee_asset": fill.fee_asset,
        "status": status,
    }


def _of_end(result: OrderResult, instant: int) -> dict[str, Any]:
    return {
        "timestamp": iso_utc(instant),
        "order_id": result.order_id,
        "signal_id": result.signal_id,
        "strategy": result.strategy,
        "symbol": result.instrument,
        "side": result.side,
        "quantity": result.quantity,
        "price": None,
        "fee": "0",
        "status": result.status,
        "code": result.code,
    }


def _behind(error: DudzianError) -> Permanent:
    return Permanent(f"the ledger files stay behind the journal: {error}")
