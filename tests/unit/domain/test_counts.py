"""Counts of cycles: their figures add up, whatever mixture of legs, groups and closings there was."""

from __future__ import annotations

import msgspec

from dudzian_daemon.domain.counts import Counts, decisions_text
from dudzian_daemon.domain.market import Candle, Gap, Input
from dudzian_daemon.domain.orders import OrderStatus
from tests.unit.domain.cycle_samples import ADJUSTED, APPROVED, BTC, CLOSING, REFUSED, instant, record, result, signal

CANDLE = Candle(instant(1), BTC, "1h", instant(1), 1.0, 1.0, 1.0, 1.0, 1.0)
INPUTS: tuple[Input, ...] = (CANDLE, Gap(instant(1), BTC, "1h", instant(0), instant(1)), CANDLE)


def counted() -> Counts:
    counts = Counts()
    counts.add(record(1, [APPROVED, CLOSING], [signal("s1", group="pair"), signal("s1b", group="pair")]))
    counts.add(record(2, [ADJUSTED, REFUSED, REFUSED], [signal("s2"), signal("s3"), signal("s3")]))
    counts.add(msgspec.structs.replace(record(3), inputs=INPUTS))
    counts.add(msgspec.structs.replace(record(4), results=(result(), result(status=OrderStatus.FILLED))))
    return counts


def test_signals_are_legs_and_verdicts_are_of_groups_and_closings() -> None:
    counts = counted()
    assert (counts.cycles, counts.bars, counts.orders) == (4, 2, 1)
    assert (counts.signals, counts.groups, counts.closings) == (5, 4, 1)
    assert (counts.approved, counts.adjusted, counts.refused) == (2, 1, 2)
    assert counts.approved + counts.adjusted + counts.refused == counts.groups + counts.closings
    assert counts.refusal_codes == {"daily_loss_limit": 2}


def test_the_text_says_how_they_add_up() -> None:
    assert decisions_text(counted()) == ("5 in 4 groups (+ 1 closings by the core): 2 approved, 1 adjusted, 2 refused (daily_loss_limit 2)")


def test_what_there_was_none_of_leaves_no_trace_and_no_blank() -> None:
    counts = Counts()
    counts.add(record(1, [APPROVED], [signal()]))
    assert decisions_text(counts) == "1 in 1 groups: 1 approved, 0 adjusted, 0 refused"
