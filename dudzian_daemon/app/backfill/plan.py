"""What a backfill has to fetch: the holes of every series in its window, as the store has them now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.series_audit import SeriesAudit, audited, on_grid
from dudzian_daemon.adapters.venue_gaps import load_venue_gaps
from dudzian_daemon.config.schema import CoreConfig, midnight_ns
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, GRANULARITIES, Instrument, Series
from dudzian_daemon.domain.spans import Span


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asks for; instants in ns. Empty symbols or granularities mean those of instruments.yaml."""

    environment: str
    now: int
    since: int | None = None
    until: int | None = None
    symbols: tuple[str, ...] = ()
    granularities: tuple[str, ...] = ()
    latest_only: bool = False


class SeriesPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One series: its window, the holes in it, oldest first, and what had to be moved away because it was damaged."""

    symbol: str
    venue: str
    series: Series
    window: Span
    holes: tuple[Span, ...]
    stored_rows: int
    damaged: tuple[str, ...] = ()

    @property
    def missing_rows(self) -> int:
        """Bars to fetch, if the venue has them all."""
        return sum(hole.length_ns for hole in self.holes) // self.series.step_ns


def planned(config: CoreConfig, wish: Wish, store: ParquetCandleStore) -> list[SeriesPlan]:
    """The plan, reading the store. Raises `ConfigError` for unknown names and a window that is none."""
    gaps = load_venue_gaps(store.root)
    plans = []
    for symbol, venue, series, window in _windows(config, wish):
        audit = audited(store, series)
        holes = _holes(audit, window, gaps.get(series, ()), latest_only=wish.latest_only)
        plans.append(
            SeriesPlan(
                symbol=symbol,
                venue=venue,
                series=series,
                window=window,
                holes=tuple(holes),
                stored_rows=audit.rows(window),
                damaged=audit.damaged,
            )
        )
    return plans


def moved_away(store: ParquetCandleStore, plans: Sequence[SeriesPlan]) -> list[Path]:
    """Move damaged files of the planned series into the store's quarantine, so that their bars can be stored again."""
    return [path for plan in plans if plan.damaged for path in store.quarantine_damaged(plan.series)]


def _holes(audit: SeriesAudit, window: Span, known: Sequence[Span], *, latest_only: bool) -> list[Span]:
    if latest_only and audit.last_end is not None:
        window = Span(max(window.start, min(audit.last_end, window.end)), window.end)
    return audit.holes(window, known)


def _windows(config: CoreConfig, wish: Wish) -> Iterator[tuple[str, str, Series, Span]]:
    venue = config.environment(wish.environment).exchange
    chosen = [config.instrument(text, venue) for text in wish.symbols] or config.universe(wish.environment)
    for instrument in dict.fromkeys(chosen):
        symbol = f"{instrument.base}_{instrument.quote}"
        for granularity, since in _granularities(config, wish, instrument, symbol):
            series = Series(instrument.key, granularity)
            until = min(wish.now, wish.until if wish.until is not None else wish.now)
            listed_until = config.instruments[symbol].venues[venue].listed_until
            if listed_until is not None:
                until = min(until, midnight_ns(listed_until))
            yield symbol, venue, series, on_grid(series, Span(max(since, 0), max(since, until, 0)))


def _granularities(config: CoreConfig, wish: Wish, instrument: Instrument, symbol: str) -> Iterator[tuple[str, int]]:
    """Each granularity with the instant from which it is wanted."""
    windows = {each.interval: each.lookback_days for each in config.instruments[symbol].backfill_windows}
    for granularity in wish.granularities or tuple(windows):
        if wish.since is not None:
            yield granularity, wish.since
        elif granularity in windows:
            step = GRANULARITIES[granularity]
            yield granularity, wish.now // step * step - windows[granularity] * DAY_NS  # as coverage asks for them
        else:
            msg = (
                f"{instrument.key}: expected --since for {granularity}, which has no backfill window in instruments.yaml; "
                f"found windows for: {', '.join(windows) or 'nothing'}"
            )
            raise ConfigError(msg)
