"""Where two values differ: path by path with what stands there in each, in texts that never hide the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.records import CycleRecord

#: Members of a cycle in the order in which the step makes them: the first that differs is the nearest to the cause.
_MADE: Final = (
    *("inputs", "due", "signals", "verdicts", "results", "fills", "positions", "risk", "strategies", "faults", "cash", "equity"),
    *("instant", "phase", "books"),
)
_LONGEST_TEXT: Final = 160
#: What is left of the equal beginning of two long texts.
_CONTEXT: Final = 12


class Differing(msgspec.Struct, frozen=True):
    """Two values at one path, as JSON texts; None where there is none. `inputs[0][8]` is the ninth member of the first input."""

    path: str
    recorded: str | None
    backtest: str | None

    def __str__(self) -> str:
        one, other = shown(self.recorded, self.backtest)
        return f"{self.path}: {one} recorded, {other} in the backtest"


def differing_paths(recorded: CycleRecord, played: CycleRecord) -> tuple[Differing, ...]:
    """All paths at which two cycles differ, those nearest to the cause first."""
    one, other = msgspec.to_builtins(recorded), msgspec.to_builtins(played)
    pairs = [pair for name in (*_MADE, "sequence") for pair in differences(one.get(name), other.get(name), name)]
    return tuple(Differing(path, _json(first), _json(second)) for path, first, second in pairs)


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The paths below `path` at which two JSON values differ, and what stands there; a value that is missing is None."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*one, *other]):
            yield from differences(one.get(name), other.get(name), f"{path}.{name}" if path else name)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for number, (first, second) in enumerate(zip_longest(one, other)):
            yield from differences(first, second, f"{path}[{number}]")
    elif one != other or type(one) is not type(other):
        yield path, one, other


def listed(texts: Sequence[str], most: int = 3) -> str:
    """So many of the texts, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more


def shown(one: str | None, other: str | None, longest: int = _LONGEST_TEXT) -> tuple[str, str]:
    """Both texts, cut to `longest` characters around the place where they begin to differ; None is `nothing`."""
    if one is None or other is None:
        return _cut(one, 0, longest), _cut(other, 0, longest)
    equal = next((at for at, (first, second) in enumerate(zip(one, other, strict=False)) if first != second), min(len(one), len(other)))
    start = max(0, equal - _CONTEXT) if max(len(one), len(other)) > longest else 0
    return _cut(one, start, longest), _cut(other, start, longest)


def _cut(text: str | None, start: int, longest: int) -> str:
    if text is None:
        return "nothing"
    rest = text[start:]
    return ("..." if start else "") + (rest if len(rest) <= longest else f"{rest[:longest]}...")


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
