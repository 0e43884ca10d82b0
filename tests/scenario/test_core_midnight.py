"""Midnight under load: quotes and commands a few milliseconds apart on both sides of it, and a limit that tripped the day before."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dudzian_daemon.domain.market import DAY_NS, Phase, Quote, Tick
from dudzian_daemon.testing.market import limits
from tests.unit.trading.desk import BTC, Desk, desk, enter, flat_hours, hour

MIDNIGHT = hour(24)
MS = 1_000_000
DAILY = {"balanced": limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.9"))}


def quote(instant: int, price: float) -> Tick:
    return Tick(instant, Phase.QUOTE, (Quote(instant, BTC.key, price - 0.01, price + 0.01, 1e6, 1e6),))


def through_midnight(session: Desk, step_ms: int) -> None:
    """From 100 ms before it to 100 ms after it, a quote and a command at each step."""
    for offset in range(-100, 101, step_ms):
        session.ticks([quote(MIDNIGHT + offset * MS, 90.0)])
        session.command("market", now=MIDNIGHT + offset * MS + 1, instrument=BTC.key, open="yes")


@pytest.mark.parametrize("step_ms", [100, 10, 3])
def test_the_day_resets_once_whatever_comes_around_midnight(step_ms: int) -> None:
    session = desk({hour(20): [enter(target=0.5)]}, profiles=DAILY)
    session.feed(flat_hours(23))
    session.ticks([quote(MIDNIGHT - 200 * MS, 90.0), quote(MIDNIGHT - 190 * MS, 90.0)])
    through_midnight(session, step_ms)
    changes = [(record.instant, change.change) for record in session.records for change in record.risk]
    tripped = [instant for instant, change in changes if change == "tripped"]
    reset = [instant for instant, change in changes if change == "reset"]
    assert (len(tripped), len(reset)) == (1, 1), changes
    assert tripped[0] < MIDNIGHT <= reset[0]
    assert session.core.gate.states["balanced"].day == MIDNIGHT // DAY_NS
    order = [(record.instant, record.phase) for record in session.records]
    assert order == sorted(set(order))
