"""Groups of two legs, short positions, and strategies that are suspended or quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from dudzian_daemon.domain.market import SECOND_NS, Candle, Phase, Series
from dudzian_daemon.domain.orders import OrderStatus, Outcome, RefusalCode, Side, Signal
from dudzian_daemon.domain.ports import MarketView, SeriesNeed
from dudzian_daemon.testing.market import instrument, limits, preset, schedule, spec
from tests.unit.trading.desk import BTC, WIDE, Desk, Scripted, desk, enter, flat_hours, hour, leave, open_tick, quote_tick

MIRROR = msgspec.structs.replace(instrument("BTC"), venue="mirror", synthetic=True)
MIRROR_1H = Series(MIRROR.key, "1h")
FREE = preset(taker_fee=Decimal(0), slippage_bps=Decimal(0))


class Pair(Scripted):
    """Scripted, on two instruments at once."""

    legs = 2

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return tuple(SeriesNeed(Series(key, granularity), self.warm_up) for key in instruments)


OPEN = [enter(BTC.key, target=0.5, group="open"), enter(MIRROR.key, target=-0.5, group="open")]
CLOSE = [leave(BTC.key, group="close"), leave(MIRROR.key, group="close")]


def pair_desk(script: dict[int, Sequence[Signal]], **changes: Any) -> Desk:
    session: dict[str, Any] = {"profiles": {"balanced": WIDE}, "allow_short": True, "preset": FREE} | changes
    return Desk(spec({"pair": Pair(script)}, [schedule("pair", [BTC, MIRROR])], [BTC, MIRROR], **session))


def hours_of_both(count: int, mirror: float = 101.0) -> tuple[list[Candle], list[Candle]]:
    return flat_hours(count), flat_hours(count, mirror, series=MIRROR_1H)


def test_two_legs_are_one_group_of_equal_size_and_close_as_one() -> None:
    session = pair_desk({hour(1): OPEN, hour(2): CLOSE})
    session.feed(*hours_of_both(4))
    assert [(fill.instrument, fill.side, fill.synthetic) for fill in session.fills] == [
        (BTC.key, Side.BUY, False),
        (MIRROR.key, Side.SELL, True),
        (BTC.key, Side.SELL, False),
        (MIRROR.key, Side.BUY, True),
    ]
    assert len({fill.quantity for fill in session.fills}) == 1
    assert [verdict.outcome for verdict in session.verdicts] == [Outcome.APPROVED, Outcome.APPROVED]
    assert [result.signal_id for result in session.results[:2]] == [signal.id for signal in session.signals[:2]]
    assert session.core.ledger.equity == 10_000


def test_a_leg_that_may_not_pass_takes_the_other_one_with_it() -> None:
    session = pair_desk({hour(1): OPEN}, allow_short=False)
    session.feed(*hours_of_both(3))
    assert [(verdict.outcome, verdict.code) for verdict in session.verdicts] == [(Outcome.REFUSED, RefusalCode.SHORT_NOT_ALLOWED)]
    assert [result.status for result in session.results] == [OrderStatus.REJECTED, OrderStatus.REJECTED]
    assert session.core.gate.reserved_reducing("pair", BTC.key) == 0
    assert session.fills == []


def test_a_clipped_leg_clips_the_other_in_proportion() -> None:
    narrow = msgspec.structs.replace(WIDE, max_position_pct=Decimal("0.2"))
    session = pair_desk({hour(1): OPEN}, profiles={"balanced": narrow})
    session.feed(*hours_of_both(2))
    (verdict,) = session.verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.ADJUSTED, RefusalCode.POSITION_LIMIT)
    assert {fill.quantity for fill in session.fills} == {Decimal("19.801")}  # 20 % of 10,000 at the dearer venue's 101


def test_a_leg_that_stays_away_is_unwound_by_a_timer() -> None:
    session = pair_desk({hour(1): OPEN})
    first, second = hours_of_both(1)
    session.feed(first, second)
    session.ticks([open_tick(hour(1), 100.0)])  # the mirror prints nothing
    assert [fill.instrument for fill in session.fills] == [BTC.key]
    session.ticks([quote_tick(hour(1) + 60 * SECOND_NS, 100.0, 100.0)])
    given_up = session.at(hour(1) + 30 * SECOND_NS, Phase.TIMER)
    assert [(change.change, change.rule) for change in given_up.risk] == [("leg_failed", "order_group")]
    assert [(result.instrument, result.status, result.code) for result in given_up.results] == [
        (MIRROR.key, OrderStatus.CANCELLED, "leg_failed"),
        (BTC.key, OrderStatus.ACCEPTED, None),
    ]
    assert [(fill.instrument, fill.side) for fill in session.fills] == [(BTC.key, Side.BUY), (BTC.key, Side.SELL)]
    assert not any(session.core.ledger.net.values())


def test_a_leg_that_became_too_dear_is_unwound_at_once() -> None:
    session = pair_desk({hour(1): [enter(BTC.key, target=-0.5, group="g"), enter(MIRROR.key, target=0.5, group="g")]})
    first, second = hours_of_both(1)
    session.feed(first, second)
    session.ticks([open_tick(hour(1), 100.0)])
    session.ticks([open_tick(hour(1) + 1, 100_000.0, MIRROR.key), quote_tick(hour(1) + SECOND_NS, 100.0, 100.0)])
    rejected = [(result.instrument, result.code) for result in session.results if result.status is OrderStatus.REJECTED]
    assert rejected == [(MIRROR.key, RefusalCode.INSUFFICIENT_CASH)]
    assert [(fill.instrument, fill.side) for fill in session.fills] == [(BTC.key, Side.SELL), (BTC.key, Side.BUY)]
    given_up = session.at(hour(1) + 1, Phase.OPEN)
    assert [change.change for change in given_up.risk] == ["leg_failed"]


def test_a_stop_that_keeps_the_book_does_not_unwind_half_a_group() -> None:
    session = pair_desk({hour(1): OPEN})
    session.feed(*hours_of_both(1))
    session.ticks([open_tick(hour(1), 100.0)])
    record = session.command("stop", close_positions="no")
    assert [(result.instrument, result.code) for result in record.results] == [(MIRROR.key, "stopped")]
    assert session.snapshot() == []


def test_a_short_blocks_its_proceeds_and_its_margin() -> None:
    session = desk({hour(1): [enter(target=-1.0)]}, allow_short=True, leverage=Decimal(3), preset=FREE)
    session.feed(flat_hours(3, 120.0))
    (fill,) = session.fills
    assert (fill.side, fill.quantity) == (Side.SELL, Decimal("83.333"))
    ledger = session.core.ledger
    assert ledger.cash == Decimal(10_000) + Decimal("83.333") * 120
    assert ledger.blocked("USDT") == Decimal("83.333") * 120 * 4 / 3
    assert ledger.equity == 10_000


def test_margin_bounds_a_short() -> None:
    free = limits(
        max_position_pct=Decimal(10), max_leverage=Decimal(10), max_daily_loss_pct=Decimal("0.9"), hard_drawdown_pct=Decimal("0.9")
    )
    session = desk({hour(1): [enter(target=-5.0)]}, allow_short=True, leverage=Decimal(2), preset=FREE, profiles={"balanced": free})
    session.feed(flat_hours(2))
    (verdict,) = session.verdicts
    assert (verdict.code, verdict.approved) == (RefusalCode.INSUFFICIENT_CASH, Decimal(200))  # 10,000 at 50 % margin, at 100


def test_a_short_loses_when_the_price_rises_and_a_buy_closes_it() -> None:
    session = desk({hour(1): [enter(target=-0.5)], hour(3): [leave()]}, allow_short=True, preset=FREE)
    session.feed([*flat_hours(2), *flat_hours(2, 110.0, start=hour(2))])
    assert [fill.side for fill in session.fills] == [Side.SELL, Side.BUY]
    assert session.core.ledger.equity == Decimal(10_000) - 50 * 10
    assert session.core.ledger.books[("told", BTC.key)].realised == -500


class Faulty(Scripted):
    """Raises whenever it is asked."""

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        raise ZeroDivisionError


def test_a_strategy_that_keeps_failing_is_quarantined_on_the_record_and_its_book_is_closed() -> None:
    session = desk(strategy=Faulty())
    session.feed(flat_hours(6))
    changes = [change for record in session.records for change in record.strategies]
    assert [(change.strategy, change.change, change.reason) for change in changes] == [("told", "quarantined", "faults")]
    assert len(session.faults) == 3


def test_a_suspended_strategy_sees_candles_and_decides_nothing_until_it_is_resumed() -> None:
    session = desk({hour(2): [enter()], hour(4): [enter()]})
    session.feed(flat_hours(1))
    session.command("suspend", strategy="told", reason="lunch")
    session.feed(flat_hours(1, start=hour(1)))
    session.command("resume", strategy="told")
    session.feed(flat_hours(2, start=hour(2)))
    changes = [(change.change, change.reason) for record in session.records for change in record.strategies]
    assert changes == [("suspended", "lunch"), ("resumed", "operator")]
    assert [signal.instant for signal in session.signals] == [hour(4)]


def test_a_quarantined_strategy_is_closed_by_the_core() -> None:
    session = desk({hour(1): [enter()]})
    session.feed(flat_hours(2))
    session.command("quarantine", strategy="told", reason="blocked")
    session.feed(flat_hours(2, start=hour(2)))
    assert [fill.side for fill in session.fills] == [Side.BUY, Side.SELL]
    assert session.core.ledger.net[BTC.key] == 0
