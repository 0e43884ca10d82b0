"""One total order for inputs: merges candle series into ticks, in (instant, phase, venue, symbol, granularity) order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter

from dudzian_daemon.domain.market import Candle, Input, OpenPrint, Phase, Series, Tick

Keyed = tuple[int, int, str, str, Input]


def candle_ticks(rows: Mapping[Series, Sequence[Candle]], execution_series: Mapping[str, str]) -> Iterator[Tick]:
    """The candles as the core must see them.

    A candle of an instrument's execution series becomes two inputs, its open print at the bar's start and its close at
    the bar's end; a coarser candle only the close. Instrument keys begin with the venue, so key order is venue rank.
    """
    streams = [
        _inputs(series, candles, with_open=execution_series.get(series.instrument) == series.granularity)
        for series, candles in rows.items()
    ]
    for (instant, phase), keyed in groupby(merge(*streams, key=itemgetter(0, 1, 2, 3)), key=itemgetter(0, 1)):
        yield Tick(instant, Phase(phase), tuple(item[4] for item in keyed))


def _inputs(series: Series, candles: Iterable[Candle], *, with_open: bool) -> Iterator[Keyed]:
    step = series.step_ns
    for candle in candles:
        if with_open:
            start = candle.end - step
            yield (
                start,
                Phase.OPEN,
                series.instrument,
                series.granularity,
                OpenPrint(start, series.instrument, series.granularity, candle.open),
            )
        yield candle.instant, Phase.CLOSE, series.instrument, series.granularity, candle
