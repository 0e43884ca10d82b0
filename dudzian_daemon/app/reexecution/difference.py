"""Where a recorded cycle and the one made of its inputs part: paths into the entry, with both values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any, Final

import msgspec

#: Paths that are told of one cycle.
MOST_PATHS: Final = 20


class DifferingValue(msgspec.Struct, frozen=True, kw_only=True):
    """A place in member `d` of the cycle; a value is null where there is none on that side."""

    path: str
    recorded: Any
    replayed: Any


class CycleDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first recorded cycle that its inputs do not lead to; `instant` in ns, `line` counts in the log. `more` paths are not told.

    `fault` is what the core raised, if it did. Paths of a checkpoint begin with `state`, or `books` where it opens a run under new
    rules; that of the content chain is `s.content`.
    """

    sequence: int
    instant: int
    line: int
    values: tuple[DifferingValue, ...]
    more: int
    fault: str = ""


def differing(recorded: Any, replayed: Any, path: str = "") -> Iterator[DifferingValue]:
    """Every value that is not the same on both sides of two JSON values, in the order of the entry."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in {**recorded, **replayed}:
            yield from differing(recorded.get(name), replayed.get(name), f"{path}.{name}" if path else name)
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for number, (one, other) in enumerate(zip_longest(recorded, replayed)):
            yield from differing(one, other, f"{path}[{number}]")
    elif recorded != replayed:
        yield DifferingValue(path=path, recorded=recorded, replayed=replayed)


def cycle_difference(recorded: bytes, replayed: bytes | None, *, line: int, fault: str = "") -> CycleDifference:
    """How the canonical bytes of two cycles differ; `replayed` is None where the inputs led to no cycle."""
    then = msgspec.json.decode(recorded)
    found = iter(()) if replayed is None else differing(then, msgspec.json.decode(replayed))
    return _difference(then["sequence"], then["instant"], line, found, fault)


def state_difference(sequence: int, instant: int, line: int, recorded: bytes, replayed: bytes, path: str) -> CycleDifference:
    """How what a checkpoint holds differs from what was reached; all paths begin with `path`."""
    found = differing(msgspec.json.decode(recorded), msgspec.json.decode(replayed), path)
    return _difference(sequence, instant, line, found)


def _difference(sequence: int, instant: int, line: int, found: Iterator[DifferingValue], fault: str = "") -> CycleDifference:
    values = tuple(islice(found, MOST_PATHS))
    return CycleDifference(sequence=sequence, instant=instant, line=line, values=values, more=sum(1 for _ in found), fault=fault)
