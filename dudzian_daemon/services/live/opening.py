"""How a live session begins, and goes on after a pause: history for the warm-up, missed candles in order, gaps for what is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Candle, Gap, Phase, Series, Tick, WarmUp
from dudzian_daemon.domain.ports import MarketData
from dudzian_daemon.trading.windows import Digest

#: Missed candles are caught up with one by one, up to as many; after a longer pause strategies warm up anew.
MOST_CAUGHT_UP: Final = 500


class Begun(msgspec.Struct):
    """What a series begins with: rows of history, or candles that were missed, and the end of the first bar to come.

    `unstored` are candles that the core has seen and the store has not: the process ended in between.
    """

    series: Series
    first: int
    history: Sequence[Candle] = ()
    missed: Sequence[Candle] = ()
    unstored: Sequence[Candle] = ()
    gaps: tuple[tuple[int, int], ...] = ()


async def begin(data: MarketData, series: Series, count: int, known_end: int | None, stored_end: int | None, now: int) -> Begun:
    """Ask for what the series needs at `now`: `count` candles of history, or what came after `known_end`, which the core has seen last.

    `stored_end` is where the store ends, None where it has nothing. The newest bar may not be to be had yet: then it is the first to come.
    Raises `Retryable` or `Permanent`.
    """
    step = series.step_ns
    last_end = now // step * step
    catching_up = known_end is not None and (last_end - known_end) // step <= max(count, MOST_CAUGHT_UP)
    start = known_end if catching_up and known_end is not None else last_end - count * step
    since = start
    if catching_up:
        since = max(min(start, start - count * step if stored_end is None else stored_end), start - MOST_CAUGHT_UP * step)
    came = await pages(data, series, since, last_end)
    rows = [row for row in came if row.end > start]
    newest = rows[-1].end if rows else start
    recent = newest >= last_end - step
    first = (newest if recent else last_end) + step
    until = first - step
    if catching_up:
        return Begun(series, first, missed=rows, unstored=came[: len(came) - len(rows)], gaps=_holes(rows, start, until))
    gone = () if known_end is None else ((known_end, until),)
    return Begun(series, first, history=rows, gaps=gone)


async def pages(data: MarketData, series: Series, start: int, end: int) -> list[Candle]:
    """All candles of a span, as many calls as it takes."""
    rows: list[Candle] = []
    symbol, at = series.instrument.partition(":")[2], start
    while at < end:
        page = await data.candles(symbol, series.granularity, at, end, data.candles_per_call)
        if not page:
            break
        rows += page
        at = page[-1].end
    return rows


def opening_ticks(begun: Sequence[Begun], now: int, digest: Digest) -> list[Tick]:
    """One tick of gaps and warm-ups, one of all candles that were missed: strategies decide once, on the newest."""
    gaps = [Gap(now, each.series.instrument, each.series.granularity, *hole) for each in begun for hole in each.gaps]
    rows: Mapping[str, Sequence[Candle]] = {digest(each.history): each.history for each in begun if each.history}
    warm_ups = [_warm_up(each, now, digest) for each in begun if each.history]
    missed = sorted((row for each in begun for row in each.missed), key=lambda row: (row.end, row.instrument, row.granularity))
    ticks = [Tick(now, Phase.REVISION, (*gaps, *warm_ups), rows)] if gaps or warm_ups else []
    if missed:
        ticks.append(Tick(now, Phase.CLOSE, tuple(msgspec.structs.replace(row, instant=now) for row in missed)))
    return ticks


def known_ends(latest: Callable[[], Sequence[Candle]]) -> dict[Series, int]:
    """The end of the latest candle of each series that some strategy has seen."""
    ends: dict[Series, int] = {}
    for candle in latest():
        series = Series(candle.instrument, candle.granularity)
        ends[series] = max(candle.end, ends.get(series, 0))
    return ends


def _warm_up(begun: Begun, now: int, digest: Digest) -> WarmUp:
    rows, series = begun.history, begun.series
    start = rows[0].end - series.step_ns
    return WarmUp(now, series.instrument, series.granularity, start, rows[-1].end, len(rows), digest(rows))


def _holes(rows: Sequence[Candle], start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Spans in [`start`, `end`) that no row covers."""
    holes, at = [], start
    for row in rows:
        began = row.end - Series(row.instrument, row.granularity).step_ns
        if began > at:
            holes.append((at, began))
        at = row.end
    return (*holes, (at, end)) if at < end else tuple(holes)
