"""What a service manager hears, over a real datagram socket, on a clock that stands still."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from dudzian_daemon.services.service_manager import ServiceManager
from dudzian_daemon.testing.clock import ManualClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no service manager of this kind on Windows")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        channel.setblocking(False)
        yield channel, path


def heard(channel: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(channel.recv(4096).decode())
        except BlockingIOError:
            return messages


async def test_ready_then_signs_of_life_three_times_a_period_then_stopping(manager: tuple[socket.socket, str]) -> None:
    channel, path = manager
    clock = ManualClock()
    told = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "90000000"}, clock, lambda: "cycle 7")
    async with anyio.create_task_group() as group:
        group.start_soon(told.run)
        await clock.advance(0)
        assert heard(channel) == ["READY=1", "WATCHDOG=1\nSTATUS=cycle 7"]
        await clock.advance(29)
        assert heard(channel) == []
        await clock.advance(1)
        assert heard(channel) == ["WATCHDOG=1\nSTATUS=cycle 7"]
        told.stopping("SIGTERM")
        assert heard(channel) == ["STOPPING=1\nSTATUS=stopping: SIGTERM"]
        await told.stop()
    assert heard(channel) == []


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_a_name_without_a_file() -> None:
    name = "dudzian-test-service-manager"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}, ManualClock(), str).tell("READY=1")
        assert channel.recv(100) == b"READY=1"


def test_without_a_manager_nobody_is_told_and_one_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    assert not ServiceManager({}, ManualClock(), str).listens
    gone = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}, ManualClock(), str)
    assert gone.listens
    gone.tell("READY=1")
