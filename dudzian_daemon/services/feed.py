"""Replay feed: stored candles of one or more windows as the ordered input stream, read off the loop, a window at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anyio.to_thread

from dudzian_daemon.domain.market import Tick, WindowEnd
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.kernel.faults import fault_point
from dudzian_daemon.trading.state import FeedPosition
from dudzian_daemon.trading.windows import Digest, Window, read_window, window_ticks


class ReplayFeed:
    """Yields ticks and window ends; reads the store in a worker thread, a window at a time."""

    def __init__(self, store: CandleStore, windows: Sequence[Window], digest: Digest, begun: FeedPosition | None = None) -> None:
        """What lies up to `begun` was released by an earlier run and is left out."""
        self._store = store
        self._windows = windows
        self._digest = digest
        self._begun = begun or FeedPosition()

    async def items(self) -> AsyncIterator[Tick | WindowEnd]:
        """All windows in order. Raises `ConfigError` when a window has no candle at all, `IntegrityError` from the store."""
        previous_end: int | None = None
        for number, window in enumerate(self._windows, start=1):
            if number <= self._begun.windows:
                previous_end = window.end
                continue
            fault_point("feed.warm_up")
            found = await anyio.to_thread.run_sync(read_window, self._store, window)
            released = self._begun.last if number == self._begun.windows + 1 else None
            for tick in window_ticks(window, found, previous_end, self._digest):
                if released is None or (tick.instant, tick.phase) > released:
                    yield tick
            previous_end = window.end
            yield WindowEnd(number, last=number == len(self._windows))
