"""Values from environment variables and flags, laid over what the files say; each keeps where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from os import PathLike, fspath
from typing import Any, Final

import msgspec

from dudzian_daemon.config.provenance import Document, Path, Problem, Source, key_text
from dudzian_daemon.config.scan import scan

PREFIX: Final = "DUDZIAN__"
#: Mappings whose keys are written in capitals; elsewhere a new key of a variable is taken in small letters.
_CAPITALS: Final = ("initial_balances", "conversions", "instruments")


class Flag(msgspec.Struct, frozen=True):
    """A value given on the command line, with the flag that gave it."""

    name: str
    value: Any


def overlay_variables(document: Document, env: Mapping[str, str]) -> list[Problem]:
    """Lay `DUDZIAN__SECTION__KEY=value` (YAML, any case) over the tree; fewer parts first, so that a key wins over its section."""
    problems: list[Problem] = []
    names = (name for name in env if name.upper().startswith(PREFIX))
    for name in sorted(names, key=lambda name: (name.count("__"), name)):
        words = name[len(PREFIX) :].split("__")
        path = _existing_path(document, words)
        value = scan(env[name], name, kind="env")
        if value.problems:
            problems += [msgspec.structs.replace(problem, line=0, column=0, key=key_text(path)) for problem in value.problems]
        else:
            problems += _put(document, path, value.tree, Source("env", name))
    return problems


def overlay_flags(document: Document, flags: Mapping[str, Any]) -> list[Problem]:
    """Lay values given by dotted path over the tree; a value may be a `Flag`."""
    problems: list[Problem] = []
    for dotted, given in flags.items():
        name, value = (given.name, given.value) if isinstance(given, Flag) else ("", given)
        problems += _put(document, tuple(dotted.split(".")), _plain(value), Source("cli", name))
    return problems


def _existing_path(document: Document, words: list[str]) -> Path:
    path: Path = ()
    for word in words:
        matching = (key for key in document.section(*path) if key.lower() == word.lower())
        fresh = word.upper() if path and path[-1] in _CAPITALS else word.lower()
        path = (*path, next(matching, fresh))
    return path


def _put(document: Document, path: Path, value: Any, source: Source) -> list[Problem]:
    node = document.tree
    for length, part in enumerate(path[:-1], start=1):
        below = node.get(part)
        if below is None:
            below = node[part] = {}
            document.keys[path[:length]] = document.values[path[:length]] = source
        if not isinstance(below, dict):
            message = f"{key_text(path[:length])} holds a value, not a section"
            return [Problem(source.text, 0, 0, key_text(path), message)]
        node = below
    node[path[-1]] = value
    for places in (document.values, document.keys):
        for place in [place for place in places if place[: len(path)] == path]:
            del places[place]
    _mark(document, path, value, source)
    return []


def _mark(document: Document, path: Path, value: Any, source: Source) -> None:
    document.keys[path] = document.values[path] = source
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        _mark(document, (*path, key), item, source)


def _plain(value: Any) -> Any:
    """A value of the command line as the scan would give it."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
