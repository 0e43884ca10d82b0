"""The candle store's manifest: one row per month file in a SQLite file beside the data, under a digest of its own.

SQLite alone notices few flipped bits, so a digest over all rows is kept with them and checked on every load. The module
knows no Parquet and no path but the manifest's own.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.candle_files import MonthKey
from dudzian_daemon.adapters.files import FILE, os_errors, require_regular_or_absent
from dudzian_daemon.domain.errors import ConfigError, DudzianError, IntegrityError, Retryable, StorageError
from dudzian_daemon.domain.market import Series
from dudzian_daemon.kernel.faults import fault_point

FILE_NAME: Final = "ohlcv_manifest.sqlite"
#: `source` of candles that were made up; they never share a store with real ones.
SEEDED: Final = "seeded"
LAYOUT: Final = 1
#: How long a reader or writer waits for another writer, seconds.
PATIENCE_S: Final = 5.0

_TABLES: Final = """
CREATE TABLE files (
  state TEXT NOT NULL, instrument TEXT NOT NULL, granularity TEXT NOT NULL, year INTEGER NOT NULL, month INTEGER NOT NULL,
  rows INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL, source TEXT NOT NULL,
  PRIMARY KEY (state, instrument, granularity, year, month)
) WITHOUT ROWID;
CREATE TABLE digest (sha256 TEXT NOT NULL);
"""
_SELECT_LAYOUT: Final = "PRAGMA user_version"
_SELECT_DIGEST: Final = "SELECT sha256 FROM digest"
_SELECT_FILES: Final = "SELECT * FROM files ORDER BY state, instrument, granularity, year, month"

_DELETE: Final = "DELETE FROM files WHERE state = ? AND instrument = ? AND granularity = ? AND year = ? AND month = ?"
_INSERT: Final = "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REMEDY: Final = (
    "restore it from a copy, make it anew with `dudzian backfill --rebuild-manifest`, or delete the folder and fill it again "
    "(`dudzian seed-paper-cache`)"
)
_HELD: Final = (Retryable, "is held by another writer: wait for it to finish, then run again")
_CLOSED: Final = (ConfigError, "cannot be used: check owner and permissions of its folder")
#: What to tell the operator by SQLite's primary result code; any other code means damage.
_ANSWERS: Final[dict[int, tuple[type[DudzianError], str]]] = {
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_READONLY: _CLOSED,
    sqlite3.SQLITE_PERM: _CLOSED,
    sqlite3.SQLITE_FULL: (StorageError, "found no space left: free some and run again"),
    sqlite3.SQLITE_IOERR: (StorageError, "was refused by the disk: check it"),
}


class MonthFile(msgspec.Struct, frozen=True):
    """What was written into one month file; times are opens of bars in UTC milliseconds, `source` says who gave the candles."""

    instrument: str
    granularity: str
    year: int
    month: int
    rows: int
    first_ms: int
    last_ms: int
    bytes: int
    sha256: str
    source: str

    @property
    def key(self) -> MonthKey:
        """The month of the series that the file holds."""
        return Series(self.instrument, self.granularity), self.year, self.month


class Manifest(msgspec.Struct, frozen=True, dict=True):
    """All month files by key. `intended` are those that a writer was about to put in place when it was killed."""

    current: dict[MonthKey, MonthFile] = {}
    intended: dict[MonthKey, MonthFile] = {}

    @cached_property
    def by_series(self) -> dict[Series, list[MonthFile]]:
        """Current files of each series, oldest first; series in order of their names."""
        found: dict[Series, list[MonthFile]] = {}
        for key in sorted(self.current):
            found.setdefault(key[0], []).append(self.current[key])
        return found

    @property
    def sources(self) -> set[str]:
        """Everyone who gave candles to this store."""
        return {name for file in self.current.values() for name in file.source.split("+")}


def load_manifest(root: Path, *, immutable: bool = False) -> Manifest:
    """The manifest of the store at `root`, empty if there is none yet. Blocks: the asynchronous twin is `read_manifest`.

    `immutable` is for a store that nobody writes, in a folder that may be read-only. Raises `IntegrityError` when it is
    not what was written, `Retryable` when a writer holds it for too long.
    """
    path = root / FILE_NAME
    if _nothing_written(path):
        return Manifest()
    with _sqlite_errors(path), closing(_connect(path, immutable=immutable)) as connection:
        connection.execute("BEGIN")
        return _load(path, connection)


async def read_manifest(root: Path, *, immutable: bool = False) -> Manifest:
    """`load_manifest` without blocking the event loop."""
    import aiosqlite
    import anyio.to_thread

    path = root / FILE_NAME
    if await anyio.to_thread.run_sync(_nothing_written, path):
        return Manifest()
    with _sqlite_errors(path):
        async with aiosqlite.connect(_uri(path, immutable=immutable), uri=True, timeout=PATIENCE_S, isolation_level=None) as connection:
            await connection.execute("BEGIN")
            answers = [await connection.execute_fetchall(query) for query in (_SELECT_LAYOUT, _SELECT_DIGEST, _SELECT_FILES)]
    return _decoded(path, *[[tuple(row) for row in rows] for rows in answers])


class ManifestWriter:
    """The only writer of a manifest: what it intends and commits is durable when the call returns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, manifest: Manifest) -> None:
        self._path = path
        self._connection = connection
        self.manifest = manifest

    def intend(self, files: Sequence[MonthFile]) -> None:
        """Record that `files` are about to be put in place: after a kill, old and new file are both known and valid."""
        self._replace(Manifest(self.manifest.current, {file.key: file for file in files}))

    def commit(self, files: Sequence[MonthFile]) -> None:
        """Record that `files` are in place and nothing is intended any more."""
        self._replace(Manifest({**self.manifest.current, **{file.key: file for file in files}}))

    def forget(self, keys: Iterable[MonthKey]) -> None:
        """Record that the files of these months are no part of the store any more."""
        gone = set(keys)
        current = {key: file for key, file in self.manifest.current.items() if key not in gone}
        self._replace(Manifest(current, {key: file for key, file in self.manifest.intended.items() if key not in gone}))

    def _replace(self, manifest: Manifest) -> None:
        before, after = _rows(self.manifest), _rows(manifest)
        gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
        with os_errors(self._path), _sqlite_errors(self._path):
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.executemany(_DELETE, [row[:5] for row in gone])
            self._connection.executemany(_INSERT, new)
            self._connection.execute("UPDATE digest SET sha256 = ?", (_digest(after),))
            fault_point("manifest.commit")
            self._connection.execute("COMMIT")
        self.manifest = manifest


@contextmanager
def writing(root: Path) -> Iterator[ManifestWriter]:
    """Hold the manifest at `root` (an existing folder) alone, readers included, until the block ends; it is made if missing.

    Raises `Retryable` when another writer does not finish in time, `IntegrityError` when it is not what was written.
    """
    path = root / FILE_NAME
    require_regular_or_absent(path)
    if not path.exists():
        with os_errors(path):
            path.touch()
            path.chmod(FILE)
    with _sqlite_errors(path), closing(_connect(path, immutable=False)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("BEGIN EXCLUSIVE")
        # From here on the lock outlives the transactions: one writer does all its reading and replacing alone. Asked for
        # before the lock is held, two writers would each keep a shared lock and wait for the other.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if _nothing_written(path):
            _create(connection)
        manifest = _load(path, connection)
        connection.execute("COMMIT")
        yield ManifestWriter(path, connection, manifest)


def _nothing_written(path: Path) -> bool:
    require_regular_or_absent(path)
    return not path.exists() or path.stat().st_size == 0


def _uri(path: Path, *, immutable: bool) -> str:
    return f"{path.absolute().as_uri()}?mode={'ro&immutable=1' if immutable else 'rw'}"


def _connect(path: Path, *, immutable: bool) -> sqlite3.Connection:
    return sqlite3.connect(_uri(path, immutable=immutable), uri=True, timeout=PATIENCE_S, isolation_level=None)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.strip().split(";\n"):
        connection.execute(statement)
    connection.execute("INSERT INTO digest VALUES (?)", (_digest([]),))
    connection.execute(f"PRAGMA user_version = {LAYOUT}")


def _load(path: Path, connection: sqlite3.Connection) -> Manifest:
    return _decoded(path, *[connection.execute(query).fetchall() for query in (_SELECT_LAYOUT, _SELECT_DIGEST, _SELECT_FILES)])


def _decoded(path: Path, layout: list[Any], digest: list[Any], rows: list[Any]) -> Manifest:
    if layout != [(LAYOUT,)]:
        msg = f"manifest {path}: expected layout {LAYOUT}, found {layout}; it is damaged or was written by another version of dudzian"
        raise IntegrityError(msg)
    if digest != [(_digest(rows),)]:
        msg = f"manifest {path} is not what was written (its digest differs): {_REMEDY}"
        raise IntegrityError(msg)
    found: dict[str, dict[MonthKey, MonthFile]] = {"current": {}, "intended": {}}
    for state, *values in rows:
        file = MonthFile(*values)
        found[state][file.key] = file
    return Manifest(**found)


def _rows(manifest: Manifest) -> list[tuple[Any, ...]]:
    states = (("current", manifest.current), ("intended", manifest.intended))
    return [(state, *msgspec.structs.astuple(files[key])) for state, files in states for key in sorted(files)]


def _digest(rows: Sequence[tuple[Any, ...]]) -> str:
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the second comes when SQLite quotes damaged text in its message
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> DudzianError:
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    kind, what = _ANSWERS.get(primary, (IntegrityError, f"is not what was written: {_REMEDY}"))
    return kind(f"manifest {path} {what} ({error})")
