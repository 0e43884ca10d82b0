"""Stop signals, from the first moment of a run to its last: SIGINT, SIGTERM and Windows' Ctrl-Break.

Installed before anything is imported or opened, so that a stop in the earliest phase is a stop and no traceback. The
first signal asks for a staged stop, the second skips to the durable end.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec


class StopRequested(Exception):
    """A stop came before the daemon was up."""


class StopRequest(msgspec.Struct, frozen=True):
    """Who wants the daemon to stop: `operator` is a person at the terminal, `service` a service manager."""

    signal: str

    @property
    def by_operator(self) -> bool:
        """True for Ctrl-C and Ctrl-Break."""
        return self.signal in ("SIGINT", "SIGBREAK")


class StopSignals:
    """Signals received so far, and who wants to hear of the next ones."""

    def __init__(self) -> None:
        self.received: list[StopRequest] = []
        self._listener: Callable[[StopRequest], None] | None = None

    def listen(self, listener: Callable[[StopRequest], None]) -> None:
        """Call `listener` for every signal, those already received included; it runs in the main thread, between two bytecodes."""
        self._listener = listener
        for request in self.received:
            listener(request)

    def require_none(self) -> None:
        """Raise `StopRequested` if a stop was asked for already: called between the phases of the start."""
        if self.received:
            raise StopRequested(self.received[0].signal)

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        request = StopRequest(signal.Signals(number).name)
        self.received.append(request)
        if self._listener is not None:
            self._listener(request)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Catch stop signals inside the block; the handlers of before come back afterwards."""
    signals = StopSignals()
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, signals.on_signal) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
