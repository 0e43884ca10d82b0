"""The window of a session on live data as the candle store has it: its own opening, then every bar that closed after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.domain.market import Candle, Phase, Series, Tick, WarmUp
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.trading.timeline import candle_ticks
from dudzian_daemon.trading.windows import Window


def live_ticks(window: Window, opening: Sequence[WarmUp], store: CandleStore) -> Iterator[Tick]:
    """`opening` says how far the history of each series went; a series without one begins with the window."""
    begun = {Series(each.instrument, each.granularity): each for each in opening}
    history = {series: store.read(series, each.start, each.end) for series, each in begun.items()}
    digests = {series: digest_rows(rows) for series, rows in history.items()}
    warm_ups = [
        msgspec.structs.replace(each, count=len(history[series]), digest=digests[series])
        for series, each in begun.items()
        if history[series]
    ]
    yield Tick(window.start, Phase.REVISION, tuple(warm_ups), {digests[series]: rows for series, rows in history.items()})
    rows: dict[Series, Sequence[Candle]] = {
        series: store.read(series, begun[series].end if series in begun else window.start, window.end) for series in sorted(window.series)
    }
    for tick in candle_ticks(rows):
        if tick.instant > window.start:
            yield tick
