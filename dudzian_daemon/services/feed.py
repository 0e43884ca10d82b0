"""Replay feed: stored candles of one or more windows as the ordered input stream.

Between two windows nothing is paced: the hole is one `gap` per series. Warm-up rows are read before a window and given
as one `warm_up` input per series.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio.to_thread
import msgspec

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Candle, Gap, Phase, Series, Tick, WarmUp, WindowEnd
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.kernel.faults import fault_point
from dudzian_daemon.trading.timeline import candle_ticks


class Window(msgspec.Struct, frozen=True):
    """Candles with `start` <= start of bar and end of bar <= `end` (ns) of each series, after `warm_up` candles of it."""

    start: int
    end: int
    series: Mapping[Series, int]


class ReplayFeed:
    """Yields ticks and window ends; reads the store in a worker thread, a window at a time."""

    def __init__(
        self, store: CandleStore, windows: Sequence[Window], execution_series: Mapping[str, str], digest: Callable[[Sequence[Candle]], str]
    ) -> None:
        self._store = store
        self._windows = windows
        self._execution_series = execution_series
        self._digest = digest

    async def items(self) -> AsyncIterator[Tick | WindowEnd]:
        """All windows in order. Raises `ConfigError` when a window has no candle at all, `IntegrityError` from the store."""
        previous_end: int | None = None
        for number, window in enumerate(self._windows, start=1):
            fault_point("feed.warm_up")
            rows, history = await anyio.to_thread.run_sync(self._read, window)
            yield self._opening(window, history, previous_end)
            execution = {series.instrument: series.granularity for series in rows} | {
                instrument: granularity
                for instrument, granularity in self._execution_series.items()
                if Series(instrument, granularity) in rows
            }
            for tick in candle_ticks(rows, execution):
                yield tick
            previous_end = window.end
            yield WindowEnd(number, last=number == len(self._windows))

    def _read(self, window: Window) -> tuple[dict[Series, Sequence[Candle]], dict[Series, Sequence[Candle]]]:
        rows = {series: self._store.read(series, window.start, window.end) for series in sorted(window.series)}
        if not any(rows.values()):
            names = ", ".join(f"{series.instrument} {series.granularity}" for series in rows)
            msg = f"the candle store has no candle of {names} in the window to replay; seed or backfill it first"
            raise ConfigError(msg)
        history = {
            series: self._store.read(series, window.start - count * series.step_ns, window.start) for series, count in window.series.items()
        }
        return rows, history

    def _opening(self, window: Window, history: Mapping[Series, Sequence[Candle]], previous_end: int | None) -> Tick:
        gaps = (
            [Gap(window.start, series.instrument, series.granularity, previous_end, window.start) for series in sorted(window.series)]
            if previous_end is not None
            else []
        )
        digests = {series: self._digest(rows) for series, rows in history.items()}
        warm_ups = [
            WarmUp(
                window.start, series.instrument, series.granularity, rows[0].end - series.step_ns, window.start, len(rows), digests[series]
            )
            for series, rows in sorted(history.items())
            if rows
        ]
        return Tick(window.start, Phase.REVISION, (*gaps, *warm_ups), {digests[series]: rows for series, rows in history.items()})
