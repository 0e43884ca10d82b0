"""Signals, from the first moment of a run to its last: SIGINT, SIGTERM and Windows' Ctrl-Break stop, SIGUSR1 is the kill switch.

Installed before anything heavy is imported or opened, so that a stop in the earliest phase is a stop and no traceback.
The first signal asks for a staged stop, the second skips to the durable end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dudzian_daemon.kernel.faults import fault_point

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_STOP: Final = ("SIGINT", "SIGTERM", "SIGBREAK")
_RELOAD: Final = "SIGHUP"
_KILL_SWITCH: Final = "SIGUSR1"


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
        self._untold: deque[StopRequest] = deque()
        self._listener: Callable[[StopRequest], object] | None = None
        self._switch: Callable[[], object] | None = None
        self._switched = False
        self._before: dict[int, Any] = {}
        self._wakeups: tuple[int, int] | None = None
        self._wake: Callable[[], object] = _stay
        self._woken: list[str] = []
        self._answered = 0
        self._counting = Lock()

    def install(self) -> None:
        """Catch stop signals and SIGUSR1 from now on, and answer SIGHUP; for the main thread only."""
        handlers = dict.fromkeys(_STOP, self._on_stop) | {_RELOAD: self._on_reload, _KILL_SWITCH: self._on_kill_switch}
        for name, handler in handlers.items():
            if hasattr(signal, name):
                number = getattr(signal, name)
                self._before[number] = signal.signal(number, handler)
        if sys.platform != "win32":  # there the event loop takes the wakeups for itself
            reading, writing = self._wakeups = os.pipe()
            os.set_blocking(reading, False)
            os.set_blocking(writing, False)
            signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def restore(self) -> None:
        """Give the signals back to whom they went before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        if self._wakeups is not None:
            signal.set_wakeup_fd(-1)
            with self._counting:
                for descriptor in self._wakeups:
                    os.close(descriptor)
                self._wakeups = None

    def listen(self, listener: Callable[[StopRequest], object] | None) -> None:
        """Call `listener` once for every signal, those already received included; it runs in the main thread, between two bytecodes."""
        self._listener = listener
        self._tell()

    def listen_kill_switch(self, switch: Callable[[], object] | None) -> None:
        """Call `switch` for SIGUSR1, once for all that have come before; as `listen` does."""
        self._switch = switch
        self._tell_switch()

    def listen_on(self, loop: AbstractEventLoop, handler: Callable[[StopRequest], None]) -> None:
        """As `listen`, but `handler` runs in the loop, which may be asleep; a signal is answered once it has run.

        A signal that strikes as the loop falls asleep, or in another thread, interrupts no sleep: the pipe it writes to ends it, or who
        reads that first.
        """

        def handle(request: StopRequest) -> None:
            handler(request)
            self.answer()

        self._wake = partial(loop.call_soon_threadsafe, _stay)
        if self._wakeups is not None:
            loop.add_reader(self._wakeups[0], self.arrived)
        self.listen(lambda request: loop.call_soon_threadsafe(handle, request))

    def leave(self, loop: AbstractEventLoop) -> None:
        """The loop comes to its end: signals are counted, and nobody hears of them."""
        self._wake = _stay
        if self._wakeups is not None:
            loop.remove_reader(self._wakeups[0])
        self.listen(None)
        self.listen_kill_switch(None)

    def arrived(self) -> int:
        """Stop signals that reached the process, for any thread: those too whose handler waits for native code to come back."""
        with self._counting, suppress(BlockingIOError):
            while self._wakeups is not None and (numbers := os.read(self._wakeups[0], 256)):
                self._woken += [name for name in (signal.Signals(number).name for number in numbers) if name in _STOP]
                self._wake()
        return max(len(self._woken), len(self.received))

    def first(self) -> str | None:
        """Name of the first stop signal that arrived, for any thread."""
        self.arrived()
        return next(iter([*self._woken, *(request.signal for request in self.received)]), None)

    def answer(self) -> None:
        """Who has to react to stop signals has heard of those that arrived so far."""
        self._answered = self.arrived()

    @property
    def unanswered(self) -> int:
        """Stop signals that arrived since the last answer."""
        return self.arrived() - self._answered

    def require_none(self) -> None:
        """Raise `StopRequested` if a stop was asked for already: called between the phases of the start."""
        if self.received:
            raise StopRequested(self.received[0].signal)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        request = StopRequest(signal.Signals(number).name)
        self.received.append(request)
        self._untold.append(request)
        fault_point("stop.asked")
        self._tell()

    def _on_kill_switch(self, _number: int, _frame: FrameType | None) -> None:
        self._switched = True
        self._tell_switch()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):  # past the buffers of `sys.stderr`, which may be in use where the signal struck
            os.write(2, b"dudzian: SIGHUP: the configuration is not read again while running; restart to apply changes\n")

    def _tell(self) -> None:
        while self._listener is not None and self._untold:
            self._listener(self._untold.popleft())

    def _tell_switch(self) -> None:
        if self._switch is not None and self._switched:
            self._switched = False
            self._switch()


def _stay() -> None:
    """Nothing: what a loop is given that is only to wake up, and who has no loop to wake."""
