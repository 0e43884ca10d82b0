"""Durable cycles for the tests of sinks: a session's records as the bus brings them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.domain import events
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.bus import Bus, Policy


def durable(record: CycleRecord, log_id: str = "f" * 32) -> events.CycleDurable:
    """The record as it comes back from the journal, on a line named after its sequence."""
    read = msgspec.json.decode(msgspec.json.encode(record), type=CycleRecord)
    return events.CycleDurable(record=read, log_id=log_id, line=record.sequence + 1, line_hash=f"{record.sequence:064x}", duration_s=0.0)


def follow(bus: Bus, name: str) -> CycleFollower:
    """A follower that never has to read back."""
    queue = bus.subscribe_queued(events.CYCLE_DURABLE, name=name, size=10_000, policy=Policy.DROP_OLDEST)
    return CycleFollower(queue, Path("nowhere"))


def publish(bus: Bus, records: Iterable[CycleRecord]) -> None:
    for record in records:
        bus.publish(events.CYCLE_DURABLE, durable(record))
