"""Values of bars that were replaced by others, kept as versions: the store shows the newest, sessions traded on what they saw.

`<store>/_revisions/<venue>/<BASE_QUOTE>/<granularity>.jsonl`, one line per replaced value, oldest first, under a digest of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_files import Bars, content_of, folder_of
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import Series

FOLDER: Final = "_revisions"

Values = tuple[float, ...]


class Revision(msgspec.Struct, frozen=True):
    """A bar (open in ms) whose values (open, high, low, close, volume) gave way to others, and who gave those."""

    open_ms: int
    values: Values
    replaced_by: Values
    source: str


class _Line(msgspec.Struct, frozen=True):
    sha256: str
    revision: Revision


def keep_replaced(root: Path, series: Series, before: Bars, after: Bars, *, source: str) -> None:
    """Keep the values of `before` that differ in `after`; one that is the newest version kept already is not kept again."""
    changed = [Revision(at, before[at], values, source) for at, values in sorted(after.items()) if before.get(at, values) != values]
    if changed:
        newest = {each.open_ms: each for each in revisions(root, series)}
        _append(root, series, [each for each in changed if newest.get(each.open_ms) != each])


def revisions(root: Path, series: Series) -> list[Revision]:
    """Every replaced value of the series in the order of replacing. Raises `IntegrityError` naming file and line."""
    path = _path(root, series)
    found: list[Revision] = []
    for number, text in enumerate((content_of(path) or b"").split(b"\n")[:-1], 1):
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.DecodeError as error:
            raise _damaged(path, number) from error
        if line.sha256 != _digest(line.revision):
            raise _damaged(path, number)
        found.append(line.revision)
    return found


def _append(root: Path, series: Series, new: Iterable[Revision]) -> None:
    file = LineFile(_path(root, series))
    file.cut_torn_tail()
    lines = [msgspec.json.encode(_Line(_digest(each), each)) + b"\n" for each in new]
    if lines:
        file.append(b"".join(lines), sync=True)


def _path(root: Path, series: Series) -> Path:
    return folder_of(root / FOLDER, series).with_suffix(".jsonl")


def _digest(revision: Revision) -> str:
    return hashlib.sha256(msgspec.json.encode(revision)).hexdigest()


def _damaged(path: Path, number: int) -> IntegrityError:
    return IntegrityError(
        f"{path} is not what was written: line {number}; the store itself is intact, move the file away to go on without it"
    )
