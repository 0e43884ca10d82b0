"""Use of the process is a mean of a minute; a budget that is nearly used, passed, or free again is told once each."""

from __future__ import annotations

import pytest

from dudzian_daemon.adapters.process_usage import Usage, process_usage
from dudzian_daemon.config.runtime import ResourceLimits
from dudzian_daemon.domain.alerts import AlertCode
from dudzian_daemon.domain.events import RESOURCE_STATE, ResourceState
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.services.resource_watch import ResourceWatch
from dudzian_daemon.sinks.alerts.watch import of_message
from dudzian_daemon.testing.clock import ManualClock

#: CPU 65 %, 2048 MB, 120 and 80 MB/s; a warning at 80 % of each.
LIMITS = ResourceLimits()
QUIET = Usage(cpu_seconds=0.0, memory_bytes=100_000_000, read_bytes=0, written_bytes=0)


class Watched:
    """The watch, and what it has told."""

    def __init__(self, limits: ResourceLimits = LIMITS) -> None:
        self.told: list[ResourceState] = []
        bus = Bus()
        bus.subscribe(RESOURCE_STATE, lambda _topic, message: self.told.append(message), name="test")
        self.watch = ResourceWatch(limits, process_usage, bus, ManualClock())
        self._second = 0
        self._used = QUIET

    def minutes(
        self, count: int, *, cpu_percent: float = 0.0, memory_mb: float = 100.0, read_mb_s: float = 0.0, write_mb_s: float | None = 0.0
    ) -> None:
        """A sample each 5 s of minutes in which the process uses so much."""
        for _ in range(count * 12):
            before = self._used
            self._used = Usage(
                cpu_seconds=before.cpu_seconds + cpu_percent / 100 * 5,
                memory_bytes=round(memory_mb * 1e6),
                read_bytes=None if before.read_bytes is None else before.read_bytes + round(read_mb_s * 5e6),
                written_bytes=None
                if write_mb_s is None or before.written_bytes is None
                else before.written_bytes + round(write_mb_s * 5e6),
            )
            self._second += 5
            self.watch.take(self._second * SECOND_NS, self._used)

    @property
    def used(self) -> dict[str, float | None]:
        return {use.name: use.used for use in self.watch.uses}

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(message.name, message.state) for message in self.told]


def test_use_is_the_mean_of_the_last_minute_in_the_units_of_the_configuration() -> None:
    watched = Watched()
    watched.minutes(2, cpu_percent=100, memory_mb=500, read_mb_s=9, write_mb_s=1)
    watched.minutes(2, cpu_percent=12, memory_mb=300, read_mb_s=3, write_mb_s=2)
    assert watched.used == {"cpu_percent": 12.0, "memory_mb": 300.0, "io_read_mb_s": 3.0, "io_write_mb_s": 2.0}
    assert [(use.limit, use.warn_at) for use in watched.watch.uses] == [(65.0, 52.0), (2048.0, 1638.4), (120.0, 96.0), (80.0, 64.0)]


@pytest.mark.parametrize(
    ("name", "near", "over"),
    [
        ("cpu_percent", {"cpu_percent": 52.1}, {"cpu_percent": 65.1}),
        ("memory_mb", {"memory_mb": 1639}, {"memory_mb": 2049}),
        ("io_read_mb_s", {"read_mb_s": 96.1}, {"read_mb_s": 121}),
        ("io_write_mb_s", {"write_mb_s": 64.1}, {"write_mb_s": 81}),
    ],
)
def test_each_change_is_told_once_and_its_end_too(name: str, near: dict[str, float], over: dict[str, float]) -> None:
    watched = Watched()
    watched.minutes(2)
    assert watched.told == []
    for each, state in ((near, "near"), (over, "over"), ({}, "ok")):
        before = len(watched.told)
        watched.minutes(3, **each)
        assert watched.states[before:][-1] == (name, state)
        assert len(watched.states) == len({*watched.states[before:]}) + before
        assert next(use.state for use in watched.watch.uses if use.name == name) == state


def test_a_busy_moment_after_the_start_is_no_news() -> None:
    watched = Watched()
    watched.minutes(1, cpu_percent=100)  # its twelfth sample is 55 s after the first
    assert watched.used["cpu_percent"] == 100.0
    assert watched.told == []
    watched.minutes(1, cpu_percent=100)
    assert watched.states == [("cpu_percent", "over")]


def test_the_threshold_is_the_configurations() -> None:
    watched = Watched(ResourceLimits(cpu_percent=200, headroom_warning_threshold=0.25))
    watched.minutes(3, cpu_percent=50)
    assert watched.states == [("cpu_percent", "near")]


def test_a_first_sample_knows_no_rate() -> None:
    watched = Watched()
    watched.watch.take(0, QUIET)
    assert watched.used == {"cpu_percent": None, "memory_mb": 100.0, "io_read_mb_s": None, "io_write_mb_s": None}


def test_what_the_system_does_not_count_is_unknown_and_no_alert() -> None:
    watched = Watched()
    watched.minutes(3, write_mb_s=None)
    assert watched.used["io_write_mb_s"] is None
    assert [use.text for use in watched.watch.uses][-1] == "io_write_mb_s unknown of 80 MB/s"
    assert watched.told == []


def test_people_get_an_alert_and_its_end() -> None:
    watched = Watched()
    watched.minutes(3, memory_mb=3000)
    watched.minutes(3)
    alerts = [each for message in watched.told for each in of_message(message)]
    assert {each.code for each in alerts} == {AlertCode.RESOURCE_LIMIT}
    assert (alerts[0].title, alerts[0].subject, alerts[0].resolved) == ("budget memory_mb is passed", "memory_mb", False)
    assert alerts[0].context["limit"] == "2048" and float(alerts[0].context["used"]) > 2048
    assert (alerts[-1].title, alerts[-1].resolved) == ("budget memory_mb has room again", True)


def test_this_process_can_be_asked() -> None:
    first = process_usage()
    spent = sum(number * number for number in range(400_000))
    second = process_usage()
    assert spent and second.cpu_seconds > first.cpu_seconds > 0
    assert second.memory_bytes > 10_000_000
