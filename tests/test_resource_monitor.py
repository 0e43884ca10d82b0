"""The budgets of `runtime.resource_limits`: what is well, near and over, and that more than one can be so at once."""

from __future__ import annotations

import pytest

from dudzian_daemon.adapters.process_usage import Usage, process_usage
from dudzian_daemon.config.runtime import ResourceLimits
from dudzian_daemon.domain.alerts import AlertCode
from dudzian_daemon.domain.events import RESOURCE_STATE, ResourceState
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.resources import judged
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.services.resource_watch import ResourceWatch
from dudzian_daemon.sinks.alerts.watch import of_message
from dudzian_daemon.testing.clock import ManualClock

#: CPU 65 % of a core, 2048 MB, 120 and 80 MB/s; a warning at 80 % of each.
LIMITS = ResourceLimits()


@pytest.mark.parametrize(
    ("used", "state"), [(None, "ok"), (0.0, "ok"), (51.999, "ok"), (52.0, "near"), (64.999, "near"), (65.0, "over")], ids=str
)
def test_a_use_is_judged_against_budget_and_threshold(used: float | None, state: str) -> None:
    use = judged("cpu_percent", used, LIMITS.cpu_percent, LIMITS.headroom_warning_threshold)
    assert (use.state, use.warn_at, use.limit) == (state, 52.0, 65.0)


def test_memory_over_its_budget_and_a_processor_near_its_own_are_told_apart() -> None:
    told: list[ResourceState] = []
    bus = Bus()
    bus.subscribe(RESOURCE_STATE, lambda _topic, message: told.append(message), name="test")
    watch = ResourceWatch(LIMITS, process_usage, bus, ManualClock())
    for second in range(0, 125, 5):
        watch.take(second * SECOND_NS, Usage(cpu_seconds=0.6 * second, memory_bytes=2_500_000_000, read_bytes=0, written_bytes=0))
    states = {use.name: use.state for use in watch.uses}
    assert states == {"cpu_percent": "near", "memory_mb": "over", "io_read_mb_s": "ok", "io_write_mb_s": "ok"}
    assert {(message.name, message.state) for message in told} == {("cpu_percent", "near"), ("memory_mb", "over")}
    assert {alert.code for message in told for alert in of_message(message)} == {AlertCode.RESOURCE_LIMIT}


def test_what_is_measured_is_this_process() -> None:
    before = process_usage()
    held = bytearray(64 * 1024 * 1024)
    held[::1024] = b"x" * (len(held) // 1024)
    assert process_usage().memory_bytes >= before.memory_bytes + 32 * 1024 * 1024
    assert process_usage().cpu_seconds >= before.cpu_seconds
