"""The month files of a store as they are read: bytes that fulfil the claim of the manifest, or an `IntegrityError`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dudzian_daemon.adapters.candle_files import (
    Columns,
    MonthKey,
    candles_between,
    content_of,
    damaged_place,
    decoded,
    months_between,
    path_of,
)
from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.manifest import FILE_NAME, SEEDED, Manifest, MonthFile, load_manifest
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import Candle, Series


class MonthFiles:
    """Those below `root`. Every call blocks; the manifest is kept from one to the next."""

    def __init__(self, root: Path, *, read_only: bool) -> None:
        self._root = root
        self._read_only = read_only
        self._cached: tuple[tuple[int, ...], Manifest] | None = None

    def read(self, series: Series, start: int, end: int) -> list[Candle]:
        """Candles whose bar lies in [start, end) ns, oldest first."""
        manifest = self.manifest()
        candles: list[Candle] = []
        for key in months_between(series, start, end - series.step_ns):
            columns = self.month(manifest, key)
            if columns is not None:
                candles += candles_between(series, columns, start, end)
        return candles

    def manifest(self, *, fresh: bool = False) -> Manifest:
        """The manifest, loaded again when its file looks changed (a matter of speed) or when asked to (a matter of truth)."""
        looks = self._looks()
        if self._read_only and not looks:
            msg = f"expected a candle store at {self._root}, found no {FILE_NAME}"
            raise ConfigError(msg)
        if fresh or self._cached is None or self._cached[0] != looks:
            self._cached = looks, load_manifest(self._root, immutable=self._read_only)
        return self._cached[1]

    def _looks(self) -> tuple[int, ...]:
        path = self._root / FILE_NAME
        with os_errors(path):
            try:
                stat = path.stat()
            except FileNotFoundError:
                return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def month(self, manifest: Manifest, key: MonthKey) -> Columns | None:
        """The columns of a month, None if there is none; by a newer manifest where the file is not that of this one."""
        try:
            return self.checked(manifest, key)
        except IntegrityError:
            # A writer in another process may have replaced the file after the manifest was loaded.
            return self.checked(self.manifest(fresh=True), key)

    def checked(self, manifest: Manifest, key: MonthKey) -> Columns | None:
        """The columns of a month, None if there is none. The bytes that are decoded are those whose digest was just checked."""
        content = self.content(manifest, key)
        return None if content is None else self._decoded(path_of(self._root, key), *content)

    def content(self, manifest: Manifest, key: MonthKey) -> tuple[MonthFile, bytes] | None:
        """The bytes of a month under the claim of the manifest that they fulfil, None if there is no such month."""
        path, claim = path_of(self._root, key), manifest.current.get(key)
        data = content_of(path)
        if data is None and claim is None:
            return None
        if data is None:
            raise self._damaged(path, claim, "the file is gone")
        digest = hashlib.sha256(data).hexdigest()
        for file in (claim, manifest.intended.get(key)):
            if file is not None and file.sha256 == digest:
                return file, data
        raise self._damaged(path, claim, f"its SHA-256 is {digest[:16]}... ({damaged_place(data)})")

    def _decoded(self, path: Path, file: MonthFile, data: bytes) -> Columns:
        try:
            columns = decoded(data)
        except IntegrityError as error:
            raise self._damaged(path, file, str(error)) from error
        times = columns[0]
        first, last = list(times[:1]), list(times[-1:])
        if (len(times), first, last) != (file.rows, [file.first_ms], [file.last_ms]):
            raise self._damaged(path, file, f"it holds {len(times)} candles from {first} to {last} ms")
        return columns

    def _damaged(self, path: Path, file: MonthFile | None, found: str) -> IntegrityError:
        if file is None:
            return IntegrityError(f"{path}: the manifest does not know this file ({found}); move it away and fill its month again")
        if self._read_only:
            remedy = "put the original back (the shipped sample comes with the package: reinstall it)"
        else:
            how = " with `dudzian seed-paper-cache`" if file.source == SEEDED else " with `dudzian backfill`, which moves the file away"
            remedy = f"fill {file.year}-{file.month:02d} again{how}"
        expected = f"expected {file.rows} candles with SHA-256 {file.sha256[:16]}..."
        return IntegrityError(f"{path} is not what was written: {expected}, but {found}; {remedy}")
