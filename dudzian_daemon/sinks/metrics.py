"""Messages -> Prometheus families (docs/reference/metrics.md). It listens to what is durable and knows no server.

All state is in the injected registry and in the sink that filled it: a restarted `run` goes on where it was, and a cycle
that comes twice counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from dudzian_daemon.adapters.metric_families import OTHER, Bounded, Families
from dudzian_daemon.domain.alerts import Alert, AlertCode
from dudzian_daemon.domain.events import (
    ADAPTER_STATE,
    ALERT_CHANNEL,
    ALERT_DELIVERY,
    ALERT_RAISED,
    CYCLE_DURABLE,
    SESSION_HEAD,
    SESSION_STATE,
    UNIT_STATE,
    AdapterState,
    AlertChannelState,
    AlertDelivery,
    CycleDurable,
    SessionHead,
    SessionState,
    UnitState,
)
from dudzian_daemon.domain.market import GRANULARITIES, SECOND_NS, Book, Candle, Command, Input, OpenPrint, Quote
from dudzian_daemon.domain.orders import Fill, OrderStatus
from dudzian_daemon.domain.records import CycleRecord, PositionChange, RiskChange
from dudzian_daemon.domain.risk import TradingState
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.subscription import QueuedSubscription
from dudzian_daemon.trading.step import Core

#: What the sink's queue must be subscribed to. The other topics repeat parts of `session.cycle_durable`.
TOPICS: Final = (
    CYCLE_DURABLE,
    SESSION_STATE,
    SESSION_HEAD,
    UNIT_STATE,
    ADAPTER_STATE,
    ALERT_RAISED,
    ALERT_DELIVERY,
    ALERT_CHANNEL,
)
#: Profile of a risk change that is about the whole account.
EVERYBODY: Final = "*"
#: Orders whose acceptance is remembered; beyond, the oldest are forgotten and observe no latency.
MOST_OPEN_ORDERS: Final = 10_000

_OPEN: Final = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


class MetricsSink:
    """Consumes one queued subscription of `TOPICS`. `refresh` is to be called on the loop before each scrape."""

    name = "metrics"

    def __init__(
        self, registry: CollectorRegistry, subscription: QueuedSubscription, bus: Bus, clock: Clock, profiles: Iterable[str] = ()
    ) -> None:
        self.families = Families(registry)
        self._subscription = subscription
        self._bus = bus
        self._clock = clock
        self._unread: deque[object] = deque()
        self._newest: tuple[str, int] = ("", 0)
        self._came_ns = clock.monotonic_ns()
        self._accepted: dict[str, int] = {}
        self._prices: dict[str, tuple[int, float]] = {}
        self._positions: dict[tuple[str, str], PositionChange] = {}
        self._tripped: dict[str, set[str]] = {}
        self._halted = False
        self._peak = 0.0
        self._ends: dict[tuple[str, str], int] = {}
        self._instant = 0
        self._states: dict[tuple[object, ...], Gauge] = {}
        self._totals: dict[Counter, int] = {}
        for profile in profiles:
            self._tripped[profile] = set()
            self._enter_profile(profile)
            self.families.liquidation_state.at(profile).set(0)

    def go_on(self, core: Core) -> None:
        """Show what a resumed session begins with; counters count this process."""
        gate, ledger, families = core.gate, core.ledger, self.families
        families.journal_sequence.set(core.sequence)
        families.session_instant.set(core.instant / SECOND_NS)
        families.equity.set(float(ledger.equity))
        families.cash.set(float(ledger.cash))
        families.kill_switch.set(gate.kill_switch)
        self._peak = float(ledger.equity)
        for name, state in gate.states.items():
            rules = {"max_daily_loss_pct": state.daily_trip_day is not None, "hard_drawdown_pct": state.drawdown_latched}
            self._tripped[name] = {rule for rule, tripped in rules.items() if tripped}
            families.liquidation_state.at(name).set(state.reducing)
            self._enter_state(families.risk_state, gate.state(name), name)
        for key in core.spec.instruments:
            if (last := ledger.prices.last_quote(key)) is not None:
                self._prices[key] = (last[1], last[0])
        self._positions = {(change.strategy, change.instrument): change for change in ledger.state().positions}
        self._show_positions(changed=True)

    async def run(self) -> None:
        """Consume until the subscription ends. What was taken from the queue before a fault is not lost by it."""
        self._consume()
        async for batch in self._subscription.batches():
            self._unread.extend(message for _topic, message in batch)
            self._consume()

    def handle(self, message: object) -> None:
        """Count one message; those that only repeat a part of a cycle are ignored."""
        if isinstance(message, CycleDurable):
            self._cycle(message)
        elif isinstance(message, SessionState):
            self._enter_state(self.families.session_state, message.state)
        elif isinstance(message, SessionHead):
            self.families.journal_head_sequence.set(message.sequence)
        elif isinstance(message, UnitState):
            self._enter_state(self.families.unit_state, message.state, message.name)
            self._count_up_to(self.families.unit_restarts.at(message.name), message.restarts)
        else:
            self._outside(message)

    def refresh(self) -> None:
        """Bring up to date what moves without a message: the age of the last input, the bus's losses and faults."""
        for (instrument, granularity), end in self._ends.items():
            overdue = self._instant - end - GRANULARITIES[granularity]
            self.families.data_lag.at(instrument, granularity).set(max(0, overdue) / SECOND_NS)
        self.families.last_input_age.set((self._clock.monotonic_ns() - self._came_ns) / SECOND_NS)
        for name, statistics in self._bus.statistics().items():
            self._count_up_to(self.families.bus_dropped.at(name), statistics.lost)
            self._count_up_to(self.families.bus_faults.at(name), statistics.faults)

    def observe_commit(self, seconds: float) -> None:
        """One journal commit took so long."""
        self.families.journal_commit.observe(seconds)

    def _outside(self, message: object) -> None:
        """What is beyond the process: adapters, and the ways to people."""
        families = self.families
        if isinstance(message, AdapterState):
            families.adapter_up.at(message.adapter).set(message.reachable)
            if not message.reachable:
                families.adapter_errors.at(message.adapter, message.error or OTHER).inc()
        elif isinstance(message, Alert):
            families.alerts_raised.at(message.code, message.severity).inc()
            families.health_reports.inc(message.code is AlertCode.HEALTH)
        elif isinstance(message, AlertDelivery):
            counters = {"sent": families.alerts_sent, "failed": families.alerts_failed, "suppressed": families.alerts_suppressed}
            if message.outcome in counters:
                counters[message.outcome].at(message.channel).inc()
        elif isinstance(message, AlertChannelState):
            families.alert_channel_up.at(message.channel).set(message.status != "error")
            families.alerts_waiting.at(message.channel).set(message.waiting)
            if message.checked and message.status == "error":
                families.alert_healthcheck_errors.at(message.channel).inc()

    def _consume(self) -> None:
        while self._unread:
            self.handle(self._unread.popleft())

    def _cycle(self, durable: CycleDurable) -> None:
        record, families = durable.record, self.families
        log_id, newest = self._newest
        if durable.log_id == log_id and record.sequence <= newest:
            return
        self._newest = (durable.log_id, record.sequence)
        self._came_ns = self._clock.monotonic_ns()
        families.cycles.inc()
        families.cycle_duration.observe(durable.duration_s)
        families.journal_sequence.set(record.sequence)
        self._instant = record.instant
        families.session_instant.set(record.instant / SECOND_NS)
        for schedule in record.due:
            families.schedule_runs.at(schedule).inc()
        self._note_prices(record.inputs)
        self._count_decisions(record)
        self._count_orders(record)
        for change in record.risk:
            self._note_risk(change)
        self._note_account(record)

    def _note_prices(self, inputs: Iterable[Input]) -> None:
        for item in inputs:
            if isinstance(item, Candle):
                self._ends[(item.instrument, item.granularity)] = item.end
                instant, price = item.end, item.close
            elif isinstance(item, OpenPrint):
                instant, price = item.instant, item.price
            elif isinstance(item, Quote):
                instant, price = item.instant - item.age_ns, (item.bid + item.ask) / 2.0
            elif isinstance(item, Book) and item.bids and item.asks:
                instant, price = item.instant, (item.bids[0][0] + item.asks[0][0]) / 2.0
            else:
                if isinstance(item, Command) and item.name == "end_of_data":  # the next window of stored candles is another time
                    self._end_series()
                continue
            if instant >= self._prices.get(item.instrument, (0, 0.0))[0]:
                self._prices[item.instrument] = (instant, price)
                self.families.instrument_instant.at(item.instrument).set(instant / SECOND_NS)

    def _end_series(self) -> None:
        for instrument, granularity in self._ends:
            self.families.data_lag.at(instrument, granularity).set(0)
        self._ends.clear()

    def _count_decisions(self, record: CycleRecord) -> None:
        owners = {signal.id: signal.strategy for signal in record.signals}
        owners |= {result.order_id.rpartition(".")[0]: result.strategy for result in record.results}
        for signal in record.signals:
            self.families.signals.at(signal.strategy, signal.intent).inc()
        for verdict in record.verdicts:
            owner = owners.get(verdict.signal_id) or owners.get(verdict.group_id, OTHER)
            self.families.verdicts.at(owner, verdict.outcome, verdict.code or "none").inc()
        for fault in record.faults:
            self.families.strategy_faults.at(fault.strategy, fault.where).inc()

    def _count_orders(self, record: CycleRecord) -> None:
        for result in record.results:
            self.families.orders.at(result.strategy, result.status).inc()
            if result.status is OrderStatus.ACCEPTED:
                self._accepted[result.order_id] = record.instant
            elif result.status is OrderStatus.REJECTED:
                self.families.orders_rejected.at(result.strategy, result.code or "none").inc()
        for fill in record.fills:
            self._count_fill(fill)
        for result in record.results:
            if result.status not in _OPEN:
                self._accepted.pop(result.order_id, None)
        while len(self._accepted) > MOST_OPEN_ORDERS:
            del self._accepted[next(iter(self._accepted))]

    def _count_fill(self, fill: Fill) -> None:
        self.families.fills.at(fill.strategy, fill.instrument, fill.side).inc()
        self.families.traded_notional.at(fill.instrument.rpartition("/")[2]).inc(float(fill.quantity * fill.price))
        self.families.fees.at(fill.fee_asset).inc(float(fill.fee))
        accepted = self._accepted.get(fill.order_id)
        if accepted is not None:
            self.families.execution_latency.observe((fill.filled_at - accepted) / SECOND_NS)

    def _note_risk(self, change: RiskChange) -> None:
        families = self.families
        if change.profile == EVERYBODY:
            if change.change == "kill_switch":
                families.kill_switch.set(change.state == TradingState.HALTED)
            self._halted = change.state == TradingState.HALTED
            for profile in self._tripped:
                self._enter_profile(profile)
            return
        if change.change == "release_refused":  # it names what an operator has typed
            return
        rules = self._tripped.setdefault(change.profile, set())
        if change.change == "tripped":
            families.risk_trips.at(change.profile, change.rule).inc()
            rules.add(change.rule)
        elif change.change in ("reset", "released"):
            rules.discard(change.rule)
        families.liquidation_state.at(change.profile).set(bool(rules))
        self._enter_profile(change.profile)

    def _enter_profile(self, profile: str) -> None:
        reducing = TradingState.REDUCING if self._tripped[profile] else TradingState.ACTIVE
        self._enter_state(self.families.risk_state, TradingState.HALTED if self._halted else reducing, profile)

    def _note_account(self, record: CycleRecord) -> None:
        families, equity = self.families, float(record.equity)
        families.equity.set(equity)
        families.cash.set(float(record.cash))
        self._peak = max(self._peak, equity)
        families.drawdown.set(1.0 - equity / self._peak if self._peak > 0 else 0.0)
        for change in record.positions:
            self._positions[(change.strategy, change.instrument)] = change
        self._show_positions(changed=bool(record.positions))

    def _show_positions(self, *, changed: bool) -> None:
        families, held = self.families, self._positions.values()
        if changed:
            _set_sums(families.realised_pnl, ((each.strategy, float(each.realised)) for each in held))
            _set_sums(families.open_positions, ((each.strategy, float(each.quantity != 0)) for each in held))
        if held:
            _set_sums(families.exposure, ((each.strategy, self._value(each)) for each in held))

    def _value(self, position: PositionChange) -> float:
        return abs(float(position.quantity)) * self._prices.get(position.instrument, (0, 0.0))[1] if position.quantity else 0.0

    def _enter_state(self, family: Bounded[Gauge], state: str, *whose: str) -> None:
        """A set of states: the one that is entered becomes 1, the one that is left 0."""
        key = (id(family), *whose)
        left = self._states.get(key)
        if left is not None:
            left.set(0)
        self._states[key] = family.at(*whose, state)
        self._states[key].set(1)

    def _count_up_to(self, counter: Counter, total: int) -> None:
        """Follow a total that is counted elsewhere; one that falls has begun anew."""
        before = self._totals.get(counter, 0)
        counter.inc(total - before if total >= before else total)
        self._totals[counter] = total


def _set_sums(family: Bounded[Gauge], parts: Iterable[tuple[str, float]]) -> None:
    sums: dict[Gauge, float] = {}
    for name, part in parts:
        series = family.at(name)
        sums[series] = sums.get(series, 0.0) + part
    for series, total in sums.items():
        series.set(total)
