"""The view: whose position it is and what it is worth, at every width of a terminal; lines where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from dudzian_daemon.adapters.event_lines import Names
from dudzian_daemon.domain.events import CycleDurable, SessionState
from dudzian_daemon.domain.market import Candle
from dudzian_daemon.domain.records import CycleRecord, PositionChange, StrategyFault
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.sinks.console import ConsoleView, flowed, sparkline
from tests.unit.trading.desk import hour

HERE, THERE, XRP = "binance:ETH/USDT", "binance_mirror:ETH/USDT", "binance:XRP/USDT"
STRATEGIES = ("core_daily_trend", "demo_mean_reversion", "demo_cross_exchange")
NOTES = ("speed 2,000,000 x real time", "/a/folder")


def held(strategy: str, instrument: str, quantity: int, cost: int) -> PositionChange:
    return PositionChange(
        strategy=strategy, instrument=instrument, quantity=Decimal(quantity), cost=Decimal(cost), realised=Decimal("-1.5")
    )


POSITIONS = (
    held("core_daily_trend", XRP, 100, 50),
    held("demo_mean_reversion", XRP, -40, -24),
    held("demo_cross_exchange", HERE, 2, 200),
    held("demo_cross_exchange", THERE, -2, -204),
)
CLOSES = {HERE: 101.0, THERE: 101.5, XRP: 0.55}


def cycle(sequence: int = 1, **parts: Any) -> CycleDurable:
    candles = tuple(Candle(hour(1), key, "1h", hour(1), close, close, close, close, 1.0) for key, close in CLOSES.items())
    usual: dict[str, Any] = {"phase": 2, "due": (), "inputs": candles, "cash": Decimal(1), "equity": Decimal("10050.25")}
    record = CycleRecord(sequence=sequence, instant=hour(1), **usual | parts)
    return CycleDurable(record=record, log_id="0" * 32, line=1, line_hash="0" * 64, duration_s=0.1)


def state(name: str, detail: str = "") -> SessionState:
    return SessionState(state=name, log_id="0" * 32, instant=0, detail=detail)


async def seen(messages: Sequence[Any], *, width: int = 150, height: int = 40, terminal: bool = True) -> list[str]:
    """What is on the screen once the view has taken the messages."""
    bus, out = Bus(), StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=terminal, color_system=None)
    queue = bus.subscribe_queued("session.*", name="console", size=100, policy=Policy.DROP_OLDEST)
    names = Names(STRATEGIES, [HERE, THERE, XRP])
    view = ConsoleView(queue, console, environment="demo", opening_equity=Decimal(10_000), notes=NOTES, names=names)
    for message in messages:
        bus.publish("session.any", message)
    await view.stop()
    await view.run()
    if not terminal:
        return out.getvalue().splitlines()
    with console.capture() as captured:
        console.print(view._render())
    return [line.rstrip() for line in captured.get().splitlines()]


async def test_positions_have_their_strategy_venue_value_and_unrealised_profit() -> None:
    lines = await seen([state("running"), cycle(positions=POSITIONS)])
    rows = [line.split() for line in lines if line.startswith(("trend", "reversion", "exchange"))]
    assert rows == [
        ["trend", "XRP/USDT", "100", "0.5", "0.55", "55.00", "+5.00", "-1.50"],
        ["exchange", "ETH/USDT@binance", "2", "100", "101", "202.00", "+2.00", "-1.50"],
        ["exchange", "ETH/USDT@binance_mirror", "-2", "102", "101.5", "-203.00", "+1.00", "-1.50"],
        ["reversion", "XRP/USDT", "-40", "0.6", "0.55", "-22.00", "+2.00", "-1.50"],
    ]


async def test_what_is_closed_is_gone() -> None:
    flat = held("core_daily_trend", XRP, 0, 0)
    assert not any(line.startswith("trend") for line in await seen([cycle(positions=POSITIONS), cycle(2, positions=(flat,))]))


@pytest.mark.parametrize(("width", "height"), [(150, 40), (80, 24), (46, 30)])
async def test_no_line_is_wrapped_and_all_fits_on_the_screen(width: int, height: int) -> None:
    faults = [
        cycle(n, faults=(StrategyFault(strategy="s", unit=f"unit {n}", where="decide", error="a long story" * 9),)) for n in range(2, 30)
    ]
    lines = await seen([state("running"), cycle(positions=POSITIONS), *faults], width=width, height=height)
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    assert any("unit 29 decide" in line for line in lines), "the latest is shown"
    assert lines[0] == f"dudzian · demo · paper only  running{'  speed 2,000,000 x real time  /a/folder' if width > 46 else ''}"
    (head,) = [line for line in lines if line.startswith("strategy")]
    assert head.endswith("unrealised" if width == 46 else "realised")
    assert sum(line.startswith("exchange") and line.split()[-1] in ("+1.00", "+2.00", "-1.50") for line in lines) == 2


async def test_the_same_fault_again_is_counted() -> None:
    fault = StrategyFault(strategy="s", unit="unit", where="decide", error="KeyError")
    lines = await seen([cycle(n, faults=(fault,)) for n in range(1, 8)])
    assert [line for line in lines if "KeyError" in line] == ["2024-01-01 01:00  fault x7   unit decide: KeyError"]
    plain = await seen([cycle(n, faults=(fault,)) for n in range(1, 8)], terminal=False)
    assert sum("KeyError" in line for line in plain) <= 2  # its first week's line of equity comes in between


async def test_a_state_that_is_so_already_is_not_said_again() -> None:
    lines = await seen([state("warming_up"), state("running"), cycle(), state("running"), state("frozen", "disk full")], terminal=False)
    assert [line for line in lines if line.startswith("session")] == [
        "session warming_up",
        "session running",
        "session frozen: disk full",
    ]


def test_parts_flow_onto_as_many_lines_as_they_take() -> None:
    parts = [Text("aaaa"), Text(""), Text("bbb"), Text("c" * 12)]
    assert [line.plain for line in flowed(parts, 10)] == ["aaaa  bbb", "c" * 12]
    assert [line.plain for line in flowed(parts, 8)] == ["aaaa", "bbb", "c" * 12]


def test_a_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert (sparkline([1.0, 8.0]), sparkline([3.0, 3.0]), sparkline([])) == ("▁█", "▁▁", "")
