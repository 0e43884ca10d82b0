"""Figures of a trial from the decisions of its twin alone: quick, and near enough to choose what the step is worth asked.

Every order fills whole at the next open, with the taker's fee and slippage; a position is a share of the opening equity; no gate, no
margin, no day's limits. What wins is always played through the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.candle_columns import Columns
from dudzian_daemon.app.sweep.deflated import shape_of
from dudzian_daemon.app.sweep.trials import Decision, Figures
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.orders import Intent
from dudzian_daemon.domain.statistics import Activity, Statistics, summarise
from dudzian_daemon.domain.twins import Turn

#: Of an estimated amount.
_DIGITS: Final = 6


class Costs(msgspec.Struct, frozen=True):
    """`fee` and `slippage` are shares of a fill's value, `size` the share of `opening` (valuation asset) of a whole target."""

    fee: float
    slippage: float
    allocation: float
    position_size: float
    opening: float


class Curve(msgspec.Struct, frozen=True):
    """Profit of one unit at the end of each of its UTC days (number since 1970), of each round trip, and what else is counted."""

    days: Any
    profits: Any
    trips: Any
    fills: int
    traded: float


def curve_of(columns: Columns, turns: Sequence[Turn], costs: Costs) -> Curve:
    """What the turns of one unit come to; what is held at the end is sold at the last close."""
    import numpy as np

    fills = [turn for turn in turns if turn.candle + 1 < len(columns.close)]
    places = np.array([turn.candle + 1 for turn in fills], dtype=np.int64)
    sizes = _changes(columns, fills, costs)
    quotes = columns.open[places]
    held = float(sizes.sum())
    paid = -sizes * quotes - np.abs(sizes) * quotes * (costs.fee + costs.slippage)
    day_ends = columns.day_ends[columns.day_ends >= columns.first]
    # at each day's end: what was paid up to there, and what is held at the close
    behind = np.searchsorted(places, day_ends, side="right")
    cash, quantity = (np.concatenate(([0.0], np.cumsum(each)))[behind] for each in (paid, sizes))
    profits = cash + quantity * columns.close[day_ends]
    last = abs(held) * float(columns.close[-1]) * (costs.fee + costs.slippage)
    profits[-1:] -= last
    closing = np.append(paid, held * float(columns.close[-1]) - last) if held else paid
    trips = closing[: len(closing) // 2 * 2].reshape(-1, 2).sum(axis=1)
    days = (columns.ends[day_ends] - 1) // DAY_NS
    return Curve(
        days=days,
        profits=profits,
        trips=trips,
        fills=len(fills) + bool(held),
        traded=float((np.abs(sizes) * quotes).sum()) + abs(held) * float(columns.close[-1]),
    )


def figures_of_curves(curves: Sequence[Curve], costs: Costs, bars: int) -> Figures:
    """The figures of all units together."""
    import numpy as np

    days = np.unique(np.concatenate([curve.days for curve in curves]))
    profit = np.zeros(len(days))
    for curve in curves:  # a unit without candles on a day keeps its profit of the day before
        place = np.searchsorted(curve.days, days, side="right")
        profit += np.concatenate(([0.0], curve.profits))[place]
    equity = [costs.opening, *(costs.opening + profit).tolist()]
    profits = [_amount(value) for curve in curves for value in curve.trips.tolist()]
    traded = sum(curve.traded for curve in curves)
    activity = Activity(
        profits=profits, traded=_amount(traded), fees=_amount(traded * costs.fee), slippage=_amount(traded * costs.slippage)
    )
    statistics: Statistics = summarise(_amount(equity[0]), [_amount(value) for value in equity[1:]], activity)
    return Figures(
        statistics=statistics,
        shape=shape_of(equity),
        bars=bars,
        fills=sum(curve.fills for curve in curves),
        refused=0,
        closings=0,
        faults=0,
    )


def decisions_of(columns: Columns, turns: Sequence[Turn], instrument: str) -> list[Decision]:
    """The turns as the step records what a strategy wishes."""
    return [Decision(int(columns.ends[turn.candle]), instrument, turn.intent.value, turn.target or 0.0) for turn in turns]


def _changes(columns: Columns, fills: Sequence[Turn], costs: Costs) -> Any:
    """Change of the quantity held at each fill, in the base asset."""
    import numpy as np

    sizes = np.zeros(len(fills))
    held = 0.0
    budget = costs.opening * costs.allocation
    for number, turn in enumerate(fills):
        wanted = 0.0
        if turn.intent is not Intent.EXIT:
            wanted = budget * (costs.position_size if turn.target is None else turn.target) / float(columns.close[turn.candle])
        sizes[number], held = wanted - held, wanted
    return sizes


def _amount(value: float) -> Decimal:
    return Decimal(repr(round(value, _DIGITS)))
