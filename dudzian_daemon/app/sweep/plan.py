"""What a sweep will do, known before it does anything: setting, combinations, spans, and what names its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.app.backtest.run import Arranged, BacktestOptions, narrowed
from dudzian_daemon.app.preparation import package_digest
from dudzian_daemon.app.replay_windows import require_sound
from dudzian_daemon.app.sweep.grid import Axis, Candidates, axes_of, candidates, size
from dudzian_daemon.app.sweep.trials import METRICS, Span
from dudzian_daemon.app.sweep.workbench import Setting, Workbench
from dudzian_daemon.config.canonical import canonical
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.errors import ConfigError

#: More backtests than these are begun only when they are confirmed.
UNCONFIRMED: Final = 10_000
#: A grid of more combinations is not looked through.
MOST_COMBINATIONS: Final = 1_000_000
GRID: Final = "grid"
OPTUNA: Final = "optuna"


class SweepOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `backtest` names one strategy; `walk_forward` is (train, test) in days; `output` is a folder for the results."""

    backtest: BacktestOptions
    parameters: tuple[str, ...]
    search: str = GRID
    trials: int = 100
    seed: int = 0
    walk_forward: tuple[int, int] | None = None
    metric: str = "sharpe"
    top: int = 5
    fast: bool = False
    output: Path | None = None
    resume: bool = False
    confirmed: bool = False


class Fold(msgspec.Struct, frozen=True):
    """Days to search on, and days to measure the best of them on; None where nothing is held back."""

    train: Span
    test: Span | None


class Plan(msgspec.Struct, frozen=True):
    """A sweep that could start. `inputs` name by what its results are determined, beside parameters and days."""

    options: SweepOptions
    setting: Setting
    environment: str
    bench: Workbench
    axes: tuple[Axis, ...]
    candidates: Candidates
    folds: tuple[Fold, ...]
    inputs: Mapping[str, str]
    output: Path

    @property
    def searched(self) -> int:
        """How many trials the search of one fold has."""
        return len(self.candidates.taken) if self.options.search == GRID else self.options.trials

    @property
    def trials(self) -> int:
        """How many trials there are in all; those of a `--fast` ranking are no backtests."""
        return sum(self.searched + (fold.test is not None) for fold in self.folds)

    def days(self, span: Span) -> BacktestOptions:
        """The backtest of a span."""
        first, last = (date.fromisoformat(text) if text else None for text in (span.first, span.last))
        return msgspec.structs.replace(self.setting.options, first=first, last=last)


def planned(options: SweepOptions, env: Mapping[str, str]) -> Plan:
    """Resolve, check and count everything. Raises `ConfigError` or `PluginError`; writes nothing."""
    _require_sane(options)
    (strategy,) = options.backtest.strategies
    setting = Setting(options.backtest, strategy, tuple(sorted((name, value) for name, value in env.items() if name.startswith("DUDZIAN"))))
    bench = Workbench(setting)
    narrowed(bench.prepared.config, bench.prepared.environment, options.backtest.strategies, options.backtest.profile)  # says what is known
    axes = axes_of(options.parameters, bench.source)
    if options.search == GRID and size(axes) > MOST_COMBINATIONS:
        msg = f"--param: expected at most {MOST_COMBINATIONS:,} combinations, found {size(axes):,}; take larger steps or fewer parameters"
        raise ConfigError(msg)
    found = candidates(axes, bench.source, bench.configured) if options.search == GRID else Candidates((), 0, "")
    arranged = bench.arranged(options.backtest, found.taken[0] if found.taken else {})
    require_sound(arranged.windows, arranged.store)
    inputs = _inputs(bench, arranged)
    digest = sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()
    environment = bench.prepared.environment
    plan = Plan(
        options=options,
        setting=msgspec.structs.replace(setting, fingerprint=digest),
        environment=environment,
        bench=bench,
        axes=axes,
        candidates=found,
        folds=tuple(_folds(options)),
        inputs=inputs,
        output=options.output or bench.prepared.data_folder / "sweeps" / f"{environment}_{strategy}_{digest[:12]}",
    )
    if plan.trials > UNCONFIRMED and not options.confirmed:
        msg = f"expected at most {UNCONFIRMED:,} trials, found {plan.trials:,}; narrow --param, or say --yes to begin them"
        raise ConfigError(msg)
    return plan


def _require_sane(options: SweepOptions) -> None:
    if len(options.backtest.strategies) != 1:
        msg = f"--strategies: expected one strategy to search the parameters of, found {len(options.backtest.strategies)}"
        raise ConfigError(msg)
    if options.metric not in METRICS:
        msg = f"--metric: expected {', '.join(METRICS)}, found {options.metric!r}{suggestion(options.metric, METRICS)}"
        raise ConfigError(msg)
    if options.search not in (GRID, OPTUNA):
        msg = f"--search: expected {GRID} or {OPTUNA}, found {options.search!r}"
        raise ConfigError(msg)
    if options.fast and options.search != GRID:
        msg = "--fast: expected --search grid beside it, since it ranks all of a grid; leave one of them away"
        raise ConfigError(msg)


def _folds(options: SweepOptions) -> list[Fold]:
    """The whole as one, or windows that walk on by the length of their test; a test that does not fit is left out."""
    first, last = options.backtest.first, options.backtest.last
    if options.walk_forward is None:
        return [Fold(Span("whole", 0, "" if first is None else first.isoformat(), "" if last is None else last.isoformat()), None)]
    if first is None or last is None:
        msg = "--walk-forward: expected --from and --to beside it, found less; they say which days are walked through"
        raise ConfigError(msg)
    train, test = (timedelta(days=days) for days in options.walk_forward)
    folds: list[Fold] = []
    day = timedelta(days=1)
    start = first
    while start + train + test - day <= last:
        middle = start + train
        number = len(folds) + 1
        folds.append(
            Fold(
                Span("train", number, start.isoformat(), (middle - day).isoformat()),
                Span("test", number, middle.isoformat(), (middle + test - day).isoformat()),
            )
        )
        start += test
    if not folds:
        days = (last - first).days + 1
        msg = f"--walk-forward: expected at most the {days} days from {first} to {last}, found {train.days} + {test.days}"
        raise ConfigError(msg)
    return folds


def _inputs(bench: Workbench, arranged: Arranged) -> dict[str, str]:
    """What results depend on beside parameters and days, by name."""
    candles = sha256()
    for window in arranged.windows:
        for series in sorted(window.series):
            candles.update(f"{series.instrument} {series.granularity} {window.start} {window.end} ".encode())
            candles.update(digest_rows(bench.candles.read(series, window.start, window.end)).encode())
    return {
        "environment": bench.prepared.environment,
        "strategy": bench.setting.strategy,
        "risk profile": bench.setting.options.profile or "",
        "configuration": sha256(canonical(bench.prepared.config, bench.prepared.environment)).hexdigest(),
        "plugin": bench.source.digest,
        "package": package_digest(),
        "candles": candles.hexdigest(),
    }
