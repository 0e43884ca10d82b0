"""Plays a load plan with a daemon of its own in a folder of its own, and measures that process from outside while it works."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.keychain import KEY_FILE_VARIABLE
from dudzian_daemon.adapters.private_files import create_private
from dudzian_daemon.adapters.process_usage import Usage, process_usage
from dudzian_daemon.adapters.seed import cache_of, seed_store
from dudzian_daemon.app.load_test.plan import LoadPlan
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.sinks.telemetry.runs import ScheduleRun, telemetry_path

_SAMPLE_SECONDS: Final = 0.25
_MB: Final = 1_000_000


class LoadTestError(DudzianError):
    """The daemon under load did not come to its end."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen: runs of schedules, wall seconds of the load, means of rates, the largest resident memory; None: not counted here."""

    runs: tuple[ScheduleRun, ...]
    seconds: float
    cpu_percent: float
    memory_mb: float
    io_read_mb_s: float | None
    io_write_mb_s: float | None
    samples: int


def run_load(
    plan: LoadPlan, folder: Path, env: Mapping[str, str], config: Path | None, clock: Clock, progress: Callable[[float], object]
) -> Measured:
    """Make the candles in `folder`, play them, measure. `progress` is told the share that is over. Raises `DudzianError`."""
    own = plan.loaded.config
    seed_store(
        cache_of(plan.told.environment, own.environment(plan.told.environment), own.universe(plan.told.environment), folder),
        plan.series,
        done=lambda _series: None,
    )
    key = folder / "load_test.key"  # the operator's own signs no made-up session
    create_private(key, secrets.token_hex(32).encode())
    command = [sys.executable, "-m", "dudzian_daemon", "run", "-e", plan.told.environment, "--no-ui", "--data-dir", str(folder)]
    command += [] if config is None else ["--config", str(config)]
    log = folder / "load_test.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, env={**env, **plan.variables, KEY_FILE_VARIABLE: str(key)}, stdout=subprocess.PIPE, stderr=errors
        ) as child,
    ):
        if child.stdout is not None:
            child.stdout.readline()  # it has started: what a start costs is no load
        samples = _samples(child, clock, plan.told.seconds, progress)
        code = child.wait()
    if code != 0 or len(samples) < 2:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
        msg = f"the daemon under load ended with exit code {code}: {said[-1] if said else 'it said nothing'}"
        raise LoadTestError(msg)
    return _measured(samples, _runs(folder))


def _samples(child: subprocess.Popen[bytes], clock: Clock, seconds: float, progress: Callable[[float], object]) -> list[tuple[int, Usage]]:
    """Until it ends, however it ends."""
    begun, samples = clock.monotonic_ns(), list[tuple[int, Usage]]()
    while True:
        with suppress(ProcessLookupError):
            samples.append((clock.monotonic_ns(), process_usage(child.pid)))
        progress(min(1.0, (clock.monotonic_ns() - begun) / SECOND_NS / max(seconds, 0.001)))
        try:
            child.wait(_SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return samples


def _runs(folder: Path) -> tuple[ScheduleRun, ...]:
    lines = telemetry_path(folder).read_bytes().splitlines()
    return tuple(msgspec.json.decode(line, type=ScheduleRun) for line in lines)


def _measured(samples: list[tuple[int, Usage]], runs: tuple[ScheduleRun, ...]) -> Measured:
    (begun, first), (ended, last) = samples[0], samples[-1]
    seconds = (ended - begun) / SECOND_NS

    def rate(before: int | None, after: int | None) -> float | None:
        return None if before is None or after is None else round((after - before) / seconds / _MB, 3)

    return Measured(
        runs=runs,
        seconds=round(seconds, 3),
        cpu_percent=round((last.cpu_seconds - first.cpu_seconds) / seconds * 100, 1),
        memory_mb=round(max(usage.memory_bytes for _, usage in samples) / _MB, 1),
        io_read_mb_s=rate(first.read_bytes, last.read_bytes),
        io_write_mb_s=rate(first.written_bytes, last.written_bytes),
        samples=len(samples),
    )
