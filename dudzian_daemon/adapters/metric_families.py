"""The Prometheus families of a session (docs/reference/metrics.md), in an injected registry; what fills them is a sink."""

from __future__ import annotations

import platform
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from dudzian_daemon import __version__

#: Wall time of a step; the operator's limit is the edge at 0.25.
STEP_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
COMMIT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
#: Event time from acceptance to fill: milliseconds with quotes, up to days at a daily open.
EXECUTION_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0, 86400.0)
OTHER: Final = "other"

M = TypeVar("M", bound=MetricWrapperBase)


def new_registry() -> CollectorRegistry:
    """A registry with the figures of the process (memory, CPU, descriptors); series of creation times are off."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class Bounded(Generic[M]):
    """A labelled family with at most `most` sets of label values; every further set is counted under `other`."""

    def __init__(self, metric: M, most: int) -> None:
        self._metric = metric
        self._most = most
        self._children: dict[tuple[str, ...], M] = {}

    def at(self, *values: str) -> M:
        """The series of these label values."""
        child = self._children.get(values)
        if child is None:
            if len(self._children) >= self._most:
                return self._metric.labels(*[OTHER] * len(values))
            child = self._children[values] = self._metric.labels(*values)
        return child


class Families:
    """Every family of the daemon, by the name it has after `dudzian_`. Money is in the valuation asset unless labelled."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def plain(kind: type[M], name: str, text: str, **options: Any) -> M:
            return kind(f"dudzian_{name}", text, registry=registry, **options)

        def labelled(kind: type[M], name: str, text: str, *labels: str, most: int = 32) -> Bounded[M]:
            return Bounded(kind(f"dudzian_{name}", text, labels, registry=registry), most)

        self.build_info = labelled(Gauge, "build_info", "Version of the daemon and of Python.", "version", "python")
        self.cycles = plain(Counter, "cycles", "Durable cycles.")
        self.schedule_runs = labelled(Counter, "schedule_runs", "Cycles in which a schedule was due.", "schedule")
        self.cycle_duration = plain(Histogram, "cycle_duration_seconds", "Wall time of the step behind a cycle.", buckets=STEP_BUCKETS)
        self.journal_commit = plain(Histogram, "journal_commit_seconds", "Wall time of a journal commit.", buckets=COMMIT_BUCKETS)
        self.journal_sequence = plain(Gauge, "journal_sequence", "Sequence of the newest durable cycle.")
        self.journal_head_sequence = plain(Gauge, "journal_head_sequence", "Sequence of the newest signed head.")
        self.session_instant = plain(Gauge, "session_instant_seconds", "Event time of the newest durable cycle, seconds since 1970 UTC.")
        self.instrument_instant = labelled(Gauge, "instrument_instant_seconds", "Event time of an instrument's newest price.", "instrument")
        self.data_lag = labelled(
            Gauge, "data_lag_seconds", "Event time by which a series' next candle is overdue.", "instrument", "granularity", most=64
        )
        self.last_input_age = plain(Gauge, "last_input_age_seconds", "Process time since the newest durable cycle came (or since start).")
        self.session_state = labelled(Gauge, "session_state", "1 for the state the session is in.", "state")
        self.signals = labelled(Counter, "signals", "Signals of strategies.", "strategy", "intent", most=48)
        self.verdicts = labelled(Counter, "verdicts", "Answers of the risk gate.", "strategy", "outcome", "code", most=96)
        self.orders = labelled(Counter, "orders", "Changes of an order's state.", "strategy", "status", most=64)
        self.orders_rejected = labelled(Counter, "orders_rejected", "Rejected orders by reason.", "strategy", "code", most=64)
        self.fills = labelled(Counter, "fills", "Executions.", "strategy", "instrument", "side", most=192)
        self.traded_notional = labelled(Counter, "traded_notional", "Quantity times price of all fills.", "asset", most=16)
        self.fees = labelled(Counter, "fees", "Fees of all fills.", "asset", most=16)
        self.execution_latency = plain(Histogram, "execution_latency_seconds", "Event time, acceptance to fill.", buckets=EXECUTION_BUCKETS)
        self.equity = plain(Gauge, "equity", "Cash plus marked value of all positions.")
        self.cash = plain(Gauge, "cash", "Cash.")
        self.drawdown = plain(Gauge, "drawdown_ratio", "Distance below the highest equity since the process started.")
        self.exposure = labelled(Gauge, "exposure", "Absolute value of the positions at the last price.", "strategy")
        self.realised_pnl = labelled(Gauge, "realised_pnl", "Realised profit and loss, fees apart.", "strategy")
        self.open_positions = labelled(Gauge, "open_positions", "Instruments in which a position is held.", "strategy")
        self.risk_state = labelled(Gauge, "risk_state", "1 for the state a risk profile is in.", "profile", "state")
        self.risk_trips = labelled(Counter, "risk_trips", "Limits that tripped.", "profile", "rule")
        self.liquidation_state = labelled(Gauge, "liquidation_state", "1 while a tripped limit closes positions.", "profile", most=16)
        self.kill_switch = plain(Gauge, "kill_switch", "1 while the kill switch is on.")
        self.strategy_faults = labelled(Counter, "strategy_faults", "Faults of strategies, contained.", "strategy", "where")
        self.adapter_errors = labelled(Counter, "adapter_errors", "Errors of what is outside the process.", "adapter", "error")
        self.adapter_up = labelled(Gauge, "adapter_up", "1 if the adapter's last request was answered, 0 if it failed.", "adapter", most=16)
        self.unit_state = labelled(Gauge, "unit_state", "1 for the state a unit is in.", "unit", "state", most=64)
        self.unit_restarts = labelled(Counter, "unit_restarts", "Restarts of a unit by the supervisor.", "unit")
        self.bus_dropped = labelled(Counter, "bus_dropped", "Messages a subscriber's full queue has lost.", "subscriber")
        self.bus_faults = labelled(Counter, "bus_faults", "Faults of a subscriber, contained.", "subscriber")
        self.alerts_raised = labelled(Counter, "alerts_raised", "Alerts, suppressed ones apart.", "code", "severity")
        self.health_reports = plain(Counter, "health_reports", "Periodic health reports.")
        self.alert_channel_up = labelled(Gauge, "alert_channel_up", "1 if the channel takes alerts, 0 if it fails.", "channel", most=16)
        self.alerts_waiting = labelled(Gauge, "alerts_waiting", "Alerts on disk that wait for the channel.", "channel", most=16)
        self.alerts_sent = labelled(Counter, "alerts_sent", "Alerts a channel took.", "channel", most=16)
        self.alerts_failed = labelled(Counter, "alerts_failed", "Alerts a channel refused.", "channel", most=16)
        self.alerts_suppressed = labelled(Counter, "alerts_suppressed", "Alerts held back by a throttle.", "channel", most=16)
        self.alert_healthcheck_errors = labelled(Counter, "alert_healthcheck_errors", "Failed checks of a channel.", "channel", most=16)
        self.build_info.at(__version__, platform.python_version()).set(1)
