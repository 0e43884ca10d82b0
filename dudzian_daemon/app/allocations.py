"""Judges scheduler telemetry: the largest share of equity each strategy used, against the allocation of its risk profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.sinks.telemetry.runs import ScheduleRun, read_run


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy under a profile; `peak` and `cap` are fractions of equity, `first_over` is when the cap was first exceeded (UTC)."""

    risk_profile: str
    strategy: str
    peak: float
    cap: float
    within: bool
    first_over: str = ""


class SchedulerShares(msgspec.Struct, frozen=True, kw_only=True):
    """What one scheduler of one environment did; `slow_runs` reached the latency limit, if there is one."""

    name: str
    environment: str
    sessions: tuple[str, ...]
    runs: int
    shares: tuple[Share, ...]
    max_latency_ms: float
    slow_runs: int


class Allocations(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.telemetry_risk_profiles/1`."""

    schema: str = "dudzian.telemetry_risk_profiles/1"
    telemetry: str
    within: bool
    max_latency_ms: float | None
    schedulers: tuple[SchedulerShares, ...]


class _Tally:
    """Adds up the runs of one scheduler in one environment."""

    def __init__(self, max_latency_ms: float | None, *, all_sessions: bool) -> None:
        self._limit = max_latency_ms
        self._all = all_sessions
        self._sessions: dict[str, None] = {}
        self._shares: dict[tuple[str, str], Share] = {}
        self._runs = 0
        self._slow = 0
        self._slowest = 0.0

    def add(self, run: ScheduleRun) -> None:
        if run.session not in self._sessions and not self._all:
            self._sessions, self._shares = {}, {}
            self._runs, self._slow, self._slowest = 0, 0, 0.0
        self._sessions[run.session] = None
        self._runs += 1
        self._slowest = max(self._slowest, run.latency_ms)
        self._slow += self._limit is not None and run.latency_ms >= self._limit
        key = (run.risk_profile, run.strategy)
        before = self._shares.get(key)
        over = run.peak_portfolio_weight > run.allocation_cap
        first_over = (before.first_over if before else "") or (run.timestamp if over else "")
        highest = before is None or run.peak_portfolio_weight > before.peak
        self._shares[key] = Share(
            risk_profile=run.risk_profile,
            strategy=run.strategy,
            peak=run.peak_portfolio_weight if before is None or highest else before.peak,
            cap=run.allocation_cap,
            within=not first_over,
            first_over=first_over,
        )

    def result(self, name: str, environment: str) -> SchedulerShares:
        return SchedulerShares(
            name=name,
            environment=environment,
            sessions=tuple(self._sessions),
            runs=self._runs,
            shares=tuple(share for _, share in sorted(self._shares.items())),
            max_latency_ms=self._slowest,
            slow_runs=self._slow,
        )


def judge(path: Path, summary: str | None, *, all_sessions: bool, max_latency_ms: float | None) -> Allocations:
    """Read the file once and judge. Raises `ConfigError` when there is nothing to judge."""
    tallies: dict[tuple[str, str], _Tally] = {}
    known: set[str] = set()
    rehearsed = ""
    for run in _runs(path):
        if run.dry_run:
            rehearsed = run.environment
            continue
        known.add(run.scheduler)
        if summary in (None, run.scheduler, run.multi_strategy, run.multi_strategy.rpartition(".")[2]):
            key = (run.scheduler, run.environment)
            if key not in tallies:
                tallies[key] = _Tally(max_latency_ms, all_sessions=all_sessions)
            tallies[key].add(run)
    if not tallies:
        which = "" if summary is None else f" of scheduler {summary!r}"
        raise ConfigError(f"expected runs{which} in {path}, found {_found_instead(known, rehearsed)}")
    schedulers = tuple(tally.result(*key) for key, tally in sorted(tallies.items()))
    within = all(not scheduler.slow_runs and all(share.within for share in scheduler.shares) for scheduler in schedulers)
    return Allocations(telemetry=str(path), within=within, max_latency_ms=max_latency_ms, schedulers=schedulers)


def _found_instead(known: set[str], rehearsed: str) -> str:
    if known:
        return f"none; there are runs of {', '.join(sorted(known))}"
    if rehearsed:
        return f"those of rehearsals only; run the daemon first: dudzian run --environment {rehearsed}"
    return "none; run the daemon first: dudzian run"


def _runs(path: Path) -> Iterator[ScheduleRun]:
    """The runs in the file, those of rehearsals too; lines that are none are passed over."""
    if not path.exists():
        return
    with os_errors(path), path.open("rb") as file:
        for line in file:
            run = read_run(line)
            if run is not None:
                yield run
