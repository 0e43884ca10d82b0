"""Where each value came from, and problems that point there; knows no section of the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

#: A place in the merged tree: keys of mappings and indexes of lists.
Path = tuple[str | int, ...]
Kind = Literal["default", "file", "env", "cli"]


class Source(msgspec.Struct, frozen=True):
    """Origin of a value: `where` is a file, variable or flag; line and column count from 1; `written` is a path before it was resolved."""

    kind: Kind
    where: str = ""
    line: int = 0
    column: int = 0
    written: str = ""

    @property
    def text(self) -> str:
        """`default`, `config/core.yaml:12:5`, `env DUDZIAN__A__B` or `cli --port`."""
        if self.kind == "file":
            return f"{self.where}:{self.line}:{self.column}" if self.line else self.where
        return f"{self.kind} {self.where}".rstrip()


DEFAULT: Final = Source("default")


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong; line and column are 0 where there is none (a missing file, a variable)."""

    file: str
    line: int
    column: int
    key: str
    message: str

    @property
    def text(self) -> str:
        """`file:line:column key: message`."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place} {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class Document:
    """A tree of plain values (mappings, lists, scalars; numbers with a point are Decimal) that knows where each value and key stands."""

    def __init__(self, tree: Any, values: dict[Path, Source], keys: dict[Path, Source]) -> None:
        self.tree = tree
        self.values = values
        self.keys = keys

    def at(self, path: Path) -> Any:
        """The value at `path`, None if there is none."""
        node = self.tree
        for part in path:
            if isinstance(node, dict):
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                return None
        return node

    def section(self, *path: str | int) -> dict[str, Any]:
        """The mapping at `path`; empty if something else or nothing stands there."""
        node = self.at(path)
        return node if isinstance(node, dict) else {}

    def entries(self, *path: str | int) -> Iterator[tuple[str, dict[str, Any]]]:
        """The mappings inside the mapping at `path`, by name."""
        return ((name, entry) for name, entry in self.section(*path).items() if isinstance(entry, dict))

    def source(self, path: Path) -> Source:
        """Origin of the value at `path`; for a default of a section that was written, `default`."""
        return self.values.get(path, DEFAULT)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """A problem with the value (or the key) at `path`, placed at the nearest thing that was written."""
        places = self.keys if at_key else self.values
        place = places.get(path) or self.keys.get(path)
        for length in range(len(path) - 1, -1, -1):
            place = place or self.keys.get(path[:length]) or self.values.get(path[:length])
        place = place or DEFAULT
        return Problem(_place_name(place), place.line, place.column, key_text(path), message)


def key_text(path: Path) -> str:
    """`environments.demo.replay.windows[0].start`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar in structs, mappings and sequences with its path; an empty mapping or sequence counts as a scalar."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def _place_name(place: Source) -> str:
    return f"{place.kind} {place.where}" if place.kind in ("env", "cli") else place.where
