"""The guard in front of every HTTP port of ours: loopback only, a list of allowed names, small bodies, a quiet log.

How many may connect and how long a request head may take is kept by `http_connections`. It knows no endpoint: those are
the routes it is given, and what no route names is answered 404 or 405.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import anyio
import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from dudzian_daemon.adapters.http_connections import Connections
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import SECOND_NS, Clock

#: A connection that has sent no complete request head for so long is dropped; an idle keep-alive connection as well.
HEAD_DEADLINE_S: Final = 10.0
MAX_CONNECTIONS: Final = 64
MAX_BODY_BYTES: Final = 64 * 1024
#: How long a stop waits for answers that are being made.
STOP_GRACE_S: Final = 1.0
#: Refusals are counted; at most one line in this time says how many.
LOG_INTERVAL_NS: Final = 60 * SECOND_NS

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_HEADERS: Final = {
    "Server": "dudzian",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one port grants its clients: times in seconds, sizes in bytes; `allowed_hosts` (`name` or `name:port`) beside loopback.

    With `tls` it speaks HTTPS and nothing else.
    """

    head_deadline_s: float = HEAD_DEADLINE_S
    connections: int = MAX_CONNECTIONS
    body_bytes: int = MAX_BODY_BYTES
    stop_grace_s: float = STOP_GRACE_S
    allowed_hosts: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None


DEFAULT_LIMITS: Final = Limits()


class GuardedServer:
    """Serves `routes` within `limits`; `on_refused` is called with a reason for every client that is turned away."""

    def __init__(
        self,
        routes: Iterable[web.AbstractRouteDef],
        *,
        name: str,
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
        on_refused: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._scheme = "http" if limits.tls is None else "https"
        self._routes = list(routes)
        self._limits = limits
        self._refusals = _Refusals(name, clock, on_refused)
        self._connections = Connections(
            cap=limits.connections, head_deadline_s=limits.head_deadline_s, clock=clock, note=self._refusals.note, tls=limits.tls
        )
        self._hosts: frozenset[str] = frozenset()

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._connections)

    def note(self, reason: str) -> None:
        """Count a client that a route has turned away, like those the guard turns away itself."""
        self._refusals.note(reason)

    async def serve(self, listener: socket.socket) -> None:
        """Answer on `listener` until cancelled; then let running answers end (`stop_grace_s`) and close everything."""
        self._hosts = _spellings((*_LOCAL_NAMES, *self._limits.allowed_hosts), listener.getsockname()[1])
        runner = self._runner()
        try:
            await runner.setup()
            if runner.server is not None:
                await self._connections.accept_all(listener, runner.server)
        finally:
            listener.close()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()
                await self._connections.close_all()
            self._refusals.report()

    def _runner(self) -> web.AppRunner:
        application = web.Application(middlewares=[self._guard], client_max_size=self._limits.body_bytes)
        application.add_routes(self._routes)
        application.on_response_prepare.append(_harden)
        return web.AppRunner(
            application,
            access_log=None,
            logger=self._refusals.logger,
            keepalive_timeout=self._limits.head_deadline_s,
            lingering_time=self._limits.stop_grace_s,
            shutdown_timeout=self._limits.stop_grace_s,
            auto_decompress=False,
        )

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with self._connections.serving(request.protocol):
            self._check_names(request)
            if request.body_exists:
                await self._read_body(request)
            return await handler(request)

    def _check_names(self, request: web.Request) -> None:
        """A page of another site that points its own name at this address (DNS rebinding) is sent away without detail."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts or not request.raw_path.startswith("/"):
            self._refusals.note("host")
            raise web.HTTPMisdirectedRequest
        for origin in request.headers.getall("Origin", []):
            if origin.lower() not in {f"{self._scheme}://{name}" for name in self._hosts}:
                self._refusals.note("origin")
                raise web.HTTPForbidden

    async def _read_body(self, request: web.Request) -> None:
        """Take the whole (small) body before the handler runs, so that no handler waits for a slow sender."""
        try:
            with anyio.fail_after(self._limits.head_deadline_s):
                await request.read()
        except TimeoutError:
            self._refusals.note("slow_body")
            raise web.HTTPRequestTimeout from None
        except web.HTTPRequestEntityTooLarge:
            self._refusals.note("large_body")
            raise
        except web.RequestPayloadError:
            self._refusals.note("bad_request")
            raise web.HTTPBadRequest from None


class _Refusals(logging.Handler):
    """Counts who was turned away and why; a flood is one line a minute. aiohttp complains here as well (`logger`)."""

    def __init__(self, server: str, clock: Clock, on_refused: Callable[[str], None]) -> None:
        super().__init__()
        self._server = server
        self._clock = clock
        self._on_refused = on_refused
        self._unreported: Counter[str] = Counter()
        self._silent_until_ns = 0
        self.logger = logging.Logger(f"dudzian.{server}", logging.DEBUG)  # aiohttp whispers about some malformed requests
        self.logger.addHandler(self)

    def note(self, reason: str) -> None:
        """Count one refusal; say so if the last line is old enough."""
        self._on_refused(reason)
        self._unreported[reason] += 1
        if self._clock.monotonic_ns() >= self._silent_until_ns:
            self.report()

    def report(self) -> None:
        """One line with the counts since the last one, none if there is nothing to say."""
        if self._unreported:
            self._silent_until_ns = self._clock.monotonic_ns() + LOG_INTERVAL_NS
            logs.logger("http").warning(
                "http_refused", action="refuse_client", server=self._server, **dict(sorted(self._unreported.items()))
            )
            self._unreported.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """A malformed request is a count; a fault of one of our handlers is that and, in its turn, a traceback."""
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, HttpProcessingError | web.RequestPayloadError):
            self.note("bad_request")
            return
        if self._clock.monotonic_ns() >= self._silent_until_ns:
            logs.logger("http").error(
                "http_handler_failed", action="answer", server=self._server, detail=record.getMessage(), exc_info=fault
            )
        self.note("handler_failed")


def _spellings(names: Iterable[str], port: int) -> frozenset[str]:
    """The Host headers that mean us: each name as it is, and with our port where it names none."""
    lowered = [name.lower() for name in names]
    return frozenset(lowered) | {f"{name}:{port}" for name in lowered if name.endswith("]") or ":" not in name}


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
