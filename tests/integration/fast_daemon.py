"""`dudzian` in a child process whose clock runs ahead (circuit breakers rest by it too), and which writes down every address it asks for.

Arguments: speed, monotonic ns at which the clock began, file of the addresses, then those of `dudzian`.
"""

from __future__ import annotations

import os
import sys
from functools import partial


def watched(file: int):
    """An audit hook that writes what is connected to or looked up."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            os.write(file, f"connect {arguments[1]!r}\n".encode())
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            os.write(file, f"lookup {arguments[0]!r}\n".encode())

    return hook


def main(speed: str, since_ns: str, addresses: str, *arguments: str) -> None:
    """Run the command."""
    sys.addaudithook(watched(os.open(addresses, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)))
    from dudzian_daemon.adapters import venue_calls
    from dudzian_daemon.app.process import daemon
    from dudzian_daemon.cli.main import main as command
    from dudzian_daemon.testing.clock import AcceleratedClock

    daemon.SystemClock = partial(AcceleratedClock, float(speed), since_ns=int(since_ns))  # type: ignore[attr-defined,assignment]
    venue_calls.BREAKER_SECONDS /= float(speed)  # type: ignore[misc] # the library has the machine's clock
    sys.argv = ["dudzian", *arguments]
    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
