"""A metrics server that runs while a test asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from dudzian_daemon.adapters.metrics_http import MetricsServer

#: Far above what these tests need: a bound of behaviour, not of speed.
BOUND_S: Final = 60


@asynccontextmanager
async def running(server: MetricsServer) -> AsyncIterator[int]:
    """The server's port while it runs; it is stopped in the polite way."""
    with anyio.fail_after(BOUND_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run)
            await server.ready.wait()
            assert server.port is not None
            yield server.port
            await server.stop()
