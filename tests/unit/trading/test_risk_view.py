"""What the gate shows of itself, and what it would say: the same numbers as the ledger, and nothing moves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from dudzian_daemon.app.risk_queries import answer
from dudzian_daemon.domain.market import OpenPrint, Phase, Tick
from dudzian_daemon.domain.orders import Outcome, RefusalCode, Verdict
from dudzian_daemon.domain.risk import TradingState
from dudzian_daemon.services.inbox import CommandFile
from dudzian_daemon.testing.market import candles, instrument, limits, spec
from dudzian_daemon.trading.risk_view import AccountView, Held, held_by_profile, realised_by_profile
from tests.unit.trading.desk import BTC, BTC_1H, WIDE, Desk, desk, enter, hour, open_tick

HAND = msgspec.structs.replace(WIDE, name="manual", max_position_pct=Decimal("0.6"))


def session() -> Desk:
    rules = limits(max_position_pct=Decimal(1), hard_drawdown_pct=Decimal("0.9"))
    made = desk({hour(1): [enter(target=0.5)]}, profiles={"balanced": rules, "manual": HAND})
    made.feed(candles(BTC_1H, [100.0, 100.0, 99.0]))
    return made


def view(made: Desk) -> AccountView:
    return msgspec.json.decode(answer(made.core, "c", CommandFile("risk_state")), type=AccountView)


def test_it_equals_the_ledger_after_fills_and_marks() -> None:
    made = session()
    shown, ledger = view(made), made.core.ledger
    assert (shown.equity, shown.available["USDT"]) == (ledger.equity, ledger.available("USDT"))
    assert [shown.gross_notional, shown.long_notional, shown.short_notional] == [Decimal(4950), Decimal(4950), Decimal(0)]
    balanced, manual = shown.profiles
    assert (balanced.state, balanced.force_liquidation, manual.profile) == (TradingState.ACTIVE, False, "manual")
    assert balanced.daily_loss == balanced.start_of_day_equity - ledger.equity
    made.feed(candles(BTC_1H, [90.0], start=hour(3)))
    reducing = [(each.profile, each.state, each.force_liquidation) for each in view(made).profiles]
    assert reducing == [("balanced", TradingState.REDUCING, True), ("manual", TradingState.ACTIVE, False)]


def test_open_orders_are_told_and_closed_markets_and_switches() -> None:
    made = session()
    made.command("order_place", instrument=BTC.key, side="buy", quantity="1")
    made.command("kill_switch", on="yes")
    made.command("market", instrument=BTC.key, open="no")
    made.command("market", instrument="nowhere", open="no")
    shown = view(made)
    assert (shown.reserved, shown.kill_switch, shown.closed_markets) == (Decimal(99), True, [BTC.key])
    assert made.risk[-1].change == "market_unknown"


def test_what_would_be_said_is_what_is_said_and_leaves_no_trace() -> None:
    made = session()
    wish: dict[str, Any] = {"instrument": BTC.key, "side": "buy", "quantity": "5"}
    before = view(made), msgspec.json.encode(made.core.gate.rates.counters), dict(made.core.gate.reservations.open)
    asked, again = (msgspec.json.decode(answer(made.core, "c", CommandFile("what_if", wish)), type=Verdict) for _ in range(2))
    assert (asked.outcome, asked.approved) == (Outcome.APPROVED, Decimal(5))
    assert again == asked
    much = msgspec.json.decode(answer(made.core, "c", CommandFile("what_if", wish | {"quantity": "50"})), type=Verdict)
    assert much.code is RefusalCode.POSITION_LIMIT
    assert (view(made), msgspec.json.encode(made.core.gate.rates.counters), made.core.gate.reservations.open) == before
    (said,) = made.command("order_place", **wish).verdicts
    assert (said.outcome, said.approved) == (asked.outcome, asked.approved)


def test_positions_and_realised_gains_are_told_by_profile() -> None:
    made = session()
    made.command("order_place", instrument=BTC.key, side="buy", quantity="0.5")
    made.ticks([open_tick(made.driver.last[0] + 1, 98.0)])
    held = held_by_profile(made.core)
    assert held == {"balanced": {BTC.key: Held("long", Decimal(50) * 98)}, "manual": {BTC.key: Held("long", Decimal("0.5") * 98)}}
    made.command("order_close", instrument=BTC.key)
    made.ticks([open_tick(made.driver.last[0] + 1, 100.0)])
    assert set(held_by_profile(made.core)) == {"balanced"}
    book = made.core.ledger.books["manual", BTC.key]
    assert realised_by_profile(made.core) == {"balanced": Decimal(0), "manual": book.realised}
    assert book.realised > 0


def test_what_is_traded_in_another_asset_is_told_in_the_valuation_asset() -> None:
    """SOL at 20 EUR, the euro at 1.25: what is held, on its way and gained is worth that much more."""
    sol, euro = instrument("SOL", symbol="SOL/EUR", quote="EUR"), instrument("EUR")
    made = Desk(
        spec(
            {},
            [],
            [sol, euro],
            profiles={"balanced": WIDE, "manual": WIDE},
            other_balances={"EUR": Decimal(1000)},
            conversions={"EUR": euro.key},
        )
    )
    shown = [OpenPrint(hour(1), euro.key, "1h", 1.25), OpenPrint(hour(1), sol.key, "1h", 20.0)]
    made.ticks([Tick(hour(1), Phase.OPEN, tuple(shown))])
    made.command("order_place", instrument=sol.key, side="buy", quantity="4")
    assert view(made).reserved == 4 * 20 * Decimal("1.25")
    made.ticks([Tick(hour(2), Phase.OPEN, (OpenPrint(hour(2), sol.key, "1h", 20.0),))])
    assert held_by_profile(made.core) == {"manual": {sol.key: Held("long", 4 * 20 * Decimal("1.25"))}}
    made.command("order_close", instrument=sol.key)
    made.ticks([Tick(hour(3), Phase.OPEN, (OpenPrint(hour(3), sol.key, "1h", 30.0),))])
    gained = made.core.ledger.books["manual", sol.key].realised
    assert gained > 0
    assert realised_by_profile(made.core) == {"manual": gained * Decimal("1.25")}
