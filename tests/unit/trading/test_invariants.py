"""The self-check finds what does not hold; each rule is broken once, in the ledger or in a record."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.orders import Fill, OrderResult, OrderStatus, Outcome, Side, Verdict
from dudzian_daemon.domain.records import CycleRecord, Difference, LedgerEntry, Posting, RiskChange
from dudzian_daemon.trading.invariants import Fold, SelfCheck, differences
from dudzian_daemon.trading.ledger import Ledger
from tests.unit.trading.desk import BTC, Desk, desk, enter, flat_hours, hour, leave, open_tick

ONE = Decimal(1)
Change = Callable[[CycleRecord], CycleRecord]


def changed(record: CycleRecord, **fields: Any) -> CycleRecord:
    return msgspec.structs.replace(record, **fields)


def played(change: Change | None = None, *, twist: Callable[[Desk], None] | None = None) -> list[Difference]:
    """What the check finds in a session that buys and sells; `change` touches each record, `twist` the desk after the purchase."""
    session = desk({hour(1): [enter()], hour(3): [leave()]})
    check = SelfCheck(session.core.spec.instruments, {("told", BTC.key): "balanced"})
    found: list[Difference] = []

    def look(records: list[CycleRecord]) -> None:
        for record in records:
            found.extend(check.look(change(record) if change else record, session.core.ledger))

    for candle in flat_hours(5):
        look(session.ticks([open_tick(candle.end - 3_600_000_000_000, 100.0)]))
        if session.fills and twist is not None:
            twist(session)
            twist = None
        look(session.feed([candle])[-1:])
    return found


def rules(found: list[Difference]) -> set[str]:
    return {each.rule for each in found}


def test_a_sound_session_has_no_difference() -> None:
    assert played() == []


def with_fill(**fields: Any) -> Change:
    return lambda record: changed(record, fills=tuple(msgspec.structs.replace(fill, **fields) for fill in record.fills))


def without_verdicts(record: CycleRecord) -> CycleRecord:
    return changed(record, verdicts=())


def reducing(record: CycleRecord) -> CycleRecord:
    trip = RiskChange(profile="balanced", change="tripped", state="reducing", rule="r", limit=None, value=None)
    return changed(record, risk=(trip,))


def accepted_twice(record: CycleRecord) -> CycleRecord:
    return changed(record, results=(*record.results, *(each for each in record.results if each.status is OrderStatus.ACCEPTED)))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("INV-12", lambda record: changed(record, sequence=record.sequence + 1)),
        ("INV-12", without_verdicts),
        ("INV-13", accepted_twice),
        ("INV-12", with_fill(order_id="nobody")),
        ("INV-07", with_fill(quantity=Decimal(10**6))),
        ("INV-02", with_fill(quantity=Decimal("0.001"))),
        ("INV-16", with_fill(quantity=Decimal("0.001"))),
        ("INV-01", with_fill(price=Decimal("99.99"))),
        ("INV-19", with_fill(price=Decimal("99.995"))),
        ("INV-04", with_fill(price=Decimal(10**6))),
        ("INV-11", reducing),
        ("INV-03", lambda record: changed(record, equity=record.equity + ONE)),
    ],
)
def test_a_record_that_is_wrong_is_found(rule: str, change: Change) -> None:
    assert rule in rules(played(change))


def more_cash(session: Desk) -> None:
    session.core.ledger.wallet["USDT"] += ONE


def more_holding(session: Desk) -> None:
    session.core.ledger.books["told", BTC.key].quantity += ONE


def more_net(session: Desk) -> None:
    session.core.ledger.net[BTC.key] += ONE


@pytest.mark.parametrize(("rule", "twist"), [("INV-01", more_cash), ("INV-02", more_holding), ("INV-16", more_net), ("INV-03", more_cash)])
def test_a_ledger_that_is_wrong_is_found(rule: str, twist: Callable[[Desk], None]) -> None:
    found = played(twist=twist)
    assert rule in rules(found)
    assert all(each.sequence > 0 for each in found)


def entries() -> list[LedgerEntry]:
    session = desk({hour(1): [enter()], hour(3): [leave()]})
    session.feed(flat_hours(5))
    return [entry for record in session.records for entry in record.entries]


def test_a_fold_is_the_sum_of_its_entries() -> None:
    session = desk({hour(1): [enter()], hour(3): [leave()]})
    session.feed(flat_hours(5))
    fold = Fold()
    assert [each for record in session.records for entry in record.entries for each in fold.add(entry)] == []
    assert differences(fold.state(), session.core.ledger.state()) == []
    session.core.ledger.books["told", BTC.key].realised += ONE
    session.core.ledger.balances["owner:capital", "USDT"] -= ONE
    session.core.ledger.entries += 1
    found = differences(fold.state(), session.core.ledger.state())
    assert {each.subject for each in found} == {f"told {BTC.key}", "owner:capital USDT", "entries"}


def test_a_fold_tells_of_a_missing_entry_and_of_one_that_does_not_balance() -> None:
    made = entries()
    fold = Fold()
    crooked = msgspec.structs.replace(made[1], postings=(*made[1].postings, Posting("somebody", "USDT", ONE)))
    found = [each for entry in (made[0], crooked, *made[3:]) for each in fold.add(entry)]
    assert [(each.rule, each.subject) for each in found] == [("INV-05", "entry 2 USDT")]
    fold = Fold()
    assert [each.rule for entry in made[1:] for each in fold.add(entry)] == ["INV-09"]


def look_at(
    *fills: Fill, cash: Decimal = Decimal(10_000), twist: Callable[[Ledger], None] = lambda _ledger: None
) -> tuple[list[Difference], SelfCheck]:
    """One cycle made by hand: an order for each fill, and a ledger that has booked them."""
    ledger = Ledger({BTC.key: BTC}, "USDT", {"USDT": cash, "BNB": Decimal(1)})
    ledger.mark(BTC.key, 100.0, 1)
    booked = [ledger.book(fill) for fill in fills]
    twist(ledger)
    verdicts = tuple(verdict(fill.order_id.rpartition(".")[0]) for fill in fills)
    accepted = tuple(
        OrderResult(order_id=fill.order_id, signal_id="s", strategy="told", instrument=BTC.key, side=fill.side,
                    status=OrderStatus.ACCEPTED, quantity=fill.quantity)
        for fill in fills)  # fmt: skip
    record = CycleRecord(
        sequence=1, instant=1, phase=4, due=(), inputs=(), verdicts=verdicts, results=accepted, fills=fills,
        positions=tuple(change for _, change in booked), entries=(ledger.opening, *(entry for entry, _ in booked)),
        cash=ledger.cash, equity=ledger.equity)  # fmt: skip
    check = SelfCheck({BTC.key: BTC}, {})
    return check.look(record, ledger), check


def verdict(group_id: str) -> Verdict:
    return Verdict(
        group_id=group_id, signal_id="s", profile="balanced", outcome=Outcome.APPROVED, code=None, rule="r", limit=None, value=None,
        headroom=None, requested=ONE, approved=ONE)  # fmt: skip


def bought(**fields: Any) -> Fill:
    made = Fill(
        id="g.0#1", order_id="g.0", signal_id="s", strategy="told", schedule="told", instrument=BTC.key, side=Side.BUY, quantity=ONE,
        reference_price=Decimal(100), slippage=Decimal(0), price=Decimal(100), fee=Decimal("0.01"), fee_asset="USDT", filled_at=1,
        fill_source="quote", inside_bar=False, preset="p")  # fmt: skip
    return msgspec.structs.replace(made, **fields)


def test_fees_in_any_asset_are_followed() -> None:
    found, check = look_at(bought(fee_asset="BTC"))
    assert (found, check.positions["told", BTC.key], check.cash["USDT"]) == ([], Decimal("0.99"), Decimal(9900))
    found, check = look_at(bought(fee_asset="BNB"))
    assert (found, check.positions["told", BTC.key], check.cash["BNB"]) == ([], Decimal(1), Decimal("0.99"))


def test_an_order_must_not_take_a_balance_below_0_and_a_liquidation_may() -> None:
    assert [(each.rule, each.subject) for each in look_at(bought(), cash=Decimal(100))[0]] == [("INV-04", "g.0#1 USDT")]
    assert look_at(bought(fill_source="liquidation"), cash=Decimal(100))[0] == []
    assert [each.subject for each in look_at(bought(fee_asset="BNB", fee=Decimal(2)))[0]] == ["g.0#1 BNB"]


def test_a_profile_that_is_active_again_may_grow() -> None:
    def trip(state: str) -> RiskChange:
        return RiskChange(profile="balanced", change="tripped", state=state, rule="r", limit=None, value=None)

    def turns(*states: str) -> Change:
        return lambda record: changed(record, risk=tuple(map(trip, states)))

    assert "INV-11" in rules(played(turns("reducing")))
    assert "INV-11" not in rules(played(turns("reducing", "active")))
    assert "INV-11" in rules(played(turns("reducing", "halted")))  # the switch lifts no trip


def test_a_closed_position_that_still_costs_something_is_found() -> None:
    def leftover(ledger: Ledger) -> None:
        ledger.books["told", BTC.key].cost += ONE

    found, _ = look_at(bought(), bought(id="g.1#1", order_id="g.1", side=Side.SELL), twist=leftover)
    assert rules(found) == {"INV-02"}
