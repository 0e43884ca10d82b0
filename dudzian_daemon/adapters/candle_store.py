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
    bar_of,
    by_month,
    candle_of,
    candles_between,
    encoded,
    folder_of,
    months_between,
    path_of,
)
from dudzian_daemon.adapters.damaged_files import keys_on_disk, move_away
from dudzian_daemon.adapters.files import ensure_dir, remove_leftovers, sha256_file, write_atomic
from dudzian_daemon.adapters.live_candles import LiveCandles
from dudzian_daemon.adapters.manifest import SEEDED, Manifest, ManifestWriter, MonthFile, writing
from dudzian_daemon.adapters.month_files import MonthFiles
from dudzian_daemon.adapters.month_merge import Merge, merged, month_file, replaced
from dudzian_daemon.adapters.revisions import Revision, keep_replaced, revisions
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import DAY_NS, Candle, Series


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
        self._months: Final = MonthFiles(root, read_only=read_only)

    def series(self) -> list[Series]:
        """Every series the store holds, in order of their names."""
        return sorted({*self._months.manifest().by_series, *self._live.series()})

    def files(self, series: Series) -> list[MonthFile]:
        """The month files of a series as the manifest has them, oldest first."""
        return self._months.manifest().by_series.get(series, [])

    @property
    def sources(self) -> set[str]:
        """Everyone who gave candles to the month files."""
        return self._months.manifest().sources

    def ranges(self, series: Series) -> list[StoredRange]:
        """What manifest and day files say is stored of a series, oldest first; what touches is one range."""
        found: list[StoredRange] = []
        for file in self._months.manifest().by_series.get(series, []):
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
        return self._with_live(series, self._months.read(series, start, end), start, end)

    def live(self, series: Series) -> list[Candle]:
        """The candles of the day files that no month file has yet, oldest first."""
        found = self._live_candles(series, self._live.bars(series))
        if not found:
            return []
        there = {candle.end for candle in self._months.read(series, found[0].end - series.step_ns, found[-1].end)}
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
            there = {(candle.end - series.step_ns) // MS: bar_of(candle) for candle in self._months.read(series, start, end)}
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
        columns = self._months.month(self._months.manifest(), file.key)
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
                    self._months.checked(writer.manifest, key)
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
        manifest = self._months.manifest()
        for key in months_between(series, start, end - series.step_ns):
            try:
                self._months.content(manifest, key)
            except IntegrityError:
                self._months.content(self._months.manifest(fresh=True), key)  # see `MonthFiles.month`

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
            merges = [merged(self._months, writer.manifest, key, bars) for key, bars in sorted(months.items())]
            changed = [merge for merge in merges if merge.changed]
            if changed:
                keep_replaced(self.root, series, *replaced(changed), source=source)
                self._replace(writer, changed, source)
        return WriteReport(
            added=sum(merge.added for merge in merges),
            revised=sum(len(merge.replaced) for merge in merges),
            unchanged=sum(len(merge.bars) - merge.changed for merge in merges),
            months=len(changed),
        )

    def require_room_for(self, source: str) -> None:
        """Raise `ConfigError` if candles of `source` may not be written here, because seeded and real ones would meet."""
        self._refuse_mixture(self._months.manifest(), source)

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

    def _replace(self, writer: ManifestWriter, merges: Sequence[Merge], source: str) -> None:
        """Data first, manifest after; the intention before both, so that a kill in between leaves nothing unexplained."""
        contents = [encoded(merge.columns) for merge in merges]
        files = [month_file(writer.manifest, merge, data, source) for merge, data in zip(merges, contents, strict=True)]
        writer.intend(files)
        for file, data in zip(files, contents, strict=True):
            path = path_of(self.root, file.key)
            ensure_dir(path.parent)
            remove_leftovers(path)
            write_atomic(path, data)
        writer.commit(files)


def _extend(found: list[StoredRange], more: StoredRange) -> None:
    """Append a range, or lengthen the last one if they touch."""
    if found and found[-1].end == more.start:
        last = found.pop()
        more = StoredRange(last.start, more.end, last.rows + more.rows)
    found.append(more)


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
