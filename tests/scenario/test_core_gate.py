"""Three short sessions that only the gate keeps honest.

`tests/unit/test_no_way_round_the_gate.py` runs them in a core without one and expects them to fail.
"""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.orders import OrderStatus, Outcome, RefusalCode
from dudzian_daemon.testing.market import candles, limits
from tests.unit.trading.desk import BTC, BTC_1H, WIDE, desk, enter, flat_hours, hour


def test_a_refused_signal_becomes_no_order() -> None:
    session = desk({hour(1): [enter()]}, profiles={"balanced": limits(max_position_pct=Decimal(0))})
    session.feed(flat_hours(3))
    assert [verdict.outcome for verdict in session.verdicts] == [Outcome.REFUSED]
    assert [(result.status, result.code) for result in session.results] == [(OrderStatus.REJECTED, "position_limit")]
    assert session.fills == []


def test_an_order_is_no_larger_than_its_limit() -> None:
    session = desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": limits()})
    session.feed(flat_hours(3))
    assert [(verdict.outcome, verdict.code) for verdict in session.verdicts] == [(Outcome.ADJUSTED, RefusalCode.POSITION_LIMIT)]
    assert [fill.quantity for fill in session.fills] == [Decimal(5)]


def test_a_loss_beyond_the_limit_closes_the_position_and_opens_no_other() -> None:
    rules = {"balanced": limits(max_position_pct=WIDE.max_position_pct, hard_drawdown_pct=WIDE.hard_drawdown_pct)}
    session = desk({hour(1): [enter(target=0.5)], hour(4): [enter(target=0.9)]}, profiles=rules)
    session.feed(candles(BTC_1H, [100.0, 100.0, 90.0, 90.0, 90.0]))
    assert [verdict.code for verdict in session.verdicts] == [None, None, RefusalCode.DAILY_LOSS_LIMIT]
    assert session.core.ledger.net[BTC.key] == 0
