"""The metrics port (:9108): `/metrics` for Prometheus, `/livez` and `/readyz` for supervisors, the kill switch, behind the guard.

It reads a registry and two callbacks; it knows neither the families nor what ready means. Imported by the composition
root only when the port is wanted and the session runs, since aiohttp comes with it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web
from prometheus_async import aio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from dudzian_daemon.adapters.http_guard import DEFAULT_LIMITS, GuardedServer, Limits
from dudzian_daemon.adapters.kill_switch_http import Press, answer
from dudzian_daemon.adapters.loopback import bind_loopback
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.service import Readiness

DEFAULT_PORT: Final = 9108
_SCRAPE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_INDEX: Final = (
    "dudzian\n\n/metrics  figures for Prometheus\n/readyz   200, or 503 with the reasons\n/livez    200, or 503 with the reasons\n"
)


class MetricsServer:
    """Service of the metrics port. `port` is the bound one, None before; `ready` is set when requests are answered.

    It begins on `listener`, which is its own from then on, if there is one.

    `press` may be set to what the kill switch does; without it there is none.

    `before_scrape` may be set to what brings figures up to date; it is called on the loop, the encoding is done in a thread.
    """

    name = "metrics_http"

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        readiness: Callable[[], Readiness],
        liveness: Callable[[], Readiness],
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        listener: socket.socket | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.port: int | None = None if listener is None else int(listener.getsockname()[1])
        self.ready = anyio.Event()
        self._registry = registry
        self._host = host
        self._wanted = port
        self._listener = listener
        self._scope: anyio.CancelScope | None = None
        self.before_scrape: Callable[[], None] = lambda: None
        self.press: Press | None = None
        refused = Counter("dudzian_http_refused", "Clients turned away by the guard.", ["server", "reason"], registry=registry)
        duration = Histogram("dudzian_scrape_duration_seconds", "Time to answer a scrape.", registry=registry, buckets=_SCRAPE_BUCKETS)
        connected = Gauge("dudzian_http_connections", "Open connections.", ["server"], registry=registry).labels(self.name)
        self._server = GuardedServer(
            [
                web.get("/", _index),
                web.get("/metrics", aio.time(duration)(self._metrics)),
                web.get("/livez", partial(_health, liveness)),
                web.get("/readyz", partial(_health, readiness)),
                web.post("/kill-switch", self._kill_switch),
            ],
            name=self.name,
            clock=clock,
            limits=limits,
            on_refused=lambda reason: refused.labels(self.name, reason).inc(),
        )
        connected.set_function(lambda: self._server.open_connections)

    def bind(self) -> int:
        """Take the port, so that a clash is known before anything starts; returns it. Raises `ConfigError`."""
        return int(self._listen().getsockname()[1])

    async def run(self) -> None:
        """Answer until cancelled or stopped; a restart takes the same port again. Raises `ConfigError` when it cannot be had."""
        listener, self._listener = self._listen(), None
        with anyio.CancelScope() as self._scope:
            self.ready.set()
            await self._server.serve(listener)

    async def stop(self) -> None:
        """Let `run` finish the answers that are being made, close what waits, free the port and return."""
        if self._scope is not None:
            self._scope.cancel()

    def _listen(self) -> socket.socket:
        if self._listener is None:
            self._listener = bind_loopback(self._host, self._wanted if self.port is None else self.port, option="--metrics-port")
            self.port = int(self._listener.getsockname()[1])
        return self._listener

    async def _metrics(self, request: web.Request) -> web.Response:
        """Encode off the loop: neither a thousand series nor a slow collector delays the session."""
        self.before_scrape()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = await anyio.to_thread.run_sync(encode, self._registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _kill_switch(self, request: web.Request) -> web.Response:
        if self.press is None:
            raise web.HTTPNotFound
        return await answer(request, self.press, self._server.note)


async def _index(_request: web.Request) -> web.Response:
    return web.Response(text=_INDEX)


async def _health(state: Callable[[], Readiness], _request: web.Request) -> web.Response:
    health = state()
    return web.Response(status=200 if health.ready else 503, body=msgspec.json.encode(health), content_type="application/json")
