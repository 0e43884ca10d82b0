"""One total order for inputs: merges candle series into ticks, in (instant, phase, venue, symbol, granularity) order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge

from dudzian_daemon.domain.market import Candle, Funding, Gap, Input, OpenPrint, Phase, Series, Tick

#: An input behind its place in the order; no two of different series share a place.
Keyed = tuple[int, Phase, str, str, Input]


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
    yield from _ticks(merge(told, *streams))


def _ticks(ordered: Iterable[Keyed]) -> Iterator[Tick]:
    """All inputs of one (instant, phase) as one tick."""
    instant, phase = 0, Phase.COMMAND
    inputs: list[Input] = []
    for at, of, _, _, item in ordered:
        if inputs and (at != instant or of is not phase):
            yield Tick(instant, phase, tuple(inputs))
            inputs = []
        instant, phase = at, of
        inputs.append(item)
    if inputs:
        yield Tick(instant, phase, tuple(inputs))


def _inputs(series: Series, candles: Iterable[Candle], executes_until: int | None) -> Iterator[Keyed]:
    step, instrument, granularity, expected = series.step_ns, series.instrument, series.granularity, None
    for candle in candles:
        end, instant = candle.end, candle.instant
        start = end - step
        if executes_until is None or end <= executes_until:
            yield start, Phase.OPEN, instrument, granularity, OpenPrint(start, instrument, granularity, candle.open)
        if expected is not None and start > expected:
            yield instant, Phase.REVISION, instrument, granularity, Gap(instant, instrument, granularity, expected, start)
        yield instant, Phase.CLOSE, instrument, granularity, candle
        expected = end
