"""The live feed on a made-up venue: order, gaps, stragglers, outages and their alerts, going on after a pause."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, SECOND_NS, Book, Candle, Gap, OpenPrint, Quote, Series, WarmUp
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.testing.clock import START_NS, ManualClock
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from tests.scenario.made_venue import BTC, DAYS, HOURS, live, spec_of

HOUR_MS = 3_600_000
START_MS = START_NS // 1_000_000


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return spec_of(tmp_path_factory.mktemp("data"))


def ends(run: Any, series: Series = HOURS) -> list[int]:
    return [candle.end for candle in run.inputs(Candle) if candle.granularity == series.granularity]


async def test_it_begins_with_history_and_goes_on_with_every_candle(spec) -> None:
    async with live(spec, quote_seconds=25) as run:
        assert [(item.granularity, item.count, item.end) for item in run.inputs(WarmUp)] == [("1d", 3, START_NS), ("1h", 5, START_NS)]
        await run.clock.advance(3 * 3600 + 5)
        assert ends(run) == [START_NS + n * HOUR_NS for n in (1, 2, 3)]
        truth = run.source.market.candle(START_MS, HOUR_MS)
        first = run.inputs(Candle)[0]
        assert [first.open, first.high, first.low, first.close, first.volume] == truth[1:]
        assert first.instant == first.end
        assert 0 < first.held_ns < SECOND_NS
        assert not run.inputs(Gap)
        assert run.feed.not_ready() == []


async def test_quotes_come_with_the_exchanges_time_and_open_the_bars(spec) -> None:
    async with live(spec) as run:
        await run.clock.advance(2 * 3600 + 60)
        quotes, prints = run.inputs(Quote), run.inputs(OpenPrint)
        assert len(quotes) > 1400
        assert [item.granularity for item in prints] == ["1h", "1h"]
        assert all(0 <= item.instant % HOUR_NS < 6 * SECOND_NS for item in prints)
        assert [tick.instant for tick in run.ticks] == sorted(tick.instant for tick in run.ticks)


async def test_a_late_candle_is_a_straggler_and_keeps_its_bar(spec) -> None:
    late = START_MS + HOUR_MS
    async with live(spec, quote_seconds=25) as run:
        run.source.lacking = lambda granularity, start: start == late and run.source.now_ms < late + HOUR_MS + 60_000
        await run.clock.advance(2 * 3600 + 120)
        candle = run.inputs(Candle)[1]
        assert candle.end == START_NS + 2 * HOUR_NS
        assert 60 * SECOND_NS <= candle.instant - candle.end <= 75 * SECOND_NS
        assert not run.inputs(Gap)


async def test_what_the_venue_lacks_is_one_gap_once_the_next_bar_is_due_and_it_was_asked_again(spec) -> None:
    gone = {START_MS + HOUR_MS, START_MS + 2 * HOUR_MS}
    async with live(spec, quote_seconds=25) as run:
        run.source.lacking = lambda granularity, start: granularity == "1h" and start in gone
        await run.clock.advance(2 * 3600 + 60)
        assert not run.inputs(Gap)
        await run.clock.advance(2 * 3600 + 60)
        assert run.inputs(Gap)[0].start == START_NS + HOUR_NS
        assert run.inputs(Gap)[-1].end == START_NS + 3 * HOUR_NS
        assert ends(run) == [START_NS + n * HOUR_NS for n in (1, 4)]


async def test_an_outage_costs_no_candle_and_is_told_once_after_five_minutes(spec) -> None:
    async with live(spec) as run:
        await run.clock.advance(600)
        run.source.down = True
        await run.clock.advance(280)
        assert run.alerts == []
        assert [reason.partition(" for ")[0] for reason in run.feed.not_ready()] == [f"{BTC}: no quote"]
        await run.clock.advance(40)
        assert [(alert.code, alert.subject, alert.active) for alert in run.alerts] == [("ADAPTER-OFFLINE", "binance", True)]
        await run.clock.advance(2 * 3600)
        assert len(run.alerts) == 1
        assert "binance: ADAPTER-OFFLINE" in run.feed.not_ready()
        assert run.feed.progress.stuck() == []  # the market is away, the process is well
        run.source.down = False
        await closed_breaker(run)
        assert [(alert.code, alert.active) for alert in run.alerts] == [("ADAPTER-OFFLINE", True), ("ADAPTER-OFFLINE", False)]
        assert run.feed.not_ready() == []
        assert ends(run) == [START_NS + n * HOUR_NS for n in (1, 2)]
        assert not run.inputs(Gap)


async def test_every_silence_of_a_venue_is_told_and_its_answer_once(spec) -> None:
    async with live(spec, quote_seconds=25) as run:
        await run.clock.advance(100)
        assert [state.reachable for state in run.adapter] == [True]
        run.source.down = True
        await run.clock.advance(60)
        silent = [state for state in run.adapter if not state.reachable]
        assert len(silent) > 1
        assert {(state.adapter, state.error) for state in silent} == {("binance", "VenueDown")}
        run.source.down = False
        await closed_breaker(run)
        assert [state.reachable for state in run.adapter[1:]] == [False] * len(silent) + [True]


async def test_market_rules_that_change_are_told_within_four_hours_with_before_and_now(spec) -> None:
    async with live(spec, quote_seconds=600, before=lambda source: source.rules.update(tick_size=Decimal("0.01"))) as run:
        await run.clock.advance(5 * 3600)
        assert run.rules == []
        run.source.rules = {"tick_size": Decimal("0.1"), "active": False}
        await run.clock.advance(5 * 3600)
        (told,) = run.rules
        assert (told.instrument, told.changes) == (BTC, {"tick_size": ("0.01", "0.1"), "active": ("True", "False")})
        await run.clock.advance(5 * 3600)
        assert len(run.rules) == 1


async def test_bars_that_lack_in_the_store_are_told_once_and_when_they_are_there(spec) -> None:
    async with live(spec, quote_seconds=600) as run:
        await run.clock.advance(3 * 3600)
        hole = run.store.rows[HOURS].pop(START_NS + HOUR_NS)
        await run.clock.advance(2 * 3600)
        assert [(alert.code, alert.subject, alert.active, alert.in_store) for alert in run.alerts] == [
            ("DATA-LAG", f"{BTC} 1h", True, True)
        ]
        assert "1 candles lack in the store" in run.alerts[0].detail
        run.store.rows[HOURS][hole.end] = hole
        await run.clock.advance(2 * 3600)
        assert [alert.active for alert in run.alerts] == [True, False]


async def closed_breaker(run: Any) -> None:
    """The breaker rests by the machine's clock; here it is told that its rest is over."""
    for context in run.feed.venues()["binance"].breakers.uow.contexts.breakers.values():
        context._state.opened_at = 0.0
    await run.clock.advance(70)


async def test_a_daily_candle_more_than_twelve_hours_late_is_told_once(spec) -> None:
    late = START_MS
    async with live(spec, needs={DAYS: 3}, quote_seconds=600) as run:
        run.source.lacking = lambda granularity, start: granularity == "1d" and start == late and run.source.now_ms < late + 38 * HOUR_MS
        await run.clock.advance(24 * 3600 + 11 * 3600)
        assert run.alerts == []
        assert not any("1d: no candle" in reason for reason in run.feed.not_ready())
        await run.clock.advance(2 * 3600)
        assert [(alert.code, alert.subject, alert.active) for alert in run.alerts] == [("DATA-LAG", f"{BTC} 1d", True)]
        assert any("1d: no candle" in reason for reason in run.feed.not_ready())
        await run.clock.advance(2 * 3600)
        assert [alert.active for alert in run.alerts] == [True, False]
        assert ends(run, DAYS) == [START_NS + DAY_NS]


async def test_candles_of_a_length_the_venue_lacks_are_made_of_quotes_and_say_so(spec) -> None:
    halves = Series(BTC, "30s")
    async with live(spec, needs={halves: 1}) as run:
        await run.clock.advance(125)
        made = [candle for candle in run.inputs(Candle) if candle.granularity == "30s"]
        assert [candle.end - START_NS for candle in made] == [n * 30 * SECOND_NS for n in (1, 2, 3, 4)]
        assert all(candle.synthetic and candle.volume == 0.0 and candle.low <= candle.open <= candle.high for candle in made)
        assert not any(what.startswith("candles") for what in run.source.asked)
    assert run.store.rows == {}


async def test_a_bar_without_any_quote_is_a_gap(spec) -> None:
    halves = Series(BTC, "30s")
    async with live(spec, needs={halves: 1}) as run:
        await run.clock.advance(31)
        run.source.down = True
        await run.clock.advance(60)
        run.source.down = False
        await closed_breaker(run)
        await run.clock.advance(90)
        gaps = run.inputs(Gap)
        assert gaps
        assert all(gap.granularity == "30s" for gap in gaps)


async def test_pushed_quotes_are_conflated_and_a_silent_socket_is_made_anew(spec) -> None:
    async with live(spec, pushed=True) as run:
        await run.clock.advance(30)
        assert 25 <= len(run.inputs(Quote)) <= 32
        run.source.silent = True
        await run.clock.advance(14)
        assert run.source.dropped == 0
        await run.clock.advance(4)
        assert run.source.dropped == 1
        assert "quotes" in run.source.asked
        run.source.silent = False
        before = len(run.inputs(Quote))
        await run.clock.advance(40)
        assert len(run.inputs(Quote)) > before + 10


@pytest.mark.parametrize(("pushed", "asked", "most"), [(False, "book BTC/USDT", 7), (True, "push", 32)])
async def test_books_come_in_the_place_of_quotes_open_the_bars_and_age(spec, pushed, asked, most) -> None:
    async with live(spec, book_levels=5, pushed=pushed, clock=ManualClock(wall_ns=START_NS - 15 * SECOND_NS)) as run:
        await run.clock.advance(30)
        books = run.inputs(Book)
        assert most - 3 <= len(books) <= most
        assert run.source.asked.count(asked) >= len(books) - 1
        assert {(book.instrument, len(book.bids), len(book.asks)) for book in books} == {(BTC, 5, 5)}
        assert not run.inputs(Quote)
        (opened,) = run.inputs(OpenPrint)
        first = next(book for book in books if book.instant == opened.instant)
        assert opened.price == (first.best.bid + first.best.ask) / 2.0
        assert run.feed.ages_seconds()[(BTC, "book")] <= 5.0
        run.source.one_sided = True  # it shows no price, so it keeps nothing fresh
        await run.clock.advance(36)
        assert len(run.inputs(Book)) <= most + 1
        assert [reason.partition(" for ")[0] for reason in run.feed.not_ready()] == [f"{BTC}: no book"]
        run.source.one_sided = False
        await run.clock.advance(6)
        assert run.feed.not_ready() == []


async def test_a_silent_socket_of_books_is_made_anew_and_books_are_asked_for_meanwhile(spec) -> None:
    async with live(spec, book_levels=5, pushed=True) as run:
        await run.clock.advance(10)
        run.source.silent = True
        await run.clock.advance(20)
        assert run.source.dropped == 1
        assert "book BTC/USDT" in run.source.asked
        run.source.silent = False
        before = len(run.inputs(Book))
        await run.clock.advance(40)
        assert len(run.inputs(Book)) > before + 10


async def test_closed_candles_go_to_the_store_history_included(spec) -> None:
    async with live(spec, quote_seconds=25) as run:
        await run.clock.advance(2 * 3600 + 30)
    assert run.store.ends(HOURS) == [START_NS + n * HOUR_NS for n in range(-4, 3)]
    assert [candle.end for candle in run.store.appended] == [START_NS + n * HOUR_NS for n in (1, 2)]
    assert run.source.closed == 1


async def test_a_day_that_is_over_is_told_to_the_store_once(spec) -> None:
    async with live(spec, quote_seconds=600) as run:
        await run.clock.advance(27 * 3600)
    midnight = START_NS + DAY_NS
    assert [day for day in run.store.days if day[0] == HOURS] == [(HOURS, START_NS), (HOURS, midnight)]
    assert (DAYS, midnight) in run.store.days


async def test_a_store_that_cannot_be_written_costs_no_candle_once_it_can(spec) -> None:
    async with live(spec, quote_seconds=600) as run:
        run.store.broken = OSError(28, "No space left on device")
        await run.clock.advance(3 * 3600 + 60)
        assert len(run.inputs(Candle)) == 3
        run.store.broken = None
    assert run.store.ends(HOURS) == [START_NS + n * HOUR_NS for n in range(-4, 4)]


async def test_after_a_pause_what_was_missed_comes_in_order_in_one_tick(spec) -> None:
    with exact_money():
        driver = Driver(Core(spec))
    hours = {Series(BTC, "5m"): 5, DAYS: 3}
    async with live(spec, needs=hours, driver=driver) as run:
        await run.clock.advance(620)
        clock, before = run.clock, [candle.end for candle in run.inputs(Candle)]
    await clock.advance(1800)
    async with live(spec, needs=hours, driver=driver, clock=clock) as again:
        caught_up = [tick for tick in again.ticks if any(isinstance(item, Candle) for item in tick.inputs)]
        assert len(caught_up) == 1
        missed = [item.end for item in caught_up[0].inputs if isinstance(item, Candle)]
        assert [*before, *missed] == [START_NS + n * 300 * SECOND_NS for n in range(1, 9)]
        assert not again.inputs(Gap)
        assert not [item for item in again.inputs(WarmUp) if item.granularity == "5m"]
        await clock.advance(300)
        assert [candle.end for candle in again.inputs(Candle)][-1] == START_NS + 9 * 300 * SECOND_NS


async def test_candles_that_the_core_has_seen_and_the_store_has_not_are_stored_when_it_goes_on(spec) -> None:
    with exact_money():
        driver = Driver(Core(spec))
    fives = Series(BTC, "5m")
    async with live(spec, needs={fives: 5}, driver=driver) as run:
        await run.clock.advance(920)
        clock, store = run.clock, run.store
    assert store.ends(fives)[-1] == START_NS + 900 * SECOND_NS
    for n in (2, 3):
        del store.rows[fives][START_NS + n * 300 * SECOND_NS]  # a kill came before they were written
    async with live(spec, needs={fives: 5}, driver=driver, clock=clock, store=store) as again:
        await clock.advance(300)
        assert not again.inputs(Gap)
        assert [candle.end for candle in again.inputs(Candle)] == [START_NS + 4 * 300 * SECOND_NS]
    assert store.ends(fives) == [START_NS + n * 300 * SECOND_NS for n in range(-4, 5)]
    store.rows.clear()  # the very first candles were not written either
    async with live(spec, needs={fives: 5}, driver=driver, clock=clock, store=store):
        await clock.advance(10)
    assert store.ends(fives) == [START_NS + n * 300 * SECOND_NS for n in range(0, 5)]


async def test_a_command_has_the_exchanges_time_but_never_waits_behind_a_closed_barrier(spec) -> None:
    async with live(spec) as run:
        await run.clock.advance(100)
        assert run.feed.command_instant() == START_NS + 100 * SECOND_NS
        run.source.lacking = lambda granularity, start: start == START_MS
        await run.clock.advance(3501)
        assert run.feed.command_instant() == 0


async def test_a_jump_of_the_wall_clock_moves_nothing(spec) -> None:
    async with live(spec) as run:
        await run.clock.advance(60)
        run.clock.jump_wall(-7200)
        await run.clock.advance(60)
        assert run.inputs(Quote)[-1].instant >= START_NS + 110 * SECOND_NS
        assert run.feed.command_instant() == START_NS + 120 * SECOND_NS
