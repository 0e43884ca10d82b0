"""The last durable snapshot of a running daemon as a small file, for `dudzian status` and for scripts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.files import write_atomic
from dudzian_daemon.domain.errors import ConfigError, Retryable, StorageError
from dudzian_daemon.domain.events import CycleDurable, SessionState
from dudzian_daemon.domain.market import Book, Candle, Input, OpenPrint, Quote, price_shown
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Order
from dudzian_daemon.domain.records import CycleRecord, PositionChange
from dudzian_daemon.domain.resources import ResourceUse
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock

PERIOD_SECONDS: Final = 0.5


class UnitLine(msgspec.Struct, frozen=True):
    """A named part of the daemon and what it is doing."""

    name: str
    state: str
    detail: str = ""
    restarts: int = 0


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order at the simulated venue. Quantities in the base asset, prices in the quote asset, instants in ns of event time.

    `stop_price` is where a stop stands now; a `dormant` order waits for its bracket's entry, a `triggered` one has met its stop price.
    """

    order_id: str
    strategy: str
    instrument: str
    side: str
    kind: str
    quantity: Decimal
    filled: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str
    expires_at: int | None
    accepted_at: int
    reduce_only: bool
    dormant: bool
    triggered: bool


class Status(msgspec.Struct, kw_only=True):
    """Schema `dudzian.status/1`. Instants in ns of event time, `written_at` in ns of wall time; amounts in the valuation asset.

    `prices` are the last ones of the instruments that are held, `orders` the open ones, oldest first within an
    instrument. `dropped` counts the messages that a full queue has lost, `merged` those that a newer one of the same kind has
    replaced before they were looked at. `resources` is the use of the process's budgets. `token` says why
    what needs a scheduler token is refused; empty if nothing speaks against it.
    """

    schema: str = "dudzian.status/1"
    environment: str
    log_id: str
    pid: int
    started_at: int
    metrics_port: int | None = None
    metrics_url: str = ""
    state: str = "starting"
    detail: str = ""
    ready: bool = False
    not_ready: tuple[str, ...] = ()
    sequence: int = 0
    instant: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    cash: Decimal = ZERO
    equity: Decimal = ZERO
    positions: list[PositionChange] = []
    prices: dict[str, float] = {}
    orders: list[OpenOrder] = []
    units: list[UnitLine] = []
    dropped: dict[str, int] = {}
    merged: dict[str, int] = {}
    token: str = ""
    resources: list[ResourceUse] = []
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


class LeftBooks(msgspec.Struct, frozen=True, kw_only=True):
    """Positions, last prices by instrument and open orders that a session had when this process took it up."""

    positions: Sequence[PositionChange] = ()
    prices: Mapping[str, float] = {}
    orders: Sequence[Order] = ()


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
        left: LeftBooks,
    ) -> None:
        """`left` is what a resumed session begins with."""
        self.status = status
        self._path = path
        self._clock = clock
        self._complete = complete
        self._positions = {(change.strategy, change.instrument): change for change in left.positions}
        self._prices = dict(left.prices)
        self._orders: Sequence[Order] = left.orders
        #: Open orders after the cycle of a sequence, wherever they became others, until that cycle is durable.
        self._unreleased: deque[tuple[int, Sequence[Order]]] = deque()
        self._looked_at: Sequence[Order] = left.orders
        bus.subscribe("session.*", self._take, name=self.name)

    def look(self, record: CycleRecord, orders: Sequence[Order]) -> None:
        """Just after the step that made `record`: the open orders it leaves."""
        if orders != self._looked_at:
            self._looked_at = orders
            self._unreleased.append((record.sequence, orders))

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
        held = {position.instrument for position in self.status.positions}
        self.status.prices = {instrument: price for instrument, price in sorted(self._prices.items()) if instrument in held}
        self.status.orders = list(map(_open_order, self._orders))
        self.status.written_at = self._clock.wall_ns()
        self._complete(self.status)
        try:
            await anyio.to_thread.run_sync(partial(write_atomic, faults="status"), self._path, msgspec.json.encode(self.status))
        except (StorageError, ConfigError) as error:
            raise Retryable(str(error)) from error

    def _take(self, _topic: str, message: Any) -> None:
        status = self.status
        if isinstance(message, CycleDurable):
            record = message.record
            status.sequence, status.instant, status.cash, status.equity = record.sequence, record.instant, record.cash, record.equity
            for change in record.positions:
                self._positions[(change.strategy, change.instrument)] = change
            self._prices.update(prices_of(record.inputs))
            while self._unreleased and self._unreleased[0][0] <= record.sequence:
                self._orders = self._unreleased.popleft()[1]
        elif isinstance(message, SessionState):
            status.state, status.detail = message.state, message.detail


def prices_of(inputs: Iterable[Input]) -> Iterator[tuple[str, float]]:
    """The prices that the inputs tell, by instrument, in their order."""
    for item in inputs:
        if isinstance(item, Candle | OpenPrint | Quote | Book) and (price := price_shown(item)) is not None:
            yield item.instrument, price


def _open_order(order: Order) -> OpenOrder:
    terms = order.terms
    return OpenOrder(
        order_id=order.id,
        strategy=order.strategy,
        instrument=order.instrument,
        side=order.side,
        kind=terms.kind,
        quantity=order.quantity,
        filled=order.filled,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price if order.stop_level is None else order.stop_level,
        time_in_force=terms.time_in_force,
        expires_at=terms.expires_at,
        accepted_at=order.accepted_at,
        reduce_only=order.reduce_only,
        dormant=order.dormant,
        triggered=order.triggered,
    )


def unit_lines(units: Mapping[str, Any]) -> list[UnitLine]:
    """The registry's units as lines."""
    return [UnitLine(unit.name, str(unit.state), unit.detail, unit.restarts) for unit in units.values()]
