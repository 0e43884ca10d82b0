"""Which logs lie at a path, how their bytes are read, and whether they are of a log at all. Whether they are right is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import LOG_ID, OBJECTS_FOLDER, SEGMENT, segments, split
from dudzian_daemon.adapters.journal_reader import open_log

#: What every line of a log begins with, and its seal.
_LINE_HEAD: Final = b'{"d":'
_SEAL_HEAD: Final = b',"s":{"log":"'
_LINES_LOOKED_AT: Final = 1_000


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A log to judge: its name for people, its files in order (or one stream), the log id and objects its folder claims."""

    label: str
    files: tuple[Path, ...] = ()
    stream: BinaryIO | None = None
    log_id: str | None = None
    objects: Path | None = None

    def open(self) -> Iterator[tuple[str, BinaryIO]]:
        """Each part with its name; one must be read before the next is taken."""
        if self.stream is not None:
            yield self.label, self.stream
        for path in self.files:
            with open_log(path) as stream:
                yield str(path), stream


def find_logs(path: Path) -> list[Source]:
    """The logs at a path: a file, a session's folder, or any folder with logs somewhere below it."""
    with os_errors(path):
        if not path.is_dir():
            inside_session = LOG_ID.fullmatch(path.absolute().parent.name) and SEGMENT.fullmatch(path.name)
            return [Source(label=str(path), files=(path,), log_id=path.absolute().parent.name if inside_session else None)]
        if LOG_ID.fullmatch(path.absolute().name) or segments(path):
            return [_session(path)]
        below = sorted(entry for entry in path.rglob("*") if OBJECTS_FOLDER not in entry.relative_to(path).parts)
        folders = [entry for entry in below if LOG_ID.fullmatch(entry.name) and entry.is_dir()]
        files = [entry for entry in below if entry.name.endswith((".jsonl", ".jsonl.gz")) and entry.parent not in folders]
        return [_session(folder) for folder in folders] + [Source(label=str(file), files=(file,)) for file in files]


def holds_log(lines: Iterator[bytes]) -> bool:
    """Whether one of the first lines is, or has been, a line of a log; no more of them is taken than needed."""
    return any(map(_of_the_format, islice(lines, _LINES_LOOKED_AT)))


def _of_the_format(line: bytes) -> bool:
    if line.startswith(_LINE_HEAD) or _SEAL_HEAD in line:
        return True
    try:
        split(line)
    except ValueError:
        return False
    return True


def _session(folder: Path) -> Source:
    name = folder.absolute().name
    objects = folder / OBJECTS_FOLDER
    return Source(
        label=str(folder),
        files=tuple(segments(folder)),
        log_id=name if LOG_ID.fullmatch(name) else None,
        objects=objects if objects.is_dir() else None,
    )
