"""Which combinations are tried: all of them, or those that a sampler asks for after it has seen what came of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol

from dudzian_daemon.app.sweep.grid import Axis, Combination

#: Combinations of a grid that are handed on together.
_GRID_BATCH: Final = 4096
#: Trials that a sampler asks for before it is told what came of them: fixed, so that a search is the same with any number of workers.
_SAMPLER_BATCH: Final = 8


class Search(Protocol):
    """Asked and told in turn until it asks for nothing."""

    def ask(self) -> Sequence[Combination]:
        """What to try next; empty when it is over."""
        ...

    def tell(self, scores: Sequence[float | None]) -> None:
        """What came of it, in the same order: more is better, None is not defined."""
        ...


class Grid:
    """Every combination, once."""

    def __init__(self, combinations: Sequence[Combination]) -> None:
        self._left = iter(combinations)

    def ask(self) -> Sequence[Combination]:
        """The next ones."""
        return list(islice(self._left, _GRID_BATCH))

    def tell(self, scores: Sequence[float | None]) -> None:
        """A grid learns nothing."""


class Sampled:
    """`trials` combinations by Optuna's tree-structured Parzen estimator; what the plugin refuses counts as one, failed."""

    def __init__(self, axes: Sequence[Axis], trials: int, seed: int, acceptable: Callable[[Combination], bool]) -> None:
        from dudzian_daemon.adapters.optuna_search import Study

        self._axes = axes
        self._study = Study([len(axis.values) for axis in axes], seed)
        self._left = trials
        self._acceptable = acceptable
        self._asked: list[int] = []
        self.refused = 0

    def ask(self) -> Sequence[Combination]:
        """The next ones, without those that the plugin refuses."""
        wanted: list[Combination] = []
        self._asked = []
        while self._left and not wanted:
            for _ in range(min(_SAMPLER_BATCH, self._left)):
                self._left -= 1
                number, places = self._study.ask()
                combination = {axis.name: axis.values[place] for axis, place in zip(self._axes, places, strict=True)}
                if self._acceptable(combination):
                    wanted.append(combination)
                    self._asked.append(number)
                else:
                    self.refused += 1
                    self._study.tell(number, None)
        return wanted

    def tell(self, scores: Sequence[float | None]) -> None:
        """What came of the last ones."""
        for number, value in zip(self._asked, scores, strict=True):
            self._study.tell(number, value)
