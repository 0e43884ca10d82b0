"""Candles on disk: one Parquet file per series and month, checked against the manifest and its page checksums on every read.

It knows nothing of exchanges, sessions or clocks: what it is given are closed candles, what it gives back is what it was
given, or an `IntegrityError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.candle_files import (
    MS,
    Bars,
    Columns,
    MonthKey,
    bar_of,
    by_month,
    candle_of,
    candles_between,
    content_of,
    damaged_place,
    decoded,
    encoded,
    folder_of,
    months_between,
    path_of,
)
from dudzian_daemon.adapters.damaged_files import keys_on_disk, move_away
from dudzian_daemon.adapters.files import ensure_dir, remove_leftovers, sha256_file, write_atomic
from dudzian_daemon.adapters.live_candles import LiveCandles
from dudzian_daemon.adapters.manifest import FILE_NAME, Manifest, ManifestWriter, MonthFile, load_manifest, writing
from dudzian_daemon.adapters.revisions import Revision, keep_replaced, revisions
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import DAY_NS, Candle, Series

#: `source` of candles that were made up; they never share a store with real ones.
SEEDED: Final = "seeded"


class WriteReport(msgspec.Struct, frozen=True, kw_only=True):
    """Candles that were new, that replaced another value, that were there already; and how many month files were replaced."""

    added: int = 0
    revised: int = 0
    unchanged: int = 0
    months: int = 0


class StoredRange(msgspec.Struct, frozen=True):
    """Bars stored in [start, end) ns, `rows` of them: fewer than fit means that some are missing inside."""

    start: int
    end: int
    rows: int


class ParquetCandleStore:
    """The candles below `root`. Every call blocks: make it off the event loop. One object serves one thread at a time.

    `read_only` is for a store that nobody writes, such as the shipped sample; its folder may be write-protected.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.root: Final = root
        self.read_only: Final = read_only
        self._live: Final = LiveCandles(root)
        self._cached: tuple[tuple[int, ...], Manifest] | None = None

    def series(self) -> list[Series]:
        """Every series the store holds, in order of their names."""
        return sorted({*self._manifest().by_series, *self._live.series()})

    def files(self, series: Series) -> list[MonthFile]:
        """The month files of a series as the manifest has them, oldest first."""
        return self._manifest().by_series.get(series, [])

    @property
    def sources(self) -> set[str]:
        """Everyone who gave candles to the month files."""
        return self._manifest().sources

    def ranges(self, series: Series) -> list[StoredRange]:
        """What manifest and day files say is stored of a series, oldest first; what touches is one range."""
        found: list[StoredRange] = []
        for file in self._manifest().by_series.get(series, []):
            start, end, rows = file.first_ms * MS, file.last_ms * MS + series.step_ns, file.rows
            _extend(found, StoredRange(start, end, rows))
        newest = found[-1].end if found else 0
        for opened in (at * MS for at in sorted(self._live.bars(series))):
            if opened >= newest:
                _extend(found, StoredRange(opened, opened + series.step_ns, 1))
        return found

    def read(self, series: Series, start: int, end: int) -> list[Candle]:
        """Closed candles whose bar lies in [start, end) ns, oldest first; bars the store lacks are simply absent.

        Raises `IntegrityError` naming the file when what is stored is not what was written.
        """
        folder_of(self.root, series)
        return self._with_live(series, self._read_months(series, start, end), start, end)

    def live(self, series: Series) -> list[Candle]:
        """The candles of the day files that no month file has yet, oldest first."""
        found = self._live_candles(series, self._live.bars(series))
        if not found:
            return []
        there = {candle.end for candle in self._read_months(series, found[0].end - series.step_ns, found[-1].end)}
        return [candle for candle in found if candle.end not in there]

    def append_live(self, series: Series, candle: Candle, *, source: str) -> bool:
        """Add one closed candle of a running feed to its day file, durably; False if its bar is there already.

        Raises `Permanent` for a candle that cannot be true, `ConfigError` in a seeded or read-only store.
        """
        self._require_writable()
        self.require_room_for(source)
        return self._live.append(series, candle, source=source)

    def compact_live(self, series: Series, before: int) -> WriteReport:
        """Move the day files of the days that ended at or before `before` (ns) into the month files.

        Of two values for a bar the month file's stays and the other is kept as a revision. Safe to be killed at any moment.
        """
        total = WriteReport()
        for day in self._live.days(series):
            if day.bars and max(day.bars) * MS // DAY_NS * DAY_NS + DAY_NS > before:
                continue
            start, end = min(day.bars) * MS, max(day.bars) * MS + series.step_ns
            there = {(candle.end - series.step_ns) // MS: bar_of(candle) for candle in self._read_months(series, start, end)}
            keep_replaced(self.root, series, day.bars, there, source="month file")
            new = {at: values for at, values in day.bars.items() if at not in there}
            report = self.write(series, self._live_candles(series, new), source="+".join(day.sources))
            total = WriteReport(added=total.added + report.added, months=total.months + report.months)
            day.path.unlink()
        return total

    def revisions(self, series: Series) -> list[Revision]:
        """Values of the series that gave way to others, in the order of replacing."""
        return revisions(self.root, series)

    def read_month(self, file: MonthFile) -> list[Candle]:
        """The candles of a month file. Raises `IntegrityError` when it is not what was written."""
        columns = self._month(self._manifest(), file.key)
        series = file.key[0]
        return [] if columns is None else candles_between(series, columns, file.first_ms * MS, file.last_ms * MS + series.step_ns)

    def verify_month(self, file: MonthFile) -> None:
        """Check the bytes of a month file, decoding nothing. Raises `IntegrityError` as `read_month` would."""
        series = file.key[0]
        self.verify(series, file.first_ms * MS, file.last_ms * MS + series.step_ns)

    def quarantine_damaged(self, series: Series) -> list[Path]:
        """Move away the files of a series that are not what was written, so that their bars can be filled again; where they are now.

        A file that is gone is forgotten.
        """
        self._require_writable()
        moved: list[Path] = []
        with writing(self.root) as writer:
            self._settle(writer)
            known = {key for key in writer.manifest.current if key[0] == series}
            for key in sorted({*known, *keys_on_disk(self.root, series)}):
                try:
                    self._checked(writer.manifest, key)
                except IntegrityError:
                    moved += move_away(self.root, path_of(self.root, key))
                    writer.forget([key])
        for path in self._live.paths(series):
            try:
                self._live.day(path)
            except IntegrityError:
                moved += move_away(self.root, path)
        return moved

    def verify(self, series: Series, start: int, end: int) -> None:
        """Check the bytes of every file that `read` of the same would read, decoding none. Raises `IntegrityError` as `read` would."""
        folder_of(self.root, series)
        manifest = self._manifest()
        for key in months_between(series, start, end - series.step_ns):
            try:
                self._content(manifest, key)
            except IntegrityError:
                self._content(self._manifest(fresh=True), key)  # see `_month`

    def write(self, series: Series, rows: Sequence[Candle], *, source: str) -> WriteReport:
        """Merge closed candles into the store; of two candles for one bar the last wins. Durable when it returns.

        Raises `Permanent` for a candle that cannot be true, `ConfigError` when seeded candles would meet real ones; then
        nothing was written. A damaged month is replaced only by candles that cover all it held, else `IntegrityError`.
        """
        self._require_writable()
        months = by_month(series, rows)
        if not months:
            return WriteReport()
        ensure_dir(self.root)
        with writing(self.root) as writer:
            self._settle(writer)
            self._refuse_mixture(writer.manifest, source)
            merges = [self._merged(writer.manifest, key, bars) for key, bars in sorted(months.items())]
            changed = [merge for merge in merges if merge.added or merge.revised]
            if changed:
                keep_replaced(self.root, series, *_replaced(changed), source=source)
                self._replace(writer, changed, source)
        return WriteReport(
            added=sum(merge.added for merge in merges),
            revised=sum(merge.revised for merge in merges),
            unchanged=sum(merge.unchanged for merge in merges),
            months=len(changed),
        )

    def require_room_for(self, source: str) -> None:
        """Raise `ConfigError` if candles of `source` may not be written here, because seeded and real ones would meet."""
        self._refuse_mixture(self._manifest(), source)

    def _read_months(self, series: Series, start: int, end: int) -> list[Candle]:
        manifest = self._manifest()
        candles: list[Candle] = []
        for key in months_between(series, start, end - series.step_ns):
            columns = self._month(manifest, key)
            if columns is not None:
                candles += candles_between(series, columns, start, end)
        return candles

    def _require_writable(self) -> None:
        if self.read_only:
            msg = f"the candle store at {self.root} is read-only: choose another folder"
            raise ConfigError(msg)

    def _with_live(self, series: Series, candles: list[Candle], start: int, end: int) -> list[Candle]:
        """The candles of month files with those of day files in [start, end); a bar that both have is the month file's."""
        bars = self._live.bars(series)
        if not bars:
            return candles
        there = {candle.end for candle in candles}
        more = [each for each in self._live_candles(series, bars) if each.end not in there and start <= each.end - series.step_ns]
        return sorted([*candles, *(each for each in more if each.end <= end)], key=lambda candle: candle.end)

    def _live_candles(self, series: Series, bars: Bars) -> list[Candle]:
        return [candle_of(series, at, values) for at, values in sorted(bars.items())]

    def _manifest(self, *, fresh: bool = False) -> Manifest:
        """The manifest, loaded again when its file looks changed (a matter of speed) or when asked to (a matter of truth)."""
        looks = self._looks()
        if self.read_only and not looks:
            msg = f"expected a candle store at {self.root}, found no {FILE_NAME}"
            raise ConfigError(msg)
        if fresh or self._cached is None or self._cached[0] != looks:
            self._cached = looks, load_manifest(self.root, immutable=self.read_only)
        return self._cached[1]

    def _looks(self) -> tuple[int, ...]:
        try:
            stat = (self.root / FILE_NAME).stat()
        except FileNotFoundError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _month(self, manifest: Manifest, key: MonthKey) -> Columns | None:
        try:
            return self._checked(manifest, key)
        except IntegrityError:
            # A writer in another process may have replaced the file after the manifest was loaded.
            return self._checked(self._manifest(fresh=True), key)

    def _checked(self, manifest: Manifest, key: MonthKey) -> Columns | None:
        """The columns of a month, None if there is none. The bytes that are decoded are those whose digest was just checked."""
        content = self._content(manifest, key)
        return None if content is None else self._decoded(path_of(self.root, key), *content)

    def _content(self, manifest: Manifest, key: MonthKey) -> tuple[MonthFile, bytes] | None:
        """The bytes of a month under the claim of the manifest that they fulfil, None if there is no such month."""
        path, claim = path_of(self.root, key), manifest.current.get(key)
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
        if (len(times), times[:1], times[-1:]) != (file.rows, [file.first_ms], [file.last_ms]):
            raise self._damaged(path, file, f"it holds {len(times)} candles from {times[:1]} to {times[-1:]} ms")
        return columns

    def _damaged(self, path: Path, file: MonthFile | None, found: str) -> IntegrityError:
        if file is None:
            return IntegrityError(f"{path}: the manifest does not know this file ({found}); move it away and fill its month again")
        if self.read_only:
            remedy = "put the original back (the shipped sample comes with the package: reinstall it)"
        else:
            how = " with `dudzian seed-paper-cache`" if file.source == SEEDED else " with `dudzian backfill`, which moves the file away"
            remedy = f"fill {file.year}-{file.month:02d} again{how}"
        expected = f"expected {file.rows} candles with SHA-256 {file.sha256[:16]}..."
        return IntegrityError(f"{path} is not what was written: {expected}, but {found}; {remedy}")

    def _settle(self, writer: ManifestWriter) -> None:
        """Finish what a killed writer began: files that it put in place count, the others stay as they were."""
        intended = [(path_of(self.root, key), file) for key, file in writer.manifest.intended.items()]
        if intended:
            writer.commit([file for path, file in intended if path.is_file() and sha256_file(path) == file.sha256])

    def _refuse_mixture(self, manifest: Manifest, source: str) -> None:
        there = manifest.sources | ({"a live feed"} if self._live.used else set())
        if there and (source == SEEDED) != (there == {SEEDED}):
            msg = (
                f"the candle store at {self.root} holds candles from {', '.join(sorted(there))}, the new ones are from {source}: "
                "seeded and real candles never share a store; choose another data folder or move this store away"
            )
            raise ConfigError(msg)

    def _merged(self, manifest: Manifest, key: MonthKey, bars: Bars) -> _Merge:
        stored = self._stored(manifest, key, bars)
        added = len(bars.keys() - stored.keys())
        revised = sum(1 for at, values in bars.items() if stored.get(at, values) != values)
        return _Merge(key, {**stored, **bars}, added, revised, len(bars) - added - revised, stored)

    def _stored(self, manifest: Manifest, key: MonthKey, bars: Bars) -> Bars:
        try:
            columns = self._checked(manifest, key)
        except IntegrityError:
            claim = manifest.current.get(key)
            if claim is None or sum(claim.first_ms <= at <= claim.last_ms for at in bars) < claim.rows:
                raise
            return {}
        return {} if columns is None else {at: tuple(values) for at, *values in zip(*columns, strict=True)}

    def _replace(self, writer: ManifestWriter, merges: Sequence[_Merge], source: str) -> None:
        """Data first, manifest after; the intention before both, so that a kill in between leaves nothing unexplained."""
        contents = [encoded(sorted(merge.bars.items())) for merge in merges]
        files = [_month_file(writer.manifest, merge, data, source) for merge, data in zip(merges, contents, strict=True)]
        writer.intend(files)
        for file, data in zip(files, contents, strict=True):
            path = path_of(self.root, file.key)
            ensure_dir(path.parent)
            remove_leftovers(path)
            write_atomic(path, data)
        writer.commit(files)


class _Merge(msgspec.Struct, frozen=True):
    """A month as it will be, and how it differs from what is stored."""

    key: MonthKey
    bars: Bars
    added: int
    revised: int
    unchanged: int
    stored: Bars


def _replaced(merges: Sequence[_Merge]) -> tuple[Bars, Bars]:
    """All bars of the months as they are stored, and as they will be."""
    before = {at: values for merge in merges for at, values in merge.stored.items()}
    return before, {at: values for merge in merges for at, values in merge.bars.items()}


def _extend(found: list[StoredRange], more: StoredRange) -> None:
    """Append a range, or lengthen the last one if they touch."""
    if found and found[-1].end == more.start:
        last = found.pop()
        more = StoredRange(last.start, more.end, last.rows + more.rows)
    found.append(more)


def _month_file(manifest: Manifest, merge: _Merge, data: bytes, source: str) -> MonthFile:
    series, year, month = merge.key
    before = manifest.current.get(merge.key)
    return MonthFile(
        instrument=series.instrument,
        granularity=series.granularity,
        year=year,
        month=month,
        rows=len(merge.bars),
        first_ms=min(merge.bars),
        last_ms=max(merge.bars),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        source="+".join(sorted({source, *(before.source.split("+") if before else ())})),
    )


def store_of(environment: Environment, data_folder: Path) -> ParquetCandleStore:
    """The candles of an environment: the shipped sample, or its cache in the data folder. Raises `ConfigError` without either."""
    if environment.candle_source == "sample":
        return ParquetCandleStore(sample_root(), read_only=True)
    if environment.data_cache_path is None:
        msg = "the environment has no candles: expected `data_cache_path` beside `candle_source: cache`, found none"
        raise ConfigError(msg)
    return ParquetCandleStore(data_folder / environment.data_cache_path)


def sample_root() -> Path:
    """Folder of the real candles that ship with the package; open it with `read_only=True`."""
    return Path(__file__).resolve().parent.parent / "sample" / "ohlcv"


def digest_rows(rows: Sequence[Candle]) -> str:
    """SHA-256 over the canonical JSON of the candles, in hexadecimal: what a warm-up input names its rows by."""
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
