"""A sweep from the first trial to the proof of its winners; the executor is whoever computes (`concurrent.futures`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import islice
from typing import Final

from dudzian_daemon.app.sweep.deflated import deflated
from dudzian_daemon.app.sweep.execution import InThisProcess, completed
from dudzian_daemon.app.sweep.grid import Combination, digest_of, problem_of
from dudzian_daemon.app.sweep.kept import Kept
from dudzian_daemon.app.sweep.plan import GRID, OPTUNA, Fold, Plan
from dudzian_daemon.app.sweep.result import FoldResult, SweepResult, Winner
from dudzian_daemon.app.sweep.search import Grid, Sampled, Search
from dudzian_daemon.app.sweep.trials import STEP, TWIN, Figures, Span, Trial, ranked, score
from dudzian_daemon.app.sweep.twins import BATCH, TwinBench, TwinTask, difference, estimate, history_of, require_twin
from dudzian_daemon.app.sweep.workbench import Task, measure, record

#: Called with the trials that are done so far and all there are.
Told = Callable[[int, int], None]
#: Tasks that wait at an executor beside those under way: few, since who interrupts waits for what it has begun.
_AHEAD: Final = 1


class Sweep:
    """One run of a plan. `workers` is how many tasks the executor has under way at once."""

    def __init__(self, plan: Plan, kept: Kept, executor: Executor, workers: int, told: Told | None = None) -> None:
        self.plan = plan
        self.kept = kept
        self._executor = executor
        self._backlog = 1 if isinstance(executor, InThisProcess) else workers + _AHEAD
        self._told = told
        self._done = 0
        self._refused = plan.candidates.refused

    def run(self) -> SweepResult:
        """All of it. What is done is kept, also when it is interrupted. Raises `DudzianError`."""
        try:
            folds = [self._fold(fold) for fold in self.plan.folds]
        finally:
            self.kept.flush()
        winners = [winner for _fold, found in folds for winner in found]
        return SweepResult(
            environment=self.plan.environment,
            strategy=self.plan.setting.strategy,
            asset=self.plan.bench.prepared.spec.valuation_asset,
            search=self.plan.options.search,
            metric=self.plan.options.metric,
            seed=self._seed,
            fast=self.plan.options.fast,
            output=str(self.plan.output),
            computed=self.kept.computed,
            refused=self._refused,
            refused_reason=self.plan.candidates.reason,
            folds=tuple(fold for fold, _found in folds),
            winners=tuple(winners),
        )

    @property
    def _seed(self) -> int | None:
        return self.plan.options.seed if self.plan.options.search == OPTUNA else None

    def _fold(self, fold: Fold) -> tuple[FoldResult, list[Winner]]:
        options = self.plan.options
        trials = self._searched(fold.train)
        best = ranked(trials, options.metric)[: 1 if fold.test else options.top]
        if options.fast:
            best = ranked(self._stepped([trial.parameters for trial in best], fold.train), options.metric)
        sharpes = [trial.figures.shape.sharpe for trial in trials if trial.figures.shape is not None]
        if fold.test is None:
            winners = [self._proved(number, trial, sharpes) for number, trial in enumerate(best, start=1)]
            return FoldResult(0, fold.train, None, len(trials), None, None), winners
        (tested,) = self._stepped([best[0].parameters], fold.test)
        self._tell(1)
        result = FoldResult(
            fold.train.fold, fold.train, fold.test, len(trials), score(best[0], options.metric), score(tested, options.metric)
        )
        return result, [self._proved(fold.train.fold, tested, sharpes, train=best[0])]

    # -- trials --------------------------------------------------------------------------------------------------------

    def _searched(self, span: Span) -> list[Trial]:
        """Every trial of a search over the span, each once."""
        plan = self.plan
        if plan.options.fast:
            return self._estimated(span)
        if plan.options.search == GRID:
            search: Search = Grid(plan.candidates.taken)
        else:
            bench = plan.bench
            search = Sampled(
                plan.axes, plan.options.trials, plan.options.seed, lambda each: problem_of(each, bench.source, bench.configured) is None
            )
        found: dict[str, Trial] = {}
        while asked := search.ask():
            trials = self._stepped(asked, span, tell=True)
            search.tell([score(trial, plan.options.metric) for trial in trials])
            found |= {trial.key: trial for trial in trials}
        if isinstance(search, Sampled):
            self._refused += search.refused
            self._tell(search.refused)
        return list(found.values())

    def _stepped(self, combinations: Sequence[Combination], span: Span, *, tell: bool = False) -> list[Trial]:
        """The combinations through the step; what is kept already is not played again, nor is one twice."""
        known = self.kept.known
        keys = [_key(each, span, STEP) for each in combinations]
        missing = {key: each for key, each in zip(keys, combinations, strict=True) if key not in known}
        names = list(missing)
        days = self.plan.days(span)

        def take(number: int, figures: Figures) -> None:
            key = names[number]
            self.kept.add(Trial(key, span, STEP, missing[key], self._seed, figures))
            self._tell(1 if tell else 0)

        self._tell(len(combinations) - len(missing) if tell else 0)
        completed(self._executor, measure, (Task(self.plan.setting, days, each) for each in missing.values()), self._backlog, take)
        return [known[key] for key in keys]

    def _estimated(self, span: Span) -> list[Trial]:
        """All of the grid by the strategy's twin."""
        plan, known = self.plan, self.kept.known
        require_twin(plan.bench)
        combinations = plan.candidates.taken
        keys = [_key(each, span, TWIN) for each in combinations]
        missing = [(key, each) for key, each in zip(keys, combinations, strict=True) if key not in known]
        self._tell(len(combinations) - len(missing))
        batches = _batches(missing)
        history, days = history_of(plan.bench, combinations), plan.days(span)

        def take(number: int, found: list[Figures]) -> None:
            for (key, each), figures in zip(batches[number], found, strict=True):
                self.kept.add(Trial(key, span, TWIN, each, self._seed, figures))
            self._tell(len(found))

        tasks = (TwinTask(plan.setting, days, history, tuple(each for _key, each in batch)) for batch in batches)
        completed(self._executor, estimate, tasks, self._backlog, take)
        return [known[key] for key in keys]

    # -- winners -------------------------------------------------------------------------------------------------------

    def _proved(self, rank: int, trial: Trial, sharpes: Sequence[float], train: Trial | None = None) -> Winner:
        """The trial played twice more, once by the executor and once here, with the content a journal would have."""
        task = Task(self.plan.setting, self.plan.days(trial.span), trial.parameters)
        (there,) = completed(self._executor, record, [task], 1)
        here = record(task)
        figures, recorded = here
        twin: str | None = None
        if self.plan.options.fast:
            bench = TwinBench(self.plan.bench, task.options, history_of(self.plan.bench, [trial.parameters]))
            twin = difference(bench.decisions(trial.parameters), recorded.decisions)
        judged = trial if train is None else train
        shape = judged.figures.shape
        return Winner(
            rank=rank,
            parameters=trial.parameters,
            span=trial.span,
            statistics=trial.figures.statistics,
            train=None if train is None else train.figures.statistics,
            deflated_sharpe=None if shape is None else deflated(shape, sharpes),
            trials=len(sharpes),
            decisions=len(recorded.decisions),
            refused=figures.refused,
            closings=figures.closings,
            cycles=recorded.cycles,
            content_chain=recorded.content_chain,
            reproduced=here == there and figures == trial.figures,
            twin_difference=twin,
        )

    def _tell(self, done: int) -> None:
        self._done += done
        if self._told is not None and done:
            self._told(self._done, self.plan.trials)


def _key(combination: Combination, span: Span, engine: str) -> str:
    """Names a trial in the results: its parameters, its days, how it was computed."""
    return f"{digest_of(combination)}/{span.first}/{span.last}/{engine}"


def _batches(items: Sequence[tuple[str, Combination]]) -> list[list[tuple[str, Combination]]]:
    left = iter(items)
    return [batch for batch in iter(lambda: list(islice(left, BATCH)), [])]
