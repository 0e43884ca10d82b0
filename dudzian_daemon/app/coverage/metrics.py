"""The coverage report as Prometheus families, for the text-file collector of a node exporter (docs/reference/metrics.md)."""

from __future__ import annotations

from dudzian_daemon.app.coverage.report import CoverageReport


def exposition(report: CoverageReport) -> bytes:
    """The families in the text format, ending in a newline."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    where = ("environment", "instrument", "interval")

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"dudzian_coverage_{name}", text, labels, registry=registry)

    ok_ratio = gauge("ok_ratio", "Share of the needed series without any finding.", "environment")
    entries = gauge("entries", "Needed series by the status of their candles.", "environment", "status")
    required = gauge("required_rows", "Candles that must be stored.", *where)
    missing = gauge("missing_rows", "Candles of those that are not.", *where)
    age = gauge("age_seconds", "From the open of the newest candle to the moment of the report.", *where)
    hole = gauge("longest_hole_seconds", "Longest stretch without a candle that the venue has.", *where)
    ok_ratio.labels(report.environment).set(report.summary["ok_ratio"])
    for status in ("ok", "warning", "error"):
        entries.labels(report.environment, status).set(report.summary[status])
    for entry in report.entries:
        labels = (report.environment, f"{entry.venue}:{entry.symbol.replace('_', '/')}", entry.interval)
        required.labels(*labels).set(entry.required_rows)
        missing.labels(*labels).set(entry.missing_rows)
        hole.labels(*labels).set(entry.longest_hole_minutes * 60)
        if entry.gap_minutes is not None:
            age.labels(*labels).set(entry.gap_minutes * 60)
    return generate_latest(registry)
