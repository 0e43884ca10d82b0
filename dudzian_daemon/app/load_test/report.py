"""What a load test says: each budget with its use, latency of the runs, the machine; as JSON and as text, under logs/load_tests/."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

import dudzian_daemon
from dudzian_daemon.adapters.files import write_atomic
from dudzian_daemon.app.load_test.plan import LATENCY_LIMIT_MS, PlannedLoad
from dudzian_daemon.app.load_test.run import Measured
from dudzian_daemon.domain.resources import ResourceUse, judged
from dudzian_daemon.kernel.clock import iso_utc

FOLDER: Final = Path("logs") / "load_tests"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran: the figures hold there and nowhere else."""

    system: str
    processor: str
    cores: int
    python: str
    version: str


class LoadTest(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.load_test/1` (docs/reference/load-test.md). Times in ms, `seconds` of wall; `resource_status` as the worst budget.

    `breaches` and `warnings` are use over budget, of those above it and of those above `headroom_warning_threshold`.
    """

    schema: str = "dudzian.load_test/1"
    created_at: str
    environment: str
    schedules: dict[str, str]
    symbols: tuple[str, ...]
    iterations: int
    runs: int
    pace_ms: int
    seconds: float
    signals_emitted: int
    faults: int
    avg_latency_ms: float
    p50_latency_ms: float
    p99_latency_ms: float
    max_latency_ms: float
    jitter_ms: float
    budgets: tuple[ResourceUse, ...]
    breaches: dict[str, float]
    warnings: dict[str, float]
    resource_status: Literal["ok", "warning", "error"]
    machine: Machine
    samples: int

    @property
    def exit_code(self) -> int:
        """1 where a budget was passed."""
        return int(self.resource_status == "error")


def load_report(plan: PlannedLoad, measured: Measured, now_ns: int) -> LoadTest:
    """Judge what was measured."""
    latencies = sorted(run.latency_ms for run in measured.runs) or [0.0]
    mean = sum(latencies) / len(latencies)
    threshold = plan.limits.headroom_warning_threshold
    used = {name: getattr(measured, name) for name in ("cpu_percent", "memory_mb", "io_read_mb_s", "io_write_mb_s")}
    budgets = [judged(name, value, getattr(plan.limits, name), threshold) for name, value in used.items()]
    budgets.append(judged("latency_ms", _percentile(latencies, 0.99), LATENCY_LIMIT_MS, threshold))
    breaches = {each.name: _ratio(each) for each in budgets if each.state == "over"}
    warnings = {each.name: _ratio(each) for each in budgets if each.state == "near"}
    return LoadTest(
        created_at=iso_utc(now_ns),
        environment=plan.environment,
        schedules=plan.schedules,
        symbols=plan.symbols,
        iterations=plan.iterations,
        runs=len(measured.runs),
        pace_ms=plan.pace_ms,
        seconds=measured.seconds,
        signals_emitted=sum(run.signals for run in measured.runs),
        faults=sum(run.faults for run in measured.runs),
        avg_latency_ms=round(mean, 3),
        p50_latency_ms=round(_percentile(latencies, 0.5), 3),
        p99_latency_ms=round(_percentile(latencies, 0.99), 3),
        max_latency_ms=round(latencies[-1], 3),
        jitter_ms=round(math.sqrt(sum((each - mean) ** 2 for each in latencies) / len(latencies)), 3),
        budgets=tuple(budgets),
        breaches=breaches,
        warnings=warnings,
        resource_status="error" if breaches else "warning" if warnings else "ok",
        machine=Machine(
            system=platform.platform(),
            processor=platform.processor() or platform.machine(),
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
            version=dudzian_daemon.__version__,
        ),
        samples=measured.samples,
    )


def write_report(report: LoadTest, path: Path) -> Path:
    """The JSON at `path` and the text beside it, in a folder that is there; returns that of the text."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    text = path.with_suffix(".txt")
    write_atomic(text, "".join(f"{line}\n" for line in report_lines(report)).encode())
    return text


def report_lines(report: LoadTest) -> Iterator[str]:
    """The report for people."""
    yield f"load test     {report.environment}, {report.created_at[:19].replace('T', ' ')} UTC: {report.resource_status}"
    load = f"{report.iterations} hours of the market, {report.pace_ms} ms each, in {report.seconds:.1f} s"
    yield f"load          {len(report.schedules)} schedules on {len(report.symbols)} instruments, {load}"
    yield f"runs          {report.runs} of schedules, {report.signals_emitted} signals, {report.faults} faults"
    shape = f"p50 {report.p50_latency_ms:.1f}, p99 {report.p99_latency_ms:.1f}, longest {report.max_latency_ms:.1f}"
    yield f"latency       {shape}, jitter {report.jitter_ms:.1f} ms"
    words = {"ok": "ok", "near": "NEAR", "over": "OVER"}
    for each in report.budgets:
        yield f"{words[each.state]:<14}{each.text}, warning from {each.warn_at:g}"
    machine = report.machine
    yield f"machine       {machine.system}, {machine.cores} cores, Python {machine.python}, dudzian {machine.version}"


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _ratio(use: ResourceUse) -> float:
    return round((use.used or 0.0) / use.limit, 3)
