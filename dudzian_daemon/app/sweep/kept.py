"""Results of a sweep on disk: what is there is not computed again, and belongs to the same inputs or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.adapters.trial_files import TrialFiles
from dudzian_daemon.app.sweep.plan import Plan
from dudzian_daemon.app.sweep.trials import Trial, columns_of, row_of, trial_of
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.clock import Clock

DESCRIPTION: Final = "sweep.json"
TRIALS: Final = "trials"
#: A part is written when so many trials wait, or the first of them has waited so long.
_MOST_WAITING: Final = 4096
_LONGEST_WAIT_NS: Final = 5_000_000_000


class Description(msgspec.Struct, frozen=True):
    """Whose results the folder holds."""

    inputs: dict[str, str]
    schema: str = "dudzian.sweep-inputs/1"


class Kept:
    """Trials by key; new ones are appended some at a time. Call `flush` at the end, whatever the end is.

    Made, it has made the folder: one that cannot be written is found before the work.
    """

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._clock = clock
        self._files = TrialFiles(plan.output / TRIALS)
        self._columns = columns_of(plan.axes)
        self._waiting: list[Trial] = []
        self._since = 0
        self.known = _trials_there(plan, self._files)
        self.computed = 0
        ensure_dir(plan.output)
        write_atomic(plan.output / DESCRIPTION, msgspec.json.encode(Description(dict(plan.inputs))))

    def add(self, trial: Trial) -> None:
        """Keep one more. Raises `StorageError`."""
        if not self._waiting:
            self._since = self._clock.monotonic_ns()
        self.known[trial.key] = trial
        self._waiting.append(trial)
        self.computed += 1
        if len(self._waiting) >= _MOST_WAITING or self._clock.monotonic_ns() - self._since >= _LONGEST_WAIT_NS:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises `StorageError`."""
        if not self._waiting:
            return
        self._files.append([row_of(trial) for trial in self._waiting], self._columns)
        self._waiting.clear()


def kept_there(plan: Plan) -> int:
    """How many results the output folder holds. Raises `ConfigError` if they may not be added to."""
    return len(_trials_there(plan, TrialFiles(plan.output / TRIALS)))


def _trials_there(plan: Plan, files: TrialFiles) -> dict[str, Trial]:
    if not files.parts:
        return {}
    if not plan.options.resume:
        msg = f"{plan.output}: expected no results yet, found some; go on there with --resume, or choose another folder with --output"
        raise ConfigError(msg)
    if differing := _differing(plan.output / DESCRIPTION, plan.inputs):
        msg = f"{plan.output}: expected results of the same inputs, found those of another {differing}; choose another folder with --output"
        raise ConfigError(msg)
    try:
        return {trial.key: trial for trial in map(trial_of, files.read())}
    except (msgspec.DecodeError, KeyError) as error:
        msg = f"{files.folder}: expected results of a sweep, found others ({error}); choose another folder with --output"
        raise ConfigError(msg) from None


def _differing(path: Path, inputs: Mapping[str, str]) -> str:
    """Names of the inputs that are not those of the folder."""
    try:
        there = msgspec.json.decode(path.read_bytes(), type=Description).inputs
    except (OSError, msgspec.DecodeError):
        return f"kind ({DESCRIPTION} cannot be read)"
    return ", ".join(name for name in sorted(inputs.keys() | there.keys()) if inputs.get(name) != there.get(name))
