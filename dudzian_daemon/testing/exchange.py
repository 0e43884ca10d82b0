"""A loopback exchange for tests and for trying the live feed by hand: public REST and websocket data of Binance spot and Kraken.

It answers the real ccxt client. Prices are made up; faults are scripted, request by request; every request is in the log.
By hand: python -m dudzian_daemon.testing.exchange 9200, then dudzian run -e binance_paper --base-url http://127.0.0.1:9200
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final

import anyio
import orjson
from aiohttp import WSMsgType, web

from dudzian_daemon.kernel.clock import Clock, SystemClock
from dudzian_daemon.testing.exchange_books import MovingBook, binance_changes, kraken_changes
from dudzian_daemon.testing.exchange_faults import Request, Script, refusal, spoiled, with_fault
from dudzian_daemon.testing.exchange_market import MARKETS, MINUTE_MS, POL, Market, binance_market, futures_market, kraken_market
from dudzian_daemon.testing.exchange_streams import (
    binance_asked,
    binance_confirmed,
    binance_quote,
    kraken_asked,
    kraken_confirmed,
    kraken_quote,
    sides,
)

_MS_NS: Final = 1_000_000
_STEPS_MS: Final = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440}
_WEIGHTS: Final = {"klines": 2, "exchangeInfo": 20, "bookTicker": 4, "depth": 5}
_KRAKEN_ROWS: Final = 720
#: How far Kraken's prices are from Binance's, as a share; a test may move it.
_VENUE_SHIFT: Final = 0.0004

_FAULT: Final = web.RequestKey("fault", object)


class LoopbackExchange(Script):
    """An async context manager: the server runs inside it, at `url`."""

    def __init__(self, clock: Clock | None = None, *, markets: Sequence[Market] = MARKETS, port: int = 0) -> None:
        super().__init__()
        self.clock = clock or SystemClock()
        self.markets = list(markets)
        self.shift = _VENUE_SHIFT
        #: Answers by path that are given as they stand: recorded ones.
        self.answers: dict[str, bytes] = {}
        #: Added to the venue's clock, in ms.
        self.skew_ms = 0
        #: Seconds between two pushed quotes, by the machine's clock; 0 falls silent and stays connected.
        self.push_seconds = 0.05
        self.push_clock: Clock = SystemClock()
        self.sockets: set[web.WebSocketResponse] = set()
        self._port = port
        self._numbers = count(1)
        self._books: dict[tuple[str, bool], MovingBook] = {}
        self._used = (0, 0)
        self.url = ""

    async def __aenter__(self) -> LoopbackExchange:
        app = web.Application(middlewares=[self._serve])
        for path, handler in self._paths().items():
            app.router.add_get(path, handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await self._runner.cleanup()

    @property
    def now_ms(self) -> int:
        """The venue's clock."""
        return self.clock.wall_ns() // _MS_NS + self.skew_ms

    async def cut(self) -> None:
        """Drop every websocket."""
        for socket in tuple(self.sockets):
            await socket.close()

    # -- every request ---------------------------------------------------------------------------------------------

    def _paths(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        return {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._binance_time,
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/klines": self._klines,
            "/api/v3/ticker/bookTicker": self._book_ticker,
            "/api/v3/depth": self._binance_depth,
            "/fapi/v1/time": self._binance_time,
            "/fapi/v1/exchangeInfo": self._futures_info,
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/ticker/bookTicker": self._book_ticker,
            "/fapi/v1/depth": self._binance_depth,
            "/0/public/Time": self._kraken_time,
            "/0/public/AssetPairs": self._asset_pairs,
            "/0/public/OHLC": self._ohlc,
            "/0/public/Ticker": self._ticker,
            "/0/public/Depth": self._kraken_depth,
            "/ws": self._binance_stream,
            "/ws/{stream}": self._binance_stream,
            "/v2": self._kraken_stream,
        }

    @web.middleware
    async def _serve(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        fault = self.next_fault(request.path_qs)
        weight = _WEIGHTS.get(request.path.rpartition("/")[2], 1)
        minute = self.now_ms // MINUTE_MS
        self._used = (minute, weight + (self._used[1] if self._used[0] == minute else 0))
        kind = "" if fault is None else fault.kind
        pause_s = fault.value if fault is not None and kind in ("limit", "ban") else 0
        self.note(Request(self.clock.monotonic_ns(), request.path, dict(request.query), weight, kind, pause_s))
        if fault is not None and (answer := await refusal(fault, request)) is not None:
            return answer
        if request.path in self.answers:
            return web.Response(body=self.answers[request.path], content_type="application/json")
        request[_FAULT] = fault
        answer = await handler(request)
        if not isinstance(answer, web.WebSocketResponse):
            answer.headers["X-MBX-USED-WEIGHT-1M"] = str(self._used[1])
        return spoiled(answer, kind) if isinstance(answer, web.Response) else answer

    # -- Binance ---------------------------------------------------------------------------------------------------

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _binance_time(self, _request: web.Request) -> web.Response:
        return web.json_response({"serverTime": self.now_ms})

    async def _exchange_info(self, request: web.Request) -> web.Response:
        wanted = orjson.loads(request.query.get("symbols", "[]"))
        known = {market.binance_id: market for market in self.markets}
        if not set(wanted) <= set(known):
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        symbols = [binance_market(known[name], known[name].is_open(self.now_ms)) for name in wanted or known]
        return web.json_response(
            {"timezone": "UTC", "serverTime": self.now_ms, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}
        )

    async def _futures_info(self, _request: web.Request) -> web.Response:
        symbols = [futures_market(market, market.is_open(self.now_ms)) for market in self.markets]
        return web.json_response({"timezone": "UTC", "serverTime": self.now_ms, "rateLimits": [], "assets": [], "symbols": symbols})

    async def _klines(self, request: web.Request) -> web.Response:
        market = self._market(request.query["symbol"], lambda market: market.binance_id)
        if request.query["interval"] not in _STEPS_MS:
            return web.json_response({"code": -1120, "msg": "Invalid interval."}, status=400)
        step_ms = _STEPS_MS[request.query["interval"]] * MINUTE_MS
        limit = min(int(request.query.get("limit", 500)), 1000)
        since = int(request.query.get("startTime", self.now_ms - limit * step_ms))
        until = min(int(request.query.get("endTime", self.now_ms)), self.now_ms)
        rows = with_fault(market.candles(since, until, step_ms, limit), request[_FAULT], step_ms, self.now_ms)
        return web.json_response(
            [[int(r[0]), *(str(value) for value in r[1:]), int(r[0]) + step_ms - 1, "0", 1, "0", "0", "0"] for r in rows]
        )

    async def _book_ticker(self, request: web.Request) -> web.Response:
        named = [request.query["symbol"]] if "symbol" in request.query else [market.binance_id for market in self.markets]
        wanted = orjson.loads(request.query["symbols"]) if "symbols" in request.query else named
        return web.json_response([self._binance_top(name) for name in wanted])

    async def _binance_depth(self, request: web.Request) -> web.Response:
        market = self._market(request.query["symbol"], lambda market: market.binance_id)
        book, levels = self._book(market), int(request.query.get("limit", 100))
        return web.json_response({"lastUpdateId": book.number, "bids": book.side("b", levels), "asks": book.side("a", levels)})

    def _binance_top(self, name: str) -> dict[str, str]:
        price = self._market(name, lambda market: market.binance_id).at(self.now_ms)
        bid, ask = sides(price)
        return {"symbol": name, "bidPrice": bid, "bidQty": "3.5", "askPrice": ask, "askQty": "2.5"}

    # -- Kraken ----------------------------------------------------------------------------------------------------

    async def _kraken_time(self, _request: web.Request) -> web.Response:
        return _kraken({"unixtime": self.now_ms // 1000, "rfc1123": ""})

    async def _asset_pairs(self, request: web.Request) -> web.Response:
        wanted = [name for name in request.query.get("pair", "").split(",") if name]
        known = {market.kraken_id: market for market in self.markets}
        if not set(wanted) <= set(known):
            return web.json_response({"error": ["EQuery:Unknown asset pair"]})
        return _kraken({name: kraken_market(known[name], known[name].is_open(self.now_ms)) for name in wanted or known})

    async def _ohlc(self, request: web.Request) -> web.Response:
        market = self._market(request.query["pair"], lambda market: market.kraken_id)
        step_ms = int(request.query["interval"]) * MINUTE_MS
        since = max(int(request.query.get("since", 0)) * 1000, self.now_ms - _KRAKEN_ROWS * step_ms)
        rows = market.candles(since + 1, self.now_ms, step_ms, _KRAKEN_ROWS, self.shift)
        rows = with_fault(rows, request[_FAULT], step_ms, self.now_ms)
        told = [[int(r[0]) // 1000, *(str(value) for value in r[1:5]), str(r[4]), str(r[5]), 3] for r in rows]
        return _kraken({market.kraken_id: told, "last": self.now_ms // 1000})

    async def _ticker(self, request: web.Request) -> web.Response:
        names = request.query["pair"].split(",")
        return _kraken({name: self._kraken_top(name) for name in names})

    async def _kraken_depth(self, request: web.Request) -> web.Response:
        market = self._market(request.query["pair"], lambda market: market.kraken_id)
        book, levels, second = self._book(market, self.shift), int(request.query.get("count", 100)), self.now_ms // 1000
        bids, asks = book.side("b", levels), book.side("a", levels)
        return _kraken({market.kraken_id: {"bids": [[*row, second] for row in bids], "asks": [[*row, second] for row in asks]}})

    def _kraken_top(self, name: str) -> dict[str, Any]:
        price = self._market(name, lambda market: market.kraken_id).at(self.now_ms, self.shift)
        bid, ask = sides(price)
        day = {name: [str(price), str(price)] for name in "vplh"}
        return day | {"a": [ask, "1", "1.500"], "b": [bid, "1", "1.700"], "c": [str(price), "0.1"], "t": [1, 2], "o": str(price)}

    # -- pushed quotes and books ---------------------------------------------------------------------------------------------

    async def _binance_stream(self, request: web.Request) -> web.WebSocketResponse:
        told_until: dict[str, int] = {}

        def told(stream: str) -> dict[str, Any]:
            name, kind = stream.partition("@")[0].upper(), stream.partition("@")[2]
            if kind.startswith("depth"):
                market = self._market(name, lambda market: market.binance_id)
                return binance_changes(name, self._book(market), told_until, self.now_ms)
            return binance_quote(next(self._numbers), self._binance_top(name))

        return await self._push(request, binance_asked, binance_confirmed, told)

    async def _kraken_stream(self, request: web.Request) -> web.WebSocketResponse:
        told_until: dict[str, int] = {}

        def told(stream: str) -> dict[str, Any]:
            channel, _, name = stream.partition(" ")
            market = self._market(name, lambda market: f"{market.base}/{market.quote}")
            if channel == "book":
                return kraken_changes(name, self._book(market, self.shift), told_until, self.now_ms)
            return kraken_quote(name, market.at(self.now_ms, self.shift))

        return await self._push(request, kraken_asked, kraken_confirmed, told)

    async def _push(
        self,
        request: web.Request,
        asked: Callable[[dict[str, Any]], list[str]],
        confirmed: Callable[[dict[str, Any]], dict[str, Any]],
        told: Callable[[str], dict[str, Any]],
    ) -> web.WebSocketResponse:
        """Quotes of what was subscribed to, again and again, until the socket is closed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        names: list[str] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._push_on, socket, names, told)
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        said = orjson.loads(message.data)
                        names += asked(said)
                        await socket.send_json(confirmed(said))
                tasks.cancel_scope.cancel()
        finally:
            self.sockets.discard(socket)
        return socket

    async def _push_on(self, socket: web.WebSocketResponse, names: list[str], told: Callable[[str], dict[str, Any]]) -> None:
        with suppress(ConnectionResetError):  # who is gone is told nothing more
            while not socket.closed:
                for line in [told(name) for name in names] if self.push_seconds else ():
                    await socket.send_json(line)
                await self.push_clock.sleep(self.push_seconds or 0.05)

    # -- shared ----------------------------------------------------------------------------------------------------

    def _market(self, name: str, key: Callable[[Market], str]) -> Market:
        for market in self.markets:
            if key(market) == name:
                return market
        raise web.HTTPBadRequest(text='{"code":-1121,"msg":"Invalid symbol."}', content_type="application/json")

    def _book(self, market: Market, shift: float = 0.0) -> MovingBook:
        """The market's book as it is now; each venue, told by its shift, has its own."""
        book = self._books.setdefault((market.base, bool(shift)), MovingBook())
        book.move(market.at(self.now_ms, shift))
        return book


def _kraken(result: dict[str, Any]) -> web.Response:
    return web.json_response({"error": [], "result": result})


async def serve(port: int) -> None:
    """Run until interrupted."""
    async with LoopbackExchange(markets=(*MARKETS, POL), port=port) as exchange:
        sys.stdout.write(f"loopback exchange at {exchange.url}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


def main(arguments: Iterable[str]) -> None:
    """Serve on the port named, 9200 if none is."""
    anyio.run(serve, int(next(iter(arguments), "9200")))


if __name__ == "__main__":
    main(sys.argv[1:])
