"""Figures of the live feed, read when Prometheus asks: ages of streams, failed requests, refused rows, weight, clocks, alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class VenueFigures(msgspec.Struct, frozen=True):
    """Counters of one venue since the start of the process."""

    requests_failed: Mapping[str, int]
    rows_refused: Mapping[str, int]
    weight: int
    pauses: int
    clock_offset_seconds: float


class FeedMetrics(Collector):
    """`ages` by (instrument, granularity or `quote`) in seconds; `alerts` are code and subject of those that go on."""

    def __init__(
        self,
        ages: Callable[[], Mapping[tuple[str, str], float]],
        venues: Callable[[], Mapping[str, VenueFigures]],
        alerts: Callable[[], list[tuple[str, str]]],
    ) -> None:
        self._ages = ages
        self._venues = venues
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """All families, with what they hold now."""
        age = GaugeMetricFamily("dudzian_feed_age_seconds", "Age of the newest item of a stream.", labels=["instrument", "stream"])
        for (instrument, stream), seconds in self._ages().items():
            age.add_metric([instrument, stream], seconds)
        alert = GaugeMetricFamily("dudzian_feed_alert", "1 while an alert of the feed goes on.", labels=["code", "subject"])
        for code, subject in self._alerts():
            alert.add_metric([code, subject], 1)
        yield from (age, alert, *self._of_venues(self._venues()))

    def _of_venues(self, venues: Mapping[str, VenueFigures]) -> Iterator[Metric]:
        failed = CounterMetricFamily("dudzian_venue_requests_failed", "Requests that failed, by kind of fault.", labels=["venue", "fault"])
        refused = CounterMetricFamily(
            "dudzian_venue_rows_refused", "Rows that were no candle or quote, by reason.", labels=["venue", "reason"]
        )
        weight = CounterMetricFamily("dudzian_venue_weight", "Request weight taken from the venue's budget.", labels=["venue"])
        pauses = CounterMetricFamily("dudzian_venue_pauses", "Pauses the venue has asked for.", labels=["venue"])
        offset = GaugeMetricFamily("dudzian_venue_clock_offset_seconds", "The venue's clock minus ours.", labels=["venue"])
        for venue, figures in venues.items():
            for fault, count in figures.requests_failed.items():
                failed.add_metric([venue, fault], count)
            for reason, count in figures.rows_refused.items():
                refused.add_metric([venue, reason], count)
            weight.add_metric([venue], figures.weight)
            pauses.add_metric([venue], figures.pauses)
            offset.add_metric([venue], figures.clock_offset_seconds)
        yield from (failed, refused, weight, pauses, offset)
