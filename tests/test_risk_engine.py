"""The two promises of the runbook's section on forced liquidation, under the names it gives them."""

from __future__ import annotations

from decimal import Decimal

from dudzian_daemon.domain.market import DAY_NS, HOUR_NS
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Outcome, RefusalCode, Side
from dudzian_daemon.domain.risk import TradingState
from dudzian_daemon.testing.market import START_NS, limits
from tests.unit.trading.desk import BTC
from tests.unit.trading.gate import Account


def test_force_liquidation_due_to_drawdown_allows_only_reducing_orders() -> None:
    with exact_money():
        account = Account(limits(max_daily_loss_pct=Decimal(1), max_position_pct=Decimal(1)), opening="50000")
        account.hold("100", "100")
        account.mark(BTC, 50.01)
        assert account.gate.judge_equity(START_NS, account.ledger.equity) == []
        account.mark(BTC, 50.0)
        assert account.ledger.equity == 45_000
        (trip,) = account.gate.judge_equity(START_NS, account.ledger.equity)
        assert (trip.change, trip.rule, trip.state) == ("tripped", "hard_drawdown_pct", TradingState.REDUCING)
        assert (trip.limit, trip.value) == (Decimal(5000), Decimal(5000))

        buy = account.buy("1")
        assert (buy.outcome, buy.code) == (Outcome.REFUSED, RefusalCode.DRAWDOWN_LIMIT)
        sell_short = account.judge(Side.SELL, (BTC, "101")).verdict
        assert sell_short.code is RefusalCode.DRAWDOWN_LIMIT
        part, rest = account.sell("40"), account.sell("100")
        assert (part.outcome, part.approved) == (Outcome.APPROVED, Decimal(40))
        assert (rest.outcome, rest.approved, rest.code) == (Outcome.ADJUSTED, Decimal(60), RefusalCode.ALREADY_CLOSING)
        assert account.sell("1").outcome is Outcome.REFUSED

        # Neither a recovery nor a new day opens it again.
        assert account.gate.judge_equity(START_NS, Decimal(60_000)) == []
        assert account.gate.roll_day(START_NS // DAY_NS + 1, Decimal(60_000), exposed=()) == []
        assert account.buy("1").code is RefusalCode.DRAWDOWN_LIMIT


def test_daily_loss_limit_resets_after_new_trading_day() -> None:
    with exact_money():
        account = Account()
        today = START_NS // DAY_NS
        account.gate.roll_day(today, account.ledger.equity, exposed=())
        account.hold("5", "100")
        account.mark(BTC, 70.0)
        (trip,) = account.gate.judge_equity(START_NS + HOUR_NS, account.ledger.equity)
        assert (trip.rule, trip.limit, trip.value) == ("max_daily_loss_pct", Decimal(150), Decimal(150))
        assert account.gate.states["balanced"].daily_trip_day == today
        assert account.buy("1").code is RefusalCode.DAILY_LOSS_LIMIT
        assert account.sell("5").outcome is Outcome.APPROVED

        (reset,) = account.gate.roll_day(today + 1, account.ledger.equity, exposed=())
        assert (reset.change, reset.rule, reset.state) == ("reset", "max_daily_loss_pct", TradingState.ACTIVE)
        account.gate.release("g2.0")
        other = account.buy("1", strategy="b")
        assert (other.outcome, other.code) == (Outcome.APPROVED, None)
        state = account.gate.states["balanced"]
        assert (state.day, state.start_of_day_equity, state.peak_equity) == (today + 1, Decimal(9850), Decimal(10_000))
