"""Use and limit of each budget of the process, read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dudzian_daemon.domain.resources import ResourceUse


class ResourceMetrics(Collector):
    """`uses` are the budgets as they stand; a use that the platform does not tell has no sample."""

    def __init__(self, uses: Callable[[], Sequence[ResourceUse]]) -> None:
        self._uses = uses

    def collect(self) -> Iterator[Metric]:
        """Both families, with what they hold now."""
        used = GaugeMetricFamily("dudzian_resource_use", "Mean use of the last minute, in the budget's unit.", labels=["resource"])
        limit = GaugeMetricFamily("dudzian_resource_limit", "The budget in runtime.resource_limits.", labels=["resource"])
        for use in self._uses():
            limit.add_metric([use.name], use.limit)
            if use.used is not None:
                used.add_metric([use.name], use.used)
        yield from (used, limit)
