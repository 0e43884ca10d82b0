"""Which recorded session is meant: a log id, a folder, a file, or the newest of an artifact; and its lines, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.data_folder import resolve
from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER, LOG_ID, OBJECTS_FOLDER, segments
from dudzian_daemon.adapters.journal_reader import Entry, entries, sessions
from dudzian_daemon.adapters.log_lines import read_tail
from dudzian_daemon.adapters.log_sources import Source, find_logs
from dudzian_daemon.config.load import load
from dudzian_daemon.domain.errors import ConfigError

#: Stands for the newest session of the environment.
NEWEST: Final = "newest"


class RecordedLog(msgspec.Struct, frozen=True):
    """A session's journal: `folder` holds its files and `objects/`."""

    source: Source
    folder: Path

    def entries(self, lines: int | None = None) -> Iterator[Entry]:
        """Its whole lines in order, the first `lines` of them; memory stays flat. Raises `IntegrityError` for what is no entry."""
        return islice((entry for path in self.source.files for entry in entries(path)), lines)

    @property
    def torn_bytes(self) -> int:
        """Bytes after the last whole line, what a crash left of a write; not told of a packed file."""
        last = self.source.files[-1]
        return 0 if last.suffix == ".gz" else read_tail(last).torn


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: a log id or its beginning, a folder, a file, an artifact, or `newest` of the configured environment."""

    session: str = NEWEST
    data_dir: Path | None = None
    config: Path | None = None
    environment: str | None = None


def find_recorded(options: LogOptions, env: Mapping[str, str]) -> RecordedLog:
    """The one session that is meant. Raises `ConfigError` that names those there are."""
    wanted, data_folder = options.session, resolve(options.data_dir, env)
    for path in (Path(wanted), data_folder / wanted):
        if wanted != NEWEST and path.exists():
            return _at(path)
    name = _artifact(options, env) if wanted == NEWEST else wanted
    if found := sessions(data_folder, name)[:1]:
        return _at(found[0].folder)
    root = data_folder / JOURNAL_FOLDER
    folders = sorted(folder for folder in root.glob("*/*") if LOG_ID.fullmatch(folder.name) and folder.is_dir())
    chosen = [folder for folder in folders if wanted != NEWEST and folder.name.startswith(wanted)]
    if len(chosen) == 1:
        return _at(chosen[0])
    known = ", ".join(f"{folder.name} ({folder.parent.name})" for folder in folders[:5]) or "none"
    count = f"{len(chosen)} sessions" if chosen else "no session"
    msg = f"expected a log id, its beginning, a folder, a file or an artifact, found {count} for {name!r} below {root}; known: {known}"
    raise ConfigError(msg)


def _artifact(options: LogOptions, env: Mapping[str, str]) -> str:
    configuration = load(options.config, env=env).config
    return configuration.artifact_name(configuration.environment_id(options.environment))


def _at(path: Path) -> RecordedLog:
    folder = path.absolute().parent
    if path.is_file() and path.absolute() not in segments(folder):
        objects = folder / OBJECTS_FOLDER
        return RecordedLog(Source(label=str(path), files=(path,), objects=objects if objects.is_dir() else None), folder)
    found = [source for source in find_logs(folder if path.is_file() else path) if source.files and segments(source.files[0].parent)]
    if len(found) == 1:
        return RecordedLog(found[0], found[0].files[0].parent)
    known = ", ".join(source.label for source in found[:5]) or "none"
    msg = f"expected the journal of one session at {path}, found {len(found)}: {known}"
    raise ConfigError(msg)
