from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.kernel.service import TRANSITIONS, Heartbeat, ServiceState, Unit, UnitRegistry
from dudzian_daemon.testing.clock import ManualClock

S = ServiceState


def test_the_table_names_every_state_and_every_state_can_be_reached_and_ended() -> None:
    assert set(TRANSITIONS) == set(S)
    reached, front = {S.STARTING}, {S.STARTING}
    while front:
        front = {after for state in front for after in TRANSITIONS[state]} - reached
        reached |= front
    assert reached == set(S)
    for state in S:
        assert state not in TRANSITIONS[state]
        assert state in (S.STOPPED, S.FAILED) or {S.STOPPED, S.FAILED} <= TRANSITIONS[state]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (S.STOPPED, S.RUNNING),
        (S.FAILED, S.RUNNING),
        (S.STOPPING, S.RUNNING),
        (S.BACKING_OFF, S.SUSPENDED),
        (S.RUNNING, S.STARTING),
        (S.SUSPENDED, S.REDUCING),
        (S.HALTED, S.QUARANTINED),
        (S.STOPPED, S.FAILED),
    ],
)
def test_illegal_changes(before: ServiceState, after: ServiceState) -> None:
    assert after not in TRANSITIONS[before]


@given(wishes=st.lists(st.tuples(st.sampled_from(S), st.sampled_from(["", "x"])), max_size=30))
def test_a_registry_follows_the_table_and_tells_every_change_once(wishes: list[tuple[ServiceState, str]]) -> None:
    heard: list[Unit] = []
    units = UnitRegistry(heard.append)
    units.add("gate")
    expected = [Unit("gate", S.STARTING)]
    for state, detail in wishes:
        now = expected[-1]
        if state is not now.state and state not in TRANSITIONS[now.state]:
            with pytest.raises(ValueError, match=f"'gate' cannot change from {now.state} to {state}; legal: "):
                units.set("gate", state, detail)
        else:
            units.set("gate", state, detail)
            came_back = now.state is S.BACKING_OFF and state in (S.STARTING, S.RUNNING)
            after = Unit("gate", state, detail, now.restarts + came_back)
            if after != now:
                expected.append(after)
    assert heard == expected
    assert units.snapshot() == {"gate": expected[-1]}


def test_names_are_unique_until_their_unit_has_ended() -> None:
    units = UnitRegistry()
    units.add("feed", "first")
    units.set("feed", S.BACKING_OFF)
    with pytest.raises(ValueError, match=r"'feed' exists already \(backing_off\)"):
        units.add("feed")
    units.set("feed", S.RUNNING)
    units.set("feed", S.FAILED)
    units.add("feed", "second")
    assert units["feed"] == Unit("feed", S.STARTING, "second", restarts=1)
    with pytest.raises(LookupError, match=r"no unit 'fed'; there are \['feed'\]"):
        units.set("fed", S.RUNNING)


async def test_a_heartbeat_tells_the_age_of_the_last_beat() -> None:
    clock = ManualClock()
    heartbeat = Heartbeat(clock)
    await clock.advance(5)
    assert heartbeat.age_seconds() is None
    heartbeat.beat("candle 7")
    await clock.advance(2.5)
    assert (heartbeat.age_seconds(), heartbeat.detail) == (2.5, "candle 7")
