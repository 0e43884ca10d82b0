"""Timers fall between ticks, commands come just after what was released, a snapshot follows a stop."""

from __future__ import annotations

from dudzian_daemon.domain.market import DAY_NS, Command, Phase, Timer
from dudzian_daemon.testing.market import START_NS
from tests.unit.trading.desk import BTC, desk, enter, flat_hours, hour, open_tick


def test_a_flat_account_asks_for_no_timer() -> None:
    session = desk()
    session.feed(flat_hours(3))
    session.ticks([open_tick(hour(1, day=5), 100.0)])
    assert not [record for record in session.records if record.phase == Phase.TIMER]


def test_an_exposed_account_gets_every_midnight_that_no_candle_brought() -> None:
    session = desk({hour(2): [enter()]})
    session.feed(flat_hours(3))
    session.ticks([open_tick(hour(1, day=3), 100.0)])
    timers = [record for record in session.records if record.phase == Phase.TIMER]
    assert [record.instant for record in timers] == [START_NS + day * DAY_NS for day in (1, 2, 3)]
    assert [record.inputs[-1] for record in timers] == [Timer(record.instant, record.instant) for record in timers]
    order = [(record.instant, record.phase) for record in session.records]
    assert order == sorted(order)


def test_a_midnight_candle_makes_its_timer_needless() -> None:
    session = desk({hour(2): [enter()]})
    session.feed(flat_hours(50))
    assert session.core.ledger.net[BTC.key]
    assert not [record for record in session.records if record.phase == Phase.TIMER]


def test_a_resting_order_alone_is_reason_enough_for_a_timer() -> None:
    session = desk({hour(2): [enter()]})
    session.feed(flat_hours(2))
    assert session.core.execution.open_orders
    session.ticks([open_tick(hour(1, day=1), 100.0)])
    assert [record.instant for record in session.records if record.phase == Phase.TIMER] == [START_NS + DAY_NS]


def test_a_command_is_stamped_now_or_just_after_what_was_released_last() -> None:
    session = desk()
    session.feed(flat_hours(2))
    assert session.command("kill_switch", on="yes").instant == hour(2) + 1
    assert session.command("kill_switch", now=hour(1), on="no").instant == hour(2) + 2
    later = session.command("kill_switch", now=hour(3), on="yes")
    assert later.instant == hour(3)
    assert later.inputs == (Command(hour(3), "c5", "kill_switch", {"on": "yes"}),)


def test_a_command_after_midnight_lets_the_timer_go_first() -> None:
    session = desk({hour(2): [enter()]})
    session.feed(flat_hours(3))
    session.command("kill_switch", now=hour(2, day=1), on="yes")
    assert [(record.instant, record.phase) for record in session.records[-2:]] == [
        (START_NS + DAY_NS, Phase.TIMER),
        (hour(2, day=1), Phase.COMMAND),
    ]


def test_there_is_no_snapshot_without_an_open_order() -> None:
    session = desk()
    session.feed(flat_hours(2))
    session.command("stop", close_positions="yes")
    assert session.snapshot() == []
