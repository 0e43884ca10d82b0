"""The simulated venue against its vectors: data in, fills out (tests/scenario/vectors/README.md)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dudzian_daemon.domain.fees import MODEL
from dudzian_daemon.domain.market import SECOND_NS, Book, Candle, OpenPrint, Quote
from dudzian_daemon.domain.money import ZERO, exact_money
from dudzian_daemon.domain.orders import Match, OrderKind, OrderLeg, OrderTerms, Side, TimeInForce
from dudzian_daemon.testing.market import START_NS, preset
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from tests.unit.trading.desk import BTC
from tests.unit.trading.simulated import approve

VECTORS = Path(__file__).parent / "vectors"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(VECTORS.glob("*.yaml"))
    for case in YAML(typ="safe").load(path.read_text(encoding="utf-8"))
]


def number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def leg(told: dict[str, Any]) -> OrderLeg:
    terms = OrderTerms(
        kind=OrderKind(told.get("kind", "market")),
        limit_price=number(told.get("limit")),
        stop_price=number(told.get("stop")),
        trail=number(told.get("trail")),
        time_in_force=TimeInForce(told.get("force", "gtc")),
        expires_at=START_NS + told["expires"] * SECOND_NS if "expires" in told else None,
        post_only=told.get("post_only", False),
    )
    quantity, reduce_only = Decimal(str(told["quantity"])), told.get("reduce_only", False)
    return OrderLeg(instrument=BTC.key, side=Side(told["side"]), quantity=quantity, reduce_only=reduce_only, terms=terms)


def price_input(told: dict[str, Any]) -> OpenPrint | Quote | Book | Candle:
    instant = START_NS + told["at"] * SECOND_NS
    if "open" in told:
        return OpenPrint(instant, BTC.key, "1h", float(told["open"]))
    if "quote" in told:
        (bid, ask), (bid_size, ask_size) = told["quote"], told["sizes"]
        return Quote(instant, BTC.key, float(bid), float(ask), float(bid_size), float(ask_size))
    if "bar" in told:
        opened, high, low, close = map(float, told["bar"])
        return Candle(instant, BTC.key, "1h", instant, opened, high, low, close, float(told["volume"]))
    bids, asks = (tuple((float(price), float(size)) for price, size in told[side]) for side in ("bids", "asks"))
    return Book(instant, BTC.key, bids, asks)


def shown(match: Match) -> dict[str, Any]:
    """A match in the words of the vectors."""
    fill = match.fill
    told: dict[str, Any] = {
        "order": int(match.order.id.rpartition(".")[2]),
        "status": str(match.status),
        "code": match.code,
        "shortfall": match.shortfall,
    }
    if fill is None:
        return told
    return told | {
        "at": Decimal(fill.filled_at - START_NS) / SECOND_NS,
        "id": int(fill.id.rpartition("#")[2]),
        "quantity": fill.quantity,
        "reference": fill.reference_price,
        "slippage": fill.slippage,
        "price": fill.price,
        "fee": fill.fee,
        "liquidity": str(fill.liquidity),
        "source": fill.fill_source,
        "inside_bar": fill.inside_bar,
    }


def play(case: dict[str, Any]) -> list[Match]:
    """Everything the data does to the case's orders; what fills moves the position."""
    changes = dict(case.get("preset", {}))
    changes["latency_ns"] = changes.pop("latency_ms", 0) * 1_000_000
    numbers = {name: Decimal(str(value)) if name not in ("latency_ns", "touch_fills") else value for name, value in changes.items()}
    held = {BTC.key: Decimal(str(case.get("position", 0)))}
    venue = PaperTradingExecutionService(
        {BTC.key: BTC}, preset(**{"slippage_bps": ZERO} | numbers), lambda _strategy, instrument: held[instrument]
    )
    venue.submit(approve(*map(leg, case["orders"]), link=case.get("link", "")), START_NS)
    matches = []
    for item in map(price_input, case["data"]):
        for match in venue.match(item):
            matches.append(match)
            if match.fill is not None:
                held[BTC.key] += match.fill.quantity if match.fill.side is Side.BUY else -match.fill.quantity
    return matches


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(
        found[name] == (Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value)
        for name, value in wanted.items()
    )


@pytest.mark.parametrize("case", CASES)
def test_data_in_fills_out(case: dict[str, Any]) -> None:
    with exact_money():
        matches = play(case)
    for kind, found in (
        ("fills", [match for match in matches if match.fill is not None]),
        ("ends", [match for match in matches if match.fill is None]),
    ):
        told, wanted = [shown(match) for match in found], case[kind]
        assert len(told) == len(wanted) and all(map(same, told, wanted)), f"{kind}: expected {wanted}, found {told}"
    assert all(match.fill.model == MODEL and match.fill.price > 0 for match in matches if match.fill is not None)


def test_every_kind_force_and_link_has_a_vector() -> None:
    cases: list[Any] = [parameter.values[0] for parameter in CASES]
    orders = [order for case in cases for order in case["orders"]]
    assert {order.get("kind", "market") for order in orders} == set(OrderKind)
    assert {order.get("force", "gtc") for order in orders} == set(TimeInForce)
    assert {case.get("link", "") for case in cases} == {"", "oco", "bracket"}
