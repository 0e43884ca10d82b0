"""One total order for inputs: merges candle series into ticks, in (instant, phase, venue, symbol, granularity) order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter

from dudzian_daemon.domain.market import Candle, Funding, Gap, Input, OpenPrint, Phase, Series, Tick

Keyed = tuple[int, int, str, str, Input]


def candle_ticks(rows: Mapping[Series, Sequence[Candle]], funding: Iterable[Funding] = ()) -> Iterator[Tick]:
    """The candles as the core must see them, and the `funding` rates of perpetuals as they came (in order of time).

    The finest series of an instrument executes: each of its candles becomes two inputs, the open print at the bar's start
    and the close at the bar's end; a coarser candle only the close. Where a finer series begins later, the coarser one executes
    up to there. A hole in a series is one gap, told when the next bar has come. Instrument keys begin with the venue, so key order
    is venue rank.
    """
    executes_until: dict[Series, int | None] = {}
    finer_begins: dict[str, int] = {}
    for series in sorted((series for series, candles in rows.items() if candles), key=lambda series: series.step_ns):
        begins = rows[series][0].end - series.step_ns
        executes_until[series] = finer_begins.get(series.instrument)
        finer_begins[series.instrument] = min(begins, finer_begins.get(series.instrument, begins))
    streams = [_inputs(series, candles, executes_until.get(series)) for series, candles in rows.items()]
    told: Iterable[Keyed] = ((each.instant, Phase.REVISION, each.instrument, "", each) for each in funding)
    for (instant, phase), keyed in groupby(merge(told, *streams, key=itemgetter(0, 1, 2, 3)), key=itemgetter(0, 1)):
        yield Tick(instant, Phase(phase), tuple(item[4] for item in keyed))


def _inputs(series: Series, candles: Iterable[Candle], executes_until: int | None) -> Iterator[Keyed]:
    step, series_key, expected = series.step_ns, (series.instrument, series.granularity), None
    for candle in candles:
        start = candle.end - step
        if executes_until is None or candle.end <= executes_until:
            yield start, Phase.OPEN, *series_key, OpenPrint(start, *series_key, candle.open)
        if expected is not None and start > expected:
            yield candle.instant, Phase.REVISION, *series_key, Gap(candle.instant, *series_key, expected, start)
        yield candle.instant, Phase.CLOSE, *series_key, candle
        expected = candle.end
