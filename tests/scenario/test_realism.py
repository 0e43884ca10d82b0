"""Simulated fills against a real recording: could they have been had? (tests/data/ticks, architecture 9)

A fill is *supported* when its quantity is at most what was displayed at its price or better at its instant, less what
earlier fills had taken of those levels and what had not come back by then: evenly within ten seconds, whatever the preset says.
"""

from __future__ import annotations

import gzip
import heapq
import random
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.app.session_spec import execution_preset
from dudzian_daemon.config.paper import PaperTrading, shipped_presets
from dudzian_daemon.domain.market import SECOND_NS, Book, Quote
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Fill, OrderKind, OrderLeg, OrderTerms, Side, TimeInForce
from dudzian_daemon.testing.market import instrument
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from tests.unit.trading.simulated import approve

CAPTURE = Path(__file__).parents[1] / "data" / "ticks" / "btcusdt_20240808.jsonl.gz"
BTC = instrument("BTC", lot_size=Decimal("0.00001"), min_quantity=Decimal("0.00001"))
LEVELS = 20
GRAIN = BTC.lot_size
ORDERS = 1_000
LONGEST_NS = 4 * SECOND_NS
MEMORY_NS = 10 * SECOND_NS
PRESETS = tuple(shipped_presets())

Shown = Quote | Book


def messages() -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Quotes, depth updates and the snapshot of the capture."""
    decode = msgspec.json.Decoder().decode
    bodies = [decode(line.partition(b" ")[2]) for line in gzip.decompress(CAPTURE.read_bytes()).splitlines()]
    quotes = [body["data"] for body in bodies if body.get("stream", "").endswith("bookTicker")]
    depth = [body["data"] for body in bodies if "@depth" in body.get("stream", "")]
    (snapshot,) = [body for body in bodies if "stream" not in body]
    return quotes, depth, snapshot


@cache
def market() -> tuple[Shown, ...]:
    """The capture as inputs in the order of the venue's update ids; a quote has the time of the depth update that covers its id."""
    quotes, updates, snapshot = messages()
    sides: dict[str, dict[float, float]] = {
        "b": {float(price): float(size) for price, size in snapshot["bids"]},
        "a": {float(price): float(size) for price, size in snapshot["asks"]},
    }
    shown: list[Shown] = []
    waiting = list(reversed(quotes))
    for update in updates:
        if update["u"] <= snapshot["lastUpdateId"]:
            continue
        instant = update["E"] * 1_000_000
        while waiting and waiting[-1]["u"] <= update["u"]:
            quote = waiting.pop()
            if quote["u"] >= update["U"]:
                bid, bid_size, ask, ask_size = (float(quote[name]) for name in ("b", "B", "a", "A"))
                shown.append(Quote(instant, BTC.key, bid, ask, bid_size, ask_size))
        for side, levels in sides.items():
            for price, size in update[side]:
                if float(size):
                    levels[float(price)] = float(size)
                else:
                    levels.pop(float(price), None)
        bids = tuple((price, sides["b"][price]) for price in heapq.nlargest(LEVELS, sides["b"]))
        asks = tuple((price, sides["a"][price]) for price in heapq.nsmallest(LEVELS, sides["a"]))
        shown.append(Book(instant, BTC.key, bids, asks, update["u"]))
    return tuple(shown)


def orders(count: int, seed: int) -> Iterator[tuple[int, OrderLeg]]:
    """Market and limit orders of 0.001 to 5 BTC with the number of the input after which they come; limits within 3 bp of the mid."""
    chance = random.Random(seed)
    inputs = market()
    for number in sorted(chance.randrange(len(inputs) * 19 // 20) for _ in range(count)):
        size = Decimal(str(round(0.001 * 5000 ** chance.random(), 5)))
        side = chance.choice(list(Side))
        terms = OrderTerms(time_in_force=chance.choice([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]))
        if chance.random() < 0.5:
            seen = inputs[number]
            best = seen.best if isinstance(seen, Book) else seen
            limit = Decimal(str(round((best.bid + best.ask) / 2 * (1 + chance.uniform(-3e-4, 3e-4)), 2)))
            terms = OrderTerms(kind=OrderKind.LIMIT, limit_price=limit, time_in_force=TimeInForce.GTD, expires_at=seen.instant + LONGEST_NS)
        yield number, OrderLeg(instrument=BTC.key, side=side, quantity=size, reduce_only=False, terms=terms)


class Taken(msgspec.Struct, frozen=True):
    """What a fill took of the level that is its reference price, in units of `GRAIN`."""

    side: Side
    level: Decimal
    quantity: int
    instant: int


def supported(fill: Fill, seen: Shown, taken: list[Taken]) -> bool:
    """Whether what was displayed, less our own, carries the fill. From the definition and in whole numbers, not from the simulator."""
    if isinstance(seen, Book):
        levels = seen.asks if fill.side is Side.BUY else seen.bids
    else:
        levels = ((seen.ask, seen.ask_size) if fill.side is Side.BUY else (seen.bid, seen.bid_size),)
    missing: dict[Decimal, int] = {}
    for each in taken:
        if each.side is fill.side:
            missing[each.level] = missing.get(each.level, 0) + each.quantity * max(MEMORY_NS - (seen.instant - each.instant), 0)
    there = 0
    for price, size in ((Decimal(str(price)), int(Decimal(str(size)) / GRAIN)) for price, size in levels):
        if price <= fill.price if fill.side is Side.BUY else price >= fill.price:
            there += max(size * MEMORY_NS - missing.get(price, 0), 0)
    return int(fill.quantity / GRAIN) * MEMORY_NS <= there


def play(preset: str, seed: int) -> tuple[int, int, int, Decimal, Decimal]:
    """Fills, supported ones, fills worse than the limit, wanted and filled quantity of all orders under the preset."""
    settings = execution_preset(PaperTrading(preset=preset), shipped_presets()[preset])
    venue = PaperTradingExecutionService({BTC.key: BTC}, settings, lambda _strategy, _instrument: Decimal(0))
    coming = list(reversed(list(orders(ORDERS, seed))))
    wanted = sum((leg.quantity for _, leg in coming), Decimal(0))
    limits: dict[str, Decimal | None] = {}
    taken: list[Taken] = []
    fills = carried = beyond = 0
    filled = Decimal(0)
    for number, seen in enumerate(market()):
        taken = [each for each in taken if seen.instant - each.instant < MEMORY_NS] if taken else taken
        for match in venue.match(seen):
            fill = match.fill
            if fill is None:
                continue
            fills += 1
            filled += fill.quantity
            carried += supported(fill, seen, taken)
            limit = limits[fill.order_id]
            beyond += limit is not None and (fill.price > limit if fill.side is Side.BUY else fill.price < limit)
            taken.append(Taken(fill.side, fill.reference_price, int(fill.quantity / GRAIN), seen.instant))
        while coming and coming[-1][0] == number:
            _, leg = coming.pop()
            (accepted,) = venue.submit(approve(leg, number=len(limits)), seen.instant)
            limits[accepted.order_id] = leg.terms.limit_price
    return fills, carried, beyond, wanted, filled


@pytest.mark.parametrize("preset", PRESETS)
def test_fills_could_have_been_had(preset: str, record_property: Any) -> None:
    with exact_money():
        fills, carried, beyond, wanted, filled = play(preset, seed=20240808)
    share = carried / fills
    print(f"{preset}: {carried} of {fills} fills supported ({share:.2%}); {filled} of {wanted} BTC filled")  # noqa: T201 - the figure is the result
    record_property("supported", share)
    assert fills > ORDERS // 2
    assert beyond == 0
    if preset == "optimistic":
        assert share < 1  # it assumes depth that nobody displayed, and says so
    else:
        assert share == 1
