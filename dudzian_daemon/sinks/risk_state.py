"""What the gate knows of every profile as one small file, for `dudzian show-risk-state` where no daemon runs and for the next start.

A projection: it is taken after a cycle and written once that cycle's line is durable, behind the journal and never in its way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.files import ensure_dir, os_errors, require_regular_or_absent, write_atomic
from dudzian_daemon.domain.errors import ConfigError, Retryable, StorageError
from dudzian_daemon.domain.events import CYCLE_DURABLE
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS, Phase
from dudzian_daemon.domain.money import ZERO, exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.trading.risk_view import AccountView, Held, account_view, held_by_profile, realised_by_profile
from dudzian_daemon.trading.step import Core

#: The file is this old at most; after a change of a risk state it follows at once.
PERIOD_SECONDS: Final = 1.0


class ProfileState(msgspec.Struct, frozen=True, kw_only=True):
    """One profile; days are UTC, amounts in the valuation asset, realised profit apart from fees.

    `force_liquidation` is true while the profile only reduces; the days of its trips are None without one.
    """

    profile: str
    current_day: str
    start_of_day_equity: Decimal
    daily_realized_pnl: Decimal
    peak_equity: Decimal
    force_liquidation: bool
    last_equity: Decimal
    positions: dict[str, Held]
    daily_trip_day: str | None
    drawdown_trip_day: str | None


class RiskState(msgspec.Struct, kw_only=True):
    """Schema `dudzian.risk_state/1` after cycle `sequence`. `instant` in ns of event time, `written_at` in ns of wall time."""

    schema: Literal["dudzian.risk_state/1"] = "dudzian.risk_state/1"
    environment: str
    log_id: str
    sequence: int
    instant: int
    written_at: int = 0
    account: AccountView
    profiles: list[ProfileState]


def risk_state_path(data_folder: Path, environment: str) -> Path:
    """Where the file of the environment's latest session on `data_folder` lies."""
    return data_folder / "run" / "risk_state" / f"{environment}.json"


def read_risk_state(data_folder: Path, environment: str) -> RiskState | None:
    """What the latest session of the environment left, None if none did. Raises `ConfigError` when the file is none."""
    path = risk_state_path(data_folder, environment)
    require_regular_or_absent(path)
    if not path.exists():
        return None
    with os_errors(path):
        content = path.read_bytes()
    try:
        return msgspec.json.decode(content, type=RiskState)
    except msgspec.DecodeError as error:
        msg = f"expected a risk state in {path}, found something else ({error}); a running daemon writes a new one, or move it away"
        raise ConfigError(msg) from None


class RiskStateSink:
    """Takes the state in `look`, which is to be called after each step, and writes it when the bus says it is durable."""

    name = "risk_state"

    def __init__(self, core: Core, bus: Bus, clock: Clock, *, environment: str, log_id: str, data_folder: Path) -> None:
        self._core = core
        self._clock = clock
        self._environment = environment
        self._log_id = log_id
        self._path = risk_state_path(data_folder, environment)
        self._taken: RiskState | None = None
        self._wanted = True
        self._durable = 0
        self._due = anyio.Event()
        self._ending = False
        self._day = 0
        self._realised: dict[str, Decimal] = {}
        self._realised_before: dict[str, Decimal] = {}
        bus.subscribe(CYCLE_DURABLE, self._on_durable, name=self.name)

    def look(self, record: CycleRecord) -> None:
        """Just after the step that made `record`, under exact money: take the state if it is time, or if a risk state changed."""
        self._follow_day(record)
        if record.risk or (self._wanted and self._taken is None):
            self._taken = self._state(record.sequence, record.instant)
            self._wanted = False

    async def run(self) -> None:
        """Write until asked to end. Raises `Retryable` when the disk refuses: readers see an old state for a while."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._want, name="risk_state.clock")
            while not self._ending:
                await self._due.wait()
                self._due = anyio.Event()
                await self._write()
            await self._write()  # what `stop` has taken while a write was under way
            tasks.cancel_scope.cancel()

    async def stop(self) -> None:
        """Write how it stands at the end, if all of that is durable, and end."""
        if 0 < self._core.sequence == self._durable:
            with exact_money():
                self._taken = self._state(self._core.sequence, self._core.instant)
        self._ending = True
        self._due.set()

    async def _want(self) -> None:
        if self._taken is not None:  # left over from a run that failed
            self._due.set()
        while True:
            self._wanted = True
            await self._clock.sleep(PERIOD_SECONDS)

    async def _write(self) -> None:
        state = self._taken
        if state is None or state.sequence > self._durable:
            return
        state.written_at = self._clock.wall_ns()
        try:
            await anyio.to_thread.run_sync(_replace, self._path, msgspec.json.encode(state))
        except (StorageError, ConfigError) as error:
            raise Retryable(str(error)) from error
        if self._taken is state:
            self._taken = None

    def _on_durable(self, _topic: str, cycle: Any) -> None:
        self._durable = cycle.record.sequence
        if self._taken is not None and self._taken.sequence <= self._durable:
            self._due.set()

    def _follow_day(self, record: CycleRecord) -> None:
        """Keep what was realised before the day began: a candle that closes at midnight belongs to the day that ends."""
        day = max((state.day for state in self._core.gate.states.values()), default=0)
        closes = record.instant == day * DAY_NS and record.phase in (Phase.CLOSE, Phase.TIMER)
        if day > self._day and not closes:
            self._realised_before = self._realised
        if record.positions:
            self._realised = realised_by_profile(self._core)
        if day > self._day and closes:
            self._realised_before = self._realised
        self._day = day

    def _state(self, sequence: int, instant: int) -> RiskState:
        held, equity = held_by_profile(self._core), self._core.ledger.equity
        return RiskState(
            environment=self._environment,
            log_id=self._log_id,
            sequence=sequence,
            instant=instant,
            account=account_view(self._core),
            profiles=[
                ProfileState(
                    profile=name,
                    current_day=_date(state.day),
                    start_of_day_equity=state.start_of_day_equity,
                    daily_realized_pnl=self._realised.get(name, ZERO) - self._realised_before.get(name, ZERO),
                    peak_equity=state.peak_equity,
                    force_liquidation=state.reducing,
                    last_equity=equity,
                    positions=held.get(name, {}),
                    daily_trip_day=None if state.daily_trip_day is None else _date(state.daily_trip_day),
                    drawdown_trip_day=None if state.drawdown_trip_day is None else _date(state.drawdown_trip_day),
                )
                for name, state in sorted(self._core.gate.states.items())
            ],
        )


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_NS // SECOND_NS, UTC).date().isoformat()


def _replace(path: Path, content: bytes) -> None:
    ensure_dir(path.parent)
    write_atomic(path, content)
