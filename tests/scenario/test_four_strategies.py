"""The four bundled strategies at work: in the demo as it ships, after an entry that was refused, and between two polls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from dudzian_daemon.app.backtest.run import BacktestOptions, arrange, simulate
from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.domain.market import HOUR_NS, SECOND_NS, Candle, Instrument, Phase, Series, Tick, Timer
from dudzian_daemon.domain.orders import Fill, Intent, Outcome, Protection, RefusalCode, Side, Signal
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.testing.market import START_NS, instrument, schedule, spec
from dudzian_daemon.trading.timeline import candle_ticks
from tests.plugins.lively import lively
from tests.unit.trading.desk import WIDE, Desk

ROOT = Path(__file__).resolve().parents[2]
TREND, REVERSION, TARGET, ARBITRAGE = DEMO = (
    "core_daily_trend",
    "demo_mean_reversion",
    "demo_volatility_target",
    "demo_cross_exchange",
)
PLUGINS: Final = ("daily_trend", "mean_reversion", "volatility_target", "cross_exchange_arbitrage")


# -- the demo set ------------------------------------------------------------------------------------------------------


class Cycles:
    """Keeps every cycle of a backtest."""

    def __init__(self) -> None:
        self.records: list[CycleRecord] = []

    def store_rows(self, tick: Tick) -> None:
        """Warm-up rows are nothing to this test."""

    def append(self, record: CycleRecord) -> None:
        self.records.append(record)


class Played:
    """The demo as it ships, through the backtest: what was said and filled, by strategy, and what is left."""

    def __init__(self, data_dir: Path) -> None:
        arranged = arrange(BacktestOptions(config=ROOT / "config" / "core.yaml", environment="demo", data_dir=data_dir), {})
        cycles = Cycles()
        self.trips = simulate(arranged.core, arranged.windows, arranged.store, recorder=cycles).trips
        self.config, self.preset = arranged.prepared.config, arranged.prepared.spec.preset
        self.records = cycles.records
        self.fills = {name: [fill for record in self.records for fill in record.fills if fill.strategy == name] for name in DEMO}
        self.signals = {name: [said for record in self.records for said in record.signals if said.strategy == name] for name in DEMO}
        self.left = {key: book.quantity for key, book in arranged.core.ledger.books.items() if book.quantity}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return Played(tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize("name", DEMO)
def test_each_opens_and_closes_positions_by_its_own_signals(demo: Played, name: str) -> None:
    said = {signal.id: signal for signal in demo.signals[name]}
    held: dict[str, Decimal] = {}
    opened = closed = 0
    for fill in demo.fills[name]:
        before = held.get(fill.instrument, Decimal(0))
        held[fill.instrument] = after = before + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
        opened += not before
        closed += abs(after) < abs(before) and fill.signal_id in said
    assert opened >= 2
    assert closed >= 2
    assert not any(held.values())
    assert demo.left == {}


def test_the_arbitrage_enters_only_where_it_covers_its_costs(demo: Played) -> None:
    """Four fills, each with fee and slippage, and the spread it closes at: an entry has to be above that."""
    parameters = {str(name): float(str(value)) for name, value in demo.config.strategy(ARBITRAGE).parameters.items()}
    costs = 4 * (float(demo.preset.taker_fee) + float(demo.preset.slippage_bps) / 10_000)
    assert parameters["spread_entry"] > costs + parameters["spread_exit"]
    profits = [trip.profit for trip in demo.trips.done if trip.strategy == ARBITRAGE]
    assert len(profits) >= 10
    assert sum(profits) > 0


def test_the_gate_is_seen_at_work_and_locks_nobody_out(demo: Played) -> None:
    refused = [verdict for record in demo.records for verdict in record.verdicts if verdict.outcome is Outcome.REFUSED]
    assert refused
    assert any(change.change == "tripped" for record in demo.records for change in record.risk)
    said = {signal.id for signal in demo.signals[TARGET]}
    of_target = [verdict for record in demo.records for verdict in record.verdicts if verdict.signal_id in said]
    assert sum(verdict.outcome is Outcome.REFUSED for verdict in of_target) < len(of_target) / 4
    assert RefusalCode.DRAWDOWN_LIMIT not in {verdict.code for verdict in refused}
    last = max(fill.filled_at for fill in demo.fills[TARGET] if fill.signal_id)
    assert last >= demo.records[-1].instant - 30 * 24 * HOUR_NS, "it acts to the end"


def test_the_bitcoin_window_buys_and_sells_on_its_known_days(demo: Played) -> None:
    deciding = {signal.id: signal.instant - 24 * HOUR_NS for signal in demo.signals[TREND]}
    dated = [
        (fill.side.value, iso_utc(deciding[fill.signal_id])[:10])
        for fill in demo.fills[TREND]
        if fill.instrument == "binance:BTC/USDT" and fill.signal_id
    ]
    assert dated == [("buy", "2020-10-21"), ("sell", "2021-01-21"), ("buy", "2021-02-08")]


def test_every_fill_is_of_one_of_the_four_and_nobody_failed(demo: Played) -> None:
    assert {fill.strategy for record in demo.records for fill in record.fills} == set(DEMO)
    assert [fault for record in demo.records for fault in record.faults] == []


def test_each_speaks_its_own_way_and_declares_its_protection(demo: Played) -> None:
    spoken = {name: {(signal.intent, signal.protection) for signal in demo.signals[name]} for name in DEMO}
    both = (Intent.ENTER, Intent.EXIT)
    assert spoken == {
        TREND: {(intent, Protection.STOP) for intent in both},
        REVERSION: {(intent, Protection.ZSCORE_EXIT) for intent in both},
        TARGET: {(Intent.REBALANCE, Protection.REBALANCE)},
        ARBITRAGE: {(intent, Protection.HEDGED) for intent in both},
    }
    assert {fill.side for fill in first_fills(demo.fills[REVERSION])} == {Side.BUY, Side.SELL}, "long and short"
    assert {fill.side for fill in first_fills(demo.fills[TREND])} == {Side.BUY}, "long only"


def first_fills(fills: Sequence[Fill]) -> list[Fill]:
    """Those that opened a position."""
    held: dict[str, Decimal] = {}
    opening = []
    for fill in fills:
        if not held.get(fill.instrument):
            opening.append(fill)
        held[fill.instrument] = held.get(fill.instrument, Decimal(0)) + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
    return opening


def test_both_legs_of_the_arbitrage_are_filled_together_equally_large_on_opposite_sides(demo: Played) -> None:
    for _, filled in groupby(demo.fills[ARBITRAGE], key=lambda fill: fill.filled_at):
        primary, secondary = sorted(filled, key=lambda fill: fill.instrument)
        assert (primary.instrument, secondary.instrument) == ("binance:ETH/USDT", "binance_mirror:ETH/USDT")
        assert primary.quantity == secondary.quantity
        assert {primary.side, secondary.side} == {Side.BUY, Side.SELL}
        assert (primary.synthetic, secondary.synthetic) == (False, True)


# -- a refused entry ---------------------------------------------------------------------------------------------------


def at_a_desk(plugin: str, **parameters: Any) -> tuple[Desk, list[Sequence[Candle]]]:
    """A session of the strategy on a lively market, and the candles for it."""
    maker: Any = load_plugin("strategies", plugin, [ROOT / "plugins"]).plugin
    fine = {"lot_size": Decimal("1e-8"), "min_quantity": Decimal("1e-8")}
    traded: list[Instrument] = [instrument(f"COIN{number}", **fine) for number in range(maker.legs)]
    strategy = maker(maker.Params(**parameters))
    desk = Desk(
        spec(
            {plugin: strategy},
            [schedule(plugin, traded)],
            traded,
            profiles={"balanced": WIDE},
            opening_balance=Decimal(10**6),
            allow_short=True,
        )
    )
    return desk, [lively(Series(each.key, "1h"), 400) for each in traded]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_refused_entry_leaves_it_flat_and_the_next_qualifying_bar_asks_again(plugin: str) -> None:
    desk, rows = at_a_desk(plugin)
    desk.command("kill_switch", now=START_NS - HOUR_NS)
    ticks = list(ticks_of(desk, rows))
    refused_at = play_until(desk, ticks, lambda: bool(entries(desk)))
    assert {(verdict.outcome, verdict.code) for verdict in desk.verdicts} == {(Outcome.REFUSED, RefusalCode.KILL_SWITCH)}
    refused = len(entries(desk))
    play_until(desk, ticks, lambda: desk.driver.last == (refused_at, Phase.OPEN))
    assert flat(desk)

    desk.command("kill_switch", on="no")
    asked_at = play_until(desk, ticks, lambda: len(entries(desk)) > refused)
    assert asked_at > refused_at
    assert desk.verdicts[-1].outcome is not Outcome.REFUSED
    assert flat(desk)
    play_until(desk, ticks, lambda: bool(desk.fills))
    assert desk.driver.last == (asked_at, Phase.OPEN)
    assert desk.faults == []


def ticks_of(desk: Desk, rows: Sequence[Sequence[Candle]]) -> Iterator[Tick]:
    """The candles as the feed releases them."""
    return candle_ticks({Series(each[0].instrument, each[0].granularity): each for each in rows})


def play_until(desk: Desk, ticks: list[Tick], enough: Callable[[], bool]) -> int:
    """Take ticks off the list until it is enough; returns the instant of the last one."""
    while not enough():
        desk.ticks([ticks.pop(0)])
    return desk.driver.last[0]


def entries(desk: Desk) -> list[Signal]:
    return [signal for signal in desk.signals if signal.intent is not Intent.EXIT]


def flat(desk: Desk) -> bool:
    """Nothing in the ledger, nothing in the strategy's position facts."""
    (units,) = desk.core.strategies.units.values()
    return not any(desk.core.ledger.net.values()) and not any(position.quantity for unit in units for position in unit.positions.values())


# -- two polls without a new candle ------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", PLUGINS)
def test_two_polls_without_a_new_candle_give_no_cycle_and_no_order(plugin: str) -> None:
    desk, rows = at_a_desk(plugin)
    ticks = list(ticks_of(desk, rows))
    play_until(desk, ticks, lambda: bool(entries(desk)) and desk.driver.last[1] is Phase.OPEN)
    opened = desk.fed[-1]
    said, ordered, cycles = len(desk.signals), len(desk.results), len(desk.records)
    for poll in (1, 2):
        now = opened.instant + poll * 20 * SECOND_NS
        desk.ticks([Tick(now, Phase.OPEN, (msgspec.structs.replace(opened, instant=now),))])
    assert len(desk.records) == cycles
    late = opened.instant + HOUR_NS + 1
    (record,) = desk.ticks([Tick(late, Phase.TIMER, (Timer(late, late - 1),))])
    assert record.due == (), "a grid point that brings no new candle is not due"
    assert (len(desk.signals), len(desk.results)) == (said, ordered)
    straggler = ticks.pop(0)
    assert straggler.phase is Phase.CLOSE
    late_candles = tuple(msgspec.structs.replace(candle, instant=late + 1) for candle in straggler.inputs)
    (record,) = desk.ticks([Tick(late + 1, Phase.CLOSE, late_candles)])
    assert record.due == (plugin,), "with its candle the same grid point is"
