"""Segments of a signed projection: the file that is written keeps its name, and what it held before lies beside it or in the archive.

```
logs/decision_journal/demo-2026-10-25-000001.jsonl    segments that are done, numbered from 1, with the day on which each was begun
logs/decision_journal/demo.jsonl                      the last one
audit/decisions/decision_log/demo-...-000001.jsonl.gz after `dudzian retention run`
```

One chain runs over all of them. Each but the first says in an entry `segment` which number it has. It judges nothing.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import KEY_CHANGE, segment_name, split
from dudzian_daemon.adapters.log_lines import DAMAGED, open_log, raw_lines
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

#: Where segments of decision logs are archived, below the data folder.
ARCHIVE: Final = Path("audit") / "decisions" / "decision_log"
#: A segment that is done: the stem of the file that is written, the day on which it was begun, its number.
DONE: Final = re.compile(r"(.+)-\d{4}-\d{2}-\d{2}-(\d{6})\.jsonl(?:\.gz)?")
SEGMENT_ENTRY: Final = "segment"
#: A change of key may come before the entry that names a segment's number.
_LOOKED_AT: Final = 2


class Beginning(msgspec.Struct, frozen=True):
    """What the first lines of a file say: its log, the number of its first line, its own number, when it was begun (wall ns, 0: unsaid)."""

    log_id: str
    line: int
    number: int
    at: int


class _Opening(msgspec.Struct):
    kind: str = ""
    number: int = 1


class _Born(msgspec.Struct):
    at: int = 0


def beginning(path: Path) -> Beginning | None:
    """How a file of a log begins, None for one that cannot be read as one."""
    try:
        with open_log(path) as stream:
            lines = [split(line) for line in islice(raw_lines(stream), _LOOKED_AT) if line.endswith(b"\n")]
        opening = [(msgspec.json.decode(line.d, type=_Opening), msgspec.json.decode(line.w, type=_Born)) for line in lines]
    except (*DAMAGED, ValueError, RecursionError, ConfigError, IntegrityError, OSError):
        return None
    if not lines:
        return None
    said, born = opening[-1 if opening[0][0].kind == KEY_CHANGE else 0]
    return Beginning(lines[0].s.log, lines[0].s.line, said.number if said.kind == SEGMENT_ENTRY else 1, born.at)


def number_of(path: Path) -> int:
    """The number in the name of a segment that is done, 0 in any other name."""
    match = DONE.fullmatch(path.name)
    return int(match[2]) if match else 0


def written_file(path: Path) -> Path:
    """The file in which the log goes on, of a segment that is done; any other path itself."""
    match = DONE.fullmatch(path.name)
    return path.with_name(f"{match[1]}.jsonl") if match else path


def done_segments(path: Path) -> list[Path]:
    """Segments beside `path`, the file that is written, in the order of their numbers; both where one is there plain and packed."""
    with os_errors(path.parent):
        near = [each for each in path.parent.iterdir() if each.name.startswith(f"{path.stem}-")] if path.parent.is_dir() else []
    found = [each for each in near if number_of(each) and written_file(each) == path and each.is_file()]
    return sorted(found, key=lambda each: (number_of(each), each.name))


def files_here(path: Path) -> list[Path]:
    """The segments beside `path` and the file that is written, in order."""
    return [*done_segments(path), *([path] if path.is_file() else [])]


def archived_places(path: Path) -> list[Path]:
    """Where a file of a log would lie, packed, in the archive of the data folder in which it is."""
    return [folder / ARCHIVE / f"{path.name.removesuffix('.gz')}.gz" for folder in path.absolute().parents if (folder / ARCHIVE).is_dir()]


def archived_segments(path: Path, log_id: str) -> list[Path]:
    """Those of the log in the archive of the data folder in which `path` lies, in order."""
    for folder in path.absolute().parents:
        if (folder / ARCHIVE).is_dir():
            found = done_segments(folder / ARCHIVE / path.name)
            return [each for each in found if (begun := beginning(each)) is not None and begun.log_id == log_id]
    return []


def whole_log(path: Path) -> list[Path]:
    """All files of the log that `path`, one of them, belongs to, in order: archived or done, then written; doubles stay."""
    written, begun = written_file(path), beginning(path)
    here = files_here(written)
    if begun is None:
        begun = next(filter(None, map(beginning, reversed(here))), None)
    archived = [] if begun is None else archived_segments(written, begun.log_id)
    if path.absolute() in {each.absolute() for each in archived}:
        return archived
    return sorted([*archived, *here[:-1]], key=lambda each: (number_of(each), each.name)) + here[-1:] if here else [path]


def done_name(written: Path, number: int, begun_at: int) -> Path:
    """What a segment is called when it is done."""
    return written.with_name(f"{written.stem}-{segment_name(number, begun_at)}")
