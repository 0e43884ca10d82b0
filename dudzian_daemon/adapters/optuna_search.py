"""Optuna behind two calls, over places in lists of values, so that every value is one of the list's own. Optuna is the extra `sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from dudzian_daemon.domain.errors import ConfigError


def require_optuna() -> None:
    """Raise `ConfigError` if it is not installed."""
    if find_spec("optuna") is None:
        msg = "--search optuna needs Optuna, found none installed; install it with: pip install 'dudzian[sweep]', or use --search grid"
        raise ConfigError(msg)


class Study:
    """A search for the largest value over lists of these lengths; equal seeds and answers give equal questions."""

    def __init__(self, lengths: Sequence[int], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._lengths = lengths
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._failed = optuna.trial.TrialState.FAIL

    def ask(self) -> tuple[int, list[int]]:
        """Number of the trial, and a place in each list."""
        trial = self._study.ask()
        return trial.number, [trial.suggest_int(str(number), 0, length - 1) for number, length in enumerate(self._lengths)]

    def tell(self, number: int, value: float | None) -> None:
        """What came of a trial; None is a failed one, which teaches nothing."""
        if value is None:
            self._study.tell(number, state=self._failed)
        else:
            self._study.tell(number, value)
