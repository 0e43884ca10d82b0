"""Composes the live feed of a run: which series and instruments of which venues, and the candle store that keeps what came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, digest_rows, store_of
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.platform import give_back_memory
from dudzian_daemon.adapters.series_audit import audited
from dudzian_daemon.adapters.venue_budget import book_spacing_s
from dudzian_daemon.adapters.venue_gaps import load_venue_gaps
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.replay_windows import warm_up_needs
from dudzian_daemon.app.venues import Venues, adapter_settings, choose_venue
from dudzian_daemon.domain.alerts import AlertCode
from dudzian_daemon.domain.errors import ConfigError, DudzianError
from dudzian_daemon.domain.market import SECOND_NS, Candle, Series
from dudzian_daemon.domain.spans import Span
from dudzian_daemon.domain.venues import VenueProfile
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.services.live.feed import FeedPlan, LiveFeed
from dudzian_daemon.services.live.watch import QUOTE_AGE_NS, LeftAlert
from dudzian_daemon.sinks.alerts.book import read_book
from dudzian_daemon.sinks.alerts.watch import SECONDS, STORED
from dudzian_daemon.sinks.feed_metrics import FeedMetrics, VenueFigures
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core


def live_feed(prepared: Prepared, driver: Driver, clock: Clock, bus: Bus) -> LiveFeed:
    """The feed, not yet begun. Raises `ConfigError` for a venue that cannot be used, or a store of made-up candles. Blocks."""
    store = store_of(prepared.chosen, prepared.data_folder)
    store.require_room_for(prepared.chosen.exchange)
    plan = msgspec.structs.replace(_feed_plan(prepared, driver.core), left=_left(prepared.data_folder, clock.wall_ns()))
    settings = adapter_settings(prepared.config, prepared.environment)
    for name in plan.venues:
        _require_fresh_books(plan, choose_venue(name, prepared.folders, settings, prepared.adapters).profile)
    offline = candles_of(prepared.chosen, prepared.data_folder)
    places = prepared.folders, prepared.data_folder
    venues = Venues(prepared.config, prepared.environment, *places, offline, clock, prepared.adapters)
    return LiveFeed(plan, venues, driver, clock, bus, digest_rows, StoredLive(store))


def _left(data_folder: Path, now_ns: int) -> list[LeftAlert]:
    """What earlier runs have told of their feeds and not ended, as the alerts' book has it; who hosts the alerts tells of a damaged one."""
    try:
        book = read_book(data_folder)
    except DudzianError:
        return []
    return [
        LeftAlert(
            each.alert.code,
            each.alert.subject.removesuffix(STORED),
            each.alert.subject.endswith(STORED),
            now_ns - each.opened_at + round(float(each.alert.context[SECONDS])) * SECOND_NS,
        )
        for each in book.open()
        if each.alert.code in (AlertCode.ADAPTER_OFFLINE, AlertCode.DATA_LAG) and SECONDS in each.alert.context
    ]


class StoredLive:
    """Implements `services.live.storing.LiveStore` over the environment's cache: the venue of a series is who gave its candles."""

    def __init__(self, store: ParquetCandleStore) -> None:
        self._store = store

    def history(self, series: Series, candles: Sequence[Candle]) -> None:
        """Merge them into the month files."""
        self._store.write(series, candles, source=_venue(series))

    def closed(self, series: Series, candle: Candle) -> None:
        """Add it to its day file, durably."""
        self._store.append_live(series, candle, source=_venue(series))

    def day_over(self, series: Series, before: int) -> None:
        """Move day files into month files; what the merge of a whole month took goes back to the machine."""
        self._store.compact_live(series, before)
        give_back_memory()

    def newest_end(self, series: Series) -> int | None:
        """By manifest and day files."""
        ranges = self._store.ranges(series)
        return ranges[-1].end if ranges else None

    def missing(self, series: Series) -> int:
        """By manifest and files: what is damaged is missing."""
        audit = audited(self._store, series)
        if audit.first_open is None or audit.last_end is None:
            return 0
        holes = audit.holes(Span(audit.first_open, audit.last_end), load_venue_gaps(self._store.root).get(series, ()))
        return sum(hole.length_ns for hole in holes) // series.step_ns


def _venue(series: Series) -> str:
    return series.instrument.partition(":")[0]


def feed_metrics(feed: LiveFeed) -> FeedMetrics:
    """The feed's figures for Prometheus."""

    def figures() -> dict[str, VenueFigures]:
        return {
            name: VenueFigures(
                requests_failed=shared.failures,
                rows_refused=shared.refused_rows,
                weight=shared.budget.taken,
                pauses=shared.budget.pauses,
                clock_offset_seconds=(shared.now_ns() - shared.clock.wall_ns()) / SECOND_NS,
            )
            for name, shared in feed.venues().items()
        }

    return FeedMetrics(feed.ages_seconds, figures, lambda: feed.alerts.active)


def venue_plan(prepared: Prepared, core: Core) -> tuple[str, ...]:
    """One line for each venue: where it would be asked, and for how much. Raises as `live_feed`; connects to nothing."""
    plan = _feed_plan(prepared, core)
    settings = adapter_settings(prepared.config, prepared.environment)
    lines = []
    for name in plan.venues:
        choice = choose_venue(name, prepared.folders, settings, prepared.adapters)
        hosts = ", ".join(sorted({f"{host}:{port}" for host, port in choice.rules.allowed}))
        series = sum(each.instrument.startswith(f"{name}:") for each in plan.needs)
        prices = f"books of {plan.book_levels} levels" if plan.book_levels else "quotes"
        _require_fresh_books(plan, choice.profile)
        pushed = plan.pushed and bool(choice.profile.stream_hosts)
        pace = "pushed" if pushed else f"every {settings.quote_seconds:g} s"
        by = f" by {prepared.adapters[name].path}" if name in prepared.adapters else ""
        lines.append(f"{name}{by}: {series} series, asked every {settings.poll_seconds:g} s, {prices} {pace}, from {hosts}")
    return tuple(lines)


def _require_fresh_books(plan: FeedPlan, profile: VenueProfile) -> None:
    """Raises `ConfigError` where asking for one book after the other within the venue's budget leaves them stale in between."""
    if not plan.book_levels or (plan.pushed and profile.stream_hosts):
        return
    asked = sum(name.startswith(f"{profile.name}:") for name in plan.instruments)
    round_s, most_s = asked * book_spacing_s(profile), QUOTE_AGE_NS / SECOND_NS
    if round_s > most_s:
        msg = (
            f"adapter_settings.book_levels: expected books of {profile.name} within the {most_s:g} s after which one is stale, found that "
            f"{asked} of them take {round_s:.0f} s within its limit; set streams: true, fewer instruments, or book_levels: 0"
        )
        raise ConfigError(msg)


def _feed_plan(prepared: Prepared, core: Core) -> FeedPlan:
    """Raises `ConfigError` where a derived venue would have to be live."""
    derived = sorted(set(prepared.chosen.derived_venues))
    if derived:
        msg = f"environment {prepared.environment!r} has derived venues ({', '.join(derived)}), made of stored candles and never live"
        raise ConfigError(msg)
    settings = adapter_settings(prepared.config, prepared.environment)
    return FeedPlan(
        needs=warm_up_needs(prepared.config, prepared.environment, core),
        instruments=sorted(prepared.spec.instruments),
        clock_venue=prepared.chosen.exchange,
        poll_seconds=settings.poll_seconds,
        quote_seconds=settings.quote_seconds,
        pushed=settings.streams,
        book_levels=settings.book_levels,
        offline_ns=prepared.config.alerts.adapter_offline_seconds * SECOND_NS,
        lag_ns=prepared.config.alerts.data_lag_seconds * SECOND_NS,
    )
