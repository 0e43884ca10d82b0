"""Small real sessions for the journal's tests: cycles, keys, and logs written by the real adapter."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.domain.market import Candle, OpenPrint
from dudzian_daemon.domain.orders import Fill, Intent, OrderResult, OrderStatus, Side, Signal
from dudzian_daemon.domain.ports import Released
from dudzian_daemon.domain.records import CycleRecord, PositionChange
from dudzian_daemon.testing.clock import ManualClock

KEY = SigningKey(id="risk-ci", secret=bytes(range(32)), source="test")
OTHER_KEY = SigningKey(id="risk-ci", secret=bytes(range(1, 33)), source="test")
BTC = "binance:BTC/USDT"
HOUR = 3_600_000_000_000


def quiet_cycle(sequence: int) -> CycleRecord:
    """A schedule was due and nothing came of it."""
    instant = sequence * HOUR
    candle = Candle(instant, BTC, "1h", instant, 100.5, 101.0, 99.25, 100.75, 12.0)
    return CycleRecord(
        sequence=sequence, instant=instant, phase=2, due=("trend",), inputs=(candle,), cash=Decimal("10000"), equity=Decimal("10000.5")
    )


def fill_cycle(sequence: int) -> CycleRecord:
    """A signal, its order and its fill; the reason is not ASCII."""
    instant = sequence * HOUR
    signal = Signal(instrument=BTC, intent=Intent.ENTER, reason="wybicie powyżej oporu", id=f"s{sequence}", instant=instant)
    result = OrderResult(
        order_id=f"o{sequence}",
        signal_id=signal.id,
        strategy="trend",
        instrument=BTC,
        side=Side.BUY,
        status=OrderStatus.FILLED,
        quantity=Decimal("0.125"),
    )
    fill = Fill(
        id=f"f{sequence}",
        order_id=result.order_id,
        signal_id=signal.id,
        strategy="trend",
        schedule="trend",
        instrument=BTC,
        side=Side.BUY,
        quantity=Decimal("0.125"),
        reference_price=Decimal("100.5"),
        slippage=Decimal("0.05"),
        price=Decimal("100.55"),
        fee=Decimal("0.00754125"),
        fee_asset="USDT",
        filled_at=instant,
        fill_source="open_print",
        inside_bar=False,
        preset="candle_default",
    )
    position = PositionChange(
        strategy="trend", instrument=BTC, quantity=Decimal("0.125"), cost=Decimal("12.56875"), realised=Decimal("-0.00754125")
    )
    return CycleRecord(
        sequence=sequence,
        instant=instant,
        phase=4,
        due=(),
        inputs=(OpenPrint(instant, BTC, "1h", 100.5),),
        signals=(signal,),
        results=(result,),
        fills=(fill,),
        positions=(position,),
        cash=Decimal("9987.42370875"),
        equity=Decimal("9999.9"),
    )


def small_session() -> list[CycleRecord]:
    """Three quiet cycles, one with a fill, two quiet ones, one with a fill."""
    return [fill_cycle(number) if number in (4, 7) else quiet_cycle(number) for number in range(1, 8)]


def write_session(
    root: Path,
    records: Iterable[CycleRecord],
    key: SigningKey | None = KEY,
    *,
    artifact: str = "demo",
    end: str | None = "closed",
    wall: dict[str, Any] | None = None,
    flush_every: int = 64,
) -> Path:
    """Write a whole session and return its segment; `end` None leaves it open."""
    journal = SessionJournal.create(root, artifact, key, clock=ManualClock(), wall={"host": "test"})

    async def write() -> list[Released]:
        journal.append_entry("run", {"config": {"version": 1}, "hashes": {"code": "0" * 64}}, {"pid": 1})
        for count, record in enumerate(records, start=1):
            journal.append(record, wall={"started_at": 0.5, **(wall or {})})
            if count % flush_every == 0:
                journal.flush_quiet()
        if end is not None:
            return list(await journal.close(end, {"reason": "end_of_data"}))
        journal.flush_quiet()
        return list(await journal.commit())

    anyio.run(write)
    journal.abandon()
    return journal.path
