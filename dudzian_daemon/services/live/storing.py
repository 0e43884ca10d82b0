"""What the feed brings, into the candle store: history in bulk, every live candle to its day file, days that are over to the month's.

A store that cannot be written costs the session nothing: it is told once, what came is kept here and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

import anyio
import anyio.to_thread

from dudzian_daemon.domain.errors import DudzianError, Permanent
from dudzian_daemon.domain.market import DAY_NS, Candle, Series
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.progress import Progress

#: How often candles are handed over (seconds), and how many wait at most while the store cannot be written; the oldest go first.
STORE_S: Final = 5.0
MOST_WAITING: Final = 50_000


class LiveStore(Protocol):
    """The candles of the environment; every call blocks, and makes no difference the second time."""

    def history(self, series: Series, candles: Sequence[Candle]) -> None:
        """Closed candles that were asked for, by hundreds."""

    def closed(self, series: Series, candle: Candle) -> None:
        """A candle as it closed."""

    def day_over(self, series: Series, before: int) -> None:
        """The days that ended at or before `before` (ns) are complete."""

    def newest_end(self, series: Series) -> int | None:
        """End of the newest stored candle (ns)."""

    def missing(self, series: Series) -> int:
        """Bars that lack between the first and the last stored one, but for those that the venue does not have."""


class Storing:
    """`run` hands over until it is cancelled; `flush` hands over what is left."""

    def __init__(self, store: LiveStore, clock: Clock, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._clock = clock
        self._history: list[Candle] = []
        self._closed: list[Candle] = []
        self._days: dict[Series, int] = {}
        self._failing = False
        self._lock = anyio.Lock()
        self._log = logs.logger("feed.store")

    def add_history(self, candles: Iterable[Candle]) -> None:
        """Take candles of before the session's first live one."""
        self._history += [candle for candle in candles if not candle.synthetic]

    def add(self, candle: Candle) -> None:
        """Take a candle that has just closed; what is made up is none for the store."""
        if not candle.synthetic:
            self._closed.append(candle)

    async def newest_end(self, series: Series) -> int | None:
        """End of the newest stored candle (ns), None where there is none or it cannot be read."""
        try:
            return await anyio.to_thread.run_sync(self._store.newest_end, series)
        except DudzianError as error:
            self._log.error("store_not_read", action="go_on", instrument=series.instrument, text=str(error))
            return None

    async def missing(self, all_series: Iterable[Series]) -> dict[Series, int]:
        """How many bars lack inside each series, as far as the store can be read; only where some do."""
        found = {}
        for series in all_series:
            try:
                found[series] = await anyio.to_thread.run_sync(self._store.missing, series)
            except DudzianError as error:
                self._log.error("store_not_read", action="go_on", instrument=series.instrument, text=str(error))
        return {series: bars for series, bars in found.items() if bars}

    async def run(self) -> None:
        """Hand over what has come, again and again."""
        while True:
            self._progress.expect("feed.store", STORE_S)
            with anyio.CancelScope(shield=True):  # what was taken out of the lists is written, whoever ends this task meanwhile
                await self.flush()
            await self._clock.sleep(STORE_S)

    async def flush(self) -> None:
        """Hand over what has come, one series after the other."""
        async with self._lock:
            history, self._history = self._history, []
            closed, self._closed = self._closed, []
            left_history = [row for series, rows in _by_series(history) for row in await self._kept(series, rows, self._write_history)]
            left_closed = [row for series, rows in _by_series(closed) for row in await self._kept(series, rows, self._write_closed)]
            self._history = (left_history + self._history)[-MOST_WAITING:]
            self._closed = (left_closed + self._closed)[-MOST_WAITING:]
            if self._failing and not (left_history or left_closed):
                self._failing = False
                self._log.info("candles_stored_again", action="go_on")

    async def _kept(self, series: Series, rows: list[Candle], write: Callable[[Series, list[Candle]], None]) -> list[Candle]:
        """The rows that are left to be tried again: none, but where the store could not be written."""
        try:
            await anyio.to_thread.run_sync(partial(write, series, rows))
        except Permanent as error:
            self._log.error("candles_refused", action="go_on", instrument=series.instrument, rows=len(rows), text=str(error))
        except Exception as error:  # noqa: BLE001 - fence "candle store": what it may raise must not end the market data
            if not self._failing:
                self._log.error("candles_not_stored", action="try_again", instrument=series.instrument, rows=len(rows), text=str(error))
            self._failing = True
            return rows
        return []

    def _write_history(self, series: Series, rows: list[Candle]) -> None:
        self._store.history(series, rows)

    def _write_closed(self, series: Series, rows: list[Candle]) -> None:
        for row in rows:
            self._store.closed(series, row)
        over = max(row.end for row in rows) // DAY_NS * DAY_NS
        if self._days.get(series) != over:
            self._store.day_over(series, over)
            self._days[series] = over


def _by_series(candles: Iterable[Candle]) -> list[tuple[Series, list[Candle]]]:
    found: dict[Series, list[Candle]] = {}
    for candle in candles:
        found.setdefault(Series(candle.instrument, candle.granularity), []).append(candle)
    return list(found.items())
