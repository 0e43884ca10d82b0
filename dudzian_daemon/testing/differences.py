"""Where two runs of a plugin part, and how that is told in a line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest

from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.orders import Signal


def first_difference(
    one: Sequence[Signal], other: Sequence[Signal], fields: Sequence[str]
) -> tuple[int, Signal | None, Signal | None] | None:
    """The first pair that is not the same, and its instant."""
    for first, second in zip_longest(one, other):
        if first is None or second is None or any(getattr(first, name) != getattr(second, name) for name in fields):
            instant = min(signal.instant for signal in (first, second) if signal is not None)
            return instant, _at(first, instant), _at(second, instant)
    return None


def _at(signal: Signal | None, instant: int) -> Signal | None:
    return signal if signal is not None and signal.instant == instant else None


def apart(one: Signal, other: Signal) -> tuple[float, str]:
    """The largest relative difference of two signals' values, and whose it is."""
    values = {name: (getattr(one, name) or 0.0, getattr(other, name) or 0.0) for name in ("target", "confidence", "stop_price")}
    values |= {name: (one.numbers.get(name, 0.0), other.numbers.get(name, 0.0)) for name in {**one.numbers, **other.numbers}}
    return max((abs(first - second) / (max(abs(first), abs(second)) or 1.0), name) for name, (first, second) in values.items())


def said(signal: Signal | None) -> str:
    """A signal in a few words."""
    return "nothing" if signal is None else f"{signal.intent} {signal.instrument} ({signal.reason})"


def day(instant: int) -> str:
    """An instant (ns) to the minute, UTC."""
    return f"{datetime.fromtimestamp(instant // SECOND_NS, UTC):%Y-%m-%d %H:%M}"


def one_line(error: BaseException) -> str:
    """Class and text of an exception."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
