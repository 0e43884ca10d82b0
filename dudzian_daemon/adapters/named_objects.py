"""The blobs that lines of a session name by digest: what they need in `objects/` to be run again. Whether those are right is not asked.

A line may hold anything: what is no digest is returned as it is, and lies nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

#: How a warm-up begins among inputs; inside of a text its quotes would be escaped.
_WARM_UP: Final = b'["warm_up",'
_NAME: Final = "warm_up"
_ARRAYS: Final = (tuple, list)

_decode: Final = msgspec.json.Decoder().decode


def sources_of(run: Any) -> Iterator[Any]:
    """Digests of the plugins' sources that member `d` of a `run` entry names, those of what they import included."""
    for plugin in _members(_member(run, "plugins")):
        yield _member(plugin, "sha256")
        yield from _members(_member(plugin, "modules"))


def rows_of(inputs: Any, spelled: bytes) -> list[Any]:
    """Digests of the rows that a cycle's inputs name in its warm-ups; `spelled` are JSON bytes that they are a part of."""
    if _WARM_UP not in spelled or not isinstance(inputs, _ARRAYS):
        return []
    return [item[-1] for item in inputs if isinstance(item, _ARRAYS) and list(item[:1]) == [_NAME]]


def rows_of_frame(content: bytes) -> list[Any]:
    """The same of a frame of the tape. Raises `ValueError` or `RecursionError` where it is no JSON."""
    return rows_of(_decode(content), content) if _WARM_UP in content else []


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _members(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []
