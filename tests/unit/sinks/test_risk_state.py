"""The risk state as a file: what the gate knew after a durable cycle, never more, and at once after a change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS
from dudzian_daemon.domain.money import ZERO, exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.domain.risk import TradingState
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.sinks.risk_state import PERIOD_SECONDS, RiskState, RiskStateSink, read_risk_state, risk_state_path
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.market import START_NS, candles, limits
from tests.unit.sinks.durable import publish
from tests.unit.trading.desk import BTC, BTC_1H, Desk, desk, enter, hour, leave

TODAY, TOMORROW = (datetime.fromtimestamp((START_NS + day * DAY_NS) // SECOND_NS, UTC).date().isoformat() for day in range(2))


class Watched:
    """A desk whose cycles a sink looks at as a session does: each just after its step."""

    def __init__(self, folder: Path, made: Desk) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.bus = Bus()
        self.desk = made
        self.sink = RiskStateSink(made.core, self.bus, self.clock, environment="demo", log_id="f" * 32, data_folder=folder)

    def feed(self, prices: Sequence[float], start: int = START_NS) -> list[CycleRecord]:
        """Candle by candle, so that the sink sees the core as it is after each."""
        seen = []
        for bar in candles(BTC_1H, list(prices), start=start):
            for record in self.desk.feed([bar]):
                with exact_money():
                    self.sink.look(record)
                seen.append(record)
        return seen

    def switch(self) -> CycleRecord:
        record = self.desk.command("kill_switch", on="yes")
        with exact_money():
            self.sink.look(record)
        return record

    async def read(self) -> RiskState | None:
        return await anyio.to_thread.run_sync(read_risk_state, self.folder, "demo")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sink.run)
            await anyio.wait_all_tasks_blocked()
            yield
            await self.sink.stop()

    async def written(self) -> RiskState:
        with anyio.fail_after(60):
            while (state := await self.read()) is None:
                pass
        return state


def trading() -> Desk:
    """Half of 10,000 in BTC at 100 from the second hour on, closed at 90 an hour before midnight; slippage is 1 % of what was paid."""
    rules = limits(max_position_pct=Decimal(1), max_daily_loss_pct=Decimal("0.9"), hard_drawdown_pct=Decimal("0.9"))
    return desk({hour(1): [enter(target=0.5)], hour(22): [leave()]}, profiles={"balanced": rules})


async def test_the_fields_are_those_of_ledger_and_gate(tmp_path: Path) -> None:
    watched = Watched(tmp_path, trading())
    async with watched.running():
        publish(watched.bus, watched.feed([100.0, 100.0, 110.0]))
        await watched.written()
    state, core = await watched.read(), watched.desk.core
    assert state is not None
    (profile,) = state.profiles
    assert (state.environment, state.log_id, state.sequence) == ("demo", "f" * 32, core.sequence)
    assert (profile.profile, profile.current_day, profile.force_liquidation) == ("balanced", TODAY, False)
    assert (profile.last_equity, profile.peak_equity) == (core.ledger.equity, core.gate.states["balanced"].peak_equity)
    assert {name: (held.side, held.notional) for name, held in profile.positions.items()} == {BTC.key: ("long", 50 * Decimal(110))}
    assert (state.account.equity, state.account.gross_notional) == (core.ledger.equity, 50 * Decimal(110))


async def test_what_was_realised_today_is_not_what_was_realised_before(tmp_path: Path) -> None:
    watched = Watched(tmp_path, trading())
    async with watched.running():
        publish(watched.bus, watched.feed([100.0] * 3 + [90.0] * 20))
        await watched.written()
    loss = await watched.read()
    assert loss is not None
    assert (loss.profiles[0].current_day, loss.profiles[0].daily_realized_pnl, loss.profiles[0].positions) == (TODAY, Decimal(-505), {})

    later = Watched(tmp_path, trading())
    async with later.running():
        publish(later.bus, later.feed([100.0] * 3 + [90.0] * 24))
    after = await later.read()
    assert after is not None
    (profile,) = after.profiles
    assert (profile.current_day, profile.daily_realized_pnl) == (TOMORROW, ZERO)
    assert profile.start_of_day_equity == profile.last_equity == after.account.equity


async def test_nothing_is_written_before_its_cycle_is_durable(tmp_path: Path) -> None:
    watched = Watched(tmp_path, trading())
    async with watched.running():
        first, *_, last = watched.feed([100.0, 100.0])
        await anyio.wait_all_tasks_blocked()
        assert await watched.read() is None
        publish(watched.bus, [first])
        assert (await watched.written()).sequence == first.sequence < last.sequence
    end = await watched.read()
    assert end is not None
    assert end.sequence == first.sequence  # what is not durable at the end is not told


async def test_a_switch_and_a_trip_are_written_without_waiting_for_the_period(tmp_path: Path) -> None:
    rules = limits(max_position_pct=Decimal(1), max_daily_loss_pct=Decimal("0.01"), hard_drawdown_pct=Decimal("0.9"))
    watched = Watched(tmp_path, desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": rules}))
    async with watched.running():
        publish(watched.bus, watched.feed([100.0, 100.0]))
        first = await watched.written()
        trip = [record for record in watched.feed([50.0], start=hour(2)) if record.risk]
        publish(watched.bus, watched.desk.records[first.sequence :])
        with anyio.fail_after(60):
            while (state := await watched.written()).sequence < trip[0].sequence:
                pass
        assert (state.profiles[0].force_liquidation, state.profiles[0].daily_trip_day) == (True, TODAY)
        assert state.account.profiles[0].state is TradingState.REDUCING
        switched = watched.switch()
        publish(watched.bus, [switched])
        with anyio.fail_after(60):
            while not (state := await watched.written()).account.kill_switch:
                pass
    assert state.sequence == switched.sequence


async def test_without_a_change_it_is_written_once_a_period(tmp_path: Path) -> None:
    watched = Watched(tmp_path, trading())
    async with watched.running():
        publish(watched.bus, watched.feed([100.0]))
        first = await watched.written()
        publish(watched.bus, watched.feed([100.0], start=hour(1)))
        await anyio.wait_all_tasks_blocked()
        assert (await watched.written()).sequence == first.sequence
        await watched.clock.advance(PERIOD_SECONDS)
        following = iter(range(2, 10_000))
        with anyio.fail_after(60):
            while (await watched.written()).sequence == first.sequence:
                publish(watched.bus, watched.feed([100.0], start=hour(next(following))))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"schema": "dudzian.risk_state/2"}', b"\xff\xfe"])
def test_what_is_no_risk_state_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = risk_state_path(tmp_path, "demo")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_risk_state(tmp_path, "demo")
    text = str(refused.value)
    assert text.startswith(f"expected a risk state in {path}, found something else (")
    assert "\n" not in text


def test_a_folder_in_its_place_is_one_clear_line(tmp_path: Path) -> None:
    risk_state_path(tmp_path, "demo").mkdir(parents=True)
    with pytest.raises(ConfigError, match="demo") as refused:
        read_risk_state(tmp_path, "demo")
    assert "\n" not in str(refused.value)
