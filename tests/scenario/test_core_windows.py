"""Two windows of stored candles with a hole between them.

The book is closed before the hole, the strategies begin anew after it, and nothing is decided on history.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from dudzian_daemon.app.replay_windows import funding_rates
from dudzian_daemon.domain.market import HOUR_NS, Candle, Command, Funding, FundingTerms, Gap, Phase, Series, Tick, WarmUp
from dudzian_daemon.domain.orders import OrderStatus, Side
from dudzian_daemon.services.feed import ReplayFeed
from dudzian_daemon.testing.market import START_NS, schedule, spec
from dudzian_daemon.trading.windows import Window
from tests.plugins.lively import lively
from tests.unit.trading.desk import BTC, BTC_1H, WIDE, Desk, Scripted, desk, enter, hour

HISTORY = lively(BTC_1H, 400, start=START_NS - 100 * HOUR_NS)
#: Candles before a window that the strategy wants to have seen.
WARM_UP = 20


class Memory:
    """A candle store that is a list."""

    def read(self, series: Series, start: int, end: int) -> Sequence[Candle]:
        return [candle for candle in HISTORY if start + HOUR_NS <= candle.end <= end]


async def replay(session: Desk, *spans: tuple[int, int], funding: tuple[Funding, ...] = ()) -> None:
    """Play windows of hours as the session task does."""
    windows = [Window(hour(start), hour(end), {BTC_1H: WARM_UP}, funding) for start, end in spans]
    feed = ReplayFeed(Memory(), windows, lambda rows: f"{len(rows)} rows to {rows[-1].end}")
    async for item in feed.items():
        if isinstance(item, Tick):
            session.ticks([item])
        else:
            session.command("end_of_data", window=str(item.number), close_positions="yes")
            session.snapshot()


async def test_the_book_is_closed_at_the_end_of_a_window_on_its_last_price() -> None:
    session = desk({hour(4): [enter()], hour(10): [enter(target=0.3)]})
    await replay(session, (0, 10))
    end = session.at(hour(10) + 1, Phase.COMMAND)
    assert isinstance(end.inputs[-1], Command)
    assert [(result.side, result.status, result.code) for result in end.results] == [(Side.SELL, OrderStatus.ACCEPTED, None)]
    last = session.fills[-1]
    assert (last.fill_source, last.filled_at) == ("last_price", hour(10) + 2)
    assert float(last.reference_price) == HISTORY[109].close
    assert session.core.ledger.net[BTC.key] == 0


async def test_an_entry_that_the_end_of_the_data_overtakes_is_cancelled() -> None:
    session = desk({hour(10): [enter()]})
    await replay(session, (0, 10))
    assert [(result.status, result.code) for result in session.results] == [
        (OrderStatus.ACCEPTED, None),
        (OrderStatus.CANCELLED, "stopped"),
    ]
    assert session.fills == []


async def test_strategies_begin_anew_after_the_hole_and_are_asked_nothing_in_the_warm_up() -> None:
    strategy = Scripted(warm_up=WARM_UP)
    session = desk(strategy=strategy)
    await replay(session, (0, 10), (100, 110))
    opening = session.at(hour(100), Phase.REVISION)
    gap, warm_up = opening.inputs[-2:]
    assert gap == Gap(hour(100), BTC.key, "1h", hour(10), hour(100))
    assert isinstance(warm_up, WarmUp)
    assert (warm_up.count, opening.due, opening.signals) == (WARM_UP, (), ())
    asked = [view.instant for view in strategy.views]
    assert asked == [hour(number) for number in (*range(1, 11), *range(101, 111))]
    assert strategy.states[0] == tuple(hour(number) for number in range(1 - WARM_UP, 2))
    assert strategy.states[10] == tuple(hour(number) for number in range(101 - WARM_UP, 102))


async def test_too_short_a_history_is_filled_up_by_the_window_itself() -> None:
    strategy = Scripted(warm_up=WARM_UP + 5)
    await replay(desk(strategy=strategy), (0, 10), (100, 110))
    assert [view.instant for view in strategy.views] == [hour(number) for number in (*range(5, 11), *range(105, 111))]


async def test_the_account_and_the_sequence_go_on_over_the_hole() -> None:
    session = desk({hour(4): [enter()], hour(104): [enter()]})
    await replay(session, (0, 10), (100, 110))
    assert [fill.side for fill in session.fills] == [Side.BUY, Side.SELL] * 2
    assert [record.sequence for record in session.records] == list(range(1, len(session.records) + 1))
    order = [(record.instant, record.phase) for record in session.records]
    assert order == sorted(set(order))
    realised = sum((book.realised for book in session.core.ledger.books.values()), Decimal(0))
    assert session.core.ledger.equity == 10_000 + realised - session.core.ledger.fees


RATES = ((hour(-30), Decimal("0.5")), (hour(-2), Decimal("0.0002")), (hour(8), Decimal("-0.0001")), (hour(99), Decimal("0.9")))
PERP = msgspec.structs.replace(BTC, funding=FundingTerms(8 * HOUR_NS, Decimal(0), RATES))


async def test_a_perpetual_is_charged_the_recorded_rates_as_they_came() -> None:
    script = Scripted({hour(1): [enter(target=0.5)]})
    session = Desk(spec({"told": script}, [schedule("told", [PERP])], [PERP], profiles={"balanced": WIDE}))
    await replay(session, (0, 18), funding=funding_rates(session.core.spec.instruments))
    told = [(item.instant, item.rate) for record in session.records for item in record.inputs if isinstance(item, Funding)]
    assert told == [(hour(0), 0.0002), (hour(8), -0.0001)]  # the last one before the window, and those in it
    paid = [(entry.instant, entry.reference) for record in session.records for entry in record.entries if entry.kind == "funding"]
    assert paid == [(hour(8), "rate -0.0001"), (hour(16), "rate -0.0001")]
