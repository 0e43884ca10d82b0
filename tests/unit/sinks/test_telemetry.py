"""Scheduler telemetry: every figure in its unit, each line with its journal line, and the file complete whatever happened to it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from dudzian_daemon.adapters.cycle_follower import CycleFollower, durable
from dudzian_daemon.adapters.fold_marks import FoldFile
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_reader import Cycle, entries
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import Permanent, ReadOnlyDisk, StorageError, StorageFull
from dudzian_daemon.domain.events import CYCLE_DURABLE, CycleDurable
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, OpenPrint, Quote, WarmUp
from dudzian_daemon.domain.orders import Intent, Signal
from dudzian_daemon.domain.records import CycleRecord, PositionChange, StrategyChange, StrategyFault
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.subscription import Policy
from dudzian_daemon.sinks.telemetry.runs import RunMeter, SchedulerSet, ScheduleRun, telemetry_path
from dudzian_daemon.sinks.telemetry.sink import FULL_DISK_RETRY_SECONDS, TelemetrySink
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.testing.market import START_NS, instrument, schedule
from tests.unit.adapters.journal_samples import KEY, quiet_cycle

BTC, ETH = instrument("BTC"), instrument("ETH")
DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "telemetry.md"
HOURLY = schedule("trend", [BTC, ETH], allocation=Decimal("0.35"), max_signals=4)
DAILY = schedule("sizer", [BTC], granularity="1d", cadence_ns=DAY_NS, profile="conservative", max_signals=2)
KNOWN = SchedulerSet(
    environment="demo",
    scheduler="demo_pipeline",
    namespace="runtime.multi_strategy.demo",
    schedules={"trend": HOURLY, "sizer": DAILY},
    max_drift_seconds={"trend": 120, "sizer": 900},
)


def cycle(sequence: int, *due: str, instant: int | None = None, log_id: str = "a" * 32, **parts: Any) -> CycleDurable:
    timing = {key: parts.pop(key) for key in ("duration_s", "late_s") if key in parts}
    record = CycleRecord(
        sequence=sequence,
        instant=START_NS + sequence * HOUR_NS if instant is None else instant,
        phase=2,
        due=due,
        inputs=parts.pop("inputs", ()),
        cash=Decimal(10_000),
        equity=Decimal(parts.pop("equity", 10_000)),
        **parts,
    )
    return CycleDurable(record=record, log_id=log_id, line=sequence, line_hash=f"{sequence:064x}", **{"duration_s": 0.0025, **timing})


def signal(schedule_name: str = "trend", *, confidence: float = 1.0, **numbers: float) -> Signal:
    return Signal(
        instrument=BTC.key,
        intent=Intent.ENTER,
        reason="",
        confidence=confidence,
        numbers=numbers,
        strategy=schedule_name,
        schedule=schedule_name,
    )


def held(quantity: str, key: str = BTC.key, strategy: str = "trend") -> PositionChange:
    return PositionChange(strategy=strategy, instrument=key, quantity=Decimal(quantity), cost=Decimal(0), realised=Decimal(0))


def only(runs: Sequence[ScheduleRun]) -> ScheduleRun:
    (run,) = runs
    return run


def run_with(*signals: Signal, due: str = "trend") -> ScheduleRun:
    return only(RunMeter(KNOWN).take(cycle(1, due, signals=signals)))


# -- what a line says ---------------------------------------------------------------------------------------------------


def test_a_run_names_itself_and_its_journal_line() -> None:
    run = only(RunMeter(KNOWN).take(cycle(5, "trend", duration_s=0.0125)))
    assert (run.multi_strategy, run.namespace) == ("runtime.multi_strategy.demo", "demo.multi_strategy.trend")
    assert (run.environment, run.scheduler, run.schedule, run.strategy) == ("demo", "demo_pipeline", "trend", "trend")
    assert run.run_id == "trend:2024-01-01T05:00:00.000000Z"
    assert (run.session, run.sequence, run.line_hash, run.dry_run) == ("a" * 32, 5, f"{5:064x}", False)
    assert (run.latency_ms, run.base_max_signals, run.active_max_signals, run.allocation_cap) == (12.5, 4, 4, 0.35)


def test_only_due_schedules_run_in_their_order() -> None:
    meter = RunMeter(KNOWN)
    assert meter.take(cycle(1)) == []
    assert [run.schedule for run in meter.take(cycle(2, "sizer", "trend"))] == ["sizer", "trend"]


def test_averages_are_over_the_signals_that_hold_the_number() -> None:
    run = run_with(signal(confidence=0.5, zscore=-2.0), signal(confidence=1.0, zscore=3.0), signal(confidence=0.75), signal("sizer"))
    assert (run.signals, run.avg_confidence, run.avg_abs_zscore) == (3, 0.75, 2.5)


def test_what_no_signal_says_is_none() -> None:
    run = run_with()
    assert (run.signals, run.avg_confidence, run.avg_abs_zscore, run.avg_realized_volatility) == (0, None, None, None)
    assert (run.allocation_error_pct, run.realized_vs_target_vol_pct) == (None, None)
    assert (run.secondary_delay_ms, run.spread_capture_bps) == (None, None)


def test_volatility_is_annual_whatever_the_strategy_tells() -> None:
    of_bar = run_with(signal(volatility=0.01))
    assert of_bar.avg_realized_volatility == pytest.approx(0.01 * (365 * 24) ** 0.5)
    assert run_with(signal(realized_volatility=0.4, volatility=0.01)).avg_realized_volatility == 0.4
    daily = run_with(signal("sizer", volatility=0.02), due="sizer")
    assert daily.avg_realized_volatility == pytest.approx(0.02 * 365**0.5)


def test_percentages_are_of_the_target() -> None:
    numbers = {"target_allocation": 0.8, "current_allocation": 0.6, "realized_volatility": 0.12, "target_volatility": 0.10}
    run = run_with(signal("sizer", **numbers), due="sizer")
    assert [run.allocation_error_pct, run.realized_vs_target_vol_pct] == pytest.approx([25.0, 20.0])
    assert run_with(signal(target_allocation=0.0, current_allocation=0.5)).allocation_error_pct is None


def test_spreads_are_ratios_told_in_basis_points() -> None:
    run = run_with(signal(entry_spread=0.0018, spread=0.0006, secondary_delay_ms=-250.0))
    assert [run.spread_capture_bps, run.secondary_delay_ms] == pytest.approx([12.0, -250.0])


def test_a_weight_is_the_share_of_equity_of_all_positions_of_the_strategy() -> None:
    meter = RunMeter(KNOWN)
    prices = (OpenPrint(START_NS, BTC.key, "1h", 100.0), Quote(START_NS, ETH.key, 9.0, 11.0, 1.0, 1.0))
    meter.take(cycle(1, inputs=prices, positions=(held("20"), held("-50", ETH.key), held("5", strategy="sizer"))))
    trend, sizer = meter.take(cycle(2, "trend", "sizer"))
    assert [trend.portfolio_weight, sizer.portfolio_weight] == pytest.approx([0.25, 0.05])
    candle = Candle(START_NS, BTC.key, "1h", START_NS, 150.0, 150.0, 150.0, 150.0, 1.0)
    meter.take(cycle(3, inputs=(candle,), equity=11_000))
    run = only(meter.take(cycle(4, "trend", positions=(held("0"), held("0", ETH.key)), equity=11_000)))
    assert [run.portfolio_weight, run.peak_portfolio_weight] == pytest.approx([0.0, 3_500 / 11_000])
    assert only(meter.take(cycle(5, "trend"))).peak_portfolio_weight == 0.0


def test_the_warm_up_is_told_with_the_first_run() -> None:
    warm = [WarmUp(START_NS, key, "1h", START_NS - count * HOUR_NS, START_NS, count, "") for key, count in ((BTC.key, 120), (ETH.key, 110))]
    trend, sizer = RunMeter(KNOWN).take(cycle(1, "trend", "sizer", inputs=tuple(warm)))
    assert (trend.warmup_bars, sizer.warmup_bars) == (110, 0)


def test_a_suspended_strategy_may_give_no_signal() -> None:
    meter = RunMeter(KNOWN)
    change = StrategyChange(strategy="trend", change="suspended", reason="operator")
    meter.take(cycle(1, strategies=(change,)))
    run = only(meter.take(cycle(2, "trend")))
    assert (run.base_max_signals, run.active_max_signals) == (4, 0)
    meter.take(cycle(3, strategies=(msgspec.structs.replace(change, change="resumed"),)))
    assert only(meter.take(cycle(4, "trend"))).active_max_signals == 4


def test_faults_of_the_strategy_are_counted() -> None:
    fault = StrategyFault(strategy="trend", unit="trend[]", where="decide", error="ValueError")
    trend, sizer = RunMeter(KNOWN).take(cycle(1, "trend", "sizer", faults=(fault, fault)))
    assert (trend.faults, sizer.faults) == (2, 0)


@pytest.mark.parametrize(
    ("off_grid_s", "late_s", "drift_ms", "exceeded"),
    [
        (0, None, 0.0, False),
        (0, 0.25, 250.0, False),
        (90, 30.0, 120_000.0, False),
        (90, 30.5, 120_500.0, True),
        (300, None, 300_000.0, True),
    ],
)
def test_drift_is_what_data_and_machine_were_late(off_grid_s: int, late_s: float | None, drift_ms: float, exceeded: bool) -> None:
    meter = RunMeter(KNOWN)
    meter.take(cycle(1, "trend"))
    run = only(meter.take(cycle(2, "trend", instant=START_NS + 24 * HOUR_NS + off_grid_s * 10**9, late_s=late_s)))
    assert run.drift_ms == pytest.approx(drift_ms)
    assert (run.drift_exceeded, run.drifts) == (exceeded, int(exceeded))


def test_a_session_that_begins_off_the_grid_is_not_late_in_the_first_run_of_a_schedule() -> None:
    meter = RunMeter(KNOWN)
    begun, off = START_NS + 300 * 10**9, 900_000.0
    assert only(meter.take(cycle(1, "trend", instant=begun, late_s=0.25))).drift_ms == 250.0
    gone_on = RunMeter(KNOWN)
    gone_on.restore("a" * 32, meter.export())
    for goes_on in (meter, gone_on):
        run = only(goes_on.take(cycle(2, "trend", instant=START_NS + HOUR_NS + 900 * 10**9)))
        assert (run.drift_ms, run.drift_exceeded, run.drifts) == (off, True, 1)
    assert only(meter.take(cycle(1, "trend", log_id="b" * 32, instant=begun))).drift_ms == 0.0


def test_drifts_are_counted_by_schedule_and_a_new_session_counts_anew() -> None:
    meter = RunMeter(KNOWN)
    late = [only(meter.take(cycle(number, "trend", late_s=121.0))).drifts for number in (1, 2)]
    assert (late, only(meter.take(cycle(3, "trend"))).drifts) == ([1, 2], 2)
    assert only(meter.take(cycle(1, "trend", log_id="b" * 32, late_s=121.0))).drifts == 1


def test_every_field_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT.read_text(encoding="utf-8").partition("## A line")[2], flags=re.MULTILINE)
    assert documented == list(ScheduleRun.__struct_fields__)


# -- the file -----------------------------------------------------------------------------------------------------------


class Flaky(LineFile):
    """Refuses the first appends as it is told."""

    def __init__(self, path: Path, *faults: Exception) -> None:
        super().__init__(path)
        self.faults = list(faults)

    def append(self, lines: bytes, *, sync: bool = False) -> None:
        if self.faults:
            raise self.faults.pop(0)
        super().append(lines, sync=sync)


def record(root: Path, records: Iterable[CycleRecord], end: str | None) -> Path:
    """The journal of a session that was born after all others below `root`; its segment."""
    born = START_NS + len(list(root.glob("data/journal/demo/*")))
    journal = SessionJournal.create(root, "demo", KEY, clock=ManualClock(wall_ns=born))
    for each in records:
        journal.append(each, wall={"duration_ns": 2_000_000, "late_ns": 3_000_000})
    journal.flush_quiet()
    anyio.run(journal.commit)
    if end is not None:
        anyio.run(journal.close, end, {})
    journal.abandon()
    return journal.path


class Bench:
    """A sink on a real bus beside the journal of a session on disk."""

    def __init__(self, root: Path, records: Iterable[CycleRecord], file: LineFile | None = None, *, end: str | None = "closed") -> None:
        segment = record(root, records, end)
        self.cycles = [cycle for entry in entries(segment) for cycle in entry.cycles()]
        self.log_id = segment.parent.name
        self.clock = ManualClock()
        self.bus = Bus()
        queue = self.bus.subscribe_queued(CYCLE_DURABLE, name="telemetry", size=4096, policy=Policy.DROP_OLDEST)
        self.path = telemetry_path(root)
        follower = CycleFollower(queue, segment.parent)
        marks = FoldFile(root / "folds", "telemetry", segment.parent, KEY)
        self.sink = TelemetrySink(follower, file or LineFile(self.path), KNOWN, self.clock, root=root, artifact="demo", marks=marks)

    def play(self, cycles: Iterable[Cycle] | None = None) -> None:
        anyio.run(self.run, self.cycles if cycles is None else cycles)

    async def run(self, cycles: Iterable[Cycle]) -> None:
        for each in cycles:
            self.bus.publish(CYCLE_DURABLE, durable(each))
        await self.sink.stop()
        await self.sink.run()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def marks(path: Path) -> list[tuple[str, int]]:
    return [(line["session"], line["sequence"]) for line in lines(path)]


HOURS = [quiet_cycle(number) for number in range(1, 8)]


def test_each_run_is_a_line_that_names_its_journal_line(tmp_path: Path) -> None:
    bench = Bench(tmp_path, HOURS)
    bench.play()
    assert [(line["sequence"], line["line_hash"]) for line in lines(bench.path)] == [
        (cycle.record.sequence, cycle.line_hash) for cycle in bench.cycles
    ]
    assert {(line["latency_ms"], line["drift_ms"]) for line in lines(bench.path)} == {(2.0, 3.0)}
    assert stat.S_IMODE(bench.path.stat().st_mode) == 0o640
    assert list(lines(bench.path)[0]) == list(ScheduleRun.__struct_fields__)


def test_what_the_queue_has_lost_is_read_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, HOURS)
    bench.play(bench.cycles[4:])
    assert [line["sequence"] for line in lines(bench.path)] == list(range(1, 8))


@pytest.mark.parametrize("kept", [1, 4, 6])
def test_the_next_start_completes_what_a_crash_left(tmp_path: Path, kept: int) -> None:
    crashed = Bench(tmp_path, HOURS, end=None)
    crashed.play()
    whole = crashed.path.read_bytes()
    cut = b"".join(whole.splitlines(keepends=True)[:kept])
    crashed.path.write_bytes(cut + whole[len(cut) : len(cut) + 100])  # and a torn line
    again = Bench(tmp_path, HOURS[:2])
    again.play([])
    assert crashed.path.read_bytes() == whole
    Bench(tmp_path, HOURS[:1]).play()
    assert [mark for mark in marks(crashed.path) if mark[0] == again.log_id] == [(again.log_id, 1), (again.log_id, 2)]


def test_a_file_that_is_complete_stays_as_it_is(tmp_path: Path) -> None:
    first = Bench(tmp_path, HOURS)
    first.play()
    before = first.path.read_bytes()
    Bench(tmp_path, HOURS).play([])
    assert first.path.read_bytes() == before


def test_lines_of_dry_runs_and_strange_lines_are_no_mark(tmp_path: Path) -> None:
    first = Bench(tmp_path, HOURS)
    first.play()
    whole = first.path.read_bytes()
    dry = only(RunMeter(KNOWN, dry_run=True).take(cycle(99, "trend", log_id="")))
    first.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]) + msgspec.json.encode(dry) + b"\nnonsense\n")
    Bench(tmp_path, HOURS[:1]).play([])
    assert first.path.read_bytes().splitlines()[5:] == whole.splitlines()[3:]


def test_a_journal_that_cannot_be_read_is_named_and_holds_nothing_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Bench(tmp_path, HOURS)
    first.play()
    first.path.write_bytes(b"".join(first.path.read_bytes().splitlines(keepends=True)[:2]))
    (journal,) = (tmp_path / "data" / "journal" / "demo" / first.log_id).glob("*.jsonl")
    journal.write_bytes(journal.read_bytes().replace(b'"sequence":5', b'"sequence":"five"'))
    second = Bench(tmp_path, HOURS[:2])
    second.play()
    assert "telemetry_not_completed" in capsys.readouterr().err
    assert marks(first.path)[-2:] == [(second.log_id, 1), (second.log_id, 2)]


@pytest.mark.parametrize("refusal", [StorageFull("no space left"), ReadOnlyDisk("read-only")])
def test_a_full_disk_is_waited_for(tmp_path: Path, refusal: StorageFull) -> None:
    file = Flaky(telemetry_path(tmp_path), refusal, refusal)
    bench = Bench(tmp_path, HOURS, file)

    async def wait_twice() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.run, bench.cycles)
            for left in (1, 0):
                while bench.clock.sleeping == 0:
                    await anyio.lowlevel.checkpoint()
                assert (len(file.faults), bench.path.exists()) == (left, False)
                await bench.clock.advance(FULL_DISK_RETRY_SECONDS)

    anyio.run(wait_twice)
    assert len(lines(bench.path)) == len(HOURS)


def test_a_disk_that_is_read_only_at_the_start_is_waited_for_before_anything_new_is_told(tmp_path: Path) -> None:
    crashed = Bench(tmp_path, HOURS)
    crashed.play()
    whole = crashed.path.read_bytes()
    crashed.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    again = Bench(tmp_path, HOURS[:2], Flaky(crashed.path, ReadOnlyDisk("read-only")))

    async def wait() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(again.run, again.cycles)
            while again.clock.sleeping == 0:
                await anyio.lowlevel.checkpoint()
            await again.clock.advance(FULL_DISK_RETRY_SECONDS)

    anyio.run(wait)
    told = crashed.path.read_bytes()
    assert told.startswith(whole)
    assert marks(crashed.path)[-2:] == [(again.log_id, 1), (again.log_id, 2)]


def test_a_broken_disk_ends_the_sink_and_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path, HOURS, Flaky(telemetry_path(tmp_path), StorageError("the disk refused")))
    with pytest.raises(Permanent, match="stays behind the journal: the disk refused"):
        bench.play()


def test_drifting_is_warned_of_once_until_it_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [msgspec.structs.replace(record, due=("trend",)) for record in HOURS]
    bench = Bench(tmp_path, records)
    wall = {"duration_ns": 1, "late_ns": 130 * 10**9}
    slow = [msgspec.structs.replace(each, wall=wall) if each.record.sequence in (2, 3, 6) else each for each in bench.cycles]
    bench.play(slow)
    assert [line["drift_exceeded"] for line in lines(bench.path)] == [False, True, True, False, False, True, False]
    assert [line["drifts"] for line in lines(bench.path)] == [0, 1, 2, 2, 2, 3, 3]
    assert capsys.readouterr().err.count("schedule_drift") == 2


def test_two_that_append_never_mix_their_lines(tmp_path: Path) -> None:
    files = [LineFile(tmp_path / "audit" / "x.jsonl") for _ in range(2)]
    for number in range(50):
        files[number % 2].append(f'{{"n":{number}}}\n'.encode() * 3)
    assert [line["n"] for line in lines(files[0].path)] == [number for number in range(50) for _ in range(3)]
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o750
