"""What goes wrong at the loopback exchange: faults by request, and what each does to an answer or to the candles in it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import anyio
import msgspec
from aiohttp import web

_BOMB_BYTES: Final = 40 * 1024 * 1024

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


class Request(msgspec.Struct, frozen=True):
    """A request as it arrived (monotonic ns), the fault it met, and for how long (s) it was told to wait."""

    at_ns: int
    path: str
    query: dict[str, str]
    weight: int
    fault: str
    retry_after_s: int = 0


class Script:
    """What is to go wrong with which request, and every request that came."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        #: Asked for the fault of a request to this path with its query that meets no scripted one.
        self.draw: Callable[[str], Fault | None] = lambda _path: None
        self.requests: list[Request] = []
        self._arrived = anyio.Event()

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

    def next_fault(self, path: str) -> Fault | None:
        """The fault that a request to this path meets."""
        for fault in self.faults:
            if fault.path in path and fault.times > 0:
                fault.times -= 1
                return fault
        return self.draw(path)

    def note(self, request: Request) -> None:
        """A request has come."""
        self.requests.append(request)
        self._arrived.set()


async def refusal(fault: Fault, request: web.Request) -> web.StreamResponse | None:
    """The answer that the fault gives in the place of the venue's own, None where it spoils that one; it may be none at all."""
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


def with_fault(rows: list[list[Any]], fault: object, step_ms: int, now_ms: int) -> list[list[Any]]:
    """Candles with what the fault does to them; steps and times in ms."""
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
        "future": [*rows[:-1], [now_ms // step_ms * step_ms + 5 * step_ms, *bad[1:]]],
        "interval": [[row[0] + n, *row[1:]] for row in rows for n in range(0, step_ms, max(step_ms // 4, 1))],
        "empty": [],
    }
    return changes.get(fault.kind, rows)


@cache
def _bomb() -> bytes:
    return gzip.compress(b"[" + b" " * _BOMB_BYTES, 1)


def spoiled(answer: web.Response, kind: str) -> web.Response:
    """The answer as a fault of the kind leaves it."""
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
