"""A loopback exchange for tests and for trying the live feed by hand: public REST and websocket data of Binance spot and Kraken.

It answers the real ccxt client. Prices are made up; faults are scripted, request by request; every request is in the log.
By hand: python -m dudzian_daemon.testing.exchange 9200, then dudzian run -e binance_paper --base-url http://127.0.0.1:9200
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from typing import Any, Final, Literal

import anyio
import msgspec
import orjson
from aiohttp import WSMsgType, web

from dudzian_daemon.kernel.clock import Clock, SystemClock
from dudzian_daemon.testing.exchange_books import MovingBook, binance_changes, kraken_changes
from dudzian_daemon.testing.exchange_market import MARKETS, MINUTE_MS, POL, Market, binance_market, futures_market, kraken_market

_MS_NS: Final = 1_000_000
_STEPS_MS: Final = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440}
_WEIGHTS: Final = {"klines": 2, "exchangeInfo": 20, "bookTicker": 4, "depth": 5}
_KRAKEN_ROWS: Final = 720
_BOMB_BYTES: Final = 40 * 1024 * 1024
#: How far Kraken's prices are from Binance's, as a share; a test may move it.
_VENUE_SHIFT: Final = 0.0004

FaultKind = Literal[
    "status", "limit", "ban", "hang", "reset", "truncated", "html", "empty", "nan", "zero", "gap", "duplicate", "contradiction",
    "disorder", "future", "interval", "redirect", "bomb",
]  # fmt: skip


class Fault(msgspec.Struct):
    """What goes wrong with the next `times` requests whose path holds `path`; `value` is a status or seconds of `Retry-After`."""

    kind: FaultKind
    path: str = ""
    times: int = 1
    value: int = 503


_FAULT: Final = web.RequestKey("fault", object)


class Request(msgspec.Struct, frozen=True):
    """A request as it arrived (monotonic ns), the fault it met, and for how long (s) it was told to wait."""

    at_ns: int
    path: str
    query: dict[str, str]
    weight: int
    fault: str
    retry_after_s: int = 0


class LoopbackExchange:
    """An async context manager: the server runs inside it, at `url`."""

    def __init__(self, clock: Clock | None = None, *, markets: Sequence[Market] = MARKETS, port: int = 0) -> None:
        self.clock = clock or SystemClock()
        self.markets = list(markets)
        self.faults: list[Fault] = []
        #: Asked for the fault of a request to this path with its query that meets no scripted one.
        self.draw: Callable[[str], Fault | None] = lambda _path: None
        self.requests: list[Request] = []
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
        self._arrived = anyio.Event()
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

    def fail(self, kind: FaultKind, path: str = "", times: int = 1, value: int = 503) -> None:
        """The next `times` requests to a path with `path` in it go wrong."""
        self.faults.append(Fault(kind, path, times, value))

    def asked(self, path: str) -> list[Request]:
        """The requests to a path with `path` in it."""
        return [request for request in self.requests if path in request.path]

    async def until_asked(self, path: str, times: int) -> None:
        """Wait until there were `times` requests to a path with `path` in it."""
        while len(self.asked(path)) < times:
            self._arrived = anyio.Event()
            await self._arrived.wait()

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
        fault = self._next_fault(request.path_qs)
        weight = _WEIGHTS.get(request.path.rpartition("/")[2], 1)
        minute = self.now_ms // MINUTE_MS
        self._used = (minute, weight + (self._used[1] if self._used[0] == minute else 0))
        kind = "" if fault is None else fault.kind
        pause_s = fault.value if fault is not None and kind in ("limit", "ban") else 0
        self.requests.append(Request(self.clock.monotonic_ns(), request.path, dict(request.query), weight, kind, pause_s))
        self._arrived.set()
        if fault is not None and (answer := await self._refused(fault, request)) is not None:
            return answer
        if request.path in self.answers:
            return web.Response(body=self.answers[request.path], content_type="application/json")
        request[_FAULT] = fault
        answer = await handler(request)
        if not isinstance(answer, web.WebSocketResponse):
            answer.headers["X-MBX-USED-WEIGHT-1M"] = str(self._used[1])
        return _spoiled(answer, kind) if isinstance(answer, web.Response) else answer

    def _next_fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.path in path and fault.times > 0:
                fault.times -= 1
                return fault
        return self.draw(path)

    async def _refused(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        if fault.kind == "status":
            return web.Response(status=fault.value, text="<html>upstream</html>", content_type="text/html")
        if fault.kind in ("limit", "ban"):
            status = 429 if fault.kind == "limit" else 418
            body = {"code": -1003, "msg": "Too many requests; current limit is exceeded."}
            return web.json_response(body, status=status, headers={"Retry-After": str(fault.value)})
        if fault.kind == "redirect":
            return web.Response(status=302, headers={"Location": "http://127.0.0.2:9/api/v3/time"})
        if fault.kind == "hang":
            await anyio.sleep_forever()
        if fault.kind == "reset" and request.transport is not None:
            request.transport.abort()
        return None

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
        rows = self._with_faults(market.candles(since, until, step_ms, limit), request[_FAULT], step_ms)
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
        bid, ask = _sides(price)
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
        rows = self._with_faults(rows, request[_FAULT], step_ms)
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
        bid, ask = _sides(price)
        day = {name: [str(price), str(price)] for name in "vplh"}
        return day | {"a": [ask, "1", "1.500"], "b": [bid, "1", "1.700"], "c": [str(price), "0.1"], "t": [1, 2], "o": str(price)}

    # -- pushed quotes and books ---------------------------------------------------------------------------------------------

    async def _binance_stream(self, request: web.Request) -> web.WebSocketResponse:
        told_until: dict[str, int] = {}

        def asked(message: dict[str, Any]) -> list[str]:
            return list(message.get("params", []))

        def told(stream: str) -> list[dict[str, Any]]:
            name, kind = stream.partition("@")[0].upper(), stream.partition("@")[2]
            if kind.startswith("depth"):
                market = self._market(name, lambda market: market.binance_id)
                return [binance_changes(name, self._book(market), told_until, self.now_ms)]
            top = self._binance_top(name)
            return [
                {"u": next(self._numbers), "s": name, "b": top["bidPrice"], "B": top["bidQty"], "a": top["askPrice"], "A": top["askQty"]}
            ]

        return await self._push(request, asked, lambda message: {"result": None, "id": message["id"]}, told)

    async def _kraken_stream(self, request: web.Request) -> web.WebSocketResponse:
        told_until: dict[str, int] = {}

        def asked(message: dict[str, Any]) -> list[str]:
            params = message.get("params", {}) if message.get("method") == "subscribe" else {}
            return [f"{params['channel']} {symbol}" for symbol in params.get("symbol", [])]

        def told(stream: str) -> list[dict[str, Any]]:
            channel, _, name = stream.partition(" ")
            market = self._market(name, lambda market: f"{market.base}/{market.quote}")
            if channel == "book":
                return [kraken_changes(name, self._book(market, self.shift), told_until, self.now_ms)]
            price = market.at(self.now_ms, self.shift)
            bid, ask = (float(side) for side in _sides(price))
            data = {"symbol": name, "bid": bid, "bid_qty": 1.7, "ask": ask, "ask_qty": 1.5, "last": price, "volume": 1.0, "vwap": price}
            return [
                {"channel": "ticker", "type": "update", "data": [data | {"low": price, "high": price, "change": 0.0, "change_pct": 0.0}]}
            ]

        return await self._push(
            request, asked, lambda message: {"method": "subscribe", "success": True, "req_id": message.get("req_id")}, told
        )

    async def _push(
        self,
        request: web.Request,
        asked: Callable[[dict[str, Any]], list[str]],
        confirmed: Callable[[dict[str, Any]], dict[str, Any]],
        told: Callable[[str], list[dict[str, Any]]],
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

    async def _push_on(self, socket: web.WebSocketResponse, names: list[str], told: Callable[[str], list[dict[str, Any]]]) -> None:
        with suppress(ConnectionResetError):  # who is gone is told nothing more
            while not socket.closed:
                for line in [line for name in names for line in told(name)] if self.push_seconds else ():
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

    def _with_faults(self, rows: list[list[Any]], fault: object, step_ms: int) -> list[list[Any]]:
        if not isinstance(fault, Fault) or not rows:
            return rows
        middle = len(rows) // 2
        bad = list(rows[middle])
        changes: dict[str, list[list[Any]]] = {
            "nan": [*rows[:middle], [bad[0], "NaN", *bad[2:]], *rows[middle + 1 :]],
            "zero": [*rows[:middle], [bad[0], 0.0, *bad[2:]], *rows[middle + 1 :]],
            "gap": [*rows[:middle], *rows[middle + 1 :]],
            "duplicate": [*rows[:middle], bad, *rows[middle:]],
            "contradiction": [*rows[:middle], [*bad[:4], bad[4] * 1.0001, bad[5]], *rows[middle:]],
            "disorder": rows[::-1],
            "future": [*rows[:-1], [self.now_ms // step_ms * step_ms + 5 * step_ms, *bad[1:]]],
            "interval": [[row[0] + n, *row[1:]] for row in rows for n in range(0, step_ms, max(step_ms // 4, 1))],
            "empty": [],
        }
        return changes.get(fault.kind, rows)


@cache
def _bomb() -> bytes:
    return gzip.compress(b"[" + b" " * _BOMB_BYTES, 1)


def _spoiled(answer: web.Response, kind: str) -> web.Response:
    body = answer.body if isinstance(answer.body, bytes) else b""
    if kind == "truncated":
        return web.Response(body=body[: len(body) // 2], content_type="application/json", headers=_kept(answer))
    if kind == "bomb":  # unpacks to more than any client of ours should read
        return web.Response(body=_bomb(), content_type="application/json", headers={**_kept(answer), "Content-Encoding": "gzip"})
    if kind == "html":
        return web.Response(text="<html><body>We will be right back</body></html>", content_type="text/html", headers=_kept(answer))
    return answer


def _kept(answer: web.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("X-")}


def _sides(price: float) -> tuple[str, str]:
    return f"{price - 0.01:.2f}", f"{price + 0.01:.2f}"


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
