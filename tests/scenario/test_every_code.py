"""Every code of the gate, order in, verdict on the record: each by the plainest session that reaches it, and nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.adapters.journal_format import decode, encode
from dudzian_daemon.domain.market import Command, Phase, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Outcome, Protection, RefusalCode, Signal, Verdict
from dudzian_daemon.domain.risk import BucketLimits, OrderControls, RiskLimits
from dudzian_daemon.testing.market import Bar, candles, instrument, limits, schedule, spec
from tests.unit.trading.desk import BTC, BTC_1H, Desk, Scripted, desk, enter, hour, leave, open_tick

NOWHERE = instrument("NOWHERE")
DEFAULTS = OrderControls()
FLAT: list[Bar] = [100.0, 100.0, 100.0]


def wide(name: str = "balanced", **changes: Any) -> RiskLimits:
    usual: dict[str, Any] = {
        "max_position_pct": Decimal(1),
        "max_daily_loss_pct": Decimal("0.9"),
        "hard_drawdown_pct": Decimal("0.9"),
        "target_volatility": Decimal(1),
    }
    return limits(name, **usual | changes)


def decided(*wishes: Signal, bars: list[Bar] | None = None, profile: RiskLimits | None = None, **changes: Any) -> Desk:
    """A strategy that says all of it at the end of the first hour."""
    session = desk({hour(1): list(wishes)}, profiles={"balanced": profile or wide()}, **changes)
    session.feed(candles(BTC_1H, bars or FLAT))
    return session


def by_hand(controls: OrderControls = DEFAULTS, **changes: Any) -> Desk:
    """An operator at a flat account with BTC at 100; nobody else trades."""
    session = desk(profiles={"balanced": wide(), "manual": wide("manual")}, controls=controls, **changes)
    session.feed(candles(BTC_1H, FLAT))
    return session


def place(session: Desk, side: str = "buy", quantity: str = "1", **arguments: str) -> Desk:
    wish: dict[str, Any] = {"instrument": BTC.key, "side": side, "quantity": quantity}
    session.command("order_place", **wish | arguments)
    return session


def fill(session: Desk, price: float = 100.0) -> Desk:
    session.ticks([open_tick(session.driver.last[0] + 1, price)])
    return session


def stopped(**fields: Any) -> Signal:
    return enter(target=0.1, protection=Protection.STOP, **fields)


def killed() -> Desk:
    session = by_hand()
    session.command("kill_switch", on="yes")
    return place(session)


def doubted() -> Desk:
    session = by_hand()
    session.command("state_unknown", reason="self_check")
    return place(session)


def closed() -> Desk:
    session = by_hand()
    session.command("market", instrument=BTC.key, open="no")
    return place(session)


def tripped(**rules: Any) -> Desk:
    session = desk({hour(1): [enter(target=0.5)], hour(4): [enter()]}, profiles={"balanced": wide(**rules)})
    session.feed(candles(BTC_1H, [100.0, 100.0, 90.0, 90.0, 90.0]))
    return session


def unpriced() -> Desk:
    session = by_hand()
    session.ticks([open_tick(session.driver.last[0] + 1, float("nan"))])
    return place(session)


def stale() -> Desk:
    session = by_hand()
    session.command("order_place", now=hour(9), instrument=BTC.key, side="buy", quantity="1")
    return session


def cancelled() -> Desk:
    session = by_hand()
    session.command("order_cancel", order_id="manual/nothing.0")
    return session


def doubly_closed() -> Desk:
    session = desk({hour(1): [enter(target=0.5)], hour(3): [leave()]}, profiles={"balanced": wide(max_daily_loss_pct=Decimal("0.01"))})
    session.feed(candles(BTC_1H, [100.0, 100.0, 90.0, 90.0]))
    return session


def repeated() -> Desk:
    session = by_hand(OrderControls(repeated_executions=2, duplicate_window_ns=0))
    for _ in range(3):
        fill(place(session))
    return session


def crossing() -> Desk:
    session = fill(place(by_hand(), quantity="2"))
    place(session, "sell", "1", kind="limit", limit_price="101", reduce_only="yes")
    return place(session, "buy", "1", kind="limit", limit_price="101")


def bucketed(limit: BucketLimits) -> Desk:
    session = Desk(
        spec(
            {"told": Scripted({hour(1): [enter(target=0.5)]})},
            [schedule("told", [BTC], bucket="few")],
            [BTC],
            profiles={"balanced": wide()},
            buckets={"few": limit},
        )
    )
    session.feed(candles(BTC_1H, FLAT))
    return session


ONE_A_MINUTE = OrderControls(strategy_orders_per_minute=1, duplicate_window_ns=0)
CASES: Mapping[RefusalCode, Callable[[], Desk]] = {
    RefusalCode.KILL_SWITCH: killed,
    RefusalCode.DAILY_LOSS_LIMIT: lambda: tripped(max_daily_loss_pct=Decimal("0.01")),
    RefusalCode.DRAWDOWN_LIMIT: lambda: tripped(hard_drawdown_pct=Decimal("0.01")),
    RefusalCode.NO_REFERENCE_PRICE: unpriced,
    RefusalCode.STALE_DATA: stale,
    RefusalCode.UNKNOWN_INSTRUMENT: lambda: place(by_hand(), instrument=NOWHERE.key),
    RefusalCode.NOTHING_TO_DO: lambda: place(by_hand(), quantity="0"),
    RefusalCode.MAX_SIGNALS: lambda: decided(enter(target=0.1), enter(target=0.2), schedule={"max_signals": 1}),
    RefusalCode.NO_POSITION: lambda: decided(leave()),
    RefusalCode.ALREADY_CLOSING: doubly_closed,
    RefusalCode.REVERSAL: lambda: place(fill(place(by_hand(allow_short=True))), "sell", "2"),
    RefusalCode.SHORT_NOT_ALLOWED: lambda: place(by_hand(), "sell"),
    RefusalCode.POSITION_LIMIT: lambda: decided(enter(target=0.9), profile=wide(max_position_pct=Decimal(0))),
    RefusalCode.OPEN_POSITIONS: lambda: decided(enter(target=0.9), profile=wide(max_open_positions=0)),
    RefusalCode.LEVERAGE_LIMIT: lambda: decided(enter(target=0.9), profile=wide(max_leverage=Decimal(0))),
    RefusalCode.NET_EXPOSURE_LIMIT: lambda: decided(enter(target=0.9), profile=wide(max_net_exposure=Decimal(0))),
    RefusalCode.INSUFFICIENT_CASH: lambda: place(by_hand(), quantity="100"),
    RefusalCode.BELOW_MINIMUM: lambda: place(by_hand(), quantity="0.001"),
    RefusalCode.STATE_UNKNOWN: doubted,
    RefusalCode.INVALID_ORDER: lambda: place(by_hand(), quantity="NaN"),
    RefusalCode.UNKNOWN_PROFILE: lambda: place(decided()),
    RefusalCode.UNKNOWN_ORDER: cancelled,
    RefusalCode.WRONG_CURRENCY: lambda: place(by_hand(), asset="EUR"),
    RefusalCode.MARKET_CLOSED: closed,
    RefusalCode.OFF_TICK: lambda: place(by_hand(), kind="limit", limit_price="99.999"),
    RefusalCode.OFF_LOT: lambda: place(by_hand(), quantity="1.0005"),
    RefusalCode.PRICE_COLLAR: lambda: place(by_hand(), kind="limit", limit_price="110.01"),
    RefusalCode.ORDER_VALUE: lambda: place(by_hand(OrderControls(max_order_value=Decimal("99.99")))),
    RefusalCode.ORDER_QUANTITY: lambda: place(by_hand(OrderControls(max_order_quantity=Decimal("0.999")))),
    RefusalCode.ORDER_RATE: lambda: place(place(by_hand(ONE_A_MINUTE)), quantity="2"),
    RefusalCode.DUPLICATE_ORDER: lambda: place(place(by_hand())),
    RefusalCode.REPEATED_EXECUTION: repeated,
    RefusalCode.SELF_TRADE: crossing,
    RefusalCode.BUCKET_POSITION_LIMIT: lambda: bucketed(BucketLimits(name="few", max_position_pct=Decimal(0), max_notional=Decimal(10**6))),
    RefusalCode.BUCKET_NOTIONAL_LIMIT: lambda: bucketed(BucketLimits(name="few", max_position_pct=Decimal(1), max_notional=Decimal(0))),
    RefusalCode.STOP_MISSING: lambda: decided(stopped(stop_price=98.0)),
    RefusalCode.STOP_WRONG_SIDE: lambda: decided(stopped(stop_price=101.0, numbers={"atr": 1.0})),
    RefusalCode.STOP_TOO_TIGHT: lambda: decided(stopped(stop_price=98.6, numbers={"atr": 1.0})),
    RefusalCode.RISK_BUDGET: lambda: decided(stopped(stop_price=98.0, numbers={"atr": 1.0}), profile=wide(target_volatility=Decimal(0))),
}


def test_there_is_a_case_for_every_code() -> None:
    assert set(CASES) == set(RefusalCode)


@pytest.mark.parametrize("code", RefusalCode)
def test_the_code_is_on_the_record_with_its_figures_and_no_order_came_of_it(code: RefusalCode) -> None:
    session = CASES[code]()
    found = [verdict for verdict in session.verdicts if verdict.code is code]
    assert found
    verdict = found[-1]
    assert verdict.outcome is Outcome.REFUSED
    assert (verdict.approved, verdict.rule != "") == (Decimal(0), True)
    assert None not in (verdict.limit, verdict.value, verdict.headroom)
    fills = [each for each in session.fills if each.order_id.startswith(f"{verdict.group_id}.")]
    accepted = [each for each in session.results if each.order_id.startswith(f"{verdict.group_id}.") and each.status != "rejected"]
    assert (fills, accepted) == ([], [])
    written = [decode(encode(record)) for record in session.records]
    assert code.value in [each["code"] for record in written for each in record["verdicts"]]


BAD_INPUT: Mapping[str, tuple[dict[str, str], RefusalCode]] = {
    "not a number": ({"quantity": "NaN"}, RefusalCode.INVALID_ORDER),
    "signalling nan": ({"quantity": "sNaN"}, RefusalCode.INVALID_ORDER),
    "infinity": ({"quantity": "Infinity"}, RefusalCode.INVALID_ORDER),
    "negative": ({"quantity": "-1"}, RefusalCode.INVALID_ORDER),
    "absurdly large": ({"quantity": "1e15000"}, RefusalCode.INVALID_ORDER),
    "absurdly fine": ({"quantity": "1e-400"}, RefusalCode.INVALID_ORDER),
    "no digits": ({"quantity": "lots"}, RefusalCode.INVALID_ORDER),
    "no quantity": ({"quantity": ""}, RefusalCode.INVALID_ORDER),
    "no side": ({"side": "hold"}, RefusalCode.INVALID_ORDER),
    "unknown kind": ({"kind": "iceberg"}, RefusalCode.INVALID_ORDER),
    "limit without price": ({"kind": "limit"}, RefusalCode.INVALID_ORDER),
    "market with price": ({"limit_price": "100"}, RefusalCode.INVALID_ORDER),
    "price not a number": ({"kind": "limit", "limit_price": "NaN"}, RefusalCode.INVALID_ORDER),
    "price of zero": ({"kind": "limit", "limit_price": "0"}, RefusalCode.INVALID_ORDER),
    "negative price": ({"kind": "limit", "limit_price": "-5"}, RefusalCode.INVALID_ORDER),
    "over before it began": ({"kind": "limit", "limit_price": "100", "time_in_force": "gtd", "expires_at": "1"}, RefusalCode.INVALID_ORDER),
    "trail wider than the collar": ({"kind": "trailing_stop", "trail": "11", "reduce_only": "yes"}, RefusalCode.PRICE_COLLAR),
    "value not a number": ({"value": "NaN"}, RefusalCode.INVALID_ORDER),
    "value below zero": ({"value": "-1"}, RefusalCode.INVALID_ORDER),
    "value absurd": ({"value": "1e400"}, RefusalCode.INVALID_ORDER),
    "wrong currency": ({"asset": "EUR"}, RefusalCode.WRONG_CURRENCY),
    "off the lot": ({"quantity": "0.0015"}, RefusalCode.OFF_LOT),
    "off the tick": ({"kind": "limit", "limit_price": "99.995"}, RefusalCode.OFF_TICK),
    "unknown symbol": ({"instrument": "binance:DOGE/USDT"}, RefusalCode.UNKNOWN_INSTRUMENT),
    "more than there is": ({"quantity": "1000"}, RefusalCode.INSUFFICIENT_CASH),
}


@pytest.mark.parametrize(("arguments", "code"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_refused_with_a_code_and_no_balance_moves(arguments: dict[str, str], code: RefusalCode) -> None:
    session = by_hand()
    before = session.core.ledger.state(), session.core.gate.reservations.open.copy()
    wish: dict[str, Any] = {"instrument": BTC.key, "side": "buy", "quantity": "1"}
    record = session.command("order_place", **wish | arguments)
    assert [verdict.code for verdict in record.verdicts] == [code]
    assert (session.core.ledger.state(), session.core.gate.reservations.open) == before
    fill(session)
    assert session.core.ledger.state() == before[0]
    encode(record)


def test_a_closed_market_refuses_the_way_in_and_the_way_out_until_it_opens() -> None:
    session = fill(place(by_hand()))
    session.command("market", instrument=BTC.key, open="no")
    before = session.core.ledger.state()
    assert [last(session, "order_close").code, last(session, "order_place", side="buy", quantity="2").code] == [
        RefusalCode.MARKET_CLOSED,
        RefusalCode.MARKET_CLOSED,
    ]
    assert session.core.ledger.state() == before
    session.command("market", instrument=BTC.key, open="yes")
    assert last(session, "order_close").outcome is Outcome.APPROVED


def last(session: Desk, command: str, **arguments: Any) -> Verdict:
    return session.command(command, instrument=BTC.key, **arguments).verdicts[-1]


def test_commands_of_one_id_are_one_order() -> None:
    session = by_hand()
    first = session.driver.last[0] + 1
    with exact_money():
        for number in range(50):
            arguments = {"instrument": BTC.key, "side": "buy", "quantity": "1"}
            tick = Tick(first + number, Phase.COMMAND, (Command(first + number, "same", "order_place", arguments),))
            session.records.extend(session.driver.advance(tick))
    assert [verdict.code for verdict in session.verdicts if verdict.signal_id == "manual/same"] == [
        None,
        *[RefusalCode.DUPLICATE_ORDER] * 49,
    ]
