"""The real ccxt client against the loopback exchange: sound data, every scripted fault, recorded answers, addresses."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from dudzian_daemon.adapters.public_http import VenueHttp
from dudzian_daemon.adapters.venue_answers import BadAnswer, Throttled, VenueDown
from dudzian_daemon.adapters.venue_calls import ATTEMPTS
from dudzian_daemon.adapters.venue_hosts import host_rules
from dudzian_daemon.domain.errors import ConfigError, Permanent, Retryable
from dudzian_daemon.domain.market import HOUR_NS, MINUTE_NS, Book
from dudzian_daemon.testing import exchange_books
from dudzian_daemon.testing.clock import START_NS, ManualClock
from dudzian_daemon.testing.exchange_faults import FaultKind
from tests.scenario.made_venue import PROFILE as BINANCE
from tests.scenario.venues import opened

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
PATHS = {"binance": "klines", "kraken": "OHLC"}
NOW = START_NS
SPAN = (NOW - 20 * HOUR_NS, NOW)


async def candles(data: Any, *, span: tuple[int, int] = SPAN) -> list[Any]:
    found: list[Any] = await data.candles("BTC/USDT", "1h", *span, 100)
    return found


@pytest.mark.parametrize("venue", ["binance", "kraken"])
async def test_public_data_comes_as_the_port_says(tmp_path, venue) -> None:
    async with opened(tmp_path, venue) as (exchange, data, _):
        assert await data.server_time_ns() == pytest.approx(NOW, abs=MINUTE_NS)
        market = (await data.markets())["BTC/USDT"]
        assert market.active
        assert (str(market.tick_size), market.base, market.quote) == ("0.01", "BTC", "USDT")
        rows = await candles(data)
        assert [row.end for row in rows] == list(range(SPAN[0] + HOUR_NS, NOW + 1, HOUR_NS))
        truth = exchange.markets[0].candle((SPAN[0]) // 1_000_000, 3_600_000, exchange.shift if venue == "kraken" else 0.0)
        assert [rows[0].open, rows[0].high, rows[0].low, rows[0].close, rows[0].volume] == truth[1:]
        (quote,) = await data.quotes(["BTC/USDT"])
        assert 0 < quote.bid < quote.ask
        assert quote.bid_size > 0
        book = await data.book("BTC/USDT", 3)
        assert len(book.bids) == len(book.asks) == 3
        assert {request.path for request in exchange.requests} <= set(exchange._paths())


async def test_only_the_wanted_markets_are_asked_for(tmp_path) -> None:
    async with opened(tmp_path, symbols=("BTC/USDT", "ETH/USDT")) as (exchange, data, _):
        assert set(await data.markets()) == {"BTC/USDT", "ETH/USDT"}
        assert [request.query["symbols"] for request in exchange.asked("exchangeInfo")] == ['["BTCUSDT","ETHUSDT"]']


async def test_markets_are_loaded_once_however_many_ask_and_one_who_gives_up_ends_nobody_elses_wait(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(candles, data)
            tasks.start_soon(candles, data)
            while not exchange.asked("exchangeInfo"):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert len(await candles(data)) == 20
        assert len(exchange.asked("exchangeInfo")) == 1


@pytest.mark.parametrize("venue", ["binance", "kraken"])
@pytest.mark.parametrize("kind", ["status", "reset", "truncated", "html", "interval"])
async def test_a_fault_that_passes_costs_a_try_and_no_candle(tmp_path, venue, kind: FaultKind) -> None:
    async with opened(tmp_path, venue) as (exchange, data, _):
        await data.markets()
        exchange.fail(kind, PATHS[venue])
        assert len(await candles(data)) == 20
        assert len(exchange.asked(PATHS[venue])) == 2


async def test_three_server_errors_and_then_an_answer_are_three_counted_tries_and_all_candles(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, shared):
        await data.markets()
        exchange.fail("status", "klines", times=3)
        assert len(await candles(data)) == 20
        assert shared.failures == {VenueDown.__name__: 3}
        assert shared.down_since is None


@pytest.mark.parametrize(("kind", "error"), [("status", VenueDown), ("truncated", BadAnswer), ("html", BadAnswer), ("interval", BadAnswer)])
async def test_a_fault_that_stays_is_given_up_after_a_few_tries(tmp_path, kind: FaultKind, error) -> None:
    async with opened(tmp_path) as (exchange, data, shared):
        await data.markets()
        exchange.fail(kind, "klines", times=50)
        with pytest.raises(error):
            await candles(data)
        assert len(exchange.asked("klines")) == ATTEMPTS
        assert shared.failures[error.__name__] == ATTEMPTS


@pytest.mark.parametrize(
    ("kind", "rows", "refused"),
    [
        ("nan", 19, {"not_finite": 1}),
        ("zero", 19, {"not_positive": 1}),
        ("gap", 19, {}),
        ("duplicate", 20, {"duplicate": 1}),
        ("contradiction", 19, {"contradiction": 1}),
        ("disorder", 20, {}),
        ("future", 20, {"future": 1}),
        ("empty", 0, {}),
    ],
)
async def test_bad_rows_are_refused_counted_and_kept(tmp_path, kind: FaultKind, rows, refused) -> None:
    async with opened(tmp_path) as (exchange, data, shared):
        exchange.fail(kind, "klines")
        assert len(await candles(data, span=(SPAN[0], NOW + 5 * HOUR_NS))) == rows
        assert dict(shared.refused_rows) == refused
        quarantine = tmp_path / "data" / "quarantine" / "binance.jsonl"
        kept = [orjson.loads(line) for line in quarantine.read_bytes().splitlines()] if quarantine.exists() else []
        assert [line["fault"] for line in kept] == list(refused)
        assert all(line["instrument"] == "binance:BTC/USDT" for line in kept)


@pytest.mark.parametrize("venue", ["binance", "kraken"])
async def test_an_answer_that_unpacks_without_end_is_read_up_to_the_bound_and_refused(tmp_path, venue) -> None:
    async with opened(tmp_path, venue) as (exchange, data, shared):
        await data.markets()
        exchange.fail("bomb", PATHS[venue], times=ATTEMPTS)
        with pytest.raises(BadAnswer, match="expected an answer of at most 33554432 bytes, found a longer one"):
            await candles(data)
        assert shared.failures == {"BadAnswer": ATTEMPTS}
        assert shared.down_since is None  # it is there, whatever it says
        assert len(await candles(data)) == 20


async def test_our_own_client_reads_no_endless_answer_either(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, _data, _shared):
        exchange.fail("bomb", "time")
        http = VenueHttp(host_rules(BINANCE, exchange.url), "", lambda _headers: None, exchange.clock.wall_ns)
        with pytest.raises(BadAnswer, match="found a longer one"):
            await http.get_json("/api/v3/time", {})
        assert await http.get_json("/api/v3/time", {}) == {"serverTime": exchange.now_ms}
        await http.close()


@pytest.mark.parametrize(("kind", "seconds"), [("limit", 7), ("ban", 120)])
async def test_what_a_venue_asks_us_to_wait_is_waited_to_the_second(tmp_path, kind: FaultKind, seconds) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock=clock) as (exchange, data, shared):
        await data.markets()
        await data.server_time_ns()
        exchange.fail(kind, "klines", value=seconds)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(candles, data)
            while not shared.budget.paused_s:
                await anyio.lowlevel.checkpoint()
            assert shared.budget.paused_s == seconds
            await clock.advance(seconds - 0.01)
            assert len(exchange.asked("klines")) == 1
            await clock.advance(0.02)
        first, second = exchange.asked("klines")
        assert seconds <= (second.at_ns - first.at_ns) / 1e9 < seconds + 0.1


@pytest.mark.parametrize("venue", ["binance", "kraken"])
@pytest.mark.parametrize(("kind", "seconds"), [("limit", 7), ("ban", 120)])
async def test_what_a_refused_websocket_asks_us_to_wait_is_waited_to_the_second(tmp_path, venue, kind: FaultKind, seconds) -> None:
    clock, path = ManualClock(), "/ws" if venue == "binance" else "/v2"
    async with opened(tmp_path, venue, clock=clock, streams=True) as (exchange, data, shared):
        await data.markets()
        exchange.fail(kind, path, value=seconds)
        with pytest.raises(Throttled, match=f"HTTP (429|418).*asked again in {seconds} s"):
            await data.next_quotes(["BTC/USDT"])
        assert shared.budget.paused_s == seconds
        assert shared.failures == {"Throttled": 1}
        assert shared.reachable
        await data.drop_streams()
        found: list[Any] = []

        async def again() -> None:
            found.extend(await data.next_quotes(["BTC/USDT"]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(again)
            await clock.advance(seconds - 0.01)
            assert len(exchange.asked(path)) == 1
            await clock.advance(0.02)
        first, second = exchange.asked(path)
        assert seconds <= (second.at_ns - first.at_ns) / 1e9 < seconds + 0.1
        assert found


async def test_a_limit_that_never_ends_is_told(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, _):
        await data.markets()
        exchange.fail("limit", "klines", times=50, value=0)
        with pytest.raises(Throttled):
            await candles(data)


async def test_the_venues_count_of_our_weight_is_obeyed(tmp_path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock=clock) as (exchange, data, shared):
        await data.markets()
        await data.server_time_ns()
        exchange._used = (exchange.now_ms // 60_000, 4300)
        await data.quotes(["BTC/USDT"])
        assert shared.budget.paused_s == pytest.approx(60, abs=0.1)


async def test_an_unknown_symbol_is_refused_for_good(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, _):
        with pytest.raises(Permanent, match="BadSymbol"):
            await data.candles("NONE/USDT", "1h", *SPAN, 10)
        assert not exchange.asked("klines")


async def test_a_redirect_to_another_host_is_not_followed(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, _):
        await data.markets()
        exchange.fail("redirect", "klines")
        with pytest.raises(Permanent, match="is not one this venue's data may come from"):
            await candles(data)


async def test_a_venue_that_fails_again_and_again_is_left_alone_for_a_while(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, shared):
        await data.markets()
        exchange.fail("status", "klines", times=500)
        for _ in range(4):
            with pytest.raises(VenueDown):
                await candles(data)
        assert len(exchange.asked("klines")) == 8
        assert shared.down_since is not None


async def test_a_venue_that_answers_nonsense_is_not_offline(tmp_path) -> None:
    async with opened(tmp_path) as (exchange, data, shared):
        await data.markets()
        exchange.fail("html", "klines", times=50)
        with pytest.raises(Retryable):
            await candles(data)
        assert shared.down_since is None


@pytest.mark.parametrize("venue", ["binance", "kraken"])
async def test_pushed_quotes_arrive_and_come_back_after_a_cut(tmp_path, venue) -> None:
    async with opened(tmp_path, venue, streams=True) as (exchange, data, _):
        assert data.pushes
        (quote,) = await data.next_quotes(["BTC/USDT"])
        assert 0 < quote.bid < quote.ask
        await exchange.cut()
        with pytest.raises(Retryable):
            for _ in range(20):
                await data.next_quotes(["BTC/USDT"])
        await data.drop_streams()
        assert await data.next_quotes(["BTC/USDT"])


async def test_every_update_of_a_burst_arrives_in_order(tmp_path, monkeypatch) -> None:
    async with opened(tmp_path, streams=True) as (exchange, data, _):
        push, sizes = exchange._push, count(1)
        top = exchange._binance_top("BTCUSDT")
        monkeypatch.setattr(exchange, "_binance_top", lambda _name: top | {"bidQty": str(next(sizes))})
        # The stream is subscribed to ten times over, so that ten updates go out at once.
        monkeypatch.setattr(exchange, "_push", lambda request, asked, *rest: push(request, lambda said: asked(said) * 10, *rest))
        found: list[float] = []
        with anyio.fail_after(10):
            while len(found) < 50:
                found += [quote.bid_size for quote in await data.next_quotes(["BTC/USDT"])]
        assert found == [float(n) for n in range(1, len(found) + 1)]


@pytest.mark.parametrize("venue", ["binance", "kraken"])
async def test_pushed_books_are_the_venues_own_and_come_back_after_a_cut(tmp_path, venue) -> None:
    symbols = ("BTC/USDT", "ETH/USDT") if venue == "binance" else ("BTC/USDT",)
    async with opened(tmp_path, venue, symbols=symbols, streams=True) as (exchange, data, shared):
        exchange.push_seconds = 0.01
        shift = exchange.shift if venue == "kraken" else 0.0

        async def until_all(moment_ms: int) -> dict[str, Book]:
            """The books once they are those of the moment; every one on the way is sound."""
            wanted = {f"{venue}:{m.base}/USDT": m.at(moment_ms, shift) for m in exchange.markets[: len(symbols)]}
            found: dict[str, Book] = {}
            while any(name not in found or abs(found[name].best.bid + 0.01 - price) > 0.001 for name, price in wanted.items()):
                for book in await data.next_books(symbols, 8):
                    assert len(book.bids) == len(book.asks) == 8
                    assert all(round(book.asks[n][0] - book.asks[n - 1][0], 2) == 0.01 for n in range(1, 8))  # no level is left of before
                    found[book.instrument] = book
            return found

        with anyio.fail_after(60):
            await until_all(exchange.now_ms)
            for _ in range(5):
                exchange.skew_ms += 60_000  # the market moves by more than the book is deep
                await until_all(exchange.now_ms)
            await exchange.cut()
            with pytest.raises(Retryable):
                for _ in range(50):
                    await data.next_books(symbols, 8)
            await data.drop_streams()
            exchange.skew_ms += 60_000
            await until_all(exchange.now_ms)
        assert not shared.refused_rows["book"]


async def test_a_pushed_book_costs_its_first_state_and_a_polled_one_its_share_of_the_budget(tmp_path) -> None:
    async with opened(tmp_path, symbols=("BTC/USDT", "ETH/USDT"), streams=True) as (exchange, data, shared):
        await data.server_time_ns()
        before = shared.budget.taken
        for _ in range(5):
            await data.next_books(["BTC/USDT", "ETH/USDT"], 10)
        assert shared.budget.taken - before == 2 * 50
        assert {request.query["limit"] for request in exchange.asked("depth")} == {"1000"}
        assert data.book_spacing_s == pytest.approx(5 * 60 / (6000 * 0.7 / 2))


async def test_a_crossed_book_is_left_out_and_counted(tmp_path, monkeypatch) -> None:
    async with opened(tmp_path, "kraken", streams=True) as (_, data, shared):
        monkeypatch.setattr(exchange_books, "TICK", -0.01)  # bids above asks
        with anyio.fail_after(60):
            while not shared.refused_rows["book"]:
                assert await data.next_books(["BTC/USDT"], 10) == []
        with pytest.raises(BadAnswer, match="expected the best bid below the best ask"):
            await data.book("BTC/USDT", 5)


@pytest.mark.parametrize("venue", ["binance", "kraken"])
async def test_after_many_refused_handshakes_the_next_one_is_tried_at_once(tmp_path, venue) -> None:
    path = "/ws" if venue == "binance" else "/v2"
    async with opened(tmp_path, venue, streams=True) as (exchange, data, _):
        await data.markets()
        exchange.fail("status", path, times=12)
        with anyio.fail_after(60):  # ccxt by itself would have waited for more than two minutes by now
            for _ in range(12):
                with pytest.raises(Retryable):
                    await data.next_quotes(["BTC/USDT"])
                await data.drop_streams()
            assert await data.next_quotes(["BTC/USDT"])
        assert len(exchange.asked(path)) == 13
        assert len(exchange.sockets) == 1


async def test_a_connection_that_is_made_after_it_was_given_up_is_closed(tmp_path, monkeypatch) -> None:
    async with opened(tmp_path, streams=True) as (exchange, data, _):
        await data.markets()
        push, go_on = exchange._push, anyio.Event()

        async def late(*arguments: Any) -> Any:
            await go_on.wait()
            return await push(*arguments)

        monkeypatch.setattr(exchange, "_push", late)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(data.next_quotes, ["BTC/USDT"])
            await exchange.until_asked("/ws", 1)
            tasks.cancel_scope.cancel()
        await data.drop_streams()
        go_on.set()
        with anyio.fail_after(60):
            assert await data.next_quotes(["BTC/USDT"])
            while len(exchange.sockets) > 1:
                await data.next_quotes(["BTC/USDT"])
        assert len(exchange.asked("/ws")) == 2


async def test_a_host_that_is_not_the_venues_refuses_before_anything_is_sent(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"adapter_settings\.base_url: expected loopback or one of the venue's data hosts"):
        async with opened(tmp_path, base_url="https://example.org"):
            pass


async def test_an_unknown_setting_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match="known keys: base_url, ws_url, poll_seconds, quote_seconds, streams, book_levels"):
        async with opened(tmp_path, bas_url="x"):
            pass


async def test_the_disabled_venue_says_why(tmp_path) -> None:
    with pytest.raises(ConfigError, match="exchange 'zonda' is disabled: the exchange is in liquidation"):
        async with opened(tmp_path, "zonda"):
            pass


# -- recorded answers --------------------------------------------------------------------------------------------------


async def test_recorded_binance_answers_are_understood(tmp_path) -> None:
    clock = ManualClock(wall_ns=1_634_944_380_000_000_000)
    async with opened(tmp_path, clock=clock) as (exchange, data, shared):
        exchange.answers["/api/v3/klines"] = (PAYLOADS / "binance_klines.json").read_bytes()
        exchange.answers["/api/v3/exchangeInfo"] = (PAYLOADS / "binance_exchange_info.json").read_bytes()
        market = (await data.markets())["BTC/USDT"]
        assert (str(market.tick_size), str(market.lot_size), str(market.min_notional)) == ("0.01", "0.00001", "10.0")
        first = 1_634_943_780_000_000_000
        rows = await data.candles("BTC/USDT", "1m", first, first + 10 * MINUTE_NS, 10)
        assert len(rows) == 10
        assert (rows[0].open, rows[0].high, rows[0].low, rows[0].close, rows[0].volume) == (60685.22, 60729.84, 60670.9, 60719.27, 21.63272)
        assert not shared.refused_rows


async def test_recorded_kraken_answers_are_understood(tmp_path) -> None:
    clock = ManualClock(wall_ns=1_762_820_250_000_000_000)
    async with opened(tmp_path, "kraken", clock=clock) as (exchange, data, shared):
        for path, name in (("AssetPairs", "asset_pairs"), ("OHLC", "ohlc"), ("Ticker", "ticker"), ("Depth", "depth")):
            exchange.answers[f"/0/public/{path}"] = (PAYLOADS / f"kraken_{name}.json").read_bytes()
        market = (await data.markets())["BTC/USDT"]
        assert (str(market.tick_size), market.venue_symbol) == ("0.1", "XBTUSDT")
        end = 1_762_820_220_000_000_000
        rows = await data.candles("BTC/USDT", "1m", end - 5 * MINUTE_NS, end, 10)
        assert [row.end for row in rows] == [end - n * MINUTE_NS for n in (4, 3, 2, 1, 0)]
        (quote,) = await data.quotes(["BTC/USDT"])
        assert (quote.bid, quote.ask, quote.bid_size) == (105944.2, 105944.3, 1.0)
        book = await data.book("BTC/USDT", 5)
        assert (book.best.bid, book.best.ask) == (105944.2, 105944.3)
        assert not shared.refused_rows
