"""The metrics port from the first moment on, and the server behind it once there is something to tell.

A port in use must be known before anything starts; aiohttp, a third of what a start costs, need not be loaded by then.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from dudzian_daemon.adapters.loopback import bind_loopback
from dudzian_daemon.app.metrics_tls import host_in_url, url
from dudzian_daemon.config.runtime import MetricsService

if TYPE_CHECKING:
    from dudzian_daemon.adapters.http_guard import Limits
    from dudzian_daemon.adapters.metrics_http import MetricsServer

Build = Callable[["type[MetricsServer]", socket.socket, "Limits"], "MetricsServer"]


class MetricsPort:
    """Service that holds the port and hosts the server that `build` makes; clients that come before it are kept waiting, not refused."""

    name = "metrics_http"

    def __init__(self, settings: MetricsService, build: Build, tls: ssl.SSLContext | None = None) -> None:
        """Take the port, to speak HTTPS where there is `tls`. Raises `ConfigError` where it cannot be had."""
        self._tls = tls
        proven = settings.tls is not None and settings.tls.client_ca is not None
        self._listener = bind_loopback(settings.host, settings.port, option="--metrics-port", proven=proven)
        self._build = build
        self._server: MetricsServer | None = None
        self._loading = anyio.CancelScope()
        self.port = int(self._listener.getsockname()[1])
        self.url = url(settings, self.port)
        self._hosts = (host_in_url(settings), *settings.allowed_hosts)

    async def run(self) -> None:
        """Load the server off the loop, then serve until cancelled or stopped; a restart takes the same port again."""
        with self._loading:
            if self._server is None:
                server_class, limits_class = await anyio.to_thread.run_sync(_load, abandon_on_cancel=True)
                self._server = self._build(server_class, self._listener, limits_class(allowed_hosts=self._hosts, tls=self._tls))
            await self._server.run()

    async def stop(self) -> None:
        """Let the answers that are being made be finished, free the port and return."""
        if self._server is None:
            self._loading.cancel()
            self._listener.close()
        else:
            await self._server.stop()


def _load() -> tuple[type[MetricsServer], type[Limits]]:
    from dudzian_daemon.adapters.http_guard import Limits
    from dudzian_daemon.adapters.metrics_http import MetricsServer  # aiohttp comes with it

    return MetricsServer, Limits
