"""The strategy contract (architecture, section 7) as checks over any plugin: what `dudzian plugins check` and our own tests run.

`check_strategy` plays the plugin in the real core over given candles, again and again, and says what held and what did not.
A finding against the plugin names the instant of the first candle that speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from types import ModuleType
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.orders import Signal
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.testing.differences import apart, day, first_difference, one_line, said
from dudzian_daemon.testing.trial import Trial
from dudzian_daemon.trading.strategy_declarations import declared_problem, decoded_params
from dudzian_daemon.trading.strategy_unit import Unit

#: How many shortened runs look for a view of the future.
CUTS: Final = 12
#: How many starts compare a short history with a long one, which is this many warm-ups if there are so many candles.
STARTS: Final = 3
LONG_HISTORY: Final = 5
#: Candles that each hole in the data swallows.
HOLE: Final = 5
#: An instant no candle reaches.
FOREVER: Final = 1 << 63
#: What makes two signals the same decision; the values they carry may differ by the memory of an exponential mean.
DECISION: Final = ("instant", "instrument", "intent", "reason", "group")


class Finding(msgspec.Struct, frozen=True):
    """What one check found; `at` is the instant (ns) it is about, None if it is about none."""

    check: str
    ok: bool
    detail: str
    at: int | None = None


class Case(msgspec.Struct, frozen=True):
    """What is tried: a maker of strategies, the instruments of its units, their candles, and the warm-up of each series."""

    make: Callable[[], Strategy]
    traded: tuple[str, ...]
    granularity: str
    rows: dict[Series, Sequence[Candle]]
    warm_up: dict[Series, int]

    def trial(self) -> Trial:
        """A session before its first candle."""
        return Trial(self.make, self.traded, self.granularity)

    def between(self, start: int, end: int) -> dict[Series, Sequence[Candle]]:
        """The candles with `start` < end of bar <= `end`; every series is a key."""
        return {series: [candle for candle in rows if start < candle.end <= end] for series, rows in self.rows.items()}

    @property
    def ends(self) -> list[int]:
        """Bar ends of the finest series, ascending, from the first at which all series are warm."""
        finest = min(self.rows, key=lambda series: (series.step_ns, series))
        warm_at = max(rows[max(self.warm_up[series], 1) - 1].end for series, rows in self.rows.items())
        return [candle.end for candle in self.rows[finest] if candle.end >= warm_at]


def check_strategy(
    plugin: ModuleType | type[Strategy] | Strategy, params: Mapping[str, object] | None, candles: Mapping[Series, Sequence[Candle]]
) -> list[Finding]:
    """All checks on one plugin: a module with `PLUGIN`, a strategy class, or a strategy that has its parameters already.

    It trades the first instruments of `candles`, as many as its legs go into, on the granularity of the first series; each
    series it declares must have more candles than its warm-up. Raises nothing: whatever the plugin does is a finding.
    """
    make = _maker(plugin, params)
    if isinstance(make, Finding):
        return [make]
    case = _case(make, candles)
    if isinstance(case, Finding):
        return [case]
    whole = case.trial().play(case.rows)
    if whole.faults:
        return [_fault("raises_nothing", whole)]
    findings = [Finding("raises_nothing", ok=True, detail=f"{sum(map(len, case.rows.values()))} candles without a fault")]
    return findings + [check(case, whole) for check in (speaks, deterministic, causal, state, silent, gap, warm_up)]


# -- the checks --------------------------------------------------------------------------------------------------------


def speaks(_case: Case, whole: Trial) -> Finding:
    """Never a fault of the plugin, but a warning to the reader: silence proves little."""
    if not whole.signals:
        return Finding("speaks", ok=True, detail="no signal on these candles: the other checks prove little")
    first = whole.signals[0]
    return Finding("speaks", ok=True, detail=f"{len(whole.signals)} signals, {len(whole.fills)} fills", at=first.instant)


def deterministic(case: Case, whole: Trial) -> Finding:
    """The same candles give the same records, twice."""
    return _same_records("deterministic", whole, case.trial().play(case.rows), "a second run")


def causal(case: Case, whole: Trial) -> Finding:
    """A decision at t is unchanged when the candles after t are cut off: lookahead is named by its candle."""
    for cut in _cuts(case, whole):
        shorter = case.trial().play(case.between(0, cut)).signals
        with_future = [signal for signal in whole.signals if signal.instant <= cut]
        found = first_difference(with_future, shorter, ("id", *DECISION, "target", "confidence", "stop_price", "numbers"))
        if found is not None:
            detail = f"{day(found[0])}: says {said(found[1])} when later candles follow and {said(found[2])} when they are cut off"
            return Finding("causal", ok=False, detail=detail, at=found[0])
    return Finding("causal", ok=True, detail=f"unchanged by {len(_cuts(case, whole))} cuts")


def state(case: Case, whole: Trial) -> Finding:
    """Exporting and importing `State` before every input, into a strategy made anew, changes nothing."""
    try:
        moved = case.trial().play(case.rows, saved=True)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        return Finding("state", ok=False, detail=f"State cannot be written out and read back: {one_line(error)}")
    return _same_records("state", whole, moved, "a run whose State was written out and read back at every candle")


def silent(case: Case, whole: Trial) -> Finding:
    """Nothing is said before every declared series has delivered its warm-up."""
    early = [signal for unit in whole.units for signal in _too_early(case, whole, unit, 0)]
    if early:
        return Finding("silent", ok=False, detail=f"{said(early[0])} on {day(early[0].instant)}, before its warm-up", at=early[0].instant)
    needed = ", ".join(f"{series.granularity}: {count}" for series, count in sorted(case.warm_up.items()))
    return Finding("silent", ok=True, detail=f"nothing before the warm-up ({needed} candles)")


def gap(case: Case, _whole: Trial) -> Finding:
    """Candles that will never come raise nothing, and a plugin that starts over says nothing until it is warm again."""
    ends = case.ends
    places = [place for share in (1, 2) if (place := len(ends) * share // 3) + HOLE < len(ends)]
    reset = 0
    for place in places:
        start, told = ends[place], ends[place + HOLE]
        trial = case.trial().play(case.between(0, start))
        trial.tell_gap(case.between(start, told), told)
        started_over = [unit for unit in trial.units if not any(unit.seen.values())]
        reset += bool(started_over)
        trial.play(case.between(told, case.ends[-1]))
        if trial.faults:
            return _fault("gap", trial)
        early = [signal for unit in started_over for signal in _too_early(case, trial, unit, told)]
        if early:
            return Finding("gap", ok=False, detail=f"{said(early[0])} before it was warm again", at=early[0].instant)
    starts_over = "starts over" if reset else "keeps its State"
    return Finding("gap", ok=True, detail=f"survives {len(places)} holes of {HOLE} candles, {starts_over}")


def warm_up(case: Case, _whole: Trial) -> Finding:
    """A run warmed with exactly its warm-up decides as one that has seen more; the first candle that differs is named."""
    ends, farthest = case.ends, 0.0
    where: tuple[int, str] | None = None
    for start in [ends[len(ends) * number // (STARTS + 1)] for number in range(1, STARTS + 1)]:
        short, long = (_warmed(case, start, factor) for factor in (1, LONG_HISTORY))
        found = first_difference(short, long, DECISION)
        if found is not None:
            detail = f"{day(found[0])}: says {said(found[1])} after exactly its warm-up and {said(found[2])} after a longer history"
            return Finding("warm_up", ok=False, detail=detail, at=found[0])
        for one, other in zip(short, long, strict=True):
            distance, name = apart(one, other)
            if distance > farthest:
                farthest, where = distance, (one.instant, name)
    if where is None:
        return Finding("warm_up", ok=True, detail="a longer history changes nothing")
    detail = f"the same decisions; {where[1]} differs by {farthest:.1e} of itself on {day(where[0])} after a longer history"
    return Finding("warm_up", ok=True, detail=detail, at=where[0])


# -- what they are made of ---------------------------------------------------------------------------------------------


def _maker(plugin: ModuleType | type[Strategy] | Strategy, params: Mapping[str, object] | None) -> Callable[[], Strategy] | Finding:
    given: Any = getattr(plugin, "PLUGIN", None) if isinstance(plugin, ModuleType) else plugin
    if given is None:
        return Finding("plugin", ok=False, detail="expected the module to say which class is the plugin: PLUGIN = YourStrategy")
    if not isinstance(given, type) and params is None:
        made: Strategy = given
        return lambda: made
    maker: Any = given if isinstance(given, type) else type(given)
    try:
        decoded = decoded_params(maker.Params, params or {})
        maker(decoded)  # once, for what it raises
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": parameters and constructor are the plugin's
        return Finding("parameters", ok=False, detail=one_line(error))

    def make() -> Strategy:
        strategy: Strategy = maker(decoded)
        return strategy

    return make


def _case(make: Callable[[], Strategy], candles: Mapping[Series, Sequence[Candle]]) -> Case | Finding:
    instruments = tuple(dict.fromkeys(series.instrument for series in candles))
    try:
        legs = make().legs
        traded = instruments[: len(instruments) // legs * legs]
        if not traded:
            return Finding("series", ok=False, detail=f"expected candles of {legs} instruments, found {len(instruments)}")
        granularity = next(iter(candles)).granularity
        units = [traded[start : start + legs] for start in range(0, len(traded), legs)]
        declared = [make().series(unit, granularity) for unit in units]
        problem = next(filter(None, (declared_problem(each, make().new_state()) for each in declared)), "")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": the declarations are the plugin's
        return Finding("series", ok=False, detail=one_line(error))
    if problem:
        return Finding("series", ok=False, detail=problem)
    needs = {need.series: need.warm_up for each in declared for need in each}
    rows = {series: candles.get(series, ()) for series in needs}
    for series, count in needs.items():
        if len(rows[series]) <= count + HOLE:
            detail = f"expected more than {count + HOLE} candles of {series.instrument} {series.granularity}, found {len(rows[series])}"
            return Finding("series", ok=False, detail=detail)
    case = Case(make, traded, granularity, rows, needs)
    if len(case.ends) <= HOLE:
        return Finding("series", ok=False, detail=f"expected more than {HOLE} candles after all series are warm, found {len(case.ends)}")
    return case


def _cuts(case: Case, whole: Trial) -> list[int]:
    """Bar ends to cut after: mostly where something was said, and some where nothing was."""
    spoken = sorted({signal.instant for signal in whole.signals})
    return sorted({*_spread(spoken, CUTS * 2 // 3), *_spread(case.ends[:-1], CUTS // 3)})


def _spread(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, evenly spread, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[number * (len(values) - 1) // (count - 1)] for number in range(count)]


def _warmed(case: Case, start: int, factor: int) -> list[Signal]:
    """What is said after `start` when the first candle after it completes the warm-up (`factor` 1), or comes after more of them."""
    history = {}
    for series, rows in case.between(0, start).items():
        completing = series.granularity == case.granularity
        count = case.warm_up[series] * factor - completing
        history[series] = rows[-count:] if count > 0 else ()
    trial = case.trial()
    trial.warm_up(history, start)
    return trial.play(case.between(start, case.ends[-1])).signals


def _too_early(case: Case, trial: Trial, unit: Unit, since: int) -> Iterator[Signal]:
    """The unit's signals after `since` that came before its series had delivered their warm-up."""
    after = {need.series: [candle.end for candle in case.rows[need.series] if candle.end > since] for need in unit.needs}
    warm_at = max((after[need.series] + [FOREVER] * max(need.warm_up, 1))[max(need.warm_up, 1) - 1] for need in unit.needs)
    for signal in trial.signals:
        if since < signal.instant < warm_at and signal.instrument in unit.instruments:
            yield signal


def _same_records(check: str, one: Trial, other: Trial, second: str) -> Finding:
    for first, again in zip_longest(one.records, other.records):
        if first != again:
            at = min(record.instant for record in (first, again) if record is not None)
            faults = [*(first.faults if first else ()), *(again.faults if again else ())]
            raised = f"; {other.faults[0].text}" if faults and other.faults else ""
            signals = [record.signals[0] if record is not None and record.signals else None for record in (first, again)]
            detail = f"{day(at)}: says {said(signals[0])}, in {second} {said(signals[1])}{raised}"
            return Finding(check, ok=False, detail=detail, at=at)
    return Finding(check, ok=True, detail=f"{len(one.records)} equal records in {second}")


def _fault(check: str, trial: Trial) -> Finding:
    first = trial.faults[0]
    return Finding(check, ok=False, detail=f"{day(first.instant)}: {first.text}", at=first.instant)
