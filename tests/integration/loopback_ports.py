"""Ports on this machine that no other process can come between: held by who names them, or given out by nobody."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller

LOOPBACK = "127.0.0.1"
#: Below those that a system gives to who asks for any.
_FIRST, _LAST = 20_000, 32_000
#: What a busy machine may take to answer, seconds.
_PATIENCE_S = 60.0


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses every connection: it is bound, and nobody listens."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield int(held.getsockname()[1])


def port_for_later() -> int:
    """A port that is free, for a process that is started later. Raises `OSError` where all of them are in use."""
    port: int
    first = _FIRST + os.getpid() * 37 % (_LAST - _FIRST)
    for port in [*range(first, _LAST), *range(_FIRST, first)]:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    msg = f"expected a free port from {_FIRST} to {_LAST}, found none"
    raise OSError(msg)


class MailServer(Controller):
    """A mail server whose port is held from the beginning. aiosmtpd's own has a second to greet, which a busy machine may not keep."""

    def __init__(self, handler: object, **options: Any) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        super().__init__(handler, hostname=LOOPBACK, port=self._listener.getsockname()[1], ready_timeout=_PATIENCE_S, **options)

    def _create_server(self) -> Awaitable[Any]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)

    def _trigger_server(self) -> None:
        with socket.create_connection((LOOPBACK, self.port), _PATIENCE_S) as greeted:
            greeted.recv(1024)
