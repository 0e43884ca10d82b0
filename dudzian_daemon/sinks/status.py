"""The last durable snapshot of a running daemon as a small file, for `dudzian status` and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.files import write_atomic
from dudzian_daemon.domain.errors import ConfigError, Retryable, StorageError
from dudzian_daemon.domain.events import CycleDurable, SessionState
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.records import PositionChange
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock

PERIOD_SECONDS: Final = 0.5


class UnitLine(msgspec.Struct, frozen=True):
    """A named part of the daemon and what it is doing."""

    name: str
    state: str
    detail: str = ""
    restarts: int = 0


class Status(msgspec.Struct, kw_only=True):
    """Schema `dudzian.status/1`. Instants in ns of event time, `written_at` in ns of wall time; amounts in the valuation asset.

    `token` says why what needs a scheduler token is refused; empty if nothing speaks against it.
    """

    schema: str = "dudzian.status/1"
    environment: str
    log_id: str
    pid: int
    started_at: int
    metrics_port: int | None = None
    state: str = "starting"
    detail: str = ""
    ready: bool = False
    not_ready: tuple[str, ...] = ()
    sequence: int = 0
    instant: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    cash: Decimal = ZERO
    equity: Decimal = ZERO
    positions: list[PositionChange] = []
    units: list[UnitLine] = []
    dropped: dict[str, int] = {}
    token: str = ""
    written_at: int = 0


def status_path(data_folder: Path) -> Path:
    """Where the snapshot of the daemon on `data_folder` lies."""
    return data_folder / "run" / "status.json"


def read_status(data_folder: Path) -> Status | None:
    """The last snapshot, None if no daemon ever ran there. Raises `ConfigError` when the file is none, or cannot be read."""
    path = status_path(data_folder)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status) if path.is_file() else None
    except OSError as error:
        msg = f"expected a status snapshot in {path} that can be read, found: {error.strerror}; check owner and permissions of the file"
        raise ConfigError(msg) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"expected a status snapshot in {path}, found something else ({error}); a running daemon writes a new one within a second"
        raise ConfigError(msg) from None


class StatusSink:
    """Keeps `status` up to date from durable messages, inline, and writes it a few times a second, off the loop."""

    name = "status"

    def __init__(
        self,
        bus: Bus,
        status: Status,
        path: Path,
        clock: Clock,
        complete: Callable[[Status], None],
        positions: Iterable[PositionChange] = (),
    ) -> None:
        """`positions` are those that a resumed session begins with."""
        self.status = status
        self._path = path
        self._clock = clock
        self._complete = complete
        self._positions = {(change.strategy, change.instrument): change for change in positions}
        bus.subscribe("session.*", self._take, name=self.name)

    async def run(self) -> None:
        """Write until cancelled, and once more then. Raises `Retryable` when the disk refuses: readers see an old snapshot for a while."""
        try:
            while True:
                await self._write()
                await self._clock.sleep(PERIOD_SECONDS)
        finally:
            with anyio.CancelScope(shield=True):
                await self._write()

    async def _write(self) -> None:
        self.status.positions = [change for _, change in sorted(self._positions.items()) if change.quantity]
        self.status.written_at = self._clock.wall_ns()
        self._complete(self.status)
        try:
            await anyio.to_thread.run_sync(write_atomic, self._path, msgspec.json.encode(self.status))
        except StorageError as error:
            raise Retryable(str(error)) from error

    def _take(self, _topic: str, message: Any) -> None:
        status = self.status
        if isinstance(message, CycleDurable):
            record = message.record
            status.sequence, status.instant, status.cash, status.equity = record.sequence, record.instant, record.cash, record.equity
            for change in record.positions:
                self._positions[(change.strategy, change.instrument)] = change
        elif isinstance(message, SessionState):
            status.state, status.detail = message.state, message.detail


def unit_lines(units: Mapping[str, Any]) -> list[UnitLine]:
    """The registry's units as lines."""
    return [UnitLine(unit.name, str(unit.state), unit.detail, unit.restarts) for unit in units.values()]
