"""Accepts the connections of one HTTP port: a cap, a deadline for every request head, and no flood when descriptors run out.

With TLS the handshake is part of what the deadline and the cap are for: a client that is silent in it is like any other.

Each accepted connection is handed to an aiohttp protocol; what is asked on it, and by whom, is the guard's matter.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import anyio
from aiohttp import web

from dudzian_daemon.kernel.clock import SECOND_NS, Clock

#: When accept fails for want of descriptors: pause, and keep to a smaller cap for a while.
ACCEPT_PAUSE_S: Final = 1.0
ACCEPT_PAUSE_AFTER_EVICTION_S: Final = 0.1
SMALLEST_CAP: Final = 4
CAP_RECOVERY_NS: Final = 60 * SECOND_NS


class Connections:
    """At most `cap` connections; one that has waited `head_deadline_s` seconds for a complete request head is dropped.

    `note` is called with the reason for every connection that is refused or dropped. With `tls` they are encrypted.
    """

    def __init__(
        self, *, cap: int, head_deadline_s: float, clock: Clock, note: Callable[[str], None], tls: ssl.SSLContext | None = None
    ) -> None:
        self._configured_cap = cap
        self._cap = cap
        self._shrunk_until_ns = 0
        self._head_deadline_s = head_deadline_s
        self._clock = clock
        self._note = note
        self._tls = tls
        self._open: dict[web.RequestHandler, _Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def accept_all(self, listener: socket.socket, new_handler: Callable[[], web.RequestHandler]) -> None:
        """Accept on the non-blocking `listener` until cancelled."""
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as handshakes:
            while True:
                accepted = await self._accept(loop, listener)
                if accepted is None:
                    continue
                if self._make_room():
                    protocol = partial(_Connection, new_handler(), self._open, self._head_deadline_s, self._note, plain=self._tls is None)
                    transport, connection = await loop.connect_accepted_socket(protocol, accepted)
                    if self._tls is not None:
                        handshakes.start_soon(self._shake_hands, self._tls, transport, connection)
                else:
                    self._note("too_many_connections")
                    accepted.close()
                    await anyio.lowlevel.checkpoint()

    @contextmanager
    def serving(self, handler: web.RequestHandler) -> Iterator[None]:
        """While the block runs, the connection has a complete request: no deadline, and it gives way to nobody."""
        connection = self._open.get(handler)
        if connection is None:  # lost between its request and our turn
            yield
            return
        connection.begin()
        try:
            yield
        finally:
            connection.end()

    async def close_all(self) -> None:
        """Close what is still open, without waiting for clients that do not read."""
        for connection in list(self._open.values()):
            connection.abort()
        await anyio.lowlevel.checkpoint()

    async def _shake_hands(self, tls: ssl.SSLContext, transport: asyncio.BaseTransport, connection: _Connection) -> None:
        """Encrypt what has connected, or drop it: no TLS, no certificate, a foreign one; the deadline of the head runs meanwhile."""
        if not isinstance(transport, asyncio.WriteTransport):
            return
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                connection,
                tls,
                server_side=True,
                ssl_handshake_timeout=self._head_deadline_s,
                ssl_shutdown_timeout=self._head_deadline_s,
            )
        except OSError:  # that of OpenSSL and a broken connection alike
            connection.refuse("tls_handshake")
        else:
            connection.secured(secured)

    async def _accept(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> socket.socket | None:
        try:
            accepted, _peer = await loop.sock_accept(listener)
        except ConnectionAbortedError:
            return None
        except OSError as error:
            self._note(f"accept_failed_{errno.errorcode.get(error.errno or 0, 'unknown')}")
            await self._clock.sleep(ACCEPT_PAUSE_AFTER_EVICTION_S if self._shrink() else ACCEPT_PAUSE_S)
            return None
        return accepted

    def _make_room(self) -> bool:
        """True when one more may connect; the one that has waited longest without a request gives way."""
        if self._cap < self._configured_cap and self._clock.monotonic_ns() >= self._shrunk_until_ns:
            self._cap = self._configured_cap
        return len(self._open) < self._cap or self._evict()

    def _evict(self) -> bool:
        waiting = [connection for connection in self._open.values() if connection.waiting]
        if not waiting:
            return False
        min(waiting, key=lambda connection: (connection.served, connection.waiting_since)).drop("evicted")
        return True

    def _shrink(self) -> bool:
        """Leave the descriptors that are short to the rest of the process; True when some became free."""
        before = len(self._open)
        self._cap = max(SMALLEST_CAP, before // 2)
        self._shrunk_until_ns = self._clock.monotonic_ns() + CAP_RECOVERY_NS
        while len(self._open) > self._cap and self._evict():
            pass
        return len(self._open) < before


class _Connection(asyncio.Protocol):
    """One client: passes everything on to aiohttp's `handler` and watches how long it waits for a request head."""

    def __init__(
        self,
        handler: web.RequestHandler,
        table: dict[web.RequestHandler, _Connection],
        head_deadline_s: float,
        note: Callable[[str], None],
        *,
        plain: bool,
    ) -> None:
        self.waiting = True
        self.waiting_since = 0.0
        self.served = False
        self._handler = handler
        self._table = table
        self._head_deadline_s = head_deadline_s
        self._note = note
        self._plain = plain
        self._handed_over = False
        self._dropped = False
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._table[self._handler] = self
        self._wait()
        if self._plain:
            self._hand_over(transport)
        elif isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()  # what comes belongs to the handshake

    def secured(self, transport: asyncio.BaseTransport | None) -> None:
        """The handshake is done, unless the client has gone in it."""
        if transport is not None and self._handler in self._table:
            self._transport = transport
            self._hand_over(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self._handed_over:
            self._handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def begin(self) -> None:
        """A complete request is here: its handler may take its time."""
        self.waiting = False
        self.served = True
        self._stop_timer()

    def end(self) -> None:
        """The answer is made: the client has the deadline to take it and to send its next request."""
        if self._handler in self._table:
            self._wait()

    def drop(self, reason: str) -> None:
        """Close at once, counted under `reason`."""
        self._dropped = True
        self._note(reason)
        self.abort()

    def refuse(self, reason: str) -> None:
        """As `drop`, where it was not for a drop that it came to this."""
        if not self._dropped:
            self.drop(reason)

    def abort(self) -> None:
        """Close at once, without waiting for a client that does not read."""
        self._forget()
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def _hand_over(self, transport: asyncio.BaseTransport) -> None:
        self._handed_over = True
        self._handler.connection_made(transport)

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self.waiting = True
        self.waiting_since = loop.time()
        self._stop_timer()
        self._timer = loop.call_later(self._head_deadline_s, self._expire)

    def _expire(self) -> None:
        if self.served:  # an idle keep-alive connection: nobody did anything wrong
            self.abort()
        else:
            self.drop("head_deadline")

    def _forget(self) -> None:
        self._table.pop(self._handler, None)
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
