"""SMA 20/50 on the sample, as a user's plugin: the trades and the equity of backtesting.py and of a vectorised reference, to the cent.

All three take a position by the close that decides, fill at the next open, pay 0.1 % and no slippage, in lots of 0.00001 BTC
(for the peer `FractionalBacktest(fractional_unit=0.00001)`: otherwise it deals in whole coins). Left to itself the peer sizes
an order at the open that fills it, which a real order cannot know; to compare, it is told the size. Its own sizes are the last test.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no annotations
import pytest
from backtesting import Strategy  # type: ignore[import-untyped]  # ships no annotations
from backtesting.lib import FractionalBacktest  # type: ignore[import-untyped]  # ships no annotations
from ruamel.yaml import YAML

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.app.backtest.performance import Performance
from dudzian_daemon.app.backtest.run import narrowed, simulate
from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy
from dudzian_daemon.app.replay_windows import replay_windows
from dudzian_daemon.app.session_spec import session_spec
from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.trading.step import Core

PLUGINS = Path(__file__).parent / "plugins"
FAST, SLOW, FEE, LOT, CASH = 20, 50, 0.001, 0.00001, 10_000.0
#: Share of the equity an entry takes. The rest pays the fee and the gap to the next open: at most 0.43 % in these candles.
TARGET = 0.99
#: First and last day; seconds a bar.
CASES = {"1h": (date(2024, 1, 1), date(2024, 6, 30), 3_600), "1d": (date(2018, 1, 1), date(2021, 2, 16), 86_400)}
DAY = timedelta(days=1)

# The peer's own: it does not sell what is held at the end, and calls what pandas 3.1 has renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Some trades remain open"),
    pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated"),
]


class Trade(NamedTuple):
    """A round trip: entry and exit as instants (ns) and prices, in lots."""

    opened_at: int
    closed_at: int
    entry: float
    exit: float
    lots: int


class Outcome(NamedTuple):
    """Trades that a signal ended, and equity at every close, before what is held at the end is sold."""

    trades: list[Trade]
    equity: list[float]


@cache
def candles(granularity: str) -> list[Candle]:
    first, last, _ = CASES[granularity]
    store = ParquetCandleStore(sample_root(), read_only=True)
    return store.read(Series("binance:BTC/USDT", granularity), midnight_ns(first), midnight_ns(last + DAY))


# -- ours --------------------------------------------------------------------------------------------------------------


def config_file(folder: Path, granularity: str, target: float) -> Path:
    """The shipped configuration with other costs, one strategy, one schedule, one window."""
    yaml = YAML(typ="safe")
    tree: dict[str, Any] = yaml.load(bundled("config") / "core.yaml")
    first, last, seconds = CASES[granularity]
    tree["paper_trading"] |= {"maker_fee": FEE, "taker_fee": FEE, "slippage_bps": 0, "initial_balances": {"USDT": CASH}}
    tree["strategies"]["sma_cross"] = {"plugin": "sma_cross", "parameters": {"fast": FAST, "slow": SLOW, "target": target}}
    tree["risk"]["instrument_buckets"]["peer"] = {"symbols": ["BTC_USDT"], "max_position_pct": 1, "max_notional_usd": 1_000_000}
    schedule = {"strategy": "sma_cross", "instrument_bucket": "peer", "interval": granularity, "cadence_seconds": seconds}
    tree["runtime"]["multi_strategy_schedulers"]["peer"] = {"schedules": {"btc": schedule | {"risk_profile": "balanced"}}}
    windows = [{"start": first, "end": last + DAY, "instruments": ["BTC_USDT"]}]
    tree["environments"]["demo"] |= {"scheduler": "peer", "replay": {"windows": windows}}
    (folder / "credentials").mkdir(parents=True)
    for name in ("instruments.yaml", "credentials/binance_paper.yaml"):
        (folder / name).write_bytes((bundled("config") / name).read_bytes())
    yaml.dump(tree, folder / "core.yaml")
    return folder / "core.yaml"


def performance(folder: Path, granularity: str, target: float = TARGET) -> Performance:
    """The product's own backtest of the plugin under `unlimited_research`."""
    config = load(config_file(folder, granularity, target), env={}).config
    config = narrowed(config, "demo", ["sma_cross"], "unlimited_research")
    strategy = make_strategy(load_plugin("strategies", "sma_cross", [PLUGINS]), config.strategy("sma_cross").parameters)
    with exact_money():
        core = Core(session_spec(config, "demo", {"sma_cross": strategy}))
    store = candles_of(config.environment("demo"), folder)
    return simulate(core, replay_windows(config, "demo", core, store), store)


def ours(found: Performance, granularity: str) -> Outcome:
    """Its trades, and its equity at the first cycle of each bar's end, which is the close's."""
    rows = candles(granularity)
    at_close: dict[int, float] = {}
    for instant, equity in zip(found.by_cycle.instants, found.by_cycle.values, strict=True):
        at_close.setdefault(instant, equity)
    trades = [
        Trade(trip.opened_at, trip.closed_at, trip.entry_price, trip.exit_price, round(float(trip.quantity) / LOT))
        for trip in found.trips.done
        if trip.closed_at < rows[-1].end
    ]
    return Outcome(trades, [at_close[row.end] for row in rows])


# -- the reference -----------------------------------------------------------------------------------------------------


def wanted(close: Any) -> Any:
    """True at the bars whose close says long."""
    means = [np.convolve(close, np.ones(window) / window, mode="full")[: close.size] for window in (FAST, SLOW)]
    return (means[0] > means[1] + 1e-9) & (np.arange(close.size) >= SLOW - 1)


def by_close(cash: float, close: float, _open: float) -> int:
    """Ours: known when it is decided."""
    return math.floor(TARGET * cash / (close * LOT))


def by_fill(cash: float, _close: float, opened: float) -> int:
    """The peer's own: all there is, at the price it fills at, fee included."""
    return int(cash * (1.0 - sys.float_info.epsilon) // (opened * LOT * (1.0 + FEE)))


def reference(granularity: str, lots_of: Callable[[float, float, float], int] = by_close) -> Outcome:
    """Signals as columns; only the size of a trade needs to know the one before."""
    rows = candles(granularity)
    opened, close = (np.array([getattr(row, name) for row in rows]) for name in ("open", "close"))
    turns = np.flatnonzero(np.diff(np.concatenate(([False], wanted(close)))))
    turns = turns[turns + 1 < close.size].tolist()
    cash, equity, trades = CASH, np.full(close.size, CASH), []
    for number, decided in enumerate(turns[::2]):
        entered, left = decided + 1, turns[2 * number + 1] + 1 if 2 * number + 1 < len(turns) else None
        lots = lots_of(cash, close[decided], opened[entered])
        cash -= lots * LOT * opened[entered] * (1.0 + FEE)
        equity[entered:] = cash + lots * LOT * close[entered:]
        if left is not None:
            cash += lots * LOT * opened[left] * (1.0 - FEE)
            equity[left:] = cash
            trades.append(Trade(start(rows[entered]), start(rows[left]), opened[entered], opened[left], lots))
    return Outcome(trades, equity.tolist())


def start(row: Candle) -> int:
    return row.end - Series(row.instrument, row.granularity).step_ns


# -- the peer ----------------------------------------------------------------------------------------------------------


def _init(strategy: Any) -> None:
    close = pd.Series(strategy.data.Close)
    difference = (close.rolling(FAST).mean() - close.rolling(SLOW).mean()).fillna(0.0)  # without it the peer skips one bar more
    strategy.difference = strategy.I(lambda: difference.to_numpy())


def _next(strategy: Any) -> None:
    """Prices are those of one lot, so sizes are lots."""
    if strategy.difference[-1] > 1e-13:
        if not strategy.position:
            size = {"size": by_close(strategy.equity, strategy.data.Close[-1] / LOT, math.nan)}
            strategy.buy(**({} if strategy.by_itself else size))
    elif strategy.position:
        strategy.position.close()


#: The same in the peer's words. Made by a call because its base has no types to inherit from.
CROSS = type("Cross", (Strategy,), {"by_itself": False, "init": _init, "next": _next})


def peer(granularity: str, *, by_itself: bool = False) -> Outcome:
    """backtesting.py; `by_itself` it chooses the size."""
    rows = candles(granularity)
    columns = {name.title(): [getattr(row, name) for row in rows] for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=pd.to_datetime([start(row) for row in rows]))
    stats = FractionalBacktest(frame, CROSS, cash=CASH, commission=FEE, fractional_unit=LOT).run(by_itself=by_itself)
    trades = [
        Trade(start(rows[each.EntryBar]), start(rows[each.ExitBar]), each.EntryPrice, each.ExitPrice, round(each.Size / LOT))
        for each in stats["_trades"].sort_values("EntryBar").itertuples()
    ]
    return Outcome(trades, stats["_equity_curve"]["Equity"].tolist())


# -- side by side ------------------------------------------------------------------------------------------------------


def assert_same(found: Outcome, other: Outcome) -> None:
    """Trades at the same instants, of the same size, at the same prices; equity at every close the same to the cent."""
    assert [(trade.opened_at, trade.closed_at, trade.lots) for trade in found.trades] == [
        (trade.opened_at, trade.closed_at, trade.lots) for trade in other.trades
    ]
    for mine, theirs in zip(found.trades, other.trades, strict=True):
        assert (mine.entry, mine.exit) == pytest.approx((theirs.entry, theirs.exit), rel=1e-12)
    assert found.equity == pytest.approx(other.equity, abs=0.005, rel=0)


@pytest.mark.parametrize("granularity", CASES)
def test_trades_and_equity_are_the_references_and_the_peers(tmp_path: Path, granularity: str) -> None:
    found = ours(performance(tmp_path / "config", granularity), granularity)
    assert_same(found, reference(granularity))
    assert_same(found, peer(granularity))


@pytest.mark.parametrize(("granularity", "alone", "told"), [("1h", 9_088.17, 9_099.71), ("1d", 45_466.73, 45_318.65)])
def test_what_the_peer_does_differently_by_itself_is_the_size_alone(granularity: str, alone: float, told: float) -> None:
    by_itself = peer(granularity, by_itself=True)
    assert_same(by_itself, reference(granularity, by_fill))
    assert (by_itself.equity[-1], peer(granularity).equity[-1]) == pytest.approx((alone, told), abs=0.005)
