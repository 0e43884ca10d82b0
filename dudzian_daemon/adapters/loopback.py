"""A listening socket, as a rule one that only this machine reaches. It needs no server, so a port can be taken before one is loaded."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from dudzian_daemon.domain.errors import ConfigError

_BACKLOG: Final = 128


def bind_loopback(host: str, port: int, *, option: str, proven: bool = False) -> socket.socket:
    """Listening, non-blocking socket on a loopback address; `port` 0 takes any free one.

    Where clients must have `proven` who they are (mTLS), any address of this machine will do.

    Raises `ConfigError` when `host` is not loopback or the port cannot be had; `option` is the flag the message proposes.
    """
    address = _address(host, proven=proven)
    if not 0 <= port <= 65535:
        msg = f"port {port} does not exist: use {option} 0 (any free port) or a number up to 65535"
        raise ConfigError(msg)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        listener = socket.create_server((str(address), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        cause = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({errno.errorcode.get(error.errno or 0, error)})"
        msg = f"port {port} on {host} {cause}: use {option} 0 (any free port) or another number, or stop what holds it"
        raise ConfigError(msg) from None
    listener.setblocking(False)
    return listener


def _address(host: str, *, proven: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not (proven or address.is_loopback):
        msg = (
            f"host {host!r} is no address: use 127.0.0.1, ::1, localhost or an address of this machine"
            if proven
            else f"host {host!r} is not loopback, and clients need no certificate: use 127.0.0.1, ::1 or localhost, or set tls.client_ca"
        )
        raise ConfigError(msg)
    return address
