"""Why an entry of a session is not the one a backtest makes: judged by the first input or outcome in which the two differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Final

import msgspec

from dudzian_daemon.app.parity.paths import differing_paths, listed
from dudzian_daemon.domain.market import GRANULARITIES, Book, Candle, Command, Gap, Input, OpenPrint, Phase, Quote, Series, Timer, WarmUp
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import iso_utc

#: What the candle of a bar says of the market.
_VALUES: Final = ("open", "high", "low", "close", "volume", "synthetic")


class Cause(StrEnum):
    """Cause classes (docs/reference/parity.md)."""

    OPEN_PRINT = "open_print"
    REVISED_CANDLE = "revised_candle"
    LATE_DATA = "late_data"
    CONFIG = "config"
    CODE = "code"


class Finding(msgspec.Struct, frozen=True):
    """A cause class, and what was seen, in one line."""

    cause: Cause
    detail: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What may be looked at: all recorded inputs in order, rows of a recorded warm-up by digest, the store, and what else has changed.

    `sealed` is whether seals prove the record to be what was written.
    """

    inputs: Callable[[], Iterator[Input]]
    rows: Callable[[str], Sequence[Candle]]
    store: CandleStore
    recorded_series: frozenset[Series]
    backtest_series: frozenset[Series]
    config_changes: tuple[str, ...]
    code_changes: tuple[str, ...]
    sealed: bool


def cause_of(session: CycleRecord, backtest: CycleRecord | None, evidence: Evidence) -> Finding:
    """The cause of the first difference; `backtest` is None when the backtest has ended before."""
    others = () if backtest is None else backtest.inputs
    recorded, played = next(((one, other) for one, other in zip_longest(session.inputs, others) if one != other), (None, None))
    same_place = backtest is None or (session.instant, session.phase) == (backtest.instant, backtest.phase)
    if (recorded is None or played is None) and not same_place:  # as much was known to both, and one of them made a cycle of it
        return _outcome(session, backtest, evidence)
    if isinstance(recorded, Timer | Command):
        recorded = None
    if isinstance(played, Timer | Command):
        played = None
    if recorded is not None and played is not None:
        if _identity(recorded) == _identity(played):
            return _changed(recorded, played, evidence)
        recorded, played = (recorded, None) if _place(recorded) < _place(played) else (None, played)
    if recorded is not None:
        return _unknown_to_the_store(recorded, evidence)
    if played is not None:
        return _unknown_to_the_session(played, evidence)
    return _outcome(session, backtest, evidence)


# -- the same input, told differently ----------------------------------------------------------------------------------


def _changed(recorded: Input, played: Input, evidence: Evidence) -> Finding:
    if isinstance(recorded, Candle) and isinstance(played, Candle):
        return _candle(recorded, played)
    if isinstance(recorded, OpenPrint) and isinstance(played, OpenPrint):
        return _open_print(recorded, played, evidence)
    if isinstance(recorded, WarmUp) and isinstance(played, WarmUp):
        return _history(recorded, played, evidence)
    return Finding(Cause.LATE_DATA, f"{_named(recorded)}: told otherwise")


def _candle(recorded: Candle, played: Candle) -> Finding:
    revised = _revision(recorded, played)
    if revised:
        return Finding(Cause.REVISED_CANDLE, f"{_named(recorded)}: {revised}")
    if recorded.instant != recorded.end:
        return _straggler(recorded)
    return Finding(Cause.LATE_DATA, f"{_named(recorded)}: the session waited {_seconds(recorded.held_ns)} for it")


def _open_print(recorded: OpenPrint, played: OpenPrint, evidence: Evidence) -> Finding:
    closed = next((item for item in evidence.inputs() if isinstance(item, Candle) and _bar(item) == _bar(recorded)), None)
    stored = _stored(recorded, evidence)
    revised = "" if closed is None or stored is None else _revision(closed, stored)
    if closed is not None and revised:
        return Finding(Cause.REVISED_CANDLE, f"{_named(closed)}: {revised}")
    parts = [f"price {recorded.price} recorded, {played.price} in the candle"] if recorded.price != played.price else []
    if recorded.instant != played.instant:
        parts.append(f"traded {_seconds(recorded.instant - played.instant)} after the bar began")
    return Finding(Cause.OPEN_PRINT, f"{_named(recorded)}: {', '.join(parts)}")


def _history(recorded: WarmUp, played: WarmUp, evidence: Evidence) -> Finding:
    asked = (recorded.start, recorded.count) == (played.start, played.count)
    if not asked and evidence.config_changes:
        return _config(evidence)
    series = Series(recorded.instrument, recorded.granularity)
    known = {candle.end: candle for candle in evidence.rows(recorded.digest)}
    stored = {candle.end: candle for candle in evidence.store.read(series, played.start, played.end)}
    end = next((end for end in sorted(known.keys() | stored.keys()) if known.get(end) != stored.get(end)), recorded.end)
    one, other = known.get(end), stored.get(end)
    seen = _revision(one, other) if one and other else f"it is in the {'session' if one else 'store'} only"
    return Finding(Cause.REVISED_CANDLE, f"{series.instrument} {series.granularity} candle to {iso_utc(end)}, in the warm-up: {seen}")


# -- an input that only one of them has --------------------------------------------------------------------------------


def _unknown_to_the_store(item: Input, evidence: Evidence) -> Finding:
    """The session was given what the backtest was not."""
    if isinstance(item, Gap):
        return Finding(Cause.LATE_DATA, f"{_named(item)}: the session was told that these bars never come")
    if isinstance(item, Candle) and item.instant != item.end:
        return _straggler(item)
    if isinstance(item, Candle) and item.synthetic and item.volume == 0.0:
        return Finding(Cause.OPEN_PRINT, f"{_named(item)}: the session made it of quotes, a backtest has candles only")
    if isinstance(item, Quote | Book):
        return Finding(Cause.OPEN_PRINT, f"{_named(item)}: the session had quotes or books, a backtest has candles only")
    if evidence.config_changes and (isinstance(item, WarmUp) or _series(item) not in evidence.backtest_series):
        return _config(evidence)
    if isinstance(item, OpenPrint):
        if _stored(item, evidence) is not None:
            return Finding(Cause.OPEN_PRINT, f"{_named(item)}: the session had it at another moment than the candle has")
        if not any(isinstance(known, Candle) and _identity(known)[1:] == _identity(item)[1:] for known in evidence.inputs()):
            return Finding(Cause.OPEN_PRINT, f"{_named(item)}: its bar had not closed when the session ended")
    return Finding(Cause.REVISED_CANDLE, f"{_named(item)}: the store does not have it")


def _unknown_to_the_session(item: Input, evidence: Evidence) -> Finding:
    """The backtest was given what the session was not, or not then."""
    if evidence.config_changes and (isinstance(item, WarmUp | Gap) or _series(item) not in evidence.recorded_series):
        return _config(evidence)
    for known in evidence.inputs():
        if isinstance(known, Gap) and _series(known) == _series(item) and isinstance(item, Candle | OpenPrint):
            if known.start < _bar(item) <= known.end:
                return Finding(Cause.LATE_DATA, f"{_named(item)}: the session was told at {iso_utc(known.instant)} that it never comes")
        elif isinstance(item, Candle) and isinstance(known, Candle) and _identity(known) == _identity(item):
            return _straggler(known)
        elif isinstance(item, OpenPrint) and isinstance(known, OpenPrint) and _identity(known) == _identity(item):
            return _open_print(known, item, evidence)
    return Finding(Cause.REVISED_CANDLE, f"{_named(item)}: the store has it, the session never got it")


def _straggler(candle: Candle) -> Finding:
    return Finding(Cause.LATE_DATA, f"{_named(candle)}: released {_seconds(candle.instant - candle.end)} after its end")


# -- equal inputs, another outcome -------------------------------------------------------------------------------------


def _outcome(session: CycleRecord, backtest: CycleRecord | None, evidence: Evidence) -> Finding:
    if evidence.config_changes:
        return _config(evidence)
    what = _first_difference(session, backtest)
    waited = max((item.held_ns for item in evidence.inputs() if isinstance(item, Candle) and item.instant <= session.instant), default=0)
    if waited and (_only_a_fill_moved(session, backtest) or not evidence.code_changes):
        return Finding(Cause.LATE_DATA, f"{what}; the session had waited for candles, up to {_seconds(waited)}")
    if evidence.code_changes:
        return Finding(Cause.CODE, f"{what}; changed since: {listed(evidence.code_changes)}")
    unless = "" if evidence.sealed else ", unless the record was changed: no seal proves it"
    return Finding(Cause.CODE, f"{what}; inputs, configuration and code are equal: a strategy or the step is not deterministic{unless}")


def _only_a_fill_moved(session: CycleRecord, backtest: CycleRecord | None) -> bool:
    """Nothing was decided otherwise, but one has a fill that the other has not, or not yet: what waiting for a candle does."""
    if backtest is None:
        return False
    if (session.instant, session.phase) != (backtest.instant, backtest.phase):
        earlier = min(session, backtest, key=lambda record: (record.instant, record.phase))
        return bool(earlier.fills) and not earlier.signals
    decided = (session.due, session.signals, session.verdicts) == (backtest.due, backtest.signals, backtest.verdicts)
    return decided and [fill.order_id for fill in session.fills] != [fill.order_id for fill in backtest.fills]


def _config(evidence: Evidence) -> Finding:
    return Finding(Cause.CONFIG, f"changed since: {listed(evidence.config_changes)}")


def _first_difference(session: CycleRecord, backtest: CycleRecord | None) -> str:
    if backtest is None:
        return f"the backtest ended before {iso_utc(session.instant)}"
    if (session.instant, session.phase) != (backtest.instant, backtest.phase):
        return f"the session made a cycle at {_moment(session)}, the backtest its next one at {_moment(backtest)}"
    return str(differing_paths(session, backtest)[0])


def _moment(record: CycleRecord) -> str:
    return f"{iso_utc(record.instant)} ({Phase(record.phase).name.lower()})"


# -- what an input is --------------------------------------------------------------------------------------------------


def _series(item: Input) -> Series:
    return Series(getattr(item, "instrument", ""), getattr(item, "granularity", ""))


def _bar(item: Candle | OpenPrint) -> int:
    """End of the bar that the candle closes or the print opens."""
    if isinstance(item, Candle):
        return item.end
    step = GRANULARITIES[item.granularity]
    return (item.instant // step + 1) * step


def _identity(item: Input) -> tuple[str, Series, int]:
    """What stays when it is told again: its kind, series, and bar, or for others its instant."""
    return type(item).__name__, _series(item), _bar(item) if isinstance(item, Candle | OpenPrint) else item.instant


def _place(item: Input) -> tuple[int, Phase]:
    phases = {Candle: Phase.CLOSE, OpenPrint: Phase.OPEN, Quote: Phase.QUOTE, Book: Phase.QUOTE}
    return item.instant, phases.get(type(item), Phase.REVISION)


def _stored(print_: OpenPrint, evidence: Evidence) -> Candle | None:
    """The store's candle of the bar that the print opened."""
    series = _series(print_)
    end = _bar(print_)
    return next(iter(evidence.store.read(series, end - series.step_ns, end)), None)


def _revision(recorded: Candle, stored: Candle) -> str:
    changes = [(name, getattr(recorded, name), getattr(stored, name)) for name in _VALUES]
    return ", ".join(f"{name} {one} recorded, {other} in the store" for name, one, other in changes if one != other)


def _named(item: Input) -> str:
    series = f"{_series(item).instrument} {_series(item).granularity}".strip()
    if isinstance(item, Candle):
        return f"{series} candle to {iso_utc(item.end)}"
    if isinstance(item, Gap):
        return f"{series} gap from {iso_utc(item.start)} to {iso_utc(item.end)}"
    return f"{series} {type(item).__name__} at {iso_utc(item.instant)}"


def _seconds(span_ns: int) -> str:
    return f"{span_ns / 1e9:g} s"
