"""What is a cycle and what is only a step; sequences without a gap; every input on record exactly once."""

from __future__ import annotations

import msgspec

from dudzian_daemon.domain.cycle_events import Timing, controller_cycle
from dudzian_daemon.domain.market import HOUR_NS, MINUTE_NS, SECOND_NS, Gap, Phase, Tick
from dudzian_daemon.testing.market import candles
from tests.plugins.lively import lively
from tests.unit.trading.desk import BTC, BTC_1H, Desk, desk, enter, flat_hours, hour, leave, open_tick, quote_tick


def test_a_quiet_price_is_a_step_and_no_cycle() -> None:
    session = desk()
    session.feed(flat_hours(1))
    last = session.records[-1]
    assert last.phase == Phase.CLOSE
    assert session.ticks([quote_tick(last.instant + second * SECOND_NS, 99.0, 101.0) for second in range(1, 60)]) == []
    assert session.core.sequence == last.sequence


def test_the_first_tick_a_minute_after_the_last_cycle_is_one() -> None:
    session = desk()
    session.feed(flat_hours(1))
    after = [
        *(60 * SECOND_NS - 1, 60 * SECOND_NS, 60 * SECOND_NS + 1),
        *(119 * SECOND_NS, 121 * SECOND_NS, 180 * SECOND_NS, 181 * SECOND_NS, 10 * MINUTE_NS),
    ]
    found = session.ticks([quote_tick(hour(1) + each, 99.0, 101.0) for each in after])
    assert [record.instant - hour(1) for record in found] == [60 * SECOND_NS, 121 * SECOND_NS, 181 * SECOND_NS, 10 * MINUTE_NS]
    assert all(record.quiet for record in found)


def test_a_due_schedule_makes_a_cycle_of_which_nothing_may_come() -> None:
    session = desk()
    session.feed(flat_hours(1))
    record = session.records[-1]
    assert (record.due, record.signals, record.quiet) == (("told",), (), True)


def test_commands_gaps_and_timers_are_cycles_however_soon_they_come() -> None:
    session = desk({hour(1): [enter()]})
    session.feed(flat_hours(24))
    command = session.command("kill_switch", on="no")
    (gap,) = session.ticks([Tick(command.instant + 1, Phase.REVISION, (Gap(command.instant + 1, BTC.key, "1h", hour(24), hour(30)),))])
    session.ticks([open_tick(hour(30, day=1), 100.0)])
    timers = [record.instant for record in session.records if record.phase == Phase.TIMER]
    assert (command.instant, gap.instant) == (hour(24) + 1, hour(24) + 2)
    assert timers == [hour(24, day=1)]
    assert not command.quiet
    assert not gap.quiet


def test_signals_fills_and_refusals_make_cycles_between_the_minutes() -> None:
    session = desk({hour(1): [enter()]})
    session.feed(flat_hours(1))
    (filled,) = session.ticks([open_tick(hour(1) + 1, 100.0)])
    assert filled.fills
    assert session.ticks([open_tick(hour(1) + 2, 100.0)]) == []


def busy() -> Desk:
    """A session with trades, commands, quiet ticks and a gap, which ends with a cycle."""
    script = {hour(number): [enter() if number % 2 else leave()] for number in range(3, 60, 3)}
    session = desk(script)
    bars = lively(BTC_1H, 60)
    session.feed(bars[:30])
    session.command("kill_switch", on="yes")
    session.ticks([quote_tick(hour(30) + number * SECOND_NS, 99.0, 101.0) for number in range(1, 200)])
    session.command("kill_switch", on="no")
    session.ticks([Tick(hour(40), Phase.REVISION, (Gap(hour(40), BTC.key, "1h", hour(30), hour(40)),))])
    session.feed(bars[40:])
    return session


def test_sequences_count_from_one_without_a_gap() -> None:
    session = busy()
    assert [record.sequence for record in session.records] == list(range(1, len(session.records) + 1))
    assert session.core.sequence == len(session.records)


def test_the_public_event_of_a_cycle_counts_its_results_and_never_ends_before_it_began() -> None:
    records = busy().records
    told = [controller_cycle(record, Timing(started_ns=1_700_000_000_000_000_000, duration_ns=1500)) for record in records]
    assert [event.sequence for event in told] == list(range(1, len(records) + 1))
    assert [event.orders for event in told] == [len(record.results) for record in records]
    assert sum(event.orders for event in told) > 0
    for event in told:
        assert event.duration_s == event.finished_at - event.started_at >= 0
    assert {"signals", "results", "started_at", "finished_at", "duration_s", "orders", "sequence"} <= msgspec.to_builtins(told[0]).keys()


def test_every_input_is_on_record_exactly_once_and_in_its_order() -> None:
    session = busy()
    recorded = [item for record in session.records for item in record.inputs]
    market = [item for item in recorded if type(item).__name__ not in ("Command", "Timer")]
    assert market == session.fed
    assert len(recorded) > len(market)
    for record in session.records:
        assert record.inputs[-1].instant == record.instant
    assert [item.instant for item in recorded] == sorted(item.instant for item in recorded)


def test_records_tell_the_account_as_it_is_after_the_cycle() -> None:
    session = busy()
    assert session.records[-1].equity == session.core.ledger.equity
    assert session.records[-1].cash == session.core.ledger.cash


def test_two_cycles_without_a_new_candle_in_between_give_no_order() -> None:
    script = {hour(1) + number * HOUR_NS: [enter()] for number in range(5)}
    session = desk(script)
    session.feed(candles(BTC_1H, [100.0]))
    session.ticks([quote_tick(hour(2), 99.0, 101.0), quote_tick(hour(3), 99.0, 101.0)])
    assert len(session.signals) == 1
    assert [record.due for record in session.records[1:]] == [("told",), (), ()]
