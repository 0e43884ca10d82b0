"""The paging loop against a venue in memory: the store ends equal to the truth, and the second run asks for nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from dudzian_daemon.adapters.candle_files import path_of
from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.venue_gaps import load_venue_gaps
from dudzian_daemon.app.backfill.fill import Manner, SeriesOutcome
from dudzian_daemon.app.backfill.plan import Wish, moved_away, planned
from dudzian_daemon.app.backfill.run import filled
from dudzian_daemon.config.load import load
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, Permanent, Retryable
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series
from dudzian_daemon.domain.ports import CandleSource
from dudzian_daemon.domain.spans import Span
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.app.backfill.scripted_source import Market, ScriptedSource
from tests.unit.app.coverage.real_store import CONFIG, at

DAYS = Series("binance:BTC/USDT", "1d")
HOURS = Series("binance:BTC/USDT", "1h")
MATIC = Series("binance:MATIC/USDT", "1h")
NOW = at("2024-06-30T12:30:00")
LISTED = at("2017-08-17T00:00:00")
ALWAYS = (at("2017-01-01T00:00:00"), at("2025-01-01T00:00:00"))


@pytest.fixture(scope="module")
def config() -> CoreConfig:
    return load(CONFIG, env={}).config


@pytest.fixture
def store(tmp_path: Path) -> ParquetCandleStore:
    return ParquetCandleStore(tmp_path / "ohlcv")


def btc(*outages: tuple[int, int]) -> dict[str, Market]:
    return {"BTC/USDT": Market(LISTED, NOW + DAY_NS, outages)}


def wish(granularity: str, since: str, symbol: str = "BTC_USDT", now: int = NOW, **fields: bool) -> Wish:
    return Wish(environment="binance_paper", now=now, since=at(since), symbols=(symbol,), granularities=(granularity,), **fields)


def fill(config: CoreConfig, store: ParquetCandleStore, source: ScriptedSource, asked: Wish) -> list[SeriesOutcome]:
    plans = planned(config, asked, store)

    async def opened() -> ScriptedSource:
        return source

    return anyio.run(partial(filled, config, store, plans, opened, Manner(ManualClock()), lambda _plan, _rows: None))


def truth(source: ScriptedSource, series: Series, start: int, end: int) -> list[Candle]:
    market = source.markets[series.instrument.partition(":")[2]]
    everything = ScriptedSource({"x": market}, page=10**9)
    found = anyio.run(everything.candles, "x", series.granularity, start, end, 10**9)
    return [Candle(each.end, series.instrument, *each.__reduce__()[1][2:]) for each in found]


def digests(store: ParquetCandleStore) -> dict[str, bytes]:
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_from_before_the_listing_to_now_and_nothing_the_second_time(config: CoreConfig, store: ParquetCandleStore) -> None:
    source = ScriptedSource(btc(), page=500)
    (outcome,) = fill(config, store, source, wish("1d", "2016-01-01"))
    days = (at("2024-06-30T00:00:00") - LISTED) // DAY_NS
    assert (outcome.status, outcome.added, outcome.fetched, outcome.error) == ("complete", days, days, "")
    assert outcome.venue_gap_rows == (LISTED - at("2016-01-01T00:00:00")) // DAY_NS
    assert store.read(DAYS, *ALWAYS) == truth(source, DAYS, 0, at("2024-06-30T00:00:00"))
    assert source.closed == 1
    before, asked = digests(store), len(source.asked)
    assert asked == 6 + 2  # six pages, and twice more for what was before the listing
    (again,) = fill(config, store, source, wish("1d", "2016-01-01"))
    assert (again.status, again.requests, len(source.asked), source.closed) == ("up_to_date", 0, asked, 1)
    assert digests(store) == before


def test_the_running_bar_is_never_asked_for(config: CoreConfig, store: ParquetCandleStore) -> None:
    source = ScriptedSource(btc())
    fill(config, store, source, wish("1h", "2024-06-29"))
    assert max(until for _, _, _, until in source.asked) == at("2024-06-30T12:00:00")
    assert store.read(HOURS, *ALWAYS)[-1].end == at("2024-06-30T12:00:00")


def test_holes_are_found_and_only_they_are_fetched(config: CoreConfig, store: ParquetCandleStore) -> None:
    source = ScriptedSource(btc())
    start = at("2024-06-01T00:00:00")
    gone = {start + HOUR_NS * number for number in (30, 31, 200)}
    rows = [each for each in truth(source, HOURS, start, at("2024-06-30T10:00:00")) if each.end - HOUR_NS not in gone]
    store.write(HOURS, rows, source="binance")
    (outcome,) = fill(config, store, source, wish("1h", "2024-06-01"))
    assert (outcome.added, outcome.fetched, outcome.status) == (5, 5, "complete")
    assert source.asked == [
        ("BTC/USDT", "1h", start + 30 * HOUR_NS, start + 32 * HOUR_NS),
        ("BTC/USDT", "1h", start + 200 * HOUR_NS, start + 201 * HOUR_NS),
        ("BTC/USDT", "1h", at("2024-06-30T10:00:00"), at("2024-06-30T12:00:00")),
    ]
    assert store.read(HOURS, *ALWAYS) == truth(source, HOURS, start, at("2024-06-30T12:00:00"))


def test_an_outage_of_the_venue_is_asked_for_again_and_then_remembered(config: CoreConfig, store: ParquetCandleStore) -> None:
    outage = (at("2024-06-10T03:00:00"), at("2024-06-10T09:00:00"))
    source = ScriptedSource(btc(outage), page=100)
    (outcome,) = fill(config, store, source, wish("1h", "2024-06-09"))
    assert (outcome.status, outcome.venue_gap_rows) == ("complete", 6)
    assert load_venue_gaps(store.root) == {HOURS: [Span(*outage)]}
    asked = len(source.asked)
    fill(config, store, source, wish("1h", "2024-06-09"))
    assert len(source.asked) == asked


def test_an_answer_that_lost_bars_is_not_believed(config: CoreConfig, store: ParquetCandleStore) -> None:
    """Bars 5 and 6 lack in the first answer and in the second, which is empty altogether; the third has them."""

    class Losing(ScriptedSource):
        async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
            found = await super().candles(symbol, granularity, since_ns, until_ns, limit)
            return found[:5] + found[7:] if len(self.asked) == 1 else [] if len(self.asked) == 2 else found

    source = Losing(btc())
    (outcome,) = fill(config, store, source, wish("1d", "2024-06-01"))
    assert (outcome.status, outcome.venue_gap_rows, outcome.left_rows) == ("complete", 0, 0)
    assert store.read(DAYS, *ALWAYS) == truth(source, DAYS, at("2024-06-01T00:00:00"), at("2024-06-30T00:00:00"))


def test_empty_answers_alone_prove_no_gap(config: CoreConfig, store: ParquetCandleStore) -> None:
    class Silent(ScriptedSource):
        async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
            found = await super().candles(symbol, granularity, since_ns, until_ns, limit)
            return found[:5] + found[7:] if len(self.asked) == 1 else []

    (outcome,) = fill(config, store, Silent(btc()), wish("1d", "2024-06-01"))
    assert (outcome.status, outcome.left_rows, load_venue_gaps(store.root)) == ("incomplete", 2, {})
    (outcome,) = fill(config, store, ScriptedSource(btc()), wish("1d", "2024-06-01"))
    assert (outcome.status, outcome.added) == ("complete", 2)


def test_a_long_hole_whose_first_answer_was_empty_is_filled_page_by_page(config: CoreConfig, store: ParquetCandleStore) -> None:
    class Empty(ScriptedSource):
        async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
            found = await super().candles(symbol, granularity, since_ns, until_ns, limit)
            return [] if len(self.asked) == 1 else found

    source = Empty(btc(), page=500)
    rows = truth(source, HOURS, at("2024-01-01T00:00:00"), at("2024-06-30T12:00:00"))
    store.write(HOURS, rows[:10] + rows[3000:], source="binance")
    (outcome,) = fill(config, store, source, wish("1h", "2024-01-01"))
    assert (outcome.status, outcome.added, outcome.venue_gap_rows, outcome.left_rows) == ("complete", 2990, 0, 0)
    assert store.read(HOURS, *ALWAYS) == rows


def test_a_renamed_market_is_one_series(config: CoreConfig, store: ParquetCandleStore) -> None:
    """MATIC stopped on 2024-09-10 at 03:00, POL began on the 13th at 10:00: neither is an error, both are one series."""
    stopped, began = at("2024-09-10T00:00:00"), at("2024-09-13T10:00:00")
    now = at("2024-09-20T00:30:00")
    source = ScriptedSource({"MATIC/USDT": Market(LISTED, stopped), "POL/USDT": Market(began, now + DAY_NS, price=7.0)})
    (outcome,) = fill(config, store, source, wish("1h", "2024-09-05", "MATIC_USDT", now))
    assert (outcome.status, outcome.left_rows) == ("complete", 0)
    assert outcome.venue_gap_rows == (began - stopped) // HOUR_NS
    assert {symbol for symbol, *_ in source.asked} == {"MATIC/USDT", "POL/USDT"}
    rows = store.read(MATIC, *ALWAYS)
    assert [each.end for each in rows[-1:]] == [at("2024-09-20T00:00:00")]
    assert len(rows) == 5 * 24 + (at("2024-09-20T00:00:00") - began) // HOUR_NS
    assert store.series() == [MATIC]


def test_a_market_that_ended_without_a_word_is_no_error(config: CoreConfig, store: ParquetCandleStore) -> None:
    source = ScriptedSource({"BTC/USDT": Market(LISTED, at("2024-06-20T00:00:00"))})
    (outcome,) = fill(config, store, source, wish("1d", "2024-06-01"))
    assert (outcome.status, outcome.added, outcome.left_rows) == ("incomplete", 19, 10)
    assert load_venue_gaps(store.root) == {}


def test_latest_only_fetches_the_end_and_leaves_holes(config: CoreConfig, store: ParquetCandleStore) -> None:
    source = ScriptedSource(btc())
    store.write(DAYS, truth(source, DAYS, at("2024-06-01T00:00:00"), at("2024-06-10T00:00:00")), source="binance")
    store.write(DAYS, truth(source, DAYS, at("2024-06-12T00:00:00"), at("2024-06-28T00:00:00")), source="binance")
    (outcome,) = fill(config, store, source, wish("1d", "2024-06-01", latest_only=True))
    assert (outcome.added, source.asked) == (2, [("BTC/USDT", "1d", at("2024-06-28T00:00:00"), at("2024-06-30T00:00:00"))])


def test_a_fault_keeps_what_came_and_the_series_is_tried_once_more(config: CoreConfig, store: ParquetCandleStore) -> None:
    def second(number: int) -> None:
        if number == 2:
            raise Retryable("binance does not answer")

    source = ScriptedSource(btc(), page=10, fault=second)
    (outcome,) = fill(config, store, source, wish("1d", "2024-06-01"))
    assert (outcome.status, outcome.error) == ("complete", "")
    assert store.read(DAYS, *ALWAYS) == truth(source, DAYS, at("2024-06-01T00:00:00"), at("2024-06-30T00:00:00"))


def test_what_fails_for_good_is_told_and_the_others_go_on(config: CoreConfig, store: ParquetCandleStore) -> None:
    class Refusing(ScriptedSource):
        async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
            if symbol == "ETH/USDT":
                raise Permanent("binance knows no ETH/USDT")
            return await super().candles(symbol, granularity, since_ns, until_ns, limit)

    asked = Wish(environment="binance_paper", now=NOW, since=at("2024-06-01"), symbols=("ETH_USDT", "BTC_USDT"), granularities=("1d",))
    first, second = fill(config, store, Refusing(btc()), asked)
    assert (first.status, first.error) == ("failed", "binance knows no ETH/USDT")
    assert (second.status, second.added) == ("complete", 29)


@pytest.mark.parametrize("number", range(1, 6))
def test_stopped_at_any_request_the_next_run_ends_equal(config: CoreConfig, store: ParquetCandleStore, number: int) -> None:
    def cut(count: int) -> None:
        if count == number:
            raise KeyboardInterrupt

    source = ScriptedSource(btc((at("2024-06-20T00:00:00"), at("2024-06-21T00:00:00"))), page=7, fault=cut)
    with pytest.raises(KeyboardInterrupt):
        fill(config, store, source, wish("1d", "2024-06-01"))
    assert source.closed == 1
    source.fault = None
    fill(config, store, source, wish("1d", "2024-06-01"))
    assert store.read(DAYS, *ALWAYS) == truth(source, DAYS, at("2024-06-01T00:00:00"), at("2024-06-30T00:00:00"))


def test_a_damaged_file_is_moved_away_and_its_bars_come_again(config: CoreConfig, store: ParquetCandleStore) -> None:
    source = ScriptedSource(btc())
    fill(config, store, source, wish("1d", "2024-04-01"))
    whole = digests(store)
    path = path_of(store.root, (DAYS, 2024, 5))
    path.write_bytes(path.read_bytes()[:-7])
    plans = planned(config, wish("1d", "2024-04-01"), store)
    assert [(plan.missing_rows, len(plan.damaged)) for plan in plans] == [(31, 1)]
    (moved,) = moved_away(store, plans)
    assert moved.is_relative_to(store.root / "_quarantine")
    (outcome,) = fill(config, store, source, wish("1d", "2024-04-01"))
    assert outcome.added == 31
    after = digests(store)
    del after[moved.relative_to(store.root).as_posix()]
    for name in ("ohlcv_manifest.sqlite",):
        del whole[name], after[name]
    assert after == whole


async def test_requests_keep_their_distance(config: CoreConfig, store: ParquetCandleStore) -> None:
    clock, source = ManualClock(), ScriptedSource(btc(), page=10)
    plans = await anyio.to_thread.run_sync(planned, config, wish("1d", "2024-06-01"), store)

    async def opened() -> CandleSource:
        return source

    async def run() -> None:
        await filled(config, store, plans, opened, Manner(clock, 2.0), lambda _plan, _rows: None)

    seen = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while not source.closed:
            await anyio.lowlevel.checkpoint()
            if clock.sleeping:
                seen.append(len(source.asked))
                await clock.advance(2.0)
    assert seen == [1, 2]
    assert len(source.asked) == 3


def test_what_cannot_be_planned_is_one_line(config: CoreConfig, store: ParquetCandleStore) -> None:
    with pytest.raises(ConfigError, match="expected --since for 15m"):
        planned(config, Wish(environment="binance_paper", now=NOW, granularities=("15m",)), store)
    with pytest.raises(ConfigError, match="unknown instrument"):
        planned(config, Wish(environment="binance_paper", now=NOW, symbols=("DOGE_USDT",)), store)


def test_the_windows_of_the_instruments_are_the_default(config: CoreConfig, store: ParquetCandleStore) -> None:
    plans = planned(config, Wish(environment="binance_paper", now=NOW), store)
    assert len(plans) == 16
    assert {(plan.series.granularity, plan.missing_rows) for plan in plans} == {("1d", 1825), ("1h", 730 * 24)}
