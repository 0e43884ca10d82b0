"""Windows of stored candles as the ordered input stream: what the daemon's replay feed and the backtest share. It knows no loop.

Between two windows the hole is one `gap` per series. Warm-up rows are those before a window, one `warm_up` input per series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Funding, Gap, Phase, Series, Tick, WarmUp, WindowEnd
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.timeline import candle_ticks

#: Names warm-up rows in the input that gives them.
Digest = Callable[[Sequence[Candle]], str]


class Window(msgspec.Struct, frozen=True):
    """Candles with `start` <= start of bar and end of bar <= `end` (ns) of each series, after `warm_up` candles of it.

    `funding` are the recorded rates of its perpetuals, oldest first; of those up to `start` the last of each is told at `start`.
    """

    start: int
    end: int
    series: Mapping[Series, int]
    funding: tuple[Funding, ...] = ()


class WindowRows(msgspec.Struct, frozen=True):
    """The candles of a window, and those before it that its strategies want to have seen."""

    rows: Mapping[Series, Sequence[Candle]]
    history: Mapping[Series, Sequence[Candle]]


def read_window(store: CandleStore, window: Window) -> WindowRows:
    """All candles of a window. Raises `ConfigError` when it has none, `IntegrityError` from the store."""
    rows = {series: store.read(series, window.start, window.end) for series in sorted(window.series)}
    if not any(rows.values()):
        names = ", ".join(f"{series.instrument} {series.granularity}" for series in rows)
        msg = f"the candle store has no candle of {names} in the window to replay; seed or backfill it first"
        raise ConfigError(msg)
    history = {series: store.read(series, window.start - count * series.step_ns, window.start) for series, count in window.series.items()}
    return WindowRows(rows, history)


def window_ticks(window: Window, found: WindowRows, previous_end: int | None, digest: Digest) -> Iterator[Tick]:
    """The tick that opens the window, with the hole since `previous_end` and the warm-ups, then its candles."""
    yield _opening(window, found.history, previous_end, digest)
    yield from candle_ticks(found.rows, [each for each in window.funding if window.start < each.instant <= window.end])


def end_window(driver: Driver, end: WindowEnd) -> Iterator[CycleRecord]:
    """The command that closes the book at the end of a window, and the snapshot of last prices it fills on."""
    yield from driver.command(f"end_of_data-{end.number}", "end_of_data", {"window": str(end.number), "close_positions": "yes"})
    yield from driver.snapshot()


def _opening(window: Window, history: Mapping[Series, Sequence[Candle]], previous_end: int | None, digest: Digest) -> Tick:
    gaps = (
        [Gap(window.start, series.instrument, series.granularity, previous_end, window.start) for series in sorted(window.series)]
        if previous_end is not None
        else []
    )
    in_force = {each.instrument: each.rate for each in window.funding if each.instant <= window.start}
    rates = [Funding(window.start, instrument, rate) for instrument, rate in sorted(in_force.items())]
    digests = {series: digest(rows) for series, rows in history.items()}
    warm_ups = [
        WarmUp(window.start, series.instrument, series.granularity, rows[0].end - series.step_ns, window.start, len(rows), digests[series])
        for series, rows in sorted(history.items())
        if rows
    ]
    return Tick(window.start, Phase.REVISION, (*gaps, *warm_ups, *rates), {digests[series]: rows for series, rows in history.items()})
