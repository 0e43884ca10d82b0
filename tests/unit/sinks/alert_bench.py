"""A running alert sink on a clock that stands still, with channels that do what a test says, and a wait for what becomes of alerts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.domain import events
from dudzian_daemon.domain.alert_channels import AlertChannel
from dudzian_daemon.domain.alerts import Alert, Severity
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.kernel.clock import SECOND_NS
from dudzian_daemon.sinks.alerts.book import AlertBook, read_book
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.routing import Routing
from dudzian_daemon.sinks.alerts.sink import MERGE_KEY, TOPICS, AlertSettings, AlertSink
from dudzian_daemon.sinks.alerts.throttle import Throttle
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.sinks.durable import durable, follow

#: Real seconds after which a test that waits has failed: a bound of behaviour, not of speed.
BOUND_S = 60
LOG_ID = "nowhere"


class ScriptedChannel:
    """Takes alerts, unless there is one of `faults` left to raise, `wrong` is set (raised for ever), or it is `hanging`."""

    Params: type[Any] = msgspec.Struct

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.wrong: Exception | None = None
        self.check_fault: Exception | None = None
        self.taken: list[Alert] = []
        self.asked = 0
        self.hanging = False

    async def send(self, alert: Alert) -> str:
        self.asked += 1
        fault = self.faults.pop(0) if self.faults else self.wrong
        if fault is None and self.hanging:
            await anyio.Event().wait()
        if fault is not None:
            raise fault
        self.taken.append(alert)
        return f"receipt {len(self.taken)}"

    async def check(self) -> str:
        if self.check_fault is not None:
            raise self.check_fault
        return "fine"

    @property
    def codes(self) -> list[str]:
        """Codes of what it took, a leading `-` for what is resolved."""
        return [f"{'-' if each.resolved else ''}{each.code}" for each in self.taken]


class Bench:
    """`channels` by name; `routes` by severity."""

    def __init__(
        self,
        folder: Path,
        channels: Mapping[str, AlertChannel | str],
        *,
        routes: Mapping[Severity, Sequence[str]] | None = None,
        fallback: Sequence[str] = (),
        recorded: int = 0,
        timeout_seconds: float = 4.0,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.names = list(channels)
        self._sequence = 0
        self.clock = ManualClock()
        self.bus = Bus()
        self.told: list[object] = []
        self._news = anyio.Event()
        self.bus.subscribe("alert.*", self._hear, name="bench")
        opened = [
            OpenChannel(name, timeout_seconds, fault=each) if isinstance(each, str) else OpenChannel(name, timeout_seconds, each)
            for name, each in channels.items()
        ]
        queue = self.bus.subscribe_queued(TOPICS, name="alerts.messages", size=100, policy=Policy.MERGE, merge_key=MERGE_KEY)
        values: dict[str, Any] = {
            "routing": Routing(active=list(channels), by_severity=routes or {}, fallback=fallback),
            "data_folder": folder,
            "audit_path": folder / "logs" / "alerts_audit.jsonl",
            "environment": "demo",
            "runbook": "docs/reference/alerts.md",
            "check_interval_seconds": 3_600,
            "health_interval_seconds": 3_600,
            "retry_seconds": 5,
            "retry_cap_seconds": 300,
        }
        throttle = Throttle(300 * SECOND_NS, 4096, ("critical",), ("health",))
        self.sink = AlertSink(
            follow(self.bus, "alerts"), queue, self.bus, self.clock, opened, AlertSettings(**values | settings), throttle, recorded
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The sink at work; at the end it is stopped as the daemon stops it."""
        with anyio.fail_after(BOUND_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.sink.run)
                names = set(self.names)
                await self.until(lambda: {each.channel for each in self.told if isinstance(each, events.AlertChannelState)} >= names)
                yield
                await self.sink.stop()

    def cycle(self, sequence: int, **parts: Any) -> None:
        """A durable cycle on the bus, after plain ones up to there."""
        while self._sequence < sequence - 1:
            self.cycle(self._sequence + 1)
        self._sequence = sequence
        record: dict[str, Any] = {
            "instant": sequence * SECOND_NS,
            "phase": 2,
            "due": (),
            "inputs": (),
            "cash": Decimal(1),
            "equity": Decimal(1),
        } | parts
        self.bus.publish(events.CYCLE_DURABLE, durable(CycleRecord(sequence=sequence, **record), LOG_ID))

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something that the sink tells makes it true."""
        while not reached():
            await self._news.wait()
            self._news = anyio.Event()

    async def later(self, seconds: float, reached: Callable[[], bool]) -> None:
        """Let the clock move, then wait."""
        await self.clock.advance(seconds)
        await self.until(reached)

    async def kept(self) -> AlertBook:
        """What is on disk."""
        return await anyio.to_thread.run_sync(read_book, self.folder)

    def outcomes(self, channel: str) -> list[str]:
        """`outcome CODE` of every delivery the channel was part of."""
        return [
            f"{each.outcome} {each.alert.code}" for each in self.told if isinstance(each, events.AlertDelivery) and each.channel == channel
        ]

    def audit(self) -> list[dict[str, Any]]:
        """The lines of the audit file."""
        path = self.folder / "logs" / "alerts_audit.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _hear(self, _topic: str, message: object) -> None:
        self.told.append(message)
        self._news.set()
