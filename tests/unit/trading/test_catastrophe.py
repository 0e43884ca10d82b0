"""The stop that a position has even if its strategy declared none: met once, and by those alone that it is for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.domain.orders import Protection
from dudzian_daemon.testing.market import limits, schedule
from dudzian_daemon.trading.catastrophe import CatastropheStops
from tests.unit.trading.desk import BTC
from tests.unit.trading.gate import Account


def falling(**changes: Any) -> tuple[Account, CatastropheStops]:
    """Strategy `a` bought 1 BTC at 100; its profile gives up at a loss of a tenth of that."""
    desk = Account(limits(catastrophe_stop_pct=Decimal("0.1")), schedules=[schedule("a", [BTC])], **changes)
    desk.hold("1", "100")
    return desk, desk.gate.stops


def test_it_is_met_at_its_limit_and_told_once() -> None:
    desk, stops = falling()
    desk.mark(BTC, 90.5)
    assert stops.met(BTC.key) == []
    desk.mark(BTC, 90.0)
    (met,) = stops.met(BTC.key)
    assert (met.strategy, met.limit, met.loss) == ("a", Decimal(10), Decimal(10))
    desk.mark(BTC, 80.0)
    assert stops.met(BTC.key) == []
    assert stops.is_closing("a", BTC.key)


@pytest.mark.parametrize("protection", [Protection.STOP, Protection.HEDGED])
def test_what_has_a_stop_of_its_own_or_a_hedge_has_none_of_these(protection: Protection) -> None:
    desk, stops = falling()
    stops.protections[f"a {BTC.key}"] = protection
    desk.mark(BTC, 50.0)
    assert stops.met(BTC.key) == []


def test_what_is_held_under_a_profile_that_nobody_has_is_left_alone() -> None:
    desk, stops = falling()
    desk.hold("1", "100", strategy="manual")
    desk.mark(BTC, 10.0)
    assert [met.strategy for met in stops.met(BTC.key)] == ["a"]
