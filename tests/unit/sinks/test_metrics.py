"""The metrics sink: exact figures from messages made by hand, bounded labels, nothing counted twice, nothing undocumented."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon import __version__
from dudzian_daemon.adapters.metric_families import OTHER, new_registry
from dudzian_daemon.domain.alerts import AlertCode, alert
from dudzian_daemon.domain.events import (
    CYCLE_DURABLE,
    AdapterState,
    AlertChannelState,
    AlertDelivery,
    ControllerCycle,
    CycleDurable,
    Message,
    SessionState,
    UnitState,
)
from dudzian_daemon.domain.market import Candle, Command, OpenPrint, Quote
from dudzian_daemon.domain.orders import Fill, Intent, OrderResult, OrderStatus, Outcome, RefusalCode, Side, Signal, Verdict
from dudzian_daemon.domain.records import CycleRecord, PositionChange, RiskChange, StrategyFault
from dudzian_daemon.domain.resources import judged
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.subscription import Policy
from dudzian_daemon.sinks.metrics import TOPICS, MetricsSink
from dudzian_daemon.sinks.resource_metrics import ResourceMetrics
from dudzian_daemon.testing.clock import ManualClock

BTC = "binance:BTC/USDT"
ETH = "binance:ETH/USDT"
S = 1_000_000_000
DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


class Bench:
    """A sink on a real bus with a clock that stands still."""

    def __init__(self, *, queue: int = 1000, profiles: Iterable[str] = ()) -> None:
        self.registry = new_registry()
        self.clock = ManualClock()
        self.bus = Bus()
        subscription = self.bus.subscribe_queued(TOPICS, name="metrics", size=queue, policy=Policy.DROP_OLDEST)
        self.sink = MetricsSink(self.registry, subscription, self.bus, self.clock, profiles)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"dudzian_{name}", labels)


def cycle(sequence: int, *, instant: int | None = None, log_id: str = "log-1", duration_s: float = 0.01, **parts: Any) -> CycleDurable:
    record = CycleRecord(
        sequence=sequence,
        instant=sequence * S if instant is None else instant,
        phase=2,
        due=parts.pop("due", ()),
        inputs=parts.pop("inputs", ()),
        cash=Decimal(parts.pop("cash", 10_000)),
        equity=Decimal(parts.pop("equity", 10_000)),
        **parts,
    )
    return CycleDurable(record=record, log_id=log_id, line=sequence, line_hash="", duration_s=duration_s)


def signal(number: int = 1, intent: Intent = Intent.ENTER, instrument: str = BTC) -> Signal:
    return Signal(instrument=instrument, intent=intent, reason="breakout", id=f"trend/{instrument}/{number}", strategy="trend")


def verdict(signal_id: str, outcome: Outcome, code: RefusalCode | None = None, group_id: str = "") -> Verdict:
    return Verdict(
        group_id=group_id or signal_id,
        signal_id=signal_id,
        profile="balanced",
        outcome=outcome,
        code=code,
        rule="cash",
        limit=None,
        value=None,
        headroom=None,
        requested=Decimal(1),
        approved=Decimal(1),
    )


def result(order_id: str, status: OrderStatus, *, strategy: str = "trend", code: str | None = None) -> OrderResult:
    return OrderResult(
        order_id=order_id, signal_id="", strategy=strategy, instrument=BTC, side=Side.BUY, status=status, quantity=Decimal(1), code=code
    )


def fill(order_id: str, *, price: str = "100", filled_at: int = 0, instrument: str = BTC, side: Side = Side.BUY) -> Fill:
    return Fill(
        id=f"{order_id}#1",
        order_id=order_id,
        signal_id="",
        strategy="trend",
        schedule="daily",
        instrument=instrument,
        side=side,
        quantity=Decimal("0.5"),
        reference_price=Decimal(price),
        slippage=Decimal(0),
        price=Decimal(price),
        fee=Decimal("0.03"),
        fee_asset="USDT",
        filled_at=filled_at,
        fill_source="open_print",
        inside_bar=False,
        preset="candle_default",
    )


def position(quantity: str, *, realised: str = "0", instrument: str = BTC, strategy: str = "trend") -> PositionChange:
    return PositionChange(strategy=strategy, instrument=instrument, quantity=Decimal(quantity), cost=Decimal(0), realised=Decimal(realised))


def risk(change: str, state: str, rule: str = "max_daily_loss_pct", profile: str = "balanced") -> RiskChange:
    return RiskChange(profile=profile, change=change, state=state, rule=rule, limit=None, value=None)


def feed(bench: Bench, *messages: Message) -> None:
    for message in messages:
        bench.sink.handle(message)


# A breakout is approved and filled at the next open, the position is closed at a loss after a trip.
def session() -> list[Message]:
    enter, refused = signal(1), signal(2, instrument=ETH)
    closing = f"trend/{BTC}/9/close"
    return [
        SessionState(state="starting", log_id="log-1", instant=0),
        SessionState(state="running", log_id="log-1", instant=0),
        UnitState(name="feed", state="running"),
        UnitState(name="feed", state="backing_off"),
        UnitState(name="feed", state="running", restarts=2),
        cycle(
            1,
            due=("daily",),
            inputs=(Candle(S, BTC, "1d", S, 99.0, 101.0, 98.0, 100.0, 5.0),),
            signals=(enter, refused),
            verdicts=(verdict(enter.id, Outcome.APPROVED), verdict(refused.id, Outcome.REFUSED, RefusalCode.POSITION_LIMIT)),
            results=(
                result(f"{enter.id}.0", OrderStatus.ACCEPTED),
                result(f"{refused.id}.0", OrderStatus.REJECTED, code="position_limit"),
            ),
        ),
        cycle(
            2,
            instant=1_250_000_000,
            inputs=(OpenPrint(1_250_000_000, BTC, "1d", 102.0),),
            results=(result(f"{enter.id}.0", OrderStatus.FILLED),),
            fills=(fill(f"{enter.id}.0", price="102", filled_at=1_250_000_000),),
            positions=(position("0.5"),),
            cash=9_948,
            equity=9_999,
        ),
        cycle(
            3,
            due=("daily",),
            inputs=(Quote(3 * S, BTC, 79.0, 81.0, 1.0, 1.0),),
            verdicts=(verdict("", Outcome.APPROVED, group_id=closing),),
            results=(result(f"{closing}.0", OrderStatus.ACCEPTED),),
            risk=(risk("tripped", "reducing"),),
            faults=(StrategyFault(strategy="pairs", unit="pairs/0", where="decide", error="ValueError"),),
            cash=9_948,
            equity=9_000,
            duration_s=0.3,
        ),
    ]


def test_every_figure_of_a_session_is_exact() -> None:
    bench = Bench()
    feed(bench, *session())
    expected = {
        ("cycles_total",): 3,
        ("schedule_runs_total", "schedule=daily"): 2,
        ("cycle_duration_seconds_bucket", "le=0.25"): 2,
        ("cycle_duration_seconds_bucket", "le=0.5"): 3,
        ("journal_sequence",): 3,
        ("session_instant_seconds",): 3,
        ("instrument_instant_seconds", f"instrument={BTC}"): 3,
        ("session_state", "state=starting"): 0,
        ("session_state", "state=running"): 1,
        ("signals_total", "strategy=trend", "intent=enter"): 2,
        ("verdicts_total", "strategy=trend", "outcome=approved", "code=none"): 2,
        ("verdicts_total", "strategy=trend", "outcome=refused", "code=position_limit"): 1,
        ("orders_total", "strategy=trend", "status=accepted"): 2,
        ("orders_total", "strategy=trend", "status=rejected"): 1,
        ("orders_total", "strategy=trend", "status=filled"): 1,
        ("orders_rejected_total", "strategy=trend", "code=position_limit"): 1,
        ("fills_total", "strategy=trend", f"instrument={BTC}", "side=buy"): 1,
        ("traded_notional_total", "asset=USDT"): 51,
        ("fees_total", "asset=USDT"): 0.03,
        ("execution_latency_seconds_count",): 1,
        ("execution_latency_seconds_sum",): 0.25,
        ("equity",): 9_000,
        ("cash",): 9_948,
        ("drawdown_ratio",): 0.1,
        ("exposure", "strategy=trend"): 40,
        ("open_positions", "strategy=trend"): 1,
        ("realised_pnl", "strategy=trend"): 0,
        ("risk_state", "profile=balanced", "state=reducing"): 1,
        ("risk_trips_total", "profile=balanced", "rule=max_daily_loss_pct"): 1,
        ("liquidation_state", "profile=balanced"): 1,
        ("kill_switch",): 0,
        ("strategy_faults_total", "strategy=pairs", "where=decide"): 1,
        ("unit_state", "unit=feed", "state=running"): 1,
        ("unit_state", "unit=feed", "state=backing_off"): 0,
        ("unit_restarts_total", "unit=feed"): 2,
    }
    found = {key: bench.value(key[0], **dict(part.split("=", 1) for part in key[1:])) for key in expected}
    assert found == pytest.approx(expected)


def test_a_position_that_was_closed_leaves_its_result_and_no_exposure() -> None:
    bench = Bench()
    feed(bench, *session())
    feed(bench, cycle(4, positions=(position("0", realised="-11"), position("2", realised="1.5", instrument=ETH)), equity=9_000))
    assert bench.value("open_positions", strategy="trend") == 1
    assert bench.value("realised_pnl", strategy="trend") == -9.5
    assert bench.value("exposure", strategy="trend") == 0  # ETH has shown no price yet
    feed(bench, cycle(5, inputs=(OpenPrint(5 * S, ETH, "1h", 30.0),), equity=9_000))
    assert bench.value("exposure", strategy="trend") == 60


def test_an_older_price_does_not_replace_a_newer_one() -> None:
    bench = Bench()
    straggler = Candle(8 * S, BTC, "1h", 3 * S, 1.0, 1.0, 1.0, 1.0, 1.0)
    feed(bench, cycle(1, inputs=(OpenPrint(7 * S, BTC, "1d", 50.0), straggler), positions=(position("-2"),)))
    assert bench.value("exposure", strategy="trend") == 100
    assert bench.value("instrument_instant_seconds", instrument=BTC) == 7


def test_a_trip_resets_rule_by_rule_and_the_kill_switch_is_its_own_figure() -> None:
    bench = Bench(profiles=["balanced", "conservative"])
    assert bench.value("risk_state", profile="conservative", state="active") == 1
    assert bench.value("liquidation_state", profile="conservative") == 0
    feed(bench, cycle(1, risk=(risk("tripped", "reducing"), risk("tripped", "reducing", "hard_drawdown_pct"))))
    feed(bench, cycle(2, risk=(risk("reset", "reducing"), risk("kill_switch", "halted", "kill_switch", "*"))))
    assert bench.value("liquidation_state", profile="balanced") == 1
    assert bench.value("risk_state", profile="balanced", state="active") == 0
    assert [bench.value("risk_state", profile=name, state="halted") for name in ("balanced", "conservative")] == [1, 1]
    assert bench.value("kill_switch") == 1
    feed(bench, cycle(3, risk=(risk("reset", "active", "hard_drawdown_pct"), risk("kill_switch", "active", "kill_switch", "*"))))
    assert bench.value("liquidation_state", profile="balanced") == 0
    assert bench.value("risk_state", profile="balanced", state="active") == 1
    assert bench.value("risk_state", profile="balanced", state="reducing") == 0
    assert bench.value("kill_switch") == 0
    assert bench.value("risk_state", profile="*", state="halted") is None
    assert bench.value("risk_state", profile="conservative", state="active") == 1


def test_a_released_drawdown_liquidates_no_more_and_a_refused_release_makes_no_series() -> None:
    bench = Bench(profiles=["balanced"])
    feed(bench, cycle(1, risk=(risk("tripped", "reducing", "hard_drawdown_pct"),)))
    feed(bench, cycle(2, risk=(risk("release_refused", "reducing", "same_day"), risk("release_refused", "active", "not_latched", "typo"))))
    assert (bench.value("liquidation_state", profile="balanced"), bench.value("liquidation_state", profile="typo")) == (1, None)
    feed(bench, cycle(3, risk=(risk("released", "active", "hard_drawdown_pct"),)))
    assert bench.value("liquidation_state", profile="balanced") == 0
    assert bench.value("risk_state", profile="balanced", state="active") == 1


def test_messages_that_repeat_a_part_of_a_cycle_change_nothing() -> None:
    bench = Bench()
    feed(bench, *session())
    before = snapshot(bench)
    record = session()[-2]
    assert isinstance(record, CycleDurable)
    parts: list[Message] = [*record.record.results, *record.record.fills, signal(), risk("tripped", "reducing")]
    controller = ControllerCycle(
        sequence=4, signals=(), results=(), orders=0, started_at=0.0, finished_at=0.0, duration_s=0.0, instant=0, phase=2
    )
    feed(bench, controller, *parts)
    assert snapshot(bench) == before


@given(st.lists(st.integers(0, 6), max_size=40))
def test_counters_equal_those_of_the_distinct_cycles_whatever_is_delivered_again(deliveries: list[int]) -> None:
    """After a restart of the sink, old cycles may come again: only ones beyond the newest count."""
    repeated, once = Bench(), Bench()
    cycles = [
        cycle(n + 1, signals=(signal(n),), fills=(fill(f"o{n}.0"),), results=(result(f"o{n}.0", OrderStatus.FILLED),)) for n in range(7)
    ]
    newest = -1
    for number in deliveries:
        feed(repeated, cycles[number])
        if number > newest:
            feed(once, cycles[number])
            newest = number
    assert snapshot(repeated) == snapshot(once)


def test_a_new_log_counts_from_its_first_sequence() -> None:
    bench = Bench()
    feed(bench, cycle(7), cycle(1, log_id="log-2"), cycle(1, log_id="log-2"))
    assert bench.value("cycles_total") == 2
    assert bench.value("journal_sequence") == 1


async def test_the_sink_drains_its_queue_and_shows_what_the_queue_lost() -> None:
    bench = Bench(queue=10)
    for number in range(1, 26):
        bench.bus.publish(CYCLE_DURABLE, cycle(number))
    bench.bus.close()
    await bench.sink.run()
    bench.sink.refresh()
    assert bench.value("cycles_total") == 10
    assert bench.value("journal_sequence") == 25
    assert bench.value("bus_dropped_total", subscriber="metrics") == 15
    bench.sink.refresh()
    assert bench.value("bus_dropped_total", subscriber="metrics") == 15


async def test_a_fault_costs_one_message_and_a_restart_goes_on_behind_it() -> None:
    bench = Bench()
    broken = cycle(2, due=None)  # nothing the core makes: it stands for any fault of the sink
    for message in (cycle(1), broken, cycle(3), cycle(4)):
        bench.bus.publish(CYCLE_DURABLE, message)
    bench.bus.close()
    with pytest.raises(TypeError):
        await bench.sink.run()
    await bench.sink.run()
    assert bench.value("schedule_runs_total", schedule="daily") is None
    assert bench.value("equity") == 10_000
    assert bench.value("journal_sequence") == 4
    assert bench.value("cycles_total") == 4


async def test_faults_of_other_subscribers_are_shown() -> None:
    bench = Bench()

    def fail(_topic: str, _message: object) -> None:
        raise ValueError

    bench.bus.subscribe("market.candle", fail, name="curious")
    bench.bus.publish("market.candle", None)
    bench.bus.publish("market.candle", None)
    bench.sink.refresh()
    assert bench.value("bus_faults_total", subscriber="curious") == 2


async def test_the_age_of_the_last_input_grows_until_a_cycle_comes() -> None:
    bench = Bench()
    await bench.clock.advance(7)
    bench.sink.refresh()
    assert bench.value("last_input_age_seconds") == 7
    feed(bench, cycle(1))
    await bench.clock.advance(2)
    bench.sink.refresh()
    assert bench.value("last_input_age_seconds") == 2


def test_commit_latency_and_build() -> None:
    bench = Bench()
    bench.sink.observe_commit(0.004)
    bench.sink.observe_commit(0.3)
    assert bench.value("journal_commit_seconds_bucket", le="0.005") == 1
    assert bench.value("journal_commit_seconds_bucket", le="0.25") == 1
    assert bench.value("journal_commit_seconds_count") == 2
    versions = [sample.labels for family in bench.registry.collect() if family.name == "dudzian_build_info" for sample in family.samples]
    assert [labels["version"] for labels in versions] == [__version__]


def test_a_restart_count_that_falls_begins_anew() -> None:
    bench = Bench()
    feed(bench, *(UnitState(name="feed", state="running", restarts=restarts) for restarts in (0, 1, 3, 3, 1)))
    assert bench.value("unit_restarts_total", unit="feed") == 4


def test_an_order_is_forgotten_when_it_ends() -> None:
    bench = Bench()
    feed(bench, cycle(1, results=(result("a.0", OrderStatus.ACCEPTED),)))
    feed(bench, cycle(2, results=(result("a.0", OrderStatus.CANCELLED, code="stopped"),)), cycle(3, fills=(fill("a.0", filled_at=9 * S),)))
    assert bench.value("execution_latency_seconds_count") == 0


def test_ten_thousand_names_stay_within_a_thousand_series() -> None:
    bench = Bench()
    for number in range(1, 10_001):
        name = f"x{number}"
        feed(
            bench,
            UnitState(name=name, state="running", restarts=1),
            cycle(
                number,
                due=(name,),
                inputs=(OpenPrint(number * S, name, "1m", 1.0),),
                signals=(Signal(instrument=name, intent=Intent.ENTER, reason="", id=name, strategy=name),),
                verdicts=(verdict(name, Outcome.APPROVED),),
                results=(result(f"{name}.0", OrderStatus.REJECTED, strategy=name, code=name),),
                fills=(fill(f"{name}.0", instrument=f"v:A/{name}"),),
                risk=(risk("tripped", name, name, name),),
                faults=(StrategyFault(strategy=name, unit=name, where=name, error=name),),
            ),
        )
    families = list(bench.registry.collect())
    assert sum(len(family.samples) for family in families) <= 1_000
    fills = [sample for family in families if family.name == "dudzian_fills" for sample in family.samples]
    assert sum(sample.value for sample in fills) == 10_000
    assert bench.value("fills_total", strategy="trend", instrument="v:A/x1", side="buy") == 1
    assert (bench.value("fills_total", strategy=OTHER, instrument=OTHER, side=OTHER) or 0) > 9_000


def test_gauges_beyond_the_bound_are_added_up() -> None:
    bench = Bench()
    changes = tuple(position("1", realised="2", strategy=f"s{number}") for number in range(50))
    feed(bench, cycle(1, inputs=(OpenPrint(S, BTC, "1d", 3.0),), positions=changes))
    for name, each in (("open_positions", 1), ("realised_pnl", 2), ("exposure", 3)):
        family = next(family for family in bench.registry.collect() if family.name == f"dudzian_{name}")
        assert math.fsum(sample.value for sample in family.samples) == 50 * each


def test_every_family_is_documented_with_its_type_and_labels() -> None:
    bench = Bench()
    documented = documented_families()
    labels = {name.removesuffix("_total"): (kind, names) for name, (kind, names) in documented.items()}
    populate(bench)
    bench.registry.register(ResourceMetrics(lambda: [judged("memory_mb", 100.0, 2048.0, 0.8), judged("io_read_mb_s", None, 120.0, 0.8)]))
    assert bench.registry.get_sample_value("dudzian_resource_use", {"resource": "memory_mb"}) == 100.0
    assert bench.registry.get_sample_value("dudzian_resource_limit", {"resource": "io_read_mb_s"}) == 120.0
    assert bench.registry.get_sample_value("dudzian_resource_use", {"resource": "io_read_mb_s"}) is None
    ours = [family for family in bench.registry.collect() if family.name.startswith("dudzian_")]
    for family in ours:
        shown = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels[family.name] == (family.type, shown), family.name
        assert family.documentation
        if family.type == "counter":
            assert f"{family.name}_total" in documented
    elsewhere = {"dudzian_http_refused", "dudzian_http_connections", "dudzian_scrape_duration_seconds"}
    assert set(labels) - {family.name for family in ours} == elsewhere


def test_the_registry_of_the_daemon_has_no_creation_times() -> None:
    bench = Bench()
    feed(bench, cycle(1))
    assert bench.value("cycles_total") == 1
    assert bench.value("cycles_created") is None


async def test_run_is_cancelled_cleanly_and_can_run_again() -> None:
    bench = Bench()
    for number in (1, 2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.sink.run)
            await bench.clock.settle()
            bench.bus.publish(CYCLE_DURABLE, cycle(number))
            await bench.clock.settle()
            tasks.cancel_scope.cancel()
    assert bench.value("cycles_total") == 2


def documented_families() -> dict[str, tuple[str, set[str]]]:
    rows = re.findall(r"^\| `(dudzian_\w+)` \| (\w+) \| ([\w, ]*)\|", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len({name for name, _kind, _labels in rows}) == len(rows)
    return {name: (kind, {label.strip() for label in labels.split(",") if label.strip()}) for name, kind, labels in rows}


def populate(bench: Bench) -> None:
    """Give every family at least one series."""
    feed(bench, *session())
    bench.sink.refresh()
    sent = alert(AlertCode.TEST, "a test")
    for message in (
        AdapterState(adapter="binance", reachable=False, error="Retryable"),
        sent,
        *(AlertDelivery(channel="file:local", outcome=outcome, alert=sent) for outcome in ("sent", "failed", "suppressed")),
        AlertChannelState(channel="file:local", status="error", checked=True),
    ):
        bench.sink.handle(message)


def test_alerts_and_adapters_are_counted_as_they_are_told() -> None:
    bench = Bench()
    for code in (AlertCode.HEALTH, AlertCode.DATA_LAG):
        bench.sink.handle(alert(code, "title"))
    sent = alert(AlertCode.DATA_LAG, "title")
    for channel, outcome in (
        ("sms:x", "failed"),
        ("file:y", "sent"),
        ("sms:x", "sent"),
        ("__suppressed__", "suppressed"),
        ("a:b", "offline"),
    ):
        bench.sink.handle(AlertDelivery(channel=channel, outcome=outcome, alert=sent))
    bench.sink.handle(AlertChannelState(channel="sms:x", status="error", waiting=3))
    assert bench.value("alerts_raised_total", code="DATA-LAG", severity="critical") == 1
    assert bench.value("health_reports_total") == 1
    assert (bench.value("alerts_failed_total", channel="sms:x"), bench.value("alerts_sent_total", channel="sms:x")) == (1, 1)
    assert bench.value("alerts_suppressed_total", channel="__suppressed__") == 1
    assert (bench.value("alert_channel_up", channel="sms:x"), bench.value("alerts_waiting", channel="sms:x")) == (0, 3)
    assert bench.value("alert_healthcheck_errors_total", channel="sms:x") is None, "a send is no check"
    for reachable in (False, False, True):
        bench.sink.handle(AdapterState(adapter="binance", reachable=reachable, error="" if reachable else "timeout"))
    assert (bench.value("adapter_errors_total", adapter="binance", error="timeout"), bench.value("adapter_up", adapter="binance")) == (2, 1)


def test_a_series_that_stays_away_lags_in_event_time_until_its_window_ends() -> None:
    bench = Bench()
    day, hour = 86_400 * S, 3_600 * S
    series = {"instrument": BTC, "granularity": "1d"}
    bench.sink.handle(cycle(1, instant=day, inputs=(Candle(day, BTC, "1d", day, 1.0, 1.0, 1.0, 1.0, 1.0),)))
    bench.sink.refresh()
    assert bench.value("data_lag_seconds", **series) == 0
    bench.sink.handle(cycle(2, instant=2 * day + 13 * hour, inputs=()))
    bench.sink.refresh()
    assert bench.value("data_lag_seconds", **series) == 13 * 3_600
    bench.sink.handle(cycle(3, instant=3 * day, inputs=(Command(3 * day, "end_of_data-1", "end_of_data"),)))
    bench.sink.refresh()
    assert bench.value("data_lag_seconds", **series) == 0


def snapshot(bench: Bench) -> dict[tuple[str, str], float]:
    samples = (sample for family in bench.registry.collect() for sample in family.samples if family.name.startswith("dudzian_"))
    return {(sample.name, str(sorted(sample.labels.items()))): sample.value for sample in samples}


def test_a_command_moves_no_price() -> None:
    bench = Bench()
    feed(bench, cycle(1, inputs=(Command(S, "c1", "stop"),)))
    assert not [f for f in bench.registry.collect() if f.name == "dudzian_instrument_instant_seconds" and f.samples]
