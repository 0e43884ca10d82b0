"""Stop signals: each is told once, whenever the listener comes; afterwards they belong to whom they belonged before."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from threading import Event, Thread, get_ident

import pytest

from dudzian_daemon.app.process.signals import StopRequest, StopRequested, StopSignals

assert sys.platform != "win32", "a process cannot send itself these signals there"

#: How long a loop may sleep through a signal before it wakes by itself, and the test fails.
PATIENCE_S = 10.0


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    installed = StopSignals()
    installed.install()
    yield installed
    installed.restore()


def test_a_signal_is_told_once_whether_it_came_before_or_after_the_listener(signals: StopSignals) -> None:
    told: list[StopRequest] = []
    os.kill(os.getpid(), signal.SIGTERM)
    signals.listen(told.append)
    assert [(request.signal, request.by_operator) for request in told] == [("SIGTERM", False)]
    os.kill(os.getpid(), signal.SIGINT)
    assert [(request.signal, request.by_operator) for request in told[1:]] == [("SIGINT", True)]
    signals.listen(None)
    os.kill(os.getpid(), signal.SIGINT)
    assert len(told) == 2
    signals.listen(told.append)
    assert len(told) == 3


def test_a_start_that_was_told_to_stop_does_not_go_on(signals: StopSignals) -> None:
    signals.require_none()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(StopRequested, match="SIGTERM"):
        signals.require_none()


def test_sighup_stops_nothing(signals: StopSignals, capfd: pytest.CaptureFixture[str]) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    signals.require_none()
    assert capfd.readouterr().err.endswith("restart to apply changes\n")


def test_sigusr1_is_told_whether_it_came_before_or_after_the_listener_and_stops_nothing(signals: StopSignals) -> None:
    told: list[str] = []
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGUSR1)
    signals.listen_kill_switch(lambda: told.append("switch"))
    assert told == ["switch"]  # a switch that is asked for twice is on once
    os.kill(os.getpid(), signal.SIGUSR1)
    assert told == ["switch"] * 2
    signals.listen_kill_switch(None)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert told == ["switch"] * 2
    signals.require_none()


@pytest.mark.parametrize("read_by_another", [False, True], ids=["read by the loop", "read by another thread"])
def test_a_signal_that_interrupts_no_sleep_of_the_loop_is_heard_at_once(signals: StopSignals, *, read_by_another: bool) -> None:
    """The handler of the process runs in the main thread alone; what struck in another thread must wake it."""
    told: list[str] = []
    asleep = Event()

    def strike() -> None:
        asleep.wait()
        signal.pthread_kill(get_ident(), signal.SIGTERM)
        if read_by_another:
            signals.arrived()

    async def wait() -> None:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()

        def hear(request: StopRequest) -> None:
            told.append(request.signal)
            heard.set()

        signals.listen_on(loop, hear)
        thread = Thread(target=strike)
        thread.start()
        loop.call_soon(asleep.set)
        woke = loop.call_later(PATIENCE_S, told.append, "woke by itself")
        await heard.wait()
        woke.cancel()
        thread.join()
        signals.leave(loop)

    asyncio.run(wait())
    assert (told, signals.unanswered, signals.first()) == (["SIGTERM"], 0, "SIGTERM")


def test_the_handlers_of_before_come_back() -> None:
    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in caught]
    signals = StopSignals()
    signals.install()
    assert signal.getsignal(signal.SIGINT) != before[0]
    signals.restore()
    assert [signal.getsignal(number) for number in caught] == before
