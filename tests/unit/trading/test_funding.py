"""Funding of perpetuals: due at the venue's interval, owed by what is held through the boundary, at the last rate and mark."""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Funding, FundingTerms, Phase, Tick
from dudzian_daemon.domain.orders import Fill, Side
from dudzian_daemon.testing.market import instrument, limits, preset, schedule, spec
from dudzian_daemon.trading.funding import FundingClock
from dudzian_daemon.trading.ledger import Ledger
from tests.unit.trading.desk import WIDE, Desk, Scripted, enter, flat_hours, hour, leave, open_tick, quote_tick

PERP = instrument("BTC", funding=FundingTerms(8 * HOUR_NS, Decimal("0.0001")))
FREE = preset(maker_fee=Decimal(0), taker_fee=Decimal(0), slippage_bps=Decimal(0))


def holding(target: float = 1.0, *, until: int | None = None) -> Desk:
    """100 BTC (or short) at 100 from 01:00 on."""
    script = {hour(1): [enter(PERP.key, target=target)]} | ({until: [leave(PERP.key)]} if until else {})
    rules = {"balanced": limits(max_position_pct=Decimal(2), max_daily_loss_pct=Decimal("0.9"), hard_drawdown_pct=Decimal("0.9"))}
    made = spec({"told": Scripted(script)}, [schedule("told", [PERP])], [PERP], profiles=rules, preset=FREE, allow_short=True)
    return Desk(made)


def funded(session: Desk) -> list[tuple[int, Decimal]]:
    """Boundaries and what was paid at each."""
    return [(entry.instant, -entry.postings[0].amount) for record in session.records for entry in record.entries if entry.kind == "funding"]


def test_a_long_pays_at_every_boundary_it_is_held_through() -> None:
    session = holding()
    session.feed(flat_hours(25))
    assert funded(session) == [(hour(8), Decimal("1.0000")), (hour(16), Decimal("1.0000")), (hour(24), Decimal("1.0000"))]
    assert session.core.ledger.cash == session.core.ledger.equity - 100 * 100
    assert session.core.ledger.equity == 10_000 - 3
    assert session.core.ledger.balances[("expense:funding", "USDT")] == 3


def test_a_short_receives_what_longs_pay_and_the_other_way_round_below_0() -> None:
    session = holding(-0.5)
    session.feed(flat_hours(8))
    session.ticks([Tick(hour(9), Phase.REVISION, (Funding(hour(9), PERP.key, -0.002),))])
    session.ticks([quote_tick(hour(17), 200.0, 200.0)])
    assert funded(session) == [(hour(8), Decimal("-0.50000")), (hour(16), 50 * 100 * Decimal("0.002"))]


def test_it_is_due_at_the_mark_before_the_boundary_and_in_a_cycle_of_its_own() -> None:
    session = holding()
    session.feed(flat_hours(2))
    session.ticks([quote_tick(hour(7), 110.0, 110.0), quote_tick(hour(9), 150.0, 150.0)])
    assert funded(session) == [(hour(8), 100 * 110 * Decimal("0.0001"))]
    record = session.at(hour(8), Phase.TIMER)
    assert not record.quiet
    assert [entry.position_value for entry in record.entries] == [11_000]


def test_what_is_bought_at_a_boundary_pays_at_the_next_one_and_what_was_sold_no_more() -> None:
    session = holding(until=hour(7))
    session.feed(flat_hours(7))
    session.ticks([open_tick(hour(8) - 1, 100.0)])
    assert session.core.ledger.position("told", PERP.key) == 0
    session.ticks([quote_tick(hour(30), 100.0, 100.0)])
    assert funded(session) == []
    late = Desk(spec({"told": Scripted({hour(7): [enter(PERP.key)]})}, [schedule("told", [PERP])], [PERP], profiles={"balanced": WIDE}))
    late.feed(flat_hours(7))
    late.ticks([open_tick(hour(8), 100.0), quote_tick(hour(16) + 1, 100.0, 100.0)])
    assert [instant for instant, _ in funded(late)] == [hour(16)]


def test_boundaries_that_nobody_called_at_are_settled_one_by_one() -> None:
    session = holding()
    session.feed(flat_hours(2))
    session.core.step(quote_tick(hour(0) + 2 * DAY_NS, 100.0, 100.0))  # past the driver and its timers
    assert session.core.funding.settled[PERP.key] == hour(0) + 2 * DAY_NS
    assert session.core.ledger.balances[("expense:funding", "USDT")] == 6


def test_only_a_held_perpetual_asks_for_a_timer_and_rubbish_is_no_rate() -> None:
    ledger = Ledger({PERP.key: PERP}, "USDT", Decimal(1))
    clock = FundingClock({PERP.key: PERP}, ledger)
    clock.take(Funding(1, PERP.key, float("nan")))
    clock.take(Funding(1, "binance:X/USDT", 0.5))
    clock.moved("binance:X/USDT", 1, Phase.OPEN)
    assert (clock.next_deadline, clock.rates) == (None, {PERP.key: Decimal("0.0001")})


def test_more_of_what_is_held_changes_no_boundary() -> None:
    ledger = Ledger({PERP.key: PERP}, "USDT", Decimal(1000))
    ledger.mark(PERP.key, 100.0, hour(1))
    clock = FundingClock({PERP.key: PERP}, ledger)
    for number, phase in enumerate((Phase.CLOSE, Phase.OPEN)):
        ledger.book(bought(f"f{number}", hour(16)))
        clock.moved(PERP.key, hour(16), phase)
    assert clock.settled == {PERP.key: hour(8)}  # held before the timers of 16:00: it is due there
    assert [entry.instant for entry in clock.settle(hour(16), Phase.TIMER)] == [hour(16)]
    assert clock.next_deadline == hour(24)


def bought(fill_id: str, instant: int) -> Fill:
    return Fill(
        id=fill_id, order_id="o", signal_id="s", strategy="told", schedule="told", instrument=PERP.key, side=Side.BUY, quantity=Decimal(1),
        reference_price=Decimal(100), slippage=Decimal(0), price=Decimal(100), fee=Decimal(0), fee_asset="USDT", filled_at=instant,
        fill_source="quote", inside_bar=False, preset="p")  # fmt: skip


def test_what_a_restart_brings_back_replaces_no_rate_that_it_does_not_know() -> None:
    other = instrument("ETH", funding=FundingTerms(8 * HOUR_NS, Decimal("0.0003")))
    terms = {PERP.key: PERP, other.key: other}
    clock = FundingClock(terms, Ledger(terms, "USDT", Decimal(1)))
    earlier = FundingClock({PERP.key: PERP}, Ledger({PERP.key: PERP}, "USDT", Decimal(1)))
    earlier.take(Funding(hour(1), PERP.key, -0.002))
    clock.restore(earlier.export())
    assert clock.rates == {PERP.key: Decimal("-0.002"), other.key: Decimal("0.0003")}
