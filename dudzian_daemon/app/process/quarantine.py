"""What a process that ended for a blocking strategy leaves to the next one: `run/quarantine.json` carries the name, the restart
quarantines it on the record.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, write_atomic
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.records import StrategyChange
from dudzian_daemon.kernel.bus import QueuedSubscription
from dudzian_daemon.trading.strategy_host import QUARANTINED

#: Why, as the record has it.
REASON: Final = "blocking"


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy that did not come back: the unit, for how long (s) it was watched, where it was, and when (wall ns)."""

    strategy: str
    unit: str
    seconds: float
    stack: str
    at: int


class QuarantineFile(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.quarantine/1`: what the next start has to quarantine."""

    schema: str = "dudzian.quarantine/1"
    blocked: tuple[Blocked, ...] = ()


def quarantine_path(data_folder: Path) -> Path:
    """Where the file of the daemon on `data_folder` lies."""
    return data_folder / "run" / "quarantine.json"


def read_quarantine(data_folder: Path) -> QuarantineFile:
    """What an earlier run left. Raises `ConfigError` when the file is none."""
    path = quarantine_path(data_folder)
    try:
        return msgspec.json.decode(path.read_bytes(), type=QuarantineFile) if path.is_file() else QuarantineFile()
    except msgspec.DecodeError as error:
        msg = f"expected the strategies to quarantine in {path}, found something else ({error}); remove the file to start without"
        raise ConfigError(msg) from None


def write_quarantine(data_folder: Path, blocked: tuple[Blocked, ...]) -> None:
    """Leave the file for the next start."""
    path = quarantine_path(data_folder)
    ensure_dir(path.parent)
    write_atomic(path, msgspec.json.encode(QuarantineFile(blocked=blocked)), mode=PRIVATE_FILE)


def opening_commands(found: QuarantineFile, known: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The commands that put the strategies of this session into quarantine before its first input."""
    names = dict.fromkeys(blocked.strategy for blocked in found.blocked)
    return [("quarantine", {"strategy": name, "reason": REASON}) for name in names if name in known]


def leave_name(data_folder: Path, blocked: Blocked) -> None:
    """Add a strategy to the file. Raises `DudzianError` or `OSError` when that is not possible."""
    before = [each for each in read_quarantine(data_folder).blocked if each.strategy != blocked.strategy]
    write_quarantine(data_folder, (*before, blocked))


class QuarantineRecorded:
    """Takes `strategies` out of the file once their quarantine is durable; `queue` holds `strategy.state`."""

    name = "quarantine"

    def __init__(self, queue: QueuedSubscription, data_folder: Path, strategies: Sequence[str]) -> None:
        self._queue = queue
        self._data_folder = data_folder
        self._strategies = frozenset(strategies)
        self._missing = set(strategies)

    async def run(self) -> None:
        """Consume until the last one is on the record, or the bus is closed."""
        async for batch in self._queue.batches():
            for _topic, change in batch:
                if isinstance(change, StrategyChange) and change.change == QUARANTINED:
                    self._missing.discard(change.strategy)
            if not self._missing:
                await anyio.to_thread.run_sync(_forget, self._data_folder, self._strategies)
                self._queue.close()

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._queue.end()


def _forget(data_folder: Path, strategies: Collection[str]) -> None:
    """Those of other sessions stay."""
    left = tuple(each for each in read_quarantine(data_folder).blocked if each.strategy not in strategies)
    if left:
        write_quarantine(data_folder, left)
    else:
        quarantine_path(data_folder).unlink(missing_ok=True)
