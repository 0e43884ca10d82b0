"""A session that is exported, read back into a new core and goes on: everything it does from there on is byte-equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pytest

from dudzian_daemon.app.backtest.run import Arranged, BacktestOptions, arrange
from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.domain.market import (
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    Book,
    Candle,
    Funding,
    FundingTerms,
    Phase,
    Quote,
    Series,
    Tick,
    WindowEnd,
)
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import OrderKind, OrderStatus
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.domain.risk import OrderControls
from dudzian_daemon.testing.market import instrument as coin
from dudzian_daemon.testing.market import limits, preset, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.state import decode_state, encode_state
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.timeline import candle_ticks
from dudzian_daemon.trading.windows import end_window, read_window, window_ticks
from tests.plugins.lively import lively
from tests.unit.trading.desk import WIDE, Scripted

ROOT = Path(__file__).resolve().parents[2]
PLUGINS: Final = ("daily_trend", "mean_reversion", "volatility_target", "cross_exchange_arbitrage")
Action = Callable[[Driver], Iterator[CycleRecord]]


def started(session: SessionSpec) -> Driver:
    with exact_money():
        return Driver(Core(session))


def read_back(driver: Driver, session: SessionSpec) -> Driver:
    """A new core that was told the state of this one, by its bytes."""
    told = encode_state(driver.export())
    fresh = started(session)
    fresh.restore(decode_state(told))
    assert encode_state(fresh.export()) == told
    return fresh


def play(make: Callable[[], SessionSpec], actions: Sequence[Action], cuts: frozenset[int]) -> tuple[list[CycleRecord], Driver]:
    """All actions on a session that is interrupted before each of those in `cuts`."""
    driver, records = started(make()), list[CycleRecord]()
    for number, action in enumerate(actions):
        if number in cuts:
            driver = read_back(driver, make())
        with exact_money():
            records += action(driver)
    return records, driver


def same(make: Callable[[], SessionSpec], actions: Sequence[Action], cuts: frozenset[int]) -> list[CycleRecord]:
    """The records of a session that is the same whether it was interrupted or not."""
    (whole, last), (cut, last_of_cut) = play(make, actions, frozenset()), play(make, actions, cuts)
    for expected, found in zip(whole, cut, strict=True):
        assert msgspec.json.encode(found) == msgspec.json.encode(expected)
    assert encode_state(last_of_cut.export()) == encode_state(last.export())
    return whole


# -- the four strategies as they ship ----------------------------------------------------------------------------------


def demo(tmp_path: Path) -> Arranged:
    return arrange(BacktestOptions(config=ROOT / "config" / "core.yaml", environment="demo", data_dir=tmp_path), {})


def demo_actions(arranged: Arranged) -> list[Action]:
    actions: list[Action] = []
    previous_end: int | None = None
    for number, window in enumerate(arranged.windows, start=1):
        found = read_window(arranged.store, window)
        actions += [partial(advance, tick) for tick in window_ticks(window, found, previous_end, named)]
        actions.append(partial(end_of, WindowEnd(number, last=number == len(arranged.windows))))
        previous_end = window.end
    return actions


def named(rows: Sequence[Candle]) -> str:
    return f"{rows[0].instrument} {rows[0].granularity}" if rows else ""


def advance(tick: Tick, driver: Driver) -> Iterator[CycleRecord]:
    return driver.advance(tick)


def end_of(window: WindowEnd, driver: Driver) -> Iterator[CycleRecord]:
    return end_window(driver, window)


def test_the_demo_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    arranged = demo(tmp_path)
    actions = demo_actions(arranged)
    cuts = frozenset(Random(5).sample(range(len(actions)), 60))
    records = same(lambda: arranged.prepared.spec, actions, cuts)
    assert len({fill.strategy for record in records for fill in record.fills}) == 4


# -- everything at once ------------------------------------------------------------------------------------------------

FINE: Final = {"lot_size": Decimal("0.0001"), "min_quantity": Decimal("0.0001")}
FIRST = coin("ONE", funding=FundingTerms(8 * HOUR_NS, Decimal("0.0003")), **FINE)
SECOND = coin("TWO", **FINE)
KEYS: Final = (FIRST.key, SECOND.key)


class Faulty(Scripted):
    """Fails at some candles, so that it is quarantined now and then."""

    def on_candle(self, state: Any, candle: Candle) -> None:
        super().on_candle(state, candle)
        del state.ends[:-20]
        if candle.end // HOUR_NS % 17 == 0:
            raise ValueError


def busy() -> SessionSpec:
    """The four strategies and one that fails, on two perpetual-like coins in a thin market, shorts allowed, under limits that trip."""
    strategies: dict[str, Any] = {"faulty": Faulty()}
    for name in PLUGINS:
        maker: Any = load_plugin("strategies", name, [ROOT / "plugins"]).plugin
        strategies[name] = maker(maker.Params())
    both = [FIRST, SECOND]
    tight = limits(max_position_pct=Decimal("0.4"), max_daily_loss_pct=Decimal("0.02"), hard_drawdown_pct=Decimal("0.3"))
    plans = [schedule(name, both, allocation=Decimal("0.5")) for name in strategies]
    return spec(
        strategies,
        plans,
        both,
        profiles={
            "balanced": tight,
            "manual": msgspec.structs.replace(WIDE, name="manual", max_leverage=Decimal(20), max_net_exposure=Decimal(20)),
        },
        opening_balance=Decimal(100_000),
        allow_short=True,
        leverage=Decimal(8),
        preset=preset(memory_ns=4 * MINUTE_NS, latency_ns=SECOND_NS // 4),
        controls=OrderControls(price_collar_bps=Decimal(5000), duplicate_window_ns=MINUTE_NS, repeated_executions=6),
        leg_timeout_ns=20 * MINUTE_NS,
    )


def busy_actions(random: Random, hours: int) -> list[Action]:
    """Candles with little volume; between them quotes, books, rates of funding, and an operator who does everything."""
    rows = {}
    for key in KEYS:
        series = Series(key, "1h")
        rows[series] = [msgspec.structs.replace(candle, volume=random.choice([30.0, 300.0, 5000.0])) for candle in lively(series, hours)]
    closes = {key: 100.0 for key in KEYS}
    actions: list[Action] = []
    for instant, ticks in groupby(candle_ticks(rows), key=lambda tick: tick.instant):
        for tick in ticks:
            closes |= {item.instrument: item.close for item in tick.inputs if isinstance(item, Candle)}
            actions.append(partial(advance, tick))
        now = instant
        for _ in range(random.randrange(4)):
            now += random.randrange(SECOND_NS, 12 * MINUTE_NS)
            actions.append(partial(advance, shown(random, now, closes)))
            if random.random() < 0.5:
                actions.append(operator(random, closes))
    return actions


def shown(random: Random, now: int, closes: dict[str, float]) -> Tick:
    key = random.choice(KEYS)
    price = round(closes[key] * random.uniform(0.98, 1.02), 2)
    size = random.choice([0.5, 5.0, 500.0])
    kind = random.randrange(8)
    if kind == 0:
        return Tick(now, Phase.REVISION, (Funding(now, FIRST.key, round(random.uniform(-0.002, 0.002), 6)),))
    if kind < 4:
        levels = tuple((round(price + step / 50, 2), size * (1 + step)) for step in range(1, 4))
        bids = tuple((round(price - step / 50, 2), size * (1 + step)) for step in range(1, 4))
        return Tick(now, Phase.QUOTE, (Book(now, key, bids, levels),))
    return Tick(now, Phase.QUOTE, (Quote(now, key, price, round(price + 0.02, 2), size, size),))


def operator(random: Random, closes: dict[str, float]) -> Action:
    key = random.choice(KEYS)
    near = {name: f"{closes[key] * random.uniform(low, high):.2f}" for name, low, high in (("below", 0.96, 0.999), ("above", 1.001, 1.04))}
    side = random.choice(["buy", "sell"])
    against, along = (near["below"], near["above"]) if side == "buy" else (near["above"], near["below"])
    order = {"instrument": key, "side": side, "quantity": f"{random.choice([0.5, 3, 40, 900])}"}
    kinds: list[dict[str, str]] = [
        {},
        {"time_in_force": random.choice(["ioc", "fok"])},
        {"kind": "limit", "limit_price": against},
        {"kind": "limit", "limit_price": against, "post_only": "yes"},
        {"kind": "stop", "stop_price": along},
        {"kind": "stop_limit", "stop_price": along, "limit_price": along},
        {"kind": "take_profit", "stop_price": against},
        {"kind": "trailing_stop", "trail": "1.50"},
        {"kind": "limit", "limit_price": along, "take_profit": along, "stop_loss": against},
        {"take_profit": along, "stop_loss": against},
        {"kind": "limit", "limit_price": against, "expires": "soon"},
        {"kind": "limit", "limit_price": along, "reduce_only": "yes"},
        {"reduce_only": "yes"},
        {
            "kind": "limit",
            "limit_price": against,
            "take_profit": along,
            "stop_loss": f"{closes[key] * (0.9 if side == 'buy' else 1.1):.2f}",
        },
    ]
    switches: list[tuple[str, dict[str, str]]] = [
        ("kill_switch", {"on": "yes"}),
        *[("kill_switch", {"on": "no"})] * 4,
        ("state_unknown", {"on": "yes"}),
        *[("state_unknown", {"on": "no", "operator": "jan", "reason": "seen"})] * 4,
        ("market", {"instrument": key, "open": "no"}),
        *[("market", {"instrument": key, "open": "yes"})] * 4,
        ("release_drawdown", {"profile": "balanced", "operator": "me", "reason": "test"}),
        ("suspend", {"strategy": random.choice(PLUGINS), "reason": "operator"}),
        ("resume", {"strategy": random.choice([*PLUGINS, "faulty"]), "reason": "operator"}),
        ("quarantine", {"strategy": random.choice(PLUGINS), "reason": "operator"}),
        ("order_close", {"instrument": key}),
        ("order_close", {"instrument": key, "strategy": random.choice(PLUGINS)}),
        ("close_positions", {"close_positions": "yes"}),
        *[("order_cancel", {})] * 4,
    ]
    if random.random() < 0.7:
        return partial(commanded, "order_place", order | random.choice(kinds), f"o{random.getrandbits(40)}")
    return partial(commanded, *random.choice(switches), f"s{random.getrandbits(40)}")


def commanded(name: str, arguments: dict[str, str], command_id: str, driver: Driver) -> Iterator[CycleRecord]:
    told = dict(arguments)
    if told.pop("expires", None):
        told |= {"time_in_force": "gtd", "expires_at": str(driver.last[0] + 30 * MINUTE_NS)}
    if name == "order_cancel":
        told = {"order_id": next((order.id for order in driver.core.execution.open_orders if order.link), "none")}
    return driver.command(command_id, name, told)


@pytest.mark.parametrize("seed", range(4))
def test_a_session_in_which_everything_happens_is_the_same_when_it_is_cut_at_random(seed: int) -> None:
    actions = busy_actions(Random(seed), 260)
    cuts = frozenset(Random(seed).sample(range(len(actions)), 150))
    same(busy, actions, cuts)


def test_everything_happens_in_them() -> None:
    records = [record for seed in range(4) for record in play(busy, busy_actions(Random(seed), 260), frozenset())[0]]
    changes = {change.change for record in records for change in record.risk}
    assert {"tripped", "reset", "kill_switch", "state_unknown", "market_closed", "liquidated"} <= changes
    results = [result for record in records for result in record.results]
    assert {result.status for result in results} == set(OrderStatus)
    accepted = {result.terms.kind if result.terms else OrderKind.MARKET for result in results if result.status is OrderStatus.ACCEPTED}
    assert accepted == set(OrderKind)
    assert {"oco", "expired", "entry_ended", "liquidated"} <= {result.code for result in results}
    assert {entry.kind for record in records for entry in record.entries} >= {"funding", "fill", "liquidation"}
    assert {"suspended", "resumed", "quarantined"} <= {change.change for record in records for change in record.strategies}
    assert {fill.strategy for record in records for fill in record.fills} >= {"manual", *PLUGINS}
    assert any(change.quantity < 0 for record in records for change in record.positions)
